"""How things look: colours, line styles and label placement, the same in every figure."""

import sys
from typing import NamedTuple

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.lines import Line2D

from dicp.checks import one_of
from dicp.config import IMITATORS, PLANNERS
from dicp.plot.arguments import Size, Title, check_title
from dicp.results import CONTROLS

SIZE = (7, 3.5)      # inches
IN_NOTEBOOKS = ("inline", "ipympl", "widget", "nbagg")       # backends that draw into a notebook
GREY, BLACK = "#6e6e6e", "#222222"
# Okabe and Ito's colour-blind-safe blue and vermillion; the planners share the orange family and
# differ in dash, too
COLOURS = {
    "ad": "#0072B2", "paper": "#E69F00", "gated": "#D9730D", "bayes": "#B23A00",
    "thompson": "#7A4A1E", "source": "#8a8a8a", "random": GREY, "exact_belief": BLACK,
    "simulator": BLACK, "optimum": BLACK, "blind": BLACK, "informed": BLACK, "own": "#009E73",
}
HEAT = LinearSegmentedColormap.from_list(
    "belief", ["#ffffff", "#fdebc8", "#f8c471", "#e98a2b", "#b23a00"]
)
TIME = LinearSegmentedColormap.from_list("episodes", ["#b9d9ee", "#4b9ccb", "#0072B2", "#00304d"])


def tint(colour: str | tuple, share: float) -> tuple:
    """`colour` mixed with `share` of white."""
    return tuple(c + (1 - c) * share for c in to_rgb(colour))


class Look(NamedTuple):
    """How one method is drawn."""

    label: str
    colour: str | tuple
    dashes: str | tuple = "-"
    width: float = 2.6

    def faint(self, label: str) -> "Look":
        """The same, as somebody else's curve that lies behind ours."""
        return Look(label, tint(self.colour, 0.5), width=1.4)

    def key(self) -> Line2D:
        """How a legend shows it."""
        return Line2D([], [], color=self.colour, ls=self.dashes, lw=self.width, label=self.label)


LOOKS = {
    "ad": Look("AD", COLOURS["ad"]),
    "paper": Look("the paper's planner", COLOURS["paper"], (0, (2, 1))),
    "gated": Look("gated planner", COLOURS["gated"], (0, (6, 1.5, 1.5, 1.5))),
    "bayes": Look("Bayes planner", COLOURS["bayes"]),
    "thompson": Look("a goal drawn from the belief", COLOURS["thompson"], (0, (1, 1))),
    "source": Look("source PPO", COLOURS["source"]),
    "random": Look("random", COLOURS["random"], (0, (4, 3)), 1.2),
    "exact_belief": Look("exact belief", COLOURS["exact_belief"], (0, (1, 2)), 1.4),
    "simulator": Look("perfect model", COLOURS["simulator"], (0, (5, 1, 1, 1)), 1.4),
    "blind": Look("scripted expert, blind", COLOURS["blind"], (0, (1, 1)), 1.8),
    "informed": Look("scripted expert, told the goal", COLOURS["informed"], (0, (1, 2)), 1.4),
    "own": Look("an agent of your own", COLOURS["own"]),
    "optimum": Look("highest possible", COLOURS["optimum"], (0, (4, 3)), 1.2),
}
PAPERS = {
    "imitation": LOOKS["ad"].faint("the paper's imitation"),
    "DICP": LOOKS["paper"].faint("the paper's DICP"),
}


def style() -> None:
    """Set matplotlib up for 7 x 3.5 inch figures that are legible from the back row. In a notebook
    they are drawn inline, even where the environment names another backend (MPLBACKEND, as on
    clusters); one that draws into notebooks, too, is kept."""
    _draw_inline()
    sns.set_theme(
        context="notebook", style="ticks",
        rc={
            "figure.figsize": SIZE, "figure.dpi": 110, "savefig.dpi": 110, "font.size": 12,
            "axes.titlesize": 14, "axes.titleweight": "bold", "axes.titlelocation": "left",
            "axes.titlepad": 12, "axes.labelsize": 12.5, "xtick.labelsize": 12,
            "ytick.labelsize": 12, "legend.fontsize": 11.5, "legend.frameon": False,
            "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": BLACK,
            "axes.labelcolor": BLACK, "axes.linewidth": 1, "lines.solid_capstyle": "round",
            "figure.constrained_layout.use": True,
        },
    )


def _draw_inline() -> None:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    backend = matplotlib.get_backend().lower()
    is_notebook = getattr(shell, "kernel", None) is not None
    if is_notebook and not any(name in backend for name in IN_NOTEBOOKS):
        shell.run_line_magic("matplotlib", "inline")


def axes(ax: Axes | None, title: Title, size: Size = SIZE) -> Axes:
    """`ax`, or a new figure's; with the claim as its title, which may not be empty."""
    check_title("title", title)
    if ax is None:
        _, ax = plt.subplots(figsize=size, layout="constrained")
    ax.set_title(title)
    return ax


def look_of(method: str, planner: str = "none") -> Look:
    """The look of a method: by its planner where it plans, else by its name (DICP without a planner
    acts as AD)."""
    one_of("planner", planner, (*PLANNERS, "own"))
    if method in CONTROLS and (method != "own" or planner == "none"):
        return LOOKS[method]
    if planner != "none":
        return LOOKS[planner]
    if method in IMITATORS:
        return LOOKS["ad"]._replace(label=method.upper())
    label = f"{method.upper().replace('_', '-')}, no planner"
    return LOOKS["ad"]._replace(label=label, dashes=(0, (5, 1)))


def darker(colour: str | tuple, share: float = 0.22) -> tuple:
    """The colour for text: light orange letters are hard to read on white."""
    return tuple(c * (1 - share) for c in to_rgb(colour))


def spread(at: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Positions as near as possible to `at`, in the same order, at least `gap` apart, within
    [low, high]."""
    order = np.argsort(at, kind="stable")
    gap = min(gap, (high - low) / max(len(at) - 1, 1))
    groups = []      # [number of labels, sum of (wanted - offset in the group)]

    def start(group: list) -> float:
        return float(np.clip(group[1] / group[0], low, high - (group[0] - 1) * gap))

    for i in order:
        groups.append([1, at[i]])
        # neighbours that would overlap move as one block, centred on where they all want to be
        while len(groups) > 1 and start(groups[-2]) + groups[-2][0] * gap > start(groups[-1]):
            n, total = groups.pop()
            groups[-1][1] += total - n * groups[-1][0] * gap
            groups[-1][0] += n
    placed = np.concatenate([start(g) + gap * np.arange(g[0]) for g in groups])
    out = np.empty(len(at))
    out[order] = placed
    return out


def label_ends(ax: Axes, labels: list[tuple[float, str, str | tuple]], size: float = 12) -> None:
    """Write (y, text, colour) to the right of the axes, moved apart where they would overlap."""
    if not labels:
        return
    low, high = ax.get_ylim()
    inches = ax.get_position().height * ax.figure.get_figheight()
    gap = (high - low) * (size * 1.18 / 72) / inches
    at = np.array([y for y, _, _ in labels])
    places = spread(at, gap, low, high + 0.3 * gap)
    for y, placed, (_, text, colour) in zip(at, places, labels, strict=True):
        ax.annotate(
            text, xy=(1, y), xycoords=("axes fraction", "data"), xytext=(1.045, placed),
            textcoords=("axes fraction", "data"), va="center", ha="left", fontsize=size,
            color=darker(colour), annotation_clip=False,
            arrowprops={
                "arrowstyle": "-", "color": tint(colour, 0.3), "shrinkA": 1, "shrinkB": 2,
                "relpos": (0, 0.5),
            },
        )


def caption(ax: Axes, text: str) -> None:
    """A small line under the x axis: how many tasks, rollouts and seeds are in the figure."""
    ax.annotate(
        text, xy=(0, 0), xycoords="axes fraction", xytext=(0, -42), textcoords="offset points",
        va="top", fontsize=10, color=GREY, annotation_clip=False,
    )
