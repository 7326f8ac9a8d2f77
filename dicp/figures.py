"""The figures of what is recorded, world by world, as the README shows them."""

import io
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from dicp import ml1, plot, sentences, store
from dicp.checks import checked
from dicp.config import ENVS
from dicp.runs import CONTROL, RUNS
from dicp.worlds import World

__all__ = ["draw", "figures_of", "save_figure"]

TITLES = {
    "darkroom": "A gated plan helps AD and IDT; a wide one, asking what was met, "
                "finds within a few episodes",
    "darkroom_permuted": "After one episode the planner, and DPT, know their actions; AD needs ten",
    "dark_key_to_door": "The source is stuck at the key, and so is its imitator; a plan goes on",
}
ASKED = "Asked with queries, a plan finds the goal; through the paper's heads it hardly ever does"
CONTROLS = {
    "darkroom": ASKED, "darkroom_permuted": ASKED, "dark_key_to_door": ASKED,
    "dark_treasure":
        "Taught by random walks alone, queries and table often stay at the small treasure",
    "noisy_darkroom": "Does it matter to count visits in vain?",
}
OVERVIEW = (
    "Asked with queries, a Transformer plans above the paper's best, in most splits near exact "
    "inference"
)


@checked
def draw(
    world: World, folder: str | Path, table_of: Callable, probes: pd.DataFrame | None = None
) -> None:
    """Save the figures that show a world in `folder`. table_of: the result table of a world by its
    name, None where there is none. probes: what its world models believe (`dicp.probes`)."""
    plot.style()
    for name, figure in figures_of(world, table_of, probes).items():
        save_figure(figure, Path(folder) / f"{name}.png")
        plt.close(figure)


@checked
def figures_of(
    world: World, table_of: Callable, probes: pd.DataFrame | None = None
) -> dict[str, Figure]:
    """All methods of a grid of the paper's beside its own, and all three in one, "overview"; of any
    grid the control of what a world model was trained on ("..._control"); of Meta-World all five
    tasks, as "metaworld_..."."""
    if world in CONTROLS:
        drawn = _of_grids(world, table_of) if world in TITLES else {}
        return drawn | _of_control(world, table_of(world), probes)
    tables = {name: table_of(f"metaworld-{task}") for name, task in ml1.TASKS.items()}
    return _of_arms({name: table for name, table in tables.items() if table is not None})


def _of_grids(world: str, table_of: Callable[[str], pd.DataFrame | None]) -> dict[str, Figure]:
    tables = {env: table for env in ENVS if (table := table_of(env)) is not None}
    if world not in tables:
        raise ValueError(f"There is no result table of {world!r} to draw.")
    table = tables[world]
    table = table[table["run"].isin([run.name for run in RUNS])].drop(columns="context_length")
    return {world: plot.comparison(table, title=TITLES[world]),
            "overview": plot.overview(tables, title=OVERVIEW)}


def _of_control(
    world: str, table: pd.DataFrame | None, probes: pd.DataFrame | None
) -> dict[str, Figure]:
    decisive = {run.name for run in CONTROL if run.planner == "bayes"}
    if table is None or decisive.isdisjoint(table["run"]):
        return {}
    probes = None if probes is None or probes.empty else probes
    return {f"{world}_control": plot.control(table, probes, title=CONTROLS[world])}


def _of_arms(tables: dict[str, pd.DataFrame]) -> dict[str, Figure]:
    if not tables:
        return {}
    note = ("50 held-out instances, one rollout each (source: 10, of 10 streams), "
            "one training seed; bands: 95% bootstrap")
    figures = {f"metaworld_{value}": plot.ml1_curves(tables, value=value, title=title, note=note)
               for value, title in sentences.claims(tables).items()}
    compared = ml1.rankings(tables)
    if len(compared):
        note = "50 held-out instances, the last fifth of each rollout, one training seed"
        figures["metaworld_ranking"] = plot.ml1_rankings(
            compared, title=sentences.better_ranking(tables), note=note)
    return figures


@checked
def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG; the same figure always gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    store.write(path, buffer.getvalue())
