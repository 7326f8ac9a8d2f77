"""Figures of notebook 02: episodes of one rollout, what a training window holds, what is preferred
where, and an imitator that is stuck where its source is."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dicp.checks import one_of, whole
from dicp.plot.arguments import Cell, Guess, Height, Named, Numbers, Steps, Title, Words
from dicp.plot.distillation import arrows, trend
from dicp.plot.grid import grid_heatmap, trajectories
from dicp.plot.histories import claim
from dicp.plot.look import BLACK, COLOURS, GREY, label_ends, tint


def episodes(ways: Named[Numbers], *, title: Title, **marks: Cell | None) -> Figure:
    """Some episodes of one rollout, a panel each. ways: panel title -> cells. marks: start, goal,
    key."""
    for name in marks:
        one_of("mark", name, ("start", "goal", "key"))
    figure, panels = plt.subplots(
        1, len(ways), figsize=(2.9 * len(ways), 3.5), layout="constrained"
    )
    for ax, (name, way) in zip(np.atleast_1d(panels), ways.items(), strict=True):
        trajectories([way], title=name, ax=ax, **marks)
    claim(figure, title)
    return figure


def preferences(
    moments: Named[tuple], p_good: Named[Numbers], at: Numbers, *, title: Title, xlabel: Words,
    goal: Cell, key: Cell | None = None, guess: Guess | None = None, few: Steps = 4,
) -> Figure:
    """What a policy prefers in each cell at some moments, and over all moments how likely that is a
    good action.

    moments: panel title -> (cell [visit], probability of each move [visit, move]); cells with less
    than `few` visits stay empty. p_good: name -> its mean at each of `at`, on the axis `xlabel`.
    """
    figure, panels = plt.subplots(
        1, len(moments) + 1, figsize=(13.5, 3.7), layout="constrained", width_ratios=(1, 1, 1, 1.1)
    )
    for ax, (name, (cell, p)) in zip(panels, moments.items(), strict=False):
        visits, total = np.bincount(cell, minlength=81), np.zeros((81, 5))
        np.add.at(total, np.asarray(cell), np.asarray(p))
        mean, often = total / visits.clip(1)[:, None], visits * (visits >= few)
        arrows(mean, often, title=name, goal=goal, ax=ax)
        if key is not None:
            ax.plot(*divmod(key, 9), "D", color=BLACK, ms=7, mec="white", zorder=5)
    trend(at, p_good, title="P(good action), mean", xlabel=xlabel, level=guess, ax=panels[-1])
    claim(figure, title)
    return figure


def strides(
    examples: Named[Sequence], inside: Named[Numbers], *, title: Title,
    n_episodes: Steps, highest: Height, guess: Guess | None = None,
) -> Figure:
    """Left: which of a history's `n_episodes` a few windows hold. Right: the mean return of the
    first, second, ... episode inside a window, of the `highest` possible.

    examples: name -> [window][episode numbers]. inside: name -> mean return by place in the window.
    guess: its rise in the first of them.
    """
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 3.7), layout="constrained", width_ratios=(1.5, 1)
    )
    shares = np.linspace(0.45, 0, len(examples) - 1)
    shades, labels = [GREY, *(tint(COLOURS["ad"], share) for share in shares)], []
    _windows(left, examples, shades, n_episodes)
    for (name, values), colour in zip(inside.items(), shades, strict=True):
        at = range(1, len(values) + 1)
        right.plot(at, values, "-o", color=colour, ms=8, lw=2.6, clip_on=False)
        labels.append((float(values[-1]), name, colour))
    if guess is not None:
        first = float(next(iter(inside.values()))[0])
        right.plot([1, len(values)], [first, first + guess], ":", color=BLACK, lw=1.8)
        labels.append((first + guess, "your guess", BLACK))
    right.set(
        xlabel="place of the episode in the window", ylabel=f"mean return, of {highest:g}",
        xticks=at,
    )
    right.set(xlim=(0.9, len(values)), ylim=(0, highest))
    right.yaxis.set_major_locator(MaxNLocator(5))
    figure.suptitle(title, fontweight="bold", fontsize=14, x=0.01, ha="left")
    figure.canvas.draw()
    label_ends(right, labels)
    return figure


def _windows(ax: Axes, examples: Mapping, shades: Sequence, n_episodes: int) -> None:
    """Which episodes of a history a few windows hold."""
    row, middles = 0, []
    for several, colour in zip(examples.values(), shades, strict=True):
        for episodes in several:
            background = dict(color="#00000012", lw=8, solid_capstyle="butt", zorder=0)
            ax.plot([1, n_episodes], [row, row], **background)
            ax.plot(episodes, [row] * len(episodes), "-", color=tint(colour, 0.6), lw=1.5)
            ax.plot(episodes, [row] * len(episodes), "s", color=colour, ms=7.5)
            row -= 1
        middles.append(row + (len(several) + 1) / 2)
        row -= 0.6
    ax.set_yticks(middles, examples, fontsize=12)
    ax.set(xlabel="episode of the learning history", xlim=(0, n_episodes + 1))
    ax.set_xticks([1, *range(n_episodes // 5, n_episodes + 1, n_episodes // 5)])
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def stuck(
    opened: Named[Numbers], after_key: Named[Numbers], *, title: Title, key: Cell, door: Cell,
    start: Cell = 40, shown: Cell | None = None, note: Words = "",
) -> Figure:
    """Key-to-door. Left: in each task the share of rollouts that ever open the door, of the source
    and of its imitator, in the order of the first. Right: the share of their steps in each cell
    with the key in hand, in the task number `shown`.

    opened: name -> share of each task. after_key: name -> share of each cell; both the source
    first.
    """
    figure, panels = plt.subplots(
        1, 3, figsize=(12, 3.9), layout="constrained", width_ratios=(1.4, 1, 1)
    )
    _doors(panels[0], opened, shown)
    marks = {"key": key, "goal": door, "start": start}
    for ax, (name, share) in zip(panels[1:], after_key.items(), strict=True):
        grid_heatmap(share, ax, title=f"{name}, with the key", gamma=0.4, vmax=0.5, **marks)
    claim(figure, title, note)
    return figure


def _doors(ax: Axes, opened: Mapping, shown: int | None) -> None:
    """How often the source and its imitator open the door, task by task, `shown` marked."""
    first, second = (np.asarray(x, dtype=float) for x in opened.values())
    order = np.lexsort((second, first))
    if shown is not None:
        whole("shown", shown, 0, len(order) - 1)
    styles = ((first, COLOURS["source"], 13), (second, COLOURS["ad"], 8))
    for name, (values, colour, ms) in zip(opened, styles, strict=True):
        dots = {"ms": ms, "color": colour, "mec": "white", "clip_on": False, "zorder": 3}
        ax.plot(values[order], "o", label=name, **dots)
    ax.vlines(range(len(order)), first[order], second[order], color=tint(GREY, 0.5), lw=2)
    if shown is not None:
        ax.annotate(
            "right", (list(order).index(shown), max(first[shown], second[shown])), (0, 16),
            ha="center", textcoords="offset points", fontsize=11,
            arrowprops={"arrowstyle": "-", "color": GREY, "shrinkB": 6},
        )
    ax.set(ylim=(-0.02, 1.04), xlim=(-0.5, len(order) - 0.5))
    ax.set(xticks=[], xlabel="unseen tasks", ylabel="share of rollouts")
    ax.set_title("ever opens the door")
    ax.legend(loc="upper left", bbox_to_anchor=(0, 0.85))
