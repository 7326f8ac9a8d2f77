"""Figures of notebook 02: what training teaches, what a policy prefers where, returns goal by
goal."""


import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dicp.plot.arguments import Cell, Guess, Named, Numbers, Side, Steps, Table, Title, Words
from dicp.plot.grid import ROOM, _marks, _room, xy
from dicp.plot.histories import mark_guess
from dicp.plot.look import BLACK, COLOURS, GREY, axes, label_ends, tint

STEP = np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [0, 0]])


def arrows(
    probability: Table, visits: Numbers, *, title: Title, goal: Cell | None = None,
    start: Cell | None = None, size: Side = 9, ax: Axes | None = None,
) -> Axes:
    """What a policy prefers in each cell: the mean of its moves as an arrow (long: sure; none where
    it is undecided or stays).

    probability: [cell, action], averaged over the visits of each cell; cells without `visits`
    [cell] stay empty.
    """
    ax, p, visits = axes(ax, title, ROOM), np.asarray(probability, dtype=float), np.asarray(visits)
    _room(ax, size)
    here = np.flatnonzero(visits)
    at, step = xy(here, size), (p @ STEP)[here]
    ax.plot(*at.T, "o", ms=2, color=tint(GREY, 0.3), zorder=2)
    ax.quiver(
        *at.T, *step.T, pivot="mid", angles="xy", scale_units="xy", scale=1.0, width=0.014,
        headwidth=3.6, headlength=3.6, headaxislength=3.3, minlength=0.6, color=COLOURS["ad"],
        zorder=4,
    )
    _marks(ax, size, goal=goal, start=start)
    return ax


def by_goal(
    shares: Named[Numbers], *, title: Title, guess: Guess | None = None, note: Words = ""
) -> Axes:
    """A dot a goal and their mean as a line, for each group. shares: group -> return of each goal,
    highest possible = 1."""
    ax = axes(None, title)
    for i, values in enumerate(shares.values()):
        values, colour = np.asarray(values), COLOURS["ad"] if i % 2 else GREY
        ax.plot(
            i + np.linspace(-0.25, 0.25, len(values)), np.sort(values), "o", ms=9, color=colour,
            mec="white", mew=1.2,
        )
        ax.plot([i - 0.33, i + 0.33], [values.mean()] * 2, color=colour, lw=3)
    ax.set_xticks(range(len(shares)), shares)
    ax.set(
        ylim=(-0.04, 1.06), xlim=(-0.5, len(shares) - 0.5),
        ylabel="return, episodes 41 to 50\n(highest possible = 1)",
    )
    ax.tick_params(axis="x", length=0)
    mark_guess(ax, level=guess)
    ax.annotate(
        note, (0, 0), (0, -52), xycoords="axes fraction", textcoords="offset points", fontsize=10,
        color=GREY, va="top",
    )
    return ax


def training(
    loss: Numbers, shipped: Numbers, by_position: Named[Numbers], *, title: Title, horizon: Steps
) -> Figure:
    """Left: the reader's loss over the shipped model's. Right: the surprise at each position of a
    window: of the reader's model, of one trained on the last position alone, of the shipped one."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11.5, 3.7), layout="constrained", width_ratios=(1, 1.5)
    )
    smooth = np.convolve(np.pad(shipped, 4, "edge"), np.ones(9) / 9, "valid")
    names, blue = list(by_position), COLOURS["ad"]
    left.plot(range(1, len(smooth) + 1), smooth, color=tint(blue, 0.6), lw=1.5, label=names[-1])
    left.plot(range(1, len(loss) + 1), loss, color=blue, lw=2.4, label=names[0])
    left.legend(loc="upper right")
    left.set(
        xscale="log", xlabel="updates", ylabel="loss, nats an action", xlim=(1, len(shipped)),
        xticks=[1, 10, 100, 1000],
    )
    left.xaxis.set_major_formatter("{x:g}")
    styles, labels = ((blue, 2.4), (GREY, 2.4), (tint(blue, 0.55), 1.8)), []
    for (name, values), (colour, width) in zip(by_position.items(), styles, strict=True):
        right.plot(np.asarray(values), color=colour, lw=width)
        labels.append((float(np.asarray(values)[-5:].mean()), name, colour))
    right.axhline(np.log(5), color=BLACK, ls=(0, (4, 3)), lw=1.2)
    right.text(1.52 * horizon, np.log(5) + 0.06, "uniform", ha="center", fontsize=11)
    n = len(values)
    right.set(
        xlabel="position in the window (lines: new episodes)", ylabel="surprise, nats an action",
        xlim=(0, n - 1),
    )
    for ax in (left, right):
        ax.set_ylim(0, 1.03 * max(max(np.asarray(values)) for values in by_position.values()))
    for edge in range(horizon, n, horizon):
        right.axvline(edge, color="#00000022", lw=1)
    right.set_xticks(range(0, n + 1, horizon))
    figure.suptitle(title, fontweight="bold", fontsize=14, x=0.01, ha="left")
    figure.canvas.draw()
    label_ends(right, labels)
    return figure


def trend(
    x: Numbers, curves: Named[Numbers], *, title: Title, xlabel: Words, ylabel: Words = "",
    guess: Guess | None = None, level: Guess | None = None, ax: Axes | None = None,
) -> Axes:
    """AD (the first curve) and a reference, between 0 and 1. guess, level: the reader's guess, in
    units of x or of y."""
    ax = axes(ax, title)
    for (name, y), colour in zip(curves.items(), (COLOURS["ad"], COLOURS["source"]), strict=False):
        ax.plot(
            x, y, "-o", color=colour, lw=2.6, ms=6, label=name,
            zorder=3 if colour == COLOURS["ad"] else 2,
        )
    ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, 1.05))
    mark_guess(ax, guess, level)
    if len(curves) > 1:
        ax.legend(loc="lower right")
    return ax
