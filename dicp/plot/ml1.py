"""Learning curves of Meta-World's tasks: imitation and planning, a column a task, a row an
imitator."""


import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dicp import results
from dicp.checks import one_of
from dicp.ml1 import RUNS, TASKS
from dicp.paper import paper_table
from dicp.plot.arguments import NamedResults, Rankings, Results, Successes, Title, Words
from dicp.plot.curves import rings
from dicp.plot.histories import claim
from dicp.plot.look import BLACK, GREY, LOOKS, PAPERS, look_of, tint

ROWS = {"AD": ("ad", "dicp_ad_paper"), "IDT": ("idt", "dicp_idt_paper")}
CONTROLS = ("source", "random")


def ml1_curves(
    tables: NamedResults, *, value: str, title: Title, note: Words = "", own: Results | None = None
) -> Figure:
    """Success over environment steps, with 95% bootstrap bands over instances.

    tables: task as the paper writes it ("reach") -> recorded runs. value: success (share of
    episodes; controls are drawn) | solved_so_far (share of instances; the paper's curves are drawn
    faint, which show nothing else). own: the reader's run, as rings in the row of its imitator.
    """
    one_of("value", value, ("success", "solved_so_far"))
    for task in tables:
        one_of("task", task, TASKS)
    size = max(2.75 * len(tables) + 0.8, 7), 5.6
    figure, grid = plt.subplots(
        len(ROWS), len(tables), figsize=size, sharey=True, sharex="col", squeeze=False
    )
    paper = paper_table("fig3_learning_curves")
    for row, (imitator, runs) in zip(grid, ROWS.items(), strict=True):
        for ax, (task, table) in zip(row, tables.items(), strict=True):
            for run in (*CONTROLS, *runs) if value == "success" else runs:
                _curve(ax, table[table["run"] == run], value)
            if value == "success":
                _blind(ax, table[table["run"] == "blind"])
            else:
                _papers(ax, paper[paper["env"] == task], imitator)
            if own is not None and own["method"].iloc[0].removeprefix("dicp_") == imitator.lower():
                rings(ax, own, value, per=1000)
            if ax in grid[0]:
                ax.set_title(task)
            if ax in grid[-1]:
                ax.set_xlabel("thousand env steps")
                # else "10.0" of one panel touches "0" of the next
                ax.locator_params(axis="x", nbins=3, integer=True)
            steps = table.loc[table["run"].isin(runs), "env_steps"]
            ax.set(ylim=(0, 1.04), xlim=(0, steps.max() / 1000))
        counted = "success per episode" if value == "success" else "solved so far"
        row[0].set_ylabel(f"{imitator}\n{counted}")
    claim(figure, title, note, _legend(value))
    return figure


def _legend(value: str) -> list[Line2D]:
    ours = {"ad": "imitation alone", "paper": "DICP: the paper's planner"}
    drawn = [LOOKS[name]._replace(label=label) for name, label in ours.items()]
    controls = [LOOKS[name] for name in (*CONTROLS, "blind")]
    drawn += controls if value == "success" else PAPERS.values()
    return [look.key() for look in drawn]


def _blind(ax, rows: pd.DataFrame) -> None:
    """The mean success of the expert that is not told the goal, if it is recorded."""
    if len(rows):
        look, mean = LOOKS["blind"], rows["success"].mean()
        ax.axhline(mean, color=look.colour, ls=look.dashes, lw=look.width, zorder=2)


def _papers(ax, paper: pd.DataFrame, imitator: str) -> None:
    """The paper's curves of an imitator and of its planner."""
    for method in (imitator, f"DICP-{imitator}"):
        curve = paper[paper["method"] == method]
        look = PAPERS["DICP" if "DICP" in method else "imitation"]
        steps = curve["env_steps"] / 1000
        ax.plot(steps, curve["value"], color=look.colour, lw=look.width, zorder=1)


def _curve(ax, rows: pd.DataFrame, value: str) -> None:
    if not len(rows):
        return
    curve = results.curve(rows, value)
    look = look_of(rows["method"].iloc[0], rows["planner"].iloc[0])
    steps = curve["env_steps"] / 1000
    ax.plot(steps, curve["mean"], color=look.colour, ls=look.dashes, lw=look.width, zorder=3)
    if rows["run"].iloc[0] != "random":
        ax.fill_between(
            steps, curve["low"], curve["high"], color=look.colour, alpha=0.15, lw=0, zorder=2
        )


def ml1_meanings(numbers: Successes, *, title: Title, note: Words = "") -> Figure:
    """The same rollouts counted in two ways, a panel a task: success per episode (disc) and solved
    so far (ring), with 95% intervals, and what the paper reports, which is the latter (cross).

    numbers: task as the paper writes it -> `dicp.ml1.successes` of its recorded runs.
    """
    for task, table in numbers.items():
        one_of("task", task, TASKS)
        twice = table["run"][table.duplicated(["run", "metric"])]
        if len(twice):
            run = twice.iloc[0]
            raise ValueError(f"numbers[{task!r}] has {run} twice; allowed: each run once.")
    figure, panels = plt.subplots(
        1, len(numbers), figsize=(2.6 * len(numbers) + 1.6, 3.9), sharey=True, squeeze=False
    )
    names = {"random": "random", "source": "source PPO", **RUNS}
    published = paper_table("table1_ml1_success").set_index("method")
    for ax, (task, table) in zip(panels[0], numbers.items(), strict=True):
        for y, (run, name) in enumerate(names.items()):
            rows = table[table["run"] == run].set_index("metric")
            if len(rows):
                _two_meanings(ax, rows, y)
            if name in published.index and pd.notna(published.loc[name, task]):
                share = published.loc[name, task] / 100
                ax.plot(share, y + 0.12, "x", color=BLACK, ms=7, mew=1.6, zorder=5)
        ax.set(title=task, xlim=(-0.05, 1.05), xlabel="share")
        ax.grid(axis="y", color=tint(GREY, 0.8), lw=0.8)
    panels[0, 0].set_yticks(range(len(names)), list(names.values()))
    panels[0, 0].invert_yaxis()
    marks = {
        "success per episode, last fifth": dict(marker="o", mfc=GREY, mec=GREY),
        "solved so far": dict(marker="o", mfc="white", mec=GREY),
        "the paper (solved so far)": dict(marker="x", mec=BLACK),
    }
    handles = [
        Line2D([], [], ls="none", ms=8, mew=1.6, label=label, **mark)
        for label, mark in marks.items()
    ]
    claim(figure, title, note, handles, ncols=3)
    return figure


def _two_meanings(ax, rows: pd.DataFrame, y: float) -> None:
    """A run's success per episode (disc) and, below, solved so far (ring), with their intervals."""
    colour = look_of(rows["method"].iloc[0], rows["planner"].iloc[0]).colour
    for at, metric, face in ((y - 0.12, "success", colour), (y + 0.12, "solved_so_far", "white")):
        row = rows.loc[metric]
        ax.plot((row["low"], row["high"]), (at, at), color=colour, lw=1.6)
        ax.plot(row["value"], at, "o", ms=8, mfc=face, mec=colour, mew=1.6, zorder=4)


def ml1_rankings(rows: Rankings, *, title: Title, note: Words = "") -> Figure:
    """What a planner makes of a policy's return and success, by what it ranks: a column a task, a
    row an imitator, an arrow from the policy alone to each planner. rows: `dicp.ml1.rankings`."""
    tasks, imitators = (list(dict.fromkeys(rows[name])) for name in ("task", "imitator"))
    size = max(2.3 * len(tasks) + 1.2, 7), 2.4 * len(imitators) + 1
    figure, grid = plt.subplots(
        len(imitators), len(tasks), figsize=size, sharex="col", sharey=True, squeeze=False
    )
    blue, orange = LOOKS["ad"].colour, LOOKS["paper"].colour
    marks = {
        "policy alone": dict(marker="o", mfc=blue, mec=blue),
        "reward": dict(marker="s", mfc=orange, mec=orange),
        "return-to-go": dict(marker="D", mfc="white", mec=orange),
    }
    arrow = dict(arrowstyle="->", color=tint(orange, 0.2), lw=1.6, shrinkA=5, shrinkB=5)
    for (imitator, task), points in rows.groupby(["imitator", "task"]):
        ax = grid[imitators.index(imitator), tasks.index(task)]
        points = points.set_index("ranking")[["episode_return", "success"]]
        for ranking, at in points.iterrows():
            ax.plot(*at, ls="none", ms=8, mew=1.8, zorder=4, **marks[ranking])
            if ranking != "policy alone" and "policy alone" in points.index:
                ax.annotate("", at, points.loc["policy alone"], zorder=3, arrowprops=arrow)
    for ax, task in zip(grid[0], tasks, strict=True):
        ax.set_title(task)
    for ax in grid[-1]:
        ax.set_xlabel("return per episode")
    for ax, imitator in zip(grid[:, 0], imitators, strict=True):
        ax.set(ylim=(-0.1, 1.1), ylabel=f"DICP-{imitator.upper()}\nsuccess per episode")
    for ax in grid.flat:
        ax.margins(x=0.2)
    words = {"reward": "planned by reward", "return-to-go": "planned by return-to-go"}
    handles = [
        Line2D([], [], ls="none", ms=8, mew=1.8, label=words.get(ranking, ranking), **mark)
        for ranking, mark in marks.items()
    ]
    claim(figure, title, note, handles, ncols=3)
    return figure
