"""Figures of notebook 03: who chose a step and how often it gave a reward, errors by context, a
training run and its prior."""


import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, PercentFormatter

from dicp.plot.arguments import Colour, Guess, Height, Named, Numbers, Table, Title
from dicp.plot.beliefs import MODELS
from dicp.plot.look import BLACK, COLOURS, GREY, axes, tint


def who_chose(
    observed: Named[tuple], predicted: Named[Numbers], *, title: Title,
    guess: Guess | None = None, ax: Axes | None = None,
) -> Axes:
    """How often a step gave a reward, by who chose it (grey bars with 95% intervals), and what each
    model predicted (dots).

    observed: name -> (share, number of steps). predicted: model -> one probability for each bar.
    """
    ax = axes(ax, title, (7, 4.0))
    share, n = np.array(list(observed.values())).T
    half = 1.96 * np.sqrt(share * (1 - share) / n)
    at = np.arange(len(share))
    ax.bar(at, share, width=0.62, color=tint(COLOURS["source"], 0.45), label="observed")
    ax.errorbar(at, share, half, fmt="none", color=GREY, lw=1.6)
    for i, (name, values) in enumerate(predicted.items()):
        x = at + 0.2 * (i - (len(predicted) - 1) / 2)
        ax.plot(
            x, values, "o", ms=11, color=MODELS[name], mec="white", mew=1.3,
            label=f"predicted, {name}",
        )
    if guess is not None:
        ax.axhline(guess, color=BLACK, ls=":", lw=1.8)
        ax.annotate(
            "your guess", (1, guess), xycoords=("axes fraction", "data"), xytext=(0, 4), ha="right",
            textcoords="offset points", fontsize=11.5,
        )
    ax.set_xticks(at, observed)
    ax.tick_params(axis="x", length=0)
    ax.yaxis.set_major_locator(MultipleLocator(0.05))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set(ylabel="P(reward) on a cell\nnot visited before", xlim=(-0.5, len(at) - 0.5))
    ax.set_ylim(0, max(1.5 * (share + half).max(), 1.1 * (guess or 0)))
    ax.legend(loc="upper right")
    return ax


def by_context(values: Table, *, what: Title, ax: Axes, colour: Colour = COLOURS["paper"]) -> Axes:
    """An error against the transitions in context: `values` [episodes before, step], the same
    target steps in each row, each row's mean as a bold line."""
    values = np.asarray(values, dtype=float)
    for i, row in enumerate(values):
        x = i * len(row) + np.arange(len(row))
        ax.plot(x, row, color=tint(colour, 0.45), lw=1.6)
        ax.plot(x[[0, -1]], [row.mean()] * 2, color=colour, lw=4, solid_capstyle="butt")
    ax.set_title(what, fontsize=12, fontweight="normal")
    ax.set(
        xlabel="transitions in context", xlim=(0, values.size),
        xticks=range(0, values.size + 1, len(row)),
    )
    ax.set_ylim(0)
    return ax


def learned_to_remember(losses: Named[Numbers], blind: Height, ratios: Named[Numbers]) -> Figure:
    """Left: the reward loss of training runs (running means), the first one the reader's, and the
    loss of a model without a memory. Right: P(reward) of each held-out goal, relative to other
    cells as far away, by model."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
    axes(left, "It learns to look back")
    for i, (name, values) in enumerate(losses.items()):
        smooth = np.convolve(np.asarray(values, dtype=float), np.ones(10) / 10, "valid")
        left.plot(
            np.arange(10, len(smooth) + 10), smooth, lw=2.6 if i == 0 else 1.8, zorder=3 - i,
            label=name, color=tint(COLOURS["bayes"], 0.6 * (i > 0)),
        )
    left.axhline(blind, color=BLACK, ls=(0, (4, 3)), lw=1.2, label="without a memory")
    left.set(
        xlabel="updates", ylabel="reward loss, nats a step", ylim=(0, 3 * blind),
        xlim=(10, len(values)),
    )
    left.legend(loc="upper right")
    axes(right, "Only one knows which goals never came up")
    for i, (name, values) in enumerate(ratios.items()):
        x = i + np.linspace(-0.22, 0.22, len(values))
        right.plot(
            x, values, "o", ms=9, mec="white", mew=1.2,
            color=MODELS.get(name, tint(COLOURS["bayes"], 0.35)),
        )
    right.axhline(1, color=BLACK, ls=(0, (4, 3)), lw=1.2, zorder=0)
    right.set(
        yscale="log", xlim=(-0.5, len(ratios) - 0.5),
        ylabel="P(reward) of held-out goals,\nothers as far = 1",
    )
    right.set_xticks(range(len(ratios)), ratios)
    right.yaxis.set_major_formatter("{x:g}")
    right.tick_params(axis="x", length=0)
    return figure
