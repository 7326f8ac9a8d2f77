"""A figure of notebook 01: one training window, and what AD, DPT and IDT each learn from it."""

from collections.abc import Sequence
from typing import Annotated

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from dicp.checks import OneOf
from dicp.config import IMITATORS
from dicp.plot.arguments import Glyphs, Guess, Numbers, Steps, Title, Words
from dicp.plot.histories import claim
from dicp.plot.look import BLACK, COLOURS, GREY, tint

ROWS = {       # name -> (height of the row, colour, what it learns)
    "ad": (2.35, COLOURS["ad"], "what was done"),
    "dpt": (1.05, "#009E73", "what was best"),
    "idt": (-0.95, COLOURS["gated"], "done when asked"),
}


def lessons(
    done: Numbers, optimal: Numbers, good: Numbers, rewards: Numbers, asked: Numbers, *,
    method: Annotated[str, OneOf(IMITATORS)], horizon: Steps, title: Title, chunk: Steps = 10,
    glyphs: Glyphs = "→←↑↓•", guess: Guess | None = None, note: Words = "",
) -> Figure:
    """A panel an episode, a column an env step; a row for each method (all sequences [step] over
    the window).

    done, optimal: the source's action and the best one. good: whether the source's was as good.
    asked: the return that IDT asks for at each step, written at the start of each chunk. method:
    its row is strong, the others faint. glyphs: of the actions. guess: share of the first episode's
    actions that are as good as the best.
    """
    names = ("first episode", "second episode", *(f"episode {i}" for i in range(3, 100)))
    n = len(done) // horizon
    figure, panels = plt.subplots(n, 1, figsize=(11, 2.9 * n), squeeze=False, layout="constrained")
    for i, ax in enumerate(panels[:, 0]):
        steps = slice(i * horizon, (i + 1) * horizon)
        rows = {"ad": done[steps], "dpt": optimal[steps], "idt": done[steps]}
        for name, actions in rows.items():
            _row(ax, name, actions, good[steps], name == method, glyphs)
        _chunks(ax, asked[steps], chunk, method == "idt")
        for t, reward in enumerate(rewards[steps]):
            if reward:
                ax.plot(t, 3.4, "o", color=COLOURS["bayes"], ms=6)
        ax.text(-1, 3.4, "reward", ha="right", va="center", fontsize=11.5, color=GREY)
        guessed = "" if guess is None or i else f" (your guess: {guess:.0%})"
        share = f"{sum(good[steps]) / horizon:.0%} of the source's actions"
        ax.set_title(f"{names[i]} of the window: {share} are as good as the best{guessed}")
        numbers = [1, *range(10, horizon + 1, 10)]
        ax.set(
            xlim=(-0.6, horizon - 0.4), ylim=(-1.7, 3.8), yticks=[],
            xticks=[t - 1 for t in numbers], xticklabels=numbers,
        )
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    ax.set_xlabel("environment step of the episode")
    claim(figure, title, note)
    return figure


def _row(
    ax, name: str, actions: Sequence[int], good: Sequence[bool], strong: bool, glyphs: Sequence[str]
) -> None:
    """One method's actions: filled where they are as good as the best (DPT's all are)."""
    y, colour, lesson = ROWS[name]
    ink = BLACK if strong else tint(GREY, 0.25)
    for t, action in enumerate(actions):
        if name != "idt":
            fill = tint(colour, 0.45 if strong else 0.88) if good[t] or name == "dpt" else "white"
            edge = colour if strong else tint(colour, 0.7)
            ax.add_patch(Rectangle((t - 0.44, y - 0.45), 0.88, 0.9, fc=fill, ec=edge, lw=0.9))
        ax.text(t, y, glyphs[action], ha="center", va="center", fontsize=12, color=ink,
                fontweight="bold" if strong else "normal")
    label, size = {"ha": "right", "color": BLACK if strong else GREY}, 13 if strong else 12
    ax.text(-1, y + 0.06, name.upper(), va="bottom", fontsize=size, fontweight="bold", **label)
    ax.text(-1, y, lesson, va="top", fontsize=10.5, **label)


def _chunks(ax, asked: Sequence[int], chunk: int, strong: bool) -> None:
    """IDT's boxes, each with the return that it asks for as it begins."""
    y, colour, _ = ROWS["idt"]
    for start in range(0, len(asked), chunk):
        n = min(chunk, len(asked) - start)
        ax.add_patch(FancyBboxPatch(
            (start - 0.35, y - 0.4), n - 0.3, 0.8, boxstyle="round,pad=0.1",
            lw=1.6 if strong else 1, zorder=0, fc=tint(colour, 0.65 if strong else 0.93),
            ec=colour if strong else tint(colour, 0.6),
        ))
        ax.text(
            start - 0.4, y + 0.62, f"asks for {asked[start]}", ha="left", va="bottom", fontsize=11,
            fontweight="bold" if strong else "normal", color=BLACK if strong else GREY,
        )
