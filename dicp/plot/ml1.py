"""Learning curves of Meta-World's tasks: imitation and planning, a column a task, a row an imitator."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dicp import results
from dicp.errors import one_of
from dicp.paper import paper_table
from dicp.plot.curves import VALUES
from dicp.plot.histories import claim
from dicp.plot.look import GREY, LOOKS, look_of, tint

ROWS = {"AD": ("ad", "dicp_ad_paper"), "IDT": ("idt", "dicp_idt_paper")}
CONTROLS = ("source", "random")


def ml1_curves(
    tables: Mapping[str, pd.DataFrame], *, value: str, title: str, note: str = "", own: pd.DataFrame | None = None
) -> Figure:
    """Success over environment steps, with 95% bootstrap bands over instances.

    tables: task as the paper writes it ("reach") -> recorded runs. value: success (share of episodes; controls are drawn) |
    solved_so_far (share of instances; the paper's curves are drawn faint, which show nothing else). own: the reader's run, as
    rings in the row of its imitator.
    """
    one_of("value", value, ("success", "solved_so_far"))
    size = max(2.75 * len(tables) + 0.8, 7), 5.6
    figure, grid = plt.subplots(len(ROWS), len(tables), figsize=size, sharey=True, sharex="col", squeeze=False)
    paper = paper_table("fig3_learning_curves")
    for row, (imitator, runs) in zip(grid, ROWS.items(), strict=True):
        for ax, (task, table) in zip(row, tables.items(), strict=True):
            for run in (*(CONTROLS if value == "success" else ()), *runs):
                _curve(ax, table[table["run"] == run], value)
            for method in (imitator, f"DICP-{imitator}") if value == "solved_so_far" else ():
                curve = paper.query("env == @task and method == @method")
                colour = tint(LOOKS["paper" if "DICP" in method else "ad"].colour, 0.5)
                ax.plot(curve["env_steps"] / 1000, curve["value"], color=colour, lw=1.4, zorder=1)
            if own is not None and own["method"].iloc[0].removeprefix("dicp_") == imitator.lower():
                mean, look = results.curve(own, value), look_of(own["method"].iloc[0], own["planner"].iloc[0])
                ax.plot(mean["env_steps"] / 1000, mean["mean"], "o", ms=4.5, color="white", mec=look.colour, mew=1.4, zorder=4)
            if ax in grid[0]:
                ax.set_title(task)
            if ax in grid[-1]:
                ax.set_xlabel("thousand env steps")
            ax.set(ylim=(0, 1.04), xlim=(0, table.loc[table["run"].isin(runs), "env_steps"].max() / 1000))
        row[0].set_ylabel(f"{imitator}\n{VALUES[value]}")
    drawn = [("imitation alone", look_of("ad")), ("DICP: the paper's planner", look_of("dicp_ad", "paper"))]
    if value == "success":
        drawn += [(LOOKS[name].label, LOOKS[name]) for name in CONTROLS]
    else:
        drawn += [(f"the paper's {name}", look._replace(colour=tint(look.colour, 0.5), width=1.4, dashes="-"))
                  for name, look in (("imitation", look_of("ad")), ("DICP", look_of("dicp_ad", "paper")))]
    handles = [Line2D([], [], color=look.colour, ls=look.dashes, lw=look.width, label=name) for name, look in drawn]
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=11, title=note, alignment="left")
    legend.get_title().set(fontsize=10, color=GREY)
    claim(figure, title)
    return figure


def _curve(ax, rows: pd.DataFrame, value: str) -> None:
    if not len(rows):
        return
    curve, look = results.curve(rows, value), look_of(rows["method"].iloc[0], rows["planner"].iloc[0])
    steps = curve["env_steps"] / 1000
    ax.plot(steps, curve["mean"], color=look.colour, ls=look.dashes, lw=look.width, zorder=3)
    if rows["run"].iloc[0] != "random":
        ax.fill_between(steps, curve["low"], curve["high"], color=look.colour, alpha=0.15, lw=0, zorder=2)
