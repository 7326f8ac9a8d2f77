"""All methods of a world side by side: one panel an imitator, the same controls behind each."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from dicp.config import IMITATORS
from dicp.plot.arguments import Guess, Results, Title
from dicp.plot.curves import looks, returns, rings, sizes
from dicp.plot.histories import claim, mark_guess
from dicp.plot.look import PAPERS, Look
from dicp.results import CONTROLS

PANELS = {
    "ad": "AD imitates the source",
    "dpt": "DPT imitates optimal actions",
    "idt": "IDT imitates decisions",
}


def comparison(
    table: Results, *, title: Title, own: Results | None = None, guess: Guess | None = None
) -> Figure:
    """Learning curves of every imitator in `table` and of its DICP version, each planner a curve of
    its own, beside the paper's own two (thin), the world model that is asked with queries and the
    controls.

    table: one env, one row of settings a run (`dicp.results`). own: the reader's run, as rings in
    the panel of its imitator (in all if it has no policy). guess: the reader's, in env steps.
    """
    found = {*table["method"], *([] if own is None else own["method"])}
    names = [name for name in IMITATORS if {name, f"dicp_{name}"} & found]
    if not names:
        methods = ", ".join(IMITATORS)
        raise ValueError(
            f"the table has none of the methods {methods}; allowed: runs of one of them at least."
        )
    width = max(4.4 * len(names) + 0.4, 8.8)
    figure, panels = plt.subplots(1, len(names), figsize=(width, 5.6), sharey=True, squeeze=False)
    keys, ring = {}, []      # what the legend explains, once for all panels
    for ax, name in zip(panels[0], names, strict=True):
        rows = table[table["method"].isin([name, f"dicp_{name}", "queries", *CONTROLS])]
        returns(
            rows, title=PANELS[name], value="normalised", paper=(name, f"dicp_{name}"),
            labels=False, ax=ax,
        )
        ax.set_xlabel("environment steps in context")
        for look, part in looks(rows):
            keys.setdefault(_in_words(look, part), look)
        mark_guess(ax, guess)
        others = {who for other in set(IMITATORS) - {name} for who in (other, f"dicp_{other}")}
        if own is not None and own["method"].iloc[0] not in others:
            ring = [rings(ax, own, "normalised")]
    for ax in panels[0, 1:]:
        ax.set_ylabel("")
    drawn = [*(look._replace(label=label) for label, look in keys.items()), *PAPERS.values()]
    ncols = 4 if len(names) > 2 else 3
    note = f"{sizes(table)}; bands: 95% bootstrap; thin: the paper's own curves"
    claim(figure, title, note, [*(look.key() for look in drawn), *ring], ncols)
    return figure


def _in_words(look: Look, rows: pd.DataFrame) -> str:
    """What a curve is, in words that hold in every panel."""
    method, planner = rows["method"].iloc[0], rows["planner"].iloc[0]
    if method in CONTROLS:
        return look.label
    if method == "queries":
        return "queries: Bayes planner"
    if planner != "none":
        return f"DICP: {look.label}"
    return "imitation alone" if method in IMITATORS else "DICP, no planner"
