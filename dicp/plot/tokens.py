"""Figures of notebook 02: a history as tokens, and which token influences which prediction."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle

from dicp.plot.arguments import Side, Steps, Table, Title, Words
from dicp.plot.look import BLACK, COLOURS, GREY, TIME, axes, caption, tint
from dicp.types import Windows

GLYPHS = ("→", "←", "↑", "↓", "•", "–")                  # the five actions, and "no action yet"


def tokens(
    window: Windows, steps: range, *, title: Title, horizon: Steps = 20, size: Side = 9
) -> Axes:
    """A piece of a window (fields [step]) as the Transformer reads it: a column a token, a row a
    field; below, what it must predict."""
    t = [[int(x) for x in field[steps.start : steps.stop]] for field in window.tokens]
    where = [[f"{c // size},{c % size}" if c < size**2 else "–" for c in t[i]] for i in (0, 3)]
    fields = {
        "cell $o_t$": where[0], "last action $a_{t-1}$": [GLYPHS[a] for a in t[1]],
        "last reward $r_{t-1}$": t[2], "where it led": where[1],
        "first step?": [("no", "yes")[f] for f in t[4]],
    }
    rows, n = len(fields), len(steps)
    ax = axes(None, title, (0.62 * n + 2.2, 0.44 * rows + 1.9))
    for i, (name, values) in enumerate(fields.items()):
        _field(ax, -i, name, values)
    predicted = {"ha": "right", "va": "center", "fontsize": 12, "fontweight": "bold"}
    ax.text(-0.75, -rows - 1, "predict: $a_t$", **predicted)
    for j, step in enumerate(steps):
        _prediction(ax, j, -rows - 1, GLYPHS[int(window.action[step])])
        if step % horizon == 0 and j:
            ax.plot([j - 0.5] * 2, [1.3, -rows - 1.5], color=BLACK, lw=2)
            ax.text(j - 0.35, 0.65, "a new episode", ha="left", va="bottom", fontsize=11)
    ax.set(xlim=(-0.6, n - 0.4), ylim=(-rows - 1.6, 1.4), yticks=[])
    ax.set(xlabel="step of the window, $t$", xticks=range(n))
    ax.set_xticklabels(steps)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def _field(ax: Axes, y: float, name: str, values: Sequence) -> None:
    """A row: what a field says in each token, dark where it is news."""
    for j, value in enumerate(values):
        news = value in (1, "yes")
        colour, weight = tint(COLOURS["ad"], 0.5 if news else 0.85), "bold" if news else "normal"
        ax.add_patch(Rectangle((j - 0.46, y - 0.5), 0.92, 1, color=colour, lw=0))
        ax.text(j, y, str(value), ha="center", va="center", fontsize=12, fontweight=weight)
    ax.text(-0.75, y, name, ha="right", va="center", fontsize=12)


def _prediction(ax: Axes, j: int, y: float, glyph: str) -> None:
    """Below a token: an arrow to the action that it must predict."""
    ax.annotate("", (j, y + 0.5), (j, y + 1.5), arrowprops={"arrowstyle": "->", "color": GREY})
    colour = tint(COLOURS["paper"], 0.5)
    ax.add_patch(Rectangle((j - 0.46, y - 0.5), 0.92, 1, color=colour, lw=0))
    ax.text(j, y, glyph, ha="center", va="center", fontsize=13, fontweight="bold")


def influence(change: Table, horizon: Steps, *, title: Title, note: Words = "") -> Axes:
    """How much each prediction (row) moves if one token (column) is changed, on a logarithmic
    scale; white: not at all."""
    change = np.asarray(change, dtype=float)
    ax, n = axes(None, title, (5.8, 4.7)), len(change)
    shown = np.ma.masked_less(change, 1e-6)
    image = ax.imshow(
        shown, cmap=TIME, norm=LogNorm(1e-3, 1, clip=True), extent=(0, n, n, 0),
        interpolation="nearest",
    )
    for edge in range(horizon, n, horizon):
        ax.axhline(edge, color="white", lw=1.2)
        ax.axvline(edge, color="white", lw=1.2)
    ax.plot([0, n], [0, n], color=GREY, lw=1)
    ax.text(
        0.7 * n, 0.3 * n, "the future:\nnothing", ha="center", va="center", color=GREY,
        style="italic",
    )
    ax.set(xticks=range(0, n + 1, horizon), yticks=range(0, n + 1, horizon))
    ax.set(xlabel="token that is changed", ylabel="prediction that is made")
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.9, aspect=24, ticks=[1e-3, 1e-2, 0.1, 1])
    bar.ax.set_yticklabels(["≤ .001", ".01", ".1", "1"])
    bar.set_label("largest change of a probability")
    bar.outline.set_visible(False)
    caption(ax, note)
    return ax
