"""Figures of the room: x to the right, y up, as in the observations; a cell is the integer
`x * size + y`."""

import io
import math
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from PIL import Image as Pillow

from dicp.checks import refuse
from dicp.plot.arguments import (
    Brightness,
    Cell,
    Frames,
    Height,
    Numbers,
    Rate,
    Several,
    Side,
    Table,
    Title,
    Words,
)
from dicp.plot.look import BLACK, COLOURS, GREY, HEAT, TIME, axes, tint

ROOM = (4.2, 4.2)      # inches


def xy(cell, size: int = 9) -> np.ndarray:
    """[..., 2] coordinates of cells."""
    cell = np.asarray(cell)
    return np.stack((cell // size, cell % size), axis=-1)


def _room(ax: Axes, size: int, lines: bool = True) -> None:
    """Walls, one tick at the ends and in the middle, faint lines between cells."""
    ticks = [0, size // 2, size - 1]
    ax.set(
        xlim=(-0.5, size - 0.5), ylim=(-0.5, size - 0.5), aspect="equal", xticks=ticks, yticks=ticks
    )
    ax.set(xlabel="x", ylabel="y")
    ax.tick_params(length=0)
    for between in np.arange(0.5, size - 1) if lines else ():
        ax.axhline(between, color="#00000014", lw=0.8, zorder=1)
        ax.axvline(between, color="#00000014", lw=0.8, zorder=1)
    for spine in ax.spines.values():
        spine.set(visible=True, linewidth=2.5, edgecolor=BLACK)


def _marks(
    ax: Axes, size: int, agent=None, goal=None, start=None, visited: Iterable = (), key=None
) -> None:
    """The agent (a blue disc), the goal (a star), the key (a diamond), the start (a ring), visited
    cells (dots)."""
    for name, cell in {"agent": agent, "goal": goal, "start": start, "key": key}.items():
        if cell is not None and not 0 <= cell < size**2:
            raise refuse(name, cell, f"a cell, a whole number from 0 to {size**2 - 1}")
    cells, scale = np.asarray(list(visited), dtype=int), _scale(ax)
    if cells.size:
        ax.plot(*xy(cells, size).T, "o", color=GREY, ms=3.5 * scale, zorder=2)
    edge = {"markeredgecolor": "white", "markeredgewidth": 1.4 * scale, "ls": "none", "zorder": 5}
    for cell, marker, colour, ms in (
        (start, "s", GREY, 8), (goal, "*", BLACK, 19), (key, "D", BLACK, 10),
        (agent, "o", COLOURS["ad"], 14),
    ):
        if cell is not None:
            ax.plot(*xy(cell, size), marker, color=colour, ms=ms * scale, **edge)


def _scale(ax: Axes) -> float:
    """Marks are drawn for a room of 3 inches; in a small panel they shrink with it."""
    box = ax.get_position()
    inches = min(box.width * ax.figure.get_figwidth(), box.height * ax.figure.get_figheight())
    return min(1.0, max(0.6, inches / 3))


def grid_heatmap(
    values: Numbers, ax: Axes | None = None, *, title: Title, agent: Cell | None = None,
    goal: Cell | None = None, start: Cell | None = None, key: Cell | None = None,
    visited: Iterable[int] = (), vmax: Height | None = None, label: Words | None = None,
    gamma: Brightness = 1.0,
) -> Axes:
    """A number for each cell as a colour, white = 0. `values`: [size, size] indexed [x, y], or
    [cell].

    agent, goal, start, key, visited: cells to mark. label: what the numbers are (with it comes a
    colour bar). gamma < 1 brightens small values, so that a belief of 1/81 can be seen beside one
    of 1.
    """
    values = np.asarray(values, dtype=float)
    size = math.isqrt(values.size)
    if size**2 != values.size or values.ndim > 2:
        raise ValueError(
            f"values has shape {values.shape}; allowed: [size, size] indexed [x, y], or [cell]."
        )
    ax = axes(ax, title, ROOM if label is None else (ROOM[0] + 0.8, ROOM[1]))
    vmax = vmax or max(float(values.max()), 1e-9)
    norm, room = PowerNorm(gamma, 0, vmax), values.reshape(size, size).T
    image = ax.imshow(room, origin="lower", cmap=HEAT, norm=norm, zorder=0)
    _room(ax, size)
    _marks(ax, size, agent, goal, start, visited, key)
    if label is not None:
        bar = ax.figure.colorbar(image, ax=ax, shrink=0.9, aspect=24, label=label)
        bar.outline.set_visible(False)
    return ax


def trajectories(
    cells: Several[Sequence[int]], *, title: Title, start: Cell | None = None,
    goal: Cell | None = None, key: Cell | None = None, episodes: Numbers | None = None,
    size: Side = 9, ax: Axes | None = None,
) -> Axes:
    """Paths through the room, one line an episode, from light (early) to dark (late). `cells`:
    [episode][step].

    episodes: the number of each path, for the colour bar (default 1, 2, ...). Paths are shifted a
    little, each by its own amount, so that they stay apart where they share a corridor.
    """
    ax = axes(ax, title, (ROOM[0] + (0.8 if len(cells) > 1 else 0), ROOM[1]))
    _room(ax, size)
    numbers = list(episodes) if episodes is not None else list(range(1, len(cells) + 1))
    shift = np.linspace(-0.26, 0.26, len(cells)) if len(cells) > 1 else [0.0]
    lines = [xy(path, size) + offset for path, offset in zip(cells, shift, strict=True)]
    lw = 2.4 * _scale(ax)
    paths = LineCollection(
        lines, array=numbers, cmap=TIME, lw=lw, capstyle="round", joinstyle="round", zorder=3
    )
    paths.set_clim(min(numbers) - (len(numbers) == 1), max(numbers))      # a single path is dark
    ax.add_collection(paths)
    for line, number in zip(lines, numbers, strict=True):
        ax.plot(*line[-1], "o", ms=2.2 * lw, color=TIME(paths.norm(number)), zorder=4)
    _marks(ax, size, goal=goal, start=start, key=key)
    if len(cells) > 1:
        ticks = sorted({numbers[0], numbers[len(numbers) // 2], numbers[-1]})
        bar = ax.figure.colorbar(paths, ax=ax, shrink=0.9, aspect=24, label="episode", ticks=ticks)
        bar.outline.set_visible(False)
    return ax


def animate(
    cells: Numbers, *, title: Title, goal: Cell | None = None, start: Cell = 40,
    key: Cell | None = None, rewards: Table | None = None, beliefs: Numbers | None = None,
    max_frames: Frames = 40, fps: Rate = 5, size: Side = 9,
):
    """An agent sweeping the room as a GIF (an IPython `Image`): its path in this episode, over the
    belief.

    cells: [episode, step], where each step led. rewards: the same shape (default: 1 on the goal, if
    there is one). beliefs: [episode, step, cell], P(reward) of each cell after that step; without
    them visited cells are shaded. Every nth step is drawn so that there are at most `max_frames`;
    the last step always is.
    """
    from IPython.display import Image  # only here: every other figure does without IPython

    cells = np.atleast_2d(np.asarray(cells))
    if rewards is None:
        rewards = (cells == goal) if goal is not None else np.zeros_like(cells)
    n_episodes, horizon = cells.shape
    heat = np.asarray(beliefs, dtype=float) if beliefs is not None else _visits(cells, size)
    if heat.shape != (*cells.shape, size**2):
        allowed = f"{(*cells.shape, size**2)}, [episode, step, cell]"
        raise ValueError(f"beliefs has shape {heat.shape}; allowed: {allowed}.")
    stride = math.ceil(cells.size / max_frames)
    last = range(cells.size - 1, -1, -stride)
    total = np.cumsum(np.asarray(rewards, dtype=int), axis=1)
    highest = 1.0 if beliefs is None else heat.max()
    draw = _Frame(title, goal, key, size, highest, n_episodes, horizon)
    frames = [draw(*divmod(i, horizon), cells, start, total, heat) for i in reversed(last)]
    return Image(data=_gif(frames, fps), format="gif")


def _visits(cells: np.ndarray, size: int) -> np.ndarray:
    """[episode, step, cell]: 0.15 where the agent has been in any episode so far."""
    visited = np.maximum.accumulate(np.eye(size**2)[cells.ravel()], axis=0)
    return 0.15 * visited.reshape(*cells.shape, size**2)


class _Frame:
    """One figure whose artists are moved from frame to frame: ten times faster than a new figure
    for each."""

    def __init__(self, title, goal, key, size, vmax, n_episodes, horizon):
        figure = Figure(figsize=(3.6, 4.1), dpi=70, layout="constrained")
        self.canvas, self.size, self.of = FigureCanvasAgg(figure), size, (n_episodes, horizon)
        ax = figure.subplots()
        ax.set_title(title, fontsize=12, fontweight="bold", loc="left")
        norm = PowerNorm(0.4, 0, max(float(vmax), 1e-9))     # 1/81 stays visible beside 1
        heat = HEAT.resampled(16)          # cells whose belief hardly moves cost no bytes
        empty = np.zeros((size, size))
        self.image = ax.imshow(empty, origin="lower", cmap=heat, norm=norm, zorder=0)
        _room(ax, size, lines=False)
        ax.set(xticks=[], yticks=[], ylabel="", xlabel=" ")
        _marks(ax, size, goal=goal, key=key)
        (self.path,) = ax.plot([], [], color=COLOURS["ad"], lw=2, alpha=0.75, zorder=4)
        (self.agent,) = ax.plot(
            [], [], "o", color=COLOURS["ad"], ms=13, mec="white", mew=1.4, zorder=6
        )
        self.text = ax.set_xlabel(" ", loc="left", family="monospace", fontsize=10)

    def __call__(self, episode, step, cells, start, total, heat) -> Pillow.Image:
        self.image.set_data(heat[episode, step].reshape(self.size, self.size).T)
        path = xy([start, *cells[episode, : step + 1]], self.size)
        self.path.set_data(*path.T)
        self.agent.set_data(*path[-1:].T)
        n_episodes, horizon = self.of
        self.text.set_text(f"episode {episode + 1:2d}/{n_episodes}  step {step + 1:2d}/{horizon}  "
                           f"return {total[episode, step]:2d}")
        self.canvas.draw()
        return Pillow.fromarray(np.asarray(self.canvas.buffer_rgba())[..., :3].copy())


def _gif(frames: list[Pillow.Image], fps: float) -> bytes:
    """All frames with one small palette, so that only what moved is stored; the last one stays
    longer."""
    colours = [HEAT(i / 15)[:3] for i in range(16)]
    colours += [tint(c, share) for c in (COLOURS["ad"], BLACK) for share in (0, 0.2, 0.4, 0.6, 0.8)]
    palette = Pillow.new("P", (1, 1))
    palette.putpalette([round(255 * channel) for colour in colours for channel in colour])
    small = [f.quantize(palette=palette, dither=Pillow.Dither.NONE) for f in frames]
    durations = [round(1000 / fps)] * (len(small) - 1) + [2000]
    buffer = io.BytesIO()
    small[0].save(
        buffer, "GIF", save_all=True, append_images=small[1:], duration=durations, loop=0,
        optimize=False,
    )
    return buffer.getvalue()
