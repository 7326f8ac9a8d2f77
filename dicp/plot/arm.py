"""Figures of Meta-World: the table from above, pictures of the arm, where a hand went, what a first
look tells."""

import io
from collections.abc import Mapping
from typing import Annotated

import matplotlib.pyplot as plt
import numpy as np
import PIL.Image as Pillow
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from dicp.checks import Whole
from dicp.plot.arguments import Columns, Guess, Named, Numbers, Rate, Several, Title, Words
from dicp.plot.histories import claim
from dicp.plot.look import BLACK, COLOURS, GREY, TIME, axes, caption, tint

HIDDEN = "#009E73"                   # what the agent cannot see: goals


def table_top(panels: Named[Mapping[str, Mapping]], *, title: Title, note: Words = "") -> Figure:
    """The table from above, a panel a task, in metres.

    panels: title -> name of a split ("training", "held out") -> {"object": [n 3], "goal": [n 3]}.
    Later splits are darker.
    """
    xs = {}
    for name, splits in panels.items():
        things = [np.asarray(thing)[:, 0] for split in splits.values() for thing in split.values()]
        xs[name] = np.concatenate(things)
    widths = [np.ptp(x) + 0.12 for x in xs.values()]
    figure, row = plt.subplots(
        1, len(panels), figsize=(2.2 * len(panels) + 0.6, 3.8), layout="constrained", sharey=True,
        width_ratios=widths, squeeze=False,
    )
    for ax, (name, splits) in zip(row[0], panels.items(), strict=True):
        for place, (split, things) in enumerate(splits.items()):
            shade = 0.0 if place == len(splits) - 1 else 0.6
            for thing, marker, colour in (("object", "s", BLACK), ("goal", "*", HIDDEN)):
                x, y, _ = np.asarray(things[thing]).T
                ax.plot(
                    x, y, marker, color=tint(colour, shade), ms=4 if marker == "s" else 7,
                    mec="none", label=f"{thing}, {split}", zorder=2 + place,
                )
        ax.set(
            title=name, xlabel="x (m)", aspect="equal",
            xlim=(xs[name].min() - 0.06, xs[name].max() + 0.06),
        )
        ax.xaxis.set_major_locator(MultipleLocator(0.2))
    left, right = row[0, [0, -1]]
    left.set_ylabel("y, away from the arm (m)")
    figure.legend(
        *right.get_legend_handles_labels(), loc="outside lower right", ncols=4, fontsize=11
    )
    claim(figure, title, note)
    return figure


def pictures(
    frames: Named[np.ndarray], *, title: Title, note: Words = "", ncols: Columns = 5
) -> Figure:
    """Pictures [height width 3], each with its name."""
    rows = -(-len(frames) // ncols)
    figure, panels = plt.subplots(
        rows, ncols, figsize=(2.5 * ncols, 2.35 * rows + 0.5), layout="constrained", squeeze=False
    )
    for ax in panels.flat:
        ax.axis("off")
    for ax, (name, picture) in zip(panels.flat, frames.items(), strict=False):
        ax.imshow(picture)
        ax.set_title(name)
    claim(figure, title, note)
    return figure


def film(frames: Several[np.ndarray], fps: Rate = 12, colours: Annotated[int, Whole(2, 255)] = 64):
    """Pictures [height width 3] one after the other, as a GIF (an IPython `Image`)."""
    from IPython.display import Image  # only here: every other figure does without IPython

    some = np.concatenate(frames[:: max(1, len(frames) // 8)])
    palette = Pillow.fromarray(some).quantize(colours)
    index = [
        np.array(Pillow.fromarray(frame).quantize(palette=palette, dither=Pillow.Dither.NONE))
        for frame in frames
    ]
    # what stays as it was is left out of a frame (transparent): a quarter of the size
    index[1:] = [
        np.where(now == before, np.uint8(colours), now)
        for before, now in zip(index, index[1:], strict=False)
    ]
    small = [Pillow.fromarray(frame, "P") for frame in index]
    for frame in small:
        frame.putpalette(palette.getpalette()[: 3 * colours] + [0, 0, 0])
    buffer = io.BytesIO()
    small[0].save(
        buffer, "GIF", save_all=True, append_images=small[1:], duration=round(1000 / fps), loop=0,
        optimize=False, transparency=colours, disposal=1,
    )
    return Image(data=buffer.getvalue(), format="gif")


def hand_paths(panels: Named[Mapping], *, title: Title, note: Words = "") -> Figure:
    """Where hands went: from above (upper row) and from the side (lower row), dark where late.

    panels: title -> {"paths": [path][step 3], "goal": 3 numbers, "object": path [step 3] or None},
    all in metres.
    """
    figure, grid = plt.subplots(
        2, len(panels), figsize=(3.1 * len(panels) + 0.4, 5.6), layout="constrained", squeeze=False,
        sharex="col",
    )
    for (above, side), (name, panel) in zip(grid.T, panels.items(), strict=True):
        for ax, (i, j) in ((above, (0, 1)), (side, (0, 2))):
            paths = [np.asarray(path) for path in panel["paths"]]
            shades = np.linspace(0, 1, len(paths)) if len(paths) > 1 else [1.0]
            for path, shade in zip(paths, shades, strict=True):
                ax.plot(path[:, i], path[:, j], color=TIME(shade), lw=1.8, zorder=3)
            start = paths[0][0]
            ax.plot(start[i], start[j], "o", color=GREY, ms=6, zorder=4)
            if panel.get("object") is not None:
                path = np.asarray(panel["object"])
                ax.plot(path[:, i], path[:, j], color=BLACK, lw=1.4, ls=":", zorder=3)
                ax.plot(*path[-1, [i, j]], "s", color=BLACK, ms=6, zorder=4)
            goal = panel["goal"]
            ax.plot(goal[i], goal[j], "*", color=HIDDEN, ms=15, mec="white", zorder=5)
            ax.margins(0.15)
        above.set_title(name)
        side.set_xlabel("x (m)")
    grid[0, 0].set_ylabel("from above: y (m)")
    grid[1, 0].set_ylabel("from the side: z (m)")
    claim(figure, title, note)
    return figure


def at_first_sight(
    shares: Named[float], *, title: Title, guess: Guess | None = None, note: Words = ""
) -> Axes:
    """How much of the goal the first observation tells, 0 to 1, a bar a task."""
    ax = axes(None, title)
    at = np.arange(len(shares))
    ax.barh(at, list(shares.values()), color=HIDDEN, height=0.6)
    for y, share in zip(at, shares.values(), strict=True):
        ax.text(max(share, 0) + 0.015, y, f"{max(share, 0):.2f}", va="center", fontsize=12)
    what = "share of the goal's variance that the\nfirst observation explains in unseen instances"
    ax.set(yticks=at, yticklabels=list(shares), xlim=(0, 1.1), xlabel=what)
    ax.invert_yaxis()
    if guess is not None:
        ax.axvline(guess, color=BLACK, ls=":", lw=1.8)
        ax.annotate("your guess", (guess, 0.98), xycoords=("data", "axes fraction"), xytext=(5, -2),
                    textcoords="offset points", va="top", fontsize=11.5)
    caption(ax, f"\n{note}")
    return ax


def who_is_right(
    imagined: Numbers, real: Numbers, *, title: Title, xlabel: Words = "reward, imagined",
    ylabel: Words = "reward, when really tried", same: bool = True, ax: Axes | None = None,
    note: Words = "",
) -> Axes:
    """What a model says of actions, against what they bring when they are really tried (both:
    [case]). `same`: both are the same quantity, and a dashed line shows where a perfect model would
    be. A few cases far from all others do not set the scale: they are drawn hollow, at the edge."""
    ax, cases = axes(ax, title, (4.6, 4.2)), np.array([imagined, real], dtype=float)
    inner = np.quantile(cases, (0.02, 0.98), axis=1)                         # low, high of each
    room = inner[1] - inner[0]
    low, high = np.maximum(cases.min(1), inner[0] - room), np.minimum(cases.max(1), inner[1] + room)
    drawn = cases.clip(low[:, None], high[:, None])
    far = (drawn != cases).any(0)
    ax.plot(*drawn[:, ~far], "o", ms=3, color=COLOURS["paper"], alpha=0.35, mec="none")
    if same:
        ends = (low.min(), high.max())
        ax.plot(ends, ends, color=BLACK, ls=(0, (4, 3)), lw=1.2)
    if far.any():
        ax.plot(*drawn[:, far], "o", ms=5, mfc="none", mec=COLOURS["paper"])
    ax.set(xlabel=xlabel, ylabel=ylabel)
    caption(ax, note)
    return ax
