"""What a change of one setting does to recorded runs, as small panels with one scale; and what each
part of a rule is worth."""

import math
from collections.abc import Callable, Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dicp import results
from dicp.plot.arguments import Columns, Guess, Named, Recorded, Title, Words
from dicp.plot.histories import claim
from dicp.plot.look import BLACK, COLOURS, GREY, axes, tint

SERIES = {
    "AD": COLOURS["ad"], "IDT": COLOURS["ad"], "the paper's planner": COLOURS["paper"],
    "gated planner": COLOURS["gated"], "Bayes planner": COLOURS["bayes"],
    **{f"DICP-{name}, no planner": tint(COLOURS["ad"], 0.45) for name in ("AD", "IDT")},
}
Panels = Named[Mapping[str, Mapping[object, str | float]]]


def all_episodes(table: pd.DataFrame) -> pd.DataFrame:
    """The mean return of each run: columns run, value, low, high."""
    return results.summary(table, by=("run",)).query("metric == 'all_episodes'")


def ablations(
    table: Recorded, panels: Panels, *, title: Title, note: Words = "", ncols: Columns = 3,
    measure: Callable[[pd.DataFrame], pd.DataFrame] = all_episodes,
    ylabel: Words = "return, all episodes\n(highest possible = 1)",
) -> Figure:
    """What each run is worth (`measure`) with its 95% interval, a panel for each setting that is
    changed.

    table: recorded runs of one env. panels: what is changed -> series (`SERIES`, others are grey)
    -> value -> the run that has it, or a number from elsewhere. A run that is not recorded leaves a
    gap; a panel without two points of a series is left out. All points of a panel are of the same
    splits.
    """
    points = {name: _points(table, series, measure) for name, series in panels.items()}
    points = {
        name: drawn for name, drawn in points.items()
        if any(len(series) > 1 for series in drawn.values())
    }
    if not points:
        names = ", ".join(panels)
        raise ValueError(
            f"none of the settings {names} is recorded with two values; run dicp.reproduce first."
        )
    ncols = min(ncols, len(points))
    shape = math.ceil(len(points) / ncols), ncols
    figure, grid = plt.subplots(
        *shape, figsize=(3.6 * ncols + 0.6, 2.7 * shape[0] + 1.2), sharey=True, squeeze=False
    )
    for ax, (name, drawn) in zip(grid.flat, points.items(), strict=False):
        _panel(ax, name, drawn)
    for ax in list(grid.flat)[len(points):]:
        ax.remove()
    for row in grid:
        row[0].set_ylabel(ylabel)
    names = list(dict.fromkeys(label for drawn in points.values() for label in drawn))
    handles = [
        Line2D([], [], color=SERIES.get(name, GREY), marker="o", lw=2, label=name) for name in names
    ]
    claim(figure, title, note, handles, ncols=min(3, len(handles)))
    return figure


def _panel(ax: Axes, name: str, drawn: Mapping[str, Mapping[object, tuple]]) -> None:
    """One setting: its values along x, numbers in their order, a series beside the other."""
    values = list(dict.fromkeys(x for series in drawn.values() for x in series))
    numbers = all(isinstance(x, int) for x in values)
    places = {x: i for i, x in enumerate(sorted(values) if numbers else values)}
    for i, (label, series) in enumerate(drawn.items()):
        beside = 0.09 * (i - (len(drawn) - 1) / 2)
        _draw(ax, {places[x] + beside: y for x, y in series.items()}, label, numbers)
    ticks = [f"{x:,}" if isinstance(x, int) else str(x) for x in places]
    ax.set_xticks(range(len(places)), ticks)
    ax.set(xlim=(-0.5, len(places) - 0.5), ylim=(0, 1.04), title=name)
    ax.tick_params(axis="x", labelsize=11)


def _points(
    table: pd.DataFrame, series: Mapping[str, Mapping],
    measure: Callable[[pd.DataFrame], pd.DataFrame],
) -> dict:
    """series -> value -> (mean, low, high), of the splits that all runs of the panel have."""
    runs = {run for values in series.values() for run in values.values()} & set(table["run"])
    rows = table[table["run"].isin(runs)]
    splits = [set(part["split"]) for _, part in rows.groupby("run")]
    common = set.intersection(*splits) if runs else set()
    found = {}
    if common:
        small = measure(rows[rows["split"].isin(common)])
        found = {row.run: (row.value, row.low, row.high) for row in small.itertuples()}
    drawn = {}
    for name, values in series.items():
        known = {x: (y, y, y) if isinstance(y, float) else found.get(y) for x, y in values.items()}
        drawn[name] = {x: y for x, y in known.items() if y is not None}
    return {name: values for name, values in drawn.items() if values}


def _draw(ax: Axes, series: Mapping[float, tuple], label: str, ordered: bool) -> None:
    colour, (mean, low, high) = SERIES.get(label, GREY), zip(*series.values(), strict=True)
    ax.plot(
        list(series), mean, "o-" if ordered else "o", color=colour, lw=2.2, ms=6.5, mec="white",
        mew=1, zorder=3,
    )
    ax.vlines(list(series), low, high, color=colour, lw=1.6, zorder=2)


def parts(
    values: Named[float], *, title: Title, xlabel: Words, note: Words = "",
    guess: Guess | None = None, ax: Axes | None = None,
) -> Axes:
    """A bar for the whole, the first of `values`, and one for what is left without each of its
    parts."""
    ax = axes(ax, title, (7, 1.7 + 0.42 * len(values)))
    whole, *_ = values.values()
    for y, value in enumerate(values.values()):
        ax.barh(y, whole, color=tint(GREY, 0.88), height=0.68, zorder=1)
        colour = COLOURS["bayes"] if y == 0 else tint(COLOURS["bayes"], 0.45)
        ax.barh(y, value, color=colour, height=0.68, zorder=2)
        ax.text(1.01, y, f"{value:.2f}", va="center", transform=ax.get_yaxis_transform())
    if guess is not None:
        ax.axvline(guess, color=BLACK, ls=":", lw=1.8, zorder=5)
        ax.annotate(
            "your guess", (guess, 1), xycoords=("data", "axes fraction"), xytext=(4, -2), va="top",
            textcoords="offset points", fontsize=11.5,
            bbox={"fc": "white", "ec": "none", "pad": 1.5, "alpha": 0.85},
        )
    ax.set_yticks(range(len(values)), list(values))
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    ax.set(xlim=(0, 1), xlabel=xlabel, title="")
    claim(ax.figure, title, note)
    return ax
