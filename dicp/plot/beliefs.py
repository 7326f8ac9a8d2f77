"""Figures of notebook 03: beliefs about every cell side by side, by any number, and what is looked
up in the context."""

from collections.abc import Collection, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dicp.plot.arguments import (
    Brightness,
    Guess,
    Inches,
    Labels,
    Named,
    Numbers,
    Side,
    Steps,
    Title,
    Words,
    in_shape,
)
from dicp.plot.grid import _marks, _room
from dicp.plot.look import BLACK, COLOURS, GREY, HEAT, axes, label_ends

# the world models share the orange family of the planners that use them
MODELS = {"observational": COLOURS["paper"], "queries": COLOURS["bayes"], "exact belief": BLACK}
REFERENCE = COLOURS["source"]


def belief_panels(
    rows: Named[Sequence], columns: Labels, *, title: Title, marks: Sequence[Mapping] | None = None,
    label: Words = "P(reward)", size: Side = 9, gamma: Brightness = 0.35, inches: Inches = 2.25,
) -> Figure:
    """Rooms in rows and columns with one colour scale from 0 to 1. `rows`: name -> [column][cell];
    `marks`: for each column, what to mark (agent, goal, start, visited: as in `grid_heatmap`)."""
    shape = (len(rows), len(columns))
    figure, panels = plt.subplots(
        *shape, figsize=(inches * shape[1] + 1.1, inches * shape[0] + 0.75), squeeze=False,
        layout="constrained",
    )
    for row, (name, beliefs) in zip(panels, rows.items(), strict=True):
        for i, (ax, values) in enumerate(zip(row, beliefs, strict=True)):
            heat = in_shape("each room of rows", values, size, size).T
            image = ax.imshow(
                heat, origin="lower", cmap=HEAT, norm=PowerNorm(gamma, 0, 1), zorder=0
            )
            _room(ax, size, lines=False)
            ax.set(xlabel="", ylabel="", xticks=[], yticks=[])
            _marks(ax, size, **(marks[i] if marks else {}))
        row[0].set_ylabel(name, fontsize=12.5)
    for ax, name in zip(panels[0], columns, strict=True):
        ax.set_title(name, fontsize=12, fontweight="normal", loc="center", pad=6)
    bar = figure.colorbar(
        image, ax=panels, shrink=0.85, aspect=22, label=label, ticks=[0, 0.01, 0.1, 0.3, 1]
    )
    bar.ax.set_yticklabels(["0", ".01", ".1", ".3", "1"])
    bar.outline.set_visible(False)
    figure.suptitle(title, fontweight="bold", fontsize=14, x=0.01, ha="left")
    return figure


def belief_curves(
    curves: Named[Numbers], x: Numbers, *, title: Title, xlabel: Words, ylabel: Words,
    thin: Collection[str] = ("exact belief",), level: Guess | None = None, ax: Axes | None = None,
) -> Axes:
    """Lines over `x`, from 0 up, with their names at the right end; models in their colours, all
    else grey.

    thin: references, dashed. level: the reader's guess, in units of y.
    """
    ax, labels = axes(ax, title), []
    for name, y in curves.items():
        dashes, lw = ((0, (4, 3)), 1.5) if name in thin else ("-", 2.6)
        ax.plot(x, y, color=(colour := MODELS.get(name, REFERENCE)), ls=dashes, lw=lw, zorder=3)
        labels.append((float(y[-1]), name, colour))
    ax.set(
        xlabel=xlabel, ylabel=ylabel, xlim=(x[0], x[-1]),
        ylim=(0, 1.06 * max(max(y) for y in curves.values())),
    )
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if level is not None:
        ax.axhline(level, color=BLACK, ls=":", lw=1.8, zorder=5)
        ax.annotate(
            "your guess", (0.03, level), xycoords=("axes fraction", "data"), xytext=(0, 5),
            fontsize=11.5, textcoords="offset points", zorder=6,
        )
    ax.figure.canvas.draw()             # where the labels fit depends on the height of the axes
    label_ends(ax, labels)
    return ax


def look_up(
    weights: Named[Numbers], horizon: Steps, *, title: Title, met: Numbers | None = None
) -> Figure:
    """Where a query looks: a panel a query, a bar a token of the context, oldest left, before them
    the query itself. met: for each token, whether it tells of what is asked about (dots)."""
    figure, panels = plt.subplots(
        len(weights), 1, figsize=(9, 1.6 * len(weights) + 0.9), sharex=True, layout="constrained"
    )
    for i, (ax, (name, w)) in enumerate(zip(np.atleast_1d(panels), weights.items(), strict=True)):
        w = np.asarray(w, dtype=float)
        n, wide = len(w) - 1, max(len(w) // 16, 1)
        ax.bar(np.arange(n), w[1:], width=0.9, color=COLOURS["bayes"])
        ax.bar(-1.5 * wide, w[0], width=wide, color=GREY)
        for x in range(horizon, n, horizon):
            ax.axvline(x - 0.5, color="#00000018", lw=1)
        ax.axvline(-0.75, color=BLACK, lw=1)
        ax.set(xlim=(-2.25 * wide, n), ylim=(0, 1.12), ylabel="weight")
        if met is not None and i == 0:
            at = np.flatnonzero(in_shape("met", met, n))
            ax.plot(at, np.full(len(at), 1.02), "o", color=BLACK, ms=3.5)
        ax.set_title(name, fontsize=12, fontweight="normal", loc="left", pad=4)
    ticks = np.arange(0, n, min(horizon, 20) if n > 20 else 4)
    ax.set_xticks([-1.5 * wide, *ticks], ["itself", *ticks])
    ax.set_xlabel("token in the context (lines: episodes; dots: it tells of what is asked about)")
    figure.suptitle(title, fontweight="bold", fontsize=14, x=0.01, ha="left")
    return figure
