"""Figures of Darkroom-Permuted: how an agent finds out, step by step, what each of its actions
does."""

from collections.abc import Mapping
from typing import Annotated

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from dicp.checks import Whole
from dicp.plot.arguments import Named, Numbers, Title, Words, in_shape
from dicp.plot.histories import claim
from dicp.plot.look import BLACK, COLOURS, GREY, HEAT
from dicp.plot.tokens import GLYPHS


def trials(
    panels: Named[Mapping], *, title: Title, does: Numbers, note: Words = "",
    n_actions: Annotated[int, Whole(1, 5)] = 5,
) -> Figure:
    """First episodes, one below the other: a column an env step, a row an action.

    panels: name -> uncertainty: [step, action], the entropy of where each action would lead, in
    nats; action: [step], what was done; reward: [step]. does: the move that each action really
    makes (0 to 4: +x, -x, +y, -y, stay), written on the left: the agent cannot see it. The first
    use of an action is ringed. """
    in_shape("does", does, n_actions)
    n = len(next(iter(panels.values()))["action"])
    figure, rows = plt.subplots(
        len(panels), 1, figsize=(10.5, 2.3 * len(panels) + 0.9), sharex=True, squeeze=False
    )
    for ax, (name, panel) in zip(rows[:, 0], panels.items(), strict=True):
        image = _trial(ax, panel, n, n_actions)
        actions = [f"action {a}  {GLYPHS[move]}" for a, move in enumerate(does)]
        ax.set_yticks(range(n_actions), actions)
        ax.set(title=name, ylim=(n_actions + 0.1, -0.6), xlim=(-0.6, n - 0.4))
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        for y in np.arange(0.5, n_actions - 1):
            ax.axhline(y, color="white", lw=2)
    ticks = [1, *range(5, n + 1, 5)]
    ax.set_xticks([t - 1 for t in ticks], ticks)
    ax.set_xlabel("environment step of the first episode", color=GREY)
    bar = figure.colorbar(
        image, ax=rows[:, 0].tolist(), shrink=0.8, aspect=24, pad=0.01, label="doubt (nats)"
    )
    bar.outline.set_visible(False)
    claim(figure, title, note)
    return figure


def _trial(ax: Axes, panel: Mapping, n: int, n_actions: int) -> AxesImage:
    """Doubts as colours, what was done as dots, first uses ringed, rewards as stars."""
    names = "uncertainty", "action", "reward"
    uncertainty, action, reward = (np.asarray(panel[name]) for name in names)
    highest = np.log(n_actions)
    image = ax.imshow(uncertainty.T, cmap=HEAT, vmin=0, vmax=highest, aspect="auto", zorder=0)
    first = [int(np.argmax(action == a)) for a in range(n_actions) if (action == a).any()]
    ax.plot(range(n), action, "o", color=COLOURS["ad"], ms=8, mec="white", mew=1, zorder=3)
    ax.plot(first, action[first], "o", ms=15, mfc="none", mec=COLOURS["ad"], mew=2.2, zorder=4)
    paid = np.flatnonzero(reward)
    if len(paid):
        above = np.full(len(paid), n_actions - 0.25)
        ax.plot(paid, above, "*", color=BLACK, ms=8, clip_on=False, zorder=5)
    return image
