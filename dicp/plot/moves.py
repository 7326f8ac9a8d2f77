"""What does each action do? Beliefs about the moves of Darkroom-Permuted, for notebook 03."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dicp.plot.arguments import Inches, Labels, Named, Numbers, Title, in_shape
from dicp.plot.look import BLACK, GREY, HEAT
from dicp.plot.tokens import GLYPHS


def belief_moves(
    rows: Named[Sequence], columns: Labels, *, title: Title, truth: Numbers,
    seen: Sequence[Sequence[int]] | None = None, inches: Inches = 2.1,
) -> Figure:
    """Tables in rows and columns, a row an action and a column a move, coloured by probability from
    0 to 1.

    rows: name -> [column][action * move]. truth: the move that each action makes (framed). seen:
    for each column, the actions whose move has been seen (dots beside them).
    """
    shape = (len(rows), len(columns))
    figure, panels = plt.subplots(
        *shape, figsize=(inches * shape[1] + 1.3, inches * shape[0] + 1.2), squeeze=False,
        layout="constrained",
    )
    for line, (name, beliefs) in zip(panels, rows.items(), strict=True):
        for i, (ax, values) in enumerate(zip(line, beliefs, strict=True)):
            table = in_shape("each table of rows", values, 5, 5)
            image = ax.imshow(table, cmap=HEAT, vmin=0, vmax=1, zorder=0)
            _table(ax, truth, seen[i] if seen else (), labelled=i == 0)
        line[0].set_ylabel(f"{name}\n\naction" if name else "action", fontsize=12.5)
    for ax, name in zip(panels[0], columns, strict=True):
        ax.set_title(name, fontsize=12, fontweight="normal", loc="center", pad=6)
    for ax in panels[-1]:
        ax.set_xlabel("move", fontsize=12)
    bar = figure.colorbar(
        image, ax=panels, shrink=0.85, aspect=22, label="P(move)", ticks=[0, 0.2, 0.5, 1]
    )
    bar.outline.set_visible(False)
    figure.suptitle(title, fontweight="bold", fontsize=14, x=0.01, ha="left")
    return figure


def _table(ax: Axes, truth: Sequence[int], seen: Sequence[int], labelled: bool) -> None:
    for action, move in enumerate(truth):
        ax.add_patch(Rectangle(
            (move - 0.44, action - 0.44), 0.88, 0.88, fill=False, ec=BLACK, lw=1.6, zorder=3
        ))
    ax.plot([-0.78] * len(seen), list(seen), "o", color=GREY, ms=6, clip_on=False, zorder=4)
    ax.set(xticks=range(5), yticks=range(5), xlim=(-0.5, 4.5), ylim=(4.5, -0.5))
    ax.set_xticklabels(GLYPHS[:5], fontsize=13)
    ax.tick_params(length=0, pad=3)
    ax.tick_params(axis="y", pad=12, labelleft=labelled)
    ax.spines[:].set_visible(True)
