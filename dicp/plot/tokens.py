"""Figures of notebook 02: a history as tokens, which episodes a window holds, which token influences which prediction."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dicp.plot.look import BLACK, COLOURS, GREY, TIME, axes, caption, label_ends, tint
from dicp.windows import Windows

GLYPHS = ("→", "←", "↑", "↓", "•", "–")                  # the five actions, and "no action yet"


def tokens(window: Windows, steps: range, *, title: str, horizon: int = 20, size: int = 9) -> Axes:
    """A piece of a window (fields [step]) as the Transformer reads it: a column a token, a row a field; below, what it must
    predict."""
    t = [[int(x) for x in field[steps.start : steps.stop]] for field in window.tokens]
    where = [[f"{c // size},{c % size}" if c < size**2 else "–" for c in t[i]] for i in (0, 3)]
    fields = {"cell $o_t$": where[0], "last action $a_{t-1}$": [GLYPHS[a] for a in t[1]], "last reward $r_{t-1}$": t[2],
              "where it led": where[1], "first step?": [("no", "yes")[f] for f in t[4]]}
    rows, n = len(fields), len(steps)
    ax = axes(None, title, (0.62 * n + 2.2, 0.44 * rows + 1.9))
    for i, (name, values) in enumerate(fields.items()):
        for j, value in enumerate(values):
            news = value in (1, "yes")
            ax.add_patch(Rectangle((j - 0.46, -i - 0.5), 0.92, 1, color=tint(COLOURS["ad"], 0.5 if news else 0.85), lw=0))
            ax.text(j, -i, str(value), ha="center", va="center", fontsize=12, fontweight="bold" if news else "normal")
        ax.text(-0.75, -i, name, ha="right", va="center", fontsize=12)
    ax.text(-0.75, -rows - 1, "predict: $a_t$", ha="right", va="center", fontsize=12, fontweight="bold")
    for j, step in enumerate(steps):
        ax.annotate("", (j, -rows - 0.5), (j, -rows + 0.5), arrowprops={"arrowstyle": "->", "color": GREY})
        ax.add_patch(Rectangle((j - 0.46, -rows - 1.5), 0.92, 1, color=tint(COLOURS["paper"], 0.5), lw=0))
        ax.text(j, -rows - 1, GLYPHS[int(window.action[step])], ha="center", va="center", fontsize=13, fontweight="bold")
        if step % horizon == 0 and j:
            ax.plot([j - 0.5] * 2, [1.3, -rows - 1.5], color=BLACK, lw=2)
            ax.text(j - 0.35, 0.65, "a new episode", ha="left", va="bottom", fontsize=11)
    ax.set(xlim=(-0.6, n - 0.4), ylim=(-rows - 1.6, 1.4), yticks=[], xlabel="step of the window, $t$", xticks=range(n))
    ax.set_xticklabels(steps)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def influence(change, horizon: int, *, title: str, note: str = "") -> Axes:
    """How much each prediction (row) moves if one token (column) is changed, on a logarithmic scale; white: not at all."""
    change = np.asarray(change, dtype=float)
    ax, n = axes(None, title, (5.8, 4.7)), len(change)
    shown = np.ma.masked_less(change, 1e-6)
    image = ax.imshow(shown, cmap=TIME, norm=LogNorm(1e-3, 1, clip=True), extent=(0, n, n, 0), interpolation="nearest")
    for edge in range(horizon, n, horizon):
        ax.axhline(edge, color="white", lw=1.2)
        ax.axvline(edge, color="white", lw=1.2)
    ax.plot([0, n], [0, n], color=GREY, lw=1)
    ax.text(0.7 * n, 0.3 * n, "the future:\nnothing", ha="center", va="center", color=GREY, style="italic")
    ax.set(xticks=range(0, n + 1, horizon), yticks=range(0, n + 1, horizon))
    ax.set(xlabel="token that is changed", ylabel="prediction that is made")
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.9, aspect=24, ticks=[1e-3, 1e-2, 0.1, 1])
    bar.ax.set_yticklabels(["≤ .001", ".01", ".1", "1"])
    bar.set_label("largest change of a probability")
    bar.outline.set_visible(False)
    caption(ax, note)
    return ax


def windows(
    examples: Mapping[str, Sequence[Sequence[int]]], inside: Mapping[str, Sequence[float]], *,
    title: str, guess: float | None = None,
) -> Figure:
    """Left: which episodes a few windows hold. Right: the mean return of the first, second, ... episode inside a window.

    examples: name -> [window][episode numbers]. inside: name -> mean return by place in the window.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.7), layout="constrained", width_ratios=(1.5, 1))
    shades = [GREY, *(tint(COLOURS["ad"], share) for share in np.linspace(0.45, 0, len(examples) - 1))]
    row, middles, labels = 0, [], []
    for several, colour in zip(examples.values(), shades, strict=True):
        for episodes in several:
            left.plot([1, 50], [row, row], color="#00000012", lw=8, solid_capstyle="butt", zorder=0)
            left.plot(episodes, [row] * len(episodes), "-", color=tint(colour, 0.6), lw=1.5)
            left.plot(episodes, [row] * len(episodes), "s", color=colour, ms=7.5)
            row -= 1
        middles.append(row + (len(several) + 1) / 2)
        row -= 0.6
    left.set_yticks(middles, examples, fontsize=12)
    left.set(xlabel="episode of the learning history", xlim=(0, 51), xticks=[1, 10, 20, 30, 40, 50])
    left.tick_params(axis="y", length=0)
    left.spines["left"].set_visible(False)
    for (name, values), colour in zip(inside.items(), shades, strict=True):
        at = range(1, len(values) + 1)
        right.plot(at, values, "-o", color=colour, ms=8, lw=2.6, clip_on=False)
        labels.append((values[-1], name.split("\n")[0], colour))
    if guess is not None:
        first = next(iter(inside.values()))[0]
        right.plot([1, len(values)], [first, first + guess], ":", color=BLACK, lw=1.8)
        labels.append((first + guess, "your guess", BLACK))
    right.set(xlabel="place of the episode in the window", ylabel="mean return, of 20", xticks=at, yticks=range(0, 21, 5))
    right.set(xlim=(0.9, len(values)), ylim=(0, 20))
    figure.suptitle(title, fontweight="bold", fontsize=14, x=0.01, ha="left")
    figure.canvas.draw()
    label_ends(right, labels)
    return figure
