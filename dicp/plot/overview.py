"""The whole story in one row: a panel a world, imitation, planning, and what is possible."""


from typing import Annotated

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from dicp.checks import OneOf, one_of
from dicp.config import ENVS
from dicp.paper import METHODS, paper_curve
from dicp.plot.arguments import NamedResults, Title
from dicp.plot.curves import looks, returns, sizes
from dicp.plot.histories import claim
from dicp.plot.look import COLOURS, Look, tint

WORLDS = {
    "darkroom": "Darkroom",
    "darkroom_permuted": "Darkroom-Permuted",
    "dark_key_to_door": "Dark Key-to-Door",
}
SHOWN = ("random", "source", "ad", "queries", "exact_belief")          # runs of dicp.reproduce


def papers_best(env: Annotated[str, OneOf(ENVS)]) -> str:
    """The paper's method with the highest return in the last episode."""
    return max(METHODS, key=lambda name: paper_curve(env, name)["normalised"].iloc[-1])


def overview(tables: NamedResults, *, title: Title) -> Figure:
    """Learning curves on held-out tasks: ours, the controls, and the paper's best method of each
    world. `tables`: the recorded runs by env."""
    for env in tables:
        one_of("world", env, WORLDS)
    figure, panels = plt.subplots(
        1, len(tables), figsize=(4.6 * len(tables) + 0.4, 5.3), sharey=True, squeeze=False
    )
    colour, behind = tint(COLOURS["paper"], 0.1), []
    for ax, (env, table) in zip(panels[0], tables.items(), strict=True):
        rows = table[table["run"].isin(SHOWN)].drop(columns="context_length", errors="ignore")
        returns(rows, title=WORLDS[env], value="normalised", labels=False, ax=ax)
        behind.append(f"{WORLDS[env]}: {sizes(rows)}")
        best = papers_best(env)
        curve = paper_curve(env, best)
        ax.plot(curve["env_steps"], curve["normalised"], color=colour, lw=1.8, zorder=2)
        ax.annotate(
            f"the paper's best: {best}", (0.97, 0.05), xycoords="axes fraction", ha="right",
            fontsize=11.5, color=COLOURS["paper"],
            bbox={"fc": "white", "ec": "none", "pad": 1, "alpha": 0.8},
        )
        ax.set_xlabel("environment steps in context")
        if ax is not panels[0, 0]:
            ax.set_ylabel("")
    shown = [*(look for look, _ in looks(rows)), Look("the paper's best method", colour, width=1.8)]
    note = "\n".join(behind) + "; bands: 95% bootstrap"
    claim(figure, title, note, [look.key() for look in shown], ncols=len(shown))
    return figure
