"""The figure of the control: the same planner in world models that differ in what they are and in
what they were trained on."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dicp import results
from dicp.checks import refuse
from dicp.plot.arguments import Probes, RunResults, Title
from dicp.plot.curves import sizes
from dicp.plot.histories import claim
from dicp.plot.look import BLACK, COLOURS, LOOKS, Look

LOOK_OF = {"first": Look("trained on first episodes", COLOURS["bayes"]),
           "all": Look("trained on whole histories", COLOURS["ad"], (0, (5, 1.5)))}
TITLES = {
    "queries": "queries (ours)",
    "heads": "heads (the paper's)",
    "table": "a table, no learning",
}


def control(table: RunResults, probes: Probes | None = None, *, title: Title) -> Figure:
    """Return by episode with the Bayes planner: a panel a model, a line a kind of data, beside the
    exact belief. Where `probes` (`dicp.probes.recorded_probes`) hold imagined walks, one more
    panel: what the trained models expect along them."""
    runs = {
        (model, data): table[table["run"] == f"{model}_{data}_bayes"]
        for model in TITLES for data in LOOK_OF
    }
    models = [model for model in TITLES if any(len(runs[model, data]) for data in LOOK_OF)]
    if not models:
        wanted = "a table with runs of the control and the Bayes planner"
        raise refuse("table", sorted(set(table["run"])), wanted)
    walks = None if probes is None else walks_in(probes)
    n = len(models) + (walks is not None and len(walks) > 0)
    size = max(3.5 * n + 0.4, 7.4), 4.4
    figure, panels = plt.subplots(1, n, figsize=size, squeeze=False)
    exact = table[table["run"] == "exact_belief"]
    for ax, model in zip(panels[0], models, strict=False):
        by_episode(ax, {data: runs[model, data] for data in LOOK_OF}, exact)
        ax.set_title(TITLES[model])
    for ax in panels[0, 1 : len(models)]:
        ax.set_yticklabels([])
    panels[0, 0].set_ylabel("return per episode\n(highest possible = 1)")
    if n > len(models):
        along_walks(panels[0, -1], walks)
    some = pd.concat([rows for rows in runs.values() if len(rows)])
    some = some[some["run"] == some["run"].iloc[0]].drop(columns="context_length", errors="ignore")
    drawn = [data for data in LOOK_OF if any(len(runs[model, data]) for model in models)]
    keys = [*(LOOK_OF[data].key() for data in drawn), LOOKS["exact_belief"].key()]
    claim(figure, title, f"Bayes planner; {sizes(some)}; bands: 95% bootstrap", keys, ncols=3)
    return figure


def by_episode(ax: Axes, rows_of: dict[str, pd.DataFrame], exact: pd.DataFrame) -> None:
    drawn = [(LOOKS["exact_belief"], exact)]
    drawn += [(LOOK_OF[data], rows) for data, rows in rows_of.items()]
    for look, rows in drawn:
        if not len(rows):
            continue
        mean = results.curve(rows, "normalised")
        episode = range(1, len(mean) + 1)
        ax.plot(episode, mean["mean"], color=look.colour, ls=look.dashes, lw=look.width, zorder=3)
        if rows is not exact:
            ax.fill_between(episode, mean["low"], mean["high"], color=look.colour, alpha=0.15, lw=0)
    ax.set(xlabel="episode", xlim=(1, 50), ylim=(0, 1.04), xticks=[1, 10, 20, 30, 40, 50])


def walks_in(probes: pd.DataFrame) -> pd.DataFrame:
    """P(reward) along imagined walks, mean over splits: columns model, data, step, value, exact."""
    named = "^(?P<model>queries|heads)_(?P<data>first|all)_bayes$"
    probe, run = probes["probe"].astype(str), probes["run"].astype(str)
    walks = probes[probe.str.fullmatch(r"walk \d+") & run.str.match(named)]
    step = walks["probe"].astype(str).str.removeprefix("walk ").astype(int)
    walks = walks.assign(step=step).join(walks["run"].astype(str).str.extract(named))
    return walks.groupby(["model", "data", "step"], as_index=False)[["value", "exact"]].mean()


def along_walks(ax: Axes, walks: pd.DataFrame) -> None:
    for (model, data), rows in walks.groupby(["model", "data"], sort=False):
        look, marker = LOOK_OF[data], {"queries": "o", "heads": "s"}[model]
        ax.plot(
            rows["step"], rows["value"], marker=marker, color=look.colour, ls=look.dashes, lw=1.8,
            ms=4.5,
        )
        ax.annotate(
            model, (rows["step"].iloc[-1], rows["value"].iloc[-1]), xytext=(6, 0),
            textcoords="offset points", va="center", color=look.colour, fontsize=11,
            annotation_clip=False,
        )
    exact = walks.groupby("step")["exact"].mean()
    ax.plot(exact.index, exact, color=BLACK, ls=LOOKS["exact_belief"].dashes, lw=1.4)
    ax.set(
        yscale="log", xlabel="imagined steps onto new cells", ylabel="P(reward), nothing found yet",
        xlim=(1, 8.2),
    )
    low, high = (pick((*walks["value"], *exact)) for pick in (min, max))
    if 0 < high < 10 * low:                         # else a hair's breadth fills the panel
        middle = (low * high) ** 0.5
        ax.set_ylim(middle / 4, 4 * middle)
    ax.set_title("what the models expect")
