"""Figures of notebook 04: trees of imagined futures, plans beside reality, what a beam's width
buys, bars side by side."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from dicp.plot.arguments import (
    Cell,
    Colour,
    Inches,
    Named,
    Several,
    Side,
    Summary,
    Title,
    Words,
    in_shape,
)
from dicp.plot.curves import bars
from dicp.plot.grid import ROOM, _marks, _room, _scale, xy
from dicp.plot.histories import claim
from dicp.plot.look import BLACK, COLOURS, HEAT, axes, caption, darker, tint


def futures(
    paths: Several[Sequence[int]], *, title: Title, start: Cell = 40, goal: Cell | None = None,
    colour: Colour = COLOURS["bayes"], size: Side = 9, ax: Axes | None = None,
) -> Axes:
    """The tree of imagined futures on the grid: `paths` [future][step], the cells that each would
    lead to. Branches that many futures share are thick; cells where a future ends are filled."""
    ax = axes(ax, title, ROOM)
    _room(ax, size)
    ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
    steps = np.array([[start, *path] for path in paths])      # future step
    ends = np.stack((steps[:, :-1].ravel(), steps[:, 1:].ravel()), axis=-1)
    branches, count = np.unique(ends, axis=0, return_counts=True)
    widths = 1.5 + 1.2 * np.log(1 + 9 * count / count.max())
    ax.add_collection(LineCollection(
        xy(branches, size), colors=[colour], lw=widths * _scale(ax), alpha=0.8, zorder=3
    ))
    ax.plot(
        *xy(np.unique(steps[:, -1]), size).T, "s", ms=17 * _scale(ax), color=tint(colour, 0.6),
        mec=colour, mew=1, zorder=2,
    )
    _marks(ax, size, goal=goal, agent=start)
    return ax


def plans(
    panels: Named[Mapping], *, title: Title, note: Words = "", size: Side = 9, inches: Inches = 3.3
) -> Figure:
    """Rooms side by side, each with a plan (orange dashes) from where the agent is (disc).

    panels: name -> plan: the imagined cells; and perhaps walked: the cells of the episode so far,
    with the present one last (blue); claims: imagined cells where the plan expects a reward for
    sure (hollow stars); goal: the true one (black star); key: a diamond; visited: dots; belief:
    P(reward) of each cell, as colour.
    """
    beliefs = [panel["belief"] for panel in panels.values() if "belief" in panel]
    shape = (inches * len(panels) + 0.8 * bool(beliefs), inches + 1.1)
    figure, rooms = plt.subplots(1, len(panels), figsize=shape, squeeze=False)
    for ax, (name, panel) in zip(rooms[0], panels.items(), strict=True):
        if (belief := panel.get("belief")) is not None:
            heat = in_shape("the belief in panels", belief, size, size).T
            image = ax.imshow(heat, origin="lower", cmap=HEAT, norm=PowerNorm(0.4, 0, 1), zorder=0)
        _room(ax, size)
        ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
        ax.set_title(name)
        _plan(ax, panel, size)
    if beliefs:
        bar = figure.colorbar(
            image, ax=rooms[0].tolist(), shrink=0.75, aspect=22, pad=0.01, label="P(reward)"
        )
        bar.set_ticks([0, 0.01, 0.1, 0.3, 1])
        bar.ax.set_yticklabels(["0", ".01", ".1", ".3", "1"])
        bar.outline.set_visible(False)
    claim(figure, title, note)
    figure.canvas.draw()                    # marks are as large as the rooms allow
    for ax, panel in zip(rooms[0], panels.values(), strict=True):
        _marks(
            ax, size, agent=panel.get("walked", [40])[-1], goal=panel.get("goal"),
            key=panel.get("key"), visited=panel.get("visited", ()),
        )
    return figure


def _plan(ax: Axes, panel: Mapping, size: int) -> None:
    """The way so far, the plan from its end, and the rewards that the plan claims."""
    walked = list(panel.get("walked", [40]))
    ax.plot(*xy(walked, size).T, color=COLOURS["ad"], lw=3, alpha=0.85, zorder=3)
    way = xy([walked[-1], *panel["plan"]], size)
    colour = COLOURS["bayes"] if panel.get("belief") is None else BLACK
    ax.plot(*way.T, color=colour, lw=2.6, ls=(0, (1.6, 1)), zorder=4)
    moves = way[1:][(way[1:] != way[:-1]).any(-1)]
    if len(moves) and not (moves[-1] == way[0]).all():
        ax.plot(*moves[-1], "o", color=colour, ms=7, zorder=5)
    claimed = xy(sorted(set(panel.get("claims", ()))), size)
    if claimed.size:
        ax.plot(*claimed.T, "*", ms=20, mfc="white", mec=colour, mew=2, ls="none", zorder=6)


def by_width(
    curves: Named[Mapping[int, float]], *, title: Title, ylabel: Words, colours: Several[str],
    log: bool = False, note: Words = "", ax: Axes | None = None,
) -> Axes:
    """A number for each beam width: `curves` name -> {beam_width: value}; the widths are on a
    logarithmic axis."""
    ax = axes(ax, title)
    last = {name: list(points.items())[-1] for name, points in curves.items()}
    for (name, points), colour in zip(curves.items(), colours, strict=True):
        ax.plot(
            list(points), list(points.values()), "o-", color=colour, lw=2.6, ms=8, mec="white",
            mew=1.2, zorder=3,
        )
        # names stand behind the last points, apart where two lines end at the same width
        rivals = [y for x, y in last.values() if x == last[name][0]]
        shift = 0 if len(rivals) == 1 else 10 if last[name][1] == max(rivals) else -10
        ax.annotate(
            name, last[name], xytext=(12, shift), textcoords="offset points", va="center",
            fontsize=12, color=darker(colour), annotation_clip=False,
        )
    widths = sorted({width for points in curves.values() for width in points})
    ax.set(xscale="log", xlabel="beam width: futures kept after each imagined step", ylabel=ylabel)
    ax.set_xticks(widths, widths)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(widths[0] * 0.9, widths[-1] * 1.1)
    if log:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_ylim(0)
    caption(ax, note)
    return ax


def bar_panels(summary: Summary, metrics: Named[str], *, title: Title) -> Figure:
    """One panel of bars for each metric of `results.summary` (metric -> its name in words), the
    methods named once."""
    n = len(summary) // summary["metric"].nunique()
    figure, panels = plt.subplots(1, len(metrics), figsize=(13, 2 + 0.36 * n), squeeze=False)
    for ax, (metric, words) in zip(panels[0], metrics.items(), strict=True):
        first = ax is panels[0, 0]
        bars(summary, metric, title=words, labels=None if first else [""] * n, ax=ax)
        ax.set_xlabel("")
        if not first:
            ax.texts[-1].remove()           # the caption, which is the same in every panel
    claim(figure, title)
    return figure
