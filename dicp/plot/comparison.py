"""All methods of a world side by side: one panel an imitator, the same controls behind each."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dicp import results
from dicp.config import IMITATORS
from dicp.plot.curves import looks, returns, sizes
from dicp.plot.histories import claim, mark_guess
from dicp.plot.look import GREY, Look, look_of, tint
from dicp.results import CONTROLS

PANELS = {"ad": "AD imitates the source", "dpt": "DPT imitates optimal actions", "idt": "IDT imitates decisions"}


def comparison(
    table: pd.DataFrame, *, title: str, own: pd.DataFrame | None = None, guess: float | None = None
) -> Figure:
    """Learning curves of every imitator in `table` and of its DICP version, each planner a curve of its own, beside the
    paper's own two (thin), the interventional world model and the controls.

    table: one env, one row of settings a run (`dicp.results`). own: the reader's run, as rings in the panel of its
    imitator (in all of them if it imitates nobody). guess: the reader's, in env steps.
    """
    there = {*table["method"], *([] if own is None else own["method"])}
    names = [name for name in IMITATORS if {name, f"dicp_{name}"} & there]
    if not names:
        raise ValueError(f"the table has none of the methods {', '.join(IMITATORS)}; allowed: runs of one of them at least.")
    width = max(4.4 * len(names) + 0.4, 8.8)
    figure, panels = plt.subplots(1, len(names), figsize=(width, 5.6), sharey=True, squeeze=False)
    keys = {}                                                     # what the legend explains, once for all panels
    for ax, name in zip(panels[0], names, strict=True):
        rows = table[table["method"].isin([name, f"dicp_{name}", "dicp", *CONTROLS])]
        returns(rows, title=PANELS[name], value="normalised", paper=(name, f"dicp_{name}"), labels=False, ax=ax)
        ax.set_xlabel("environment steps in context")
        for look, part in looks(rows):
            keys.setdefault(_in_words(look, part), look)
        mark_guess(ax, guess)
        if own is not None and own["method"].iloc[0] not in {who for other in set(IMITATORS) - {name}
                                                             for who in (other, f"dicp_{other}")}:
            mean, look = results.curve(own, "normalised"), look_of(own["method"].iloc[0], own["planner"].iloc[0])
            ax.plot(mean["env_steps"], mean["mean"], "o", ms=4.5, color="white", mec=look.colour, mew=1.4, zorder=4)
    for ax in panels[0, 1:]:
        ax.set_ylabel("")
    handles = [Line2D([], [], color=look.colour, ls=look.dashes, lw=look.width, label=label) for label, look in keys.items()]
    for label, look in (("the paper's imitation", look_of("ad")), ("the paper's DICP", look_of("dicp_ad", "paper"))):
        handles.append(Line2D([], [], color=tint(look.colour, 0.5), lw=1.4, label=label))
    if own is not None:
        look = look_of(own["method"].iloc[0], own["planner"].iloc[0])
        ring = {"marker": "o", "ls": "none", "ms": 5, "mfc": "white", "mec": look.colour, "mew": 1.4}
        handles.append(Line2D([], [], color=GREY, label="your own run", **ring))
    ncols, note = (4 if len(names) > 2 else 3), f"{sizes(table)}; bands: 95% bootstrap; thin: the paper's own curves"
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=ncols, fontsize=11, title=note, alignment="left")
    legend.get_title().set(fontsize=10, color=GREY)
    claim(figure, title)
    return figure


def _in_words(look: Look, rows: pd.DataFrame) -> str:
    """What a curve is, in words that hold in every panel."""
    method, planner = rows["method"].iloc[0], rows["planner"].iloc[0]
    if method in CONTROLS:
        return look.label
    if method == "dicp":
        return "DICP, interventional: Bayes planner"
    if planner != "none":
        return f"DICP: {look.label}"
    return "imitation alone" if method in IMITATORS else "DICP, no planner"
