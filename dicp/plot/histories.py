"""Figures of notebook 01: labelled lines, the split of the tasks, the streams of a task, paths and
transitions."""

from collections.abc import Collection, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from dicp.plot.arguments import Cell, Columns, Guess, Named, Numbers, Side, Table, Title, Words
from dicp.plot.grid import ROOM, _marks, _room, xy
from dicp.plot.look import BLACK, COLOURS, GREY, HEAT, axes, caption, label_ends, tint

PLUM, RED = "#A0457E", "#D55E00"       # an algorithm that we broke on purpose; data that are wrong


def claim(
    figure: Figure, title: Title, note: Words = "", handles: Sequence[Line2D] = (),
    ncols: Columns = 4,
) -> None:
    """The title of a figure of several panels, whose own titles become small. note: as in `lines`.

    handles: what one legend below all panels explains, in `ncols` columns; the note stands above
    it.
    """
    for ax in figure.axes:
        ax.set_title(ax.get_title(loc="left"), fontsize=12.5, fontweight="normal", pad=8)
    figure.suptitle(
        f"{title}\n", fontweight="bold", fontsize=14, x=0.01, ha="left", linespacing=0.6
    )
    if not handles:
        figure.supxlabel(note, fontsize=10, color=GREY, x=0.01, ha="left")
        return
    legend = figure.legend(
        handles=handles, loc="outside lower center", ncols=ncols, fontsize=11, title=note,
        alignment="left",
    )
    legend.get_title().set(fontsize=10, color=GREY)


def lines(
    curves: Named[Numbers], *, title: Title, xlabel: Words, ylabel: Words,
    colours: Sequence[str] = (), thin: Collection[str] = (), guess: Guess | None = None,
    level: Guess | None = None, note: Words = "", ax: Axes | None = None,
) -> Axes:
    """Lines over 1, 2, ... with their names at the right end. colours: default from black to light
    grey.

    thin: names of the lines that are references (thin and dashed). guess, level: the reader's
    guess, in units of x or y. note: tasks and seeds, under the x axis.
    """
    ax, labels = axes(ax, title), []
    curves = {name: np.asarray(y) for name, y in curves.items()}
    colours = colours or [to_hex(tint(BLACK, share)) for share in np.linspace(0, 0.55, len(curves))]
    for (name, y), colour in zip(curves.items(), colours, strict=True):
        dashes, lw = ((0, (4, 3)), 1.4) if name in thin else ("-", 2.6)
        ax.plot(range(1, len(y) + 1), y, color=colour, ls=dashes, lw=lw, zorder=3)
        labels.append((float(y[-1]), name, colour))
    low, high = min(y.min() for y in curves.values()), max(y.max() for y in curves.values())
    ax.set(
        xlabel=xlabel, ylabel=ylabel, xlim=(1, len(y)), ylim=(min(0, 1.05 * low), 1.05 * high or 1)
    )
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    mark_guess(ax, guess, level)
    ax.figure.canvas.draw()             # where the labels fit depends on the height of the axes
    label_ends(ax, labels)
    caption(ax, note)
    return ax


def mark_guess(ax: Axes, guess: Guess | None = None, level: Guess | None = None) -> None:
    """The reader's guess as a dotted line: upright at x = guess, or flat at y = level. A far one
    widens the axes."""
    text = {"textcoords": "offset points", "xytext": (5, 5), "fontsize": 11.5, "zorder": 6,
            "bbox": {"fc": "white", "ec": "none", "pad": 1.5, "alpha": 0.85}}
    if guess is not None:
        ax.set_xlim(min(ax.get_xlim()[0], guess), max(ax.get_xlim()[1], 1.02 * guess))
        ax.axvline(guess, color=BLACK, ls=":", lw=1.8, zorder=5)
        late = {"ha": "right", "xytext": (-5, 5)} if guess > 0.85 * ax.get_xlim()[1] else {}
        ax.annotate("your guess", (guess, 0.01), xycoords=("data", "axes fraction"), **text | late)
    if level is not None:
        ax.set_ylim(min(ax.get_ylim()[0], level), max(ax.get_ylim()[1], 1.1 * level))
        ax.axhline(level, color=BLACK, ls=":", lw=1.8, zorder=5)
        ax.annotate(
            "your guess", (0.98, level), xycoords=("axes fraction", "data"), ha="right", **text
        )


def task_split(
    numbers: Table, held_out: Collection[tuple[int, int]], *, title: Title,
    shown: Collection[tuple[int, int]] = (),
    note: Words = "", xlabel: Words = "x", ylabel: Words = "y", ax: Axes | None = None,
) -> Axes:
    """All tasks of a world as a map: held-out ones filled, `shown` framed. In Darkroom the map is
    the room.

    numbers: [x, y], what to write on each task's field (the highest possible return, say); large
    maps have no room for it.
    """
    values, ax = np.asarray(numbers), axes(ax, title, (ROOM[0] + 0.4, ROOM[1] + 0.4))
    large = values.size > 200
    _room(ax, max(values.shape), lines=not large)
    for (x, y), value in np.ndenumerate(values):
        held = (x, y) in held_out
        if held or not large:
            colour = GREY if held else tint(GREY, 0.9)
            ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, color=colour, lw=0, zorder=0))
        if not large:
            weight, fontsize = "bold" if held else "normal", 12 if values.size <= 81 else 10
            ax.text(
                x, y, f"{value:g}", ha="center", va="center", color="white" if held else GREY,
                fontsize=fontsize, fontweight=weight,
            )
    side = 4 if large else 0.92
    for x, y in shown:
        frame = {"fill": False, "ec": COLOURS["ad"], "lw": 2.5, "zorder": 4, "clip_on": not large}
        ax.add_patch(Rectangle((x - side / 2, y - side / 2), side, side, **frame))
    ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(-0.5, values.shape[1] - 0.5))
    if values.shape[0] != values.shape[1]:                   # not a room: places mean nothing
        ax.set(xticks=[], yticks=[])
    caption(ax, note)
    return ax


def stream_returns(
    returns: Table, *, title: Title, guess: Guess | None = None, note: Words = "",
    ax: Axes | None = None,
) -> Axes:
    """Every stream of a task as a row, every episode as a column. `returns`: [stream, episode]."""
    values, ax = np.asarray(returns), axes(ax, title)
    n_streams, n_episodes = values.shape
    extent = (0.5, n_episodes + 0.5, n_streams + 0.5, 0.5)
    image = ax.imshow(
        values, aspect="auto", cmap=HEAT, vmin=0, extent=extent, interpolation="nearest"
    )
    bar = ax.figure.colorbar(
        image, ax=ax, aspect=20, label="return of the episode", ticks=MaxNLocator(5, integer=True)
    )
    bar.outline.set_visible(False)
    ax.set(
        xlabel="episode (one update of the policy after each)", ylabel="stream",
        yticks=[1, n_streams // 2, n_streams],
    )
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    mark_guess(ax, guess)
    caption(ax, note)
    return ax


def paths(
    cells: Table, *, title: Title, goal: Cell, start: Cell = 40, key: Cell | None = None,
    size: Side = 9, ax: Axes | None = None,
) -> Axes:
    """The paths of several streams in one episode, each shifted a little. `cells`:
    [stream, step]."""
    ax, cells = axes(ax, title, ROOM), np.asarray(cells)
    _room(ax, size)
    ways = [
        xy(way, size) + shift
        for way, shift in zip(cells, np.linspace(-0.28, 0.28, len(cells)), strict=True)
    ]
    for way, share in zip(ways, np.linspace(0, 0.6, len(cells)), strict=True):
        ax.plot(
            *way.T, "o-", lw=1.8, ms=5, markevery=[len(way) - 1], color=tint(COLOURS["ad"], share),
            zorder=3,
        )
    _marks(ax, size, goal=goal, start=start, key=key)
    return ax


def transitions(
    cells: Numbers, next_cells: Numbers, *, title: Title, size: Side = 9, ax: Axes | None = None
) -> Axes:
    """Every transition as a line from cell to next cell: grey for a step to a neighbour, red for
    anything farther."""
    ax = axes(ax, title, ROOM)
    # step end 2
    ends = np.stack([xy(np.asarray(c, int), size) for c in (cells, next_cells)], axis=-2)
    _room(ax, size)
    far = np.abs(ends[:, 0] - ends[:, 1]).sum(-1) > 1
    for part, colour in ((ends[~far], tint(BLACK, 0.45)), (ends[far], RED)):
        ax.add_collection(LineCollection(part, colors=[colour], lw=1.5, alpha=0.8, zorder=3))
    return ax
