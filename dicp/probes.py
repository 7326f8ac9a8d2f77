"""What a world model believes, held against the exact belief: in contexts that a planner makes, and
along imagined walks.

Each world's are kept in one sealed file beside its results.
"""

from math import isfinite
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dicp import recordings, store
from dicp.beliefs import tokens_of, windows_of
from dicp.checks import Count, Seed, checked, one_of, refuse
from dicp.config import PlanConfig
from dicp.config.world import GridConfig
from dicp.domain import domain_of
from dicp.envs import Task
from dicp.explorers import EXPLORERS, ActionExplorer, exact_belief
from dicp.rollout import Learner, Rollouts, rollout
from dicp.types import Windows
from dicp.windows import stages
from dicp.worlds import World

__all__ = ["PROBES", "calibration", "moves", "probe", "recorded_probes", "walks"]

# worlds in which it is known what an action does
WITHOUT_MOVES = tuple(
    world for kind in EXPLORERS if kind is not ActionExplorer for world in kind.worlds
)
N_ROLLOUTS, N_EPISODES = 8, 4          # of the exact belief in each task
N_WALKS, N_STEPS = 256, 8
PROBES = (
    "never met", "correlation", "in vain", "known", "known door", "elsewhere", "move",
    *(f"walk {n}" for n in range(1, N_STEPS + 1)),
)


class Probed(NamedTuple):
    """One number of a world model, and the exact belief's."""

    probe: str
    value: float
    exact: float


@checked
def probe(model: Learner, env: GridConfig, tasks: list[Task], seed: Seed = 0) -> pd.DataFrame:
    """Columns probe, value, exact: what `calibration` and `walks` say, in Darkroom-Permuted
    `moves`. The contexts are those of rollouts of the exact belief in `tasks`, which the model has
    not been trained on."""
    plan = PlanConfig.preset("bayes", env)
    rollouts = rollout(exact_belief(env), env, tasks, N_ROLLOUTS, N_EPISODES, plan, seed)
    if env.name == "darkroom_permuted":
        return pd.DataFrame(moves(model, rollouts, env))
    return pd.DataFrame([*calibration(model, rollouts, env), *walks(model, env, seed=seed)])


@checked
def calibration(model: Learner, rollouts: Rollouts, env: GridConfig) -> list[Probed]:
    """The expected reward, mostly P(reward). Before the first reward (the highest one, where there
    are several): of cells never met (mean, and the correlation with the exact belief's) and of
    cells met in vain; then of a known goal (of key and door: of both, and of the door alone), and
    in Darkroom of cells never met once the goal is known (elsewhere). NaN where a rollout has no
    such steps."""
    one_of("env.name", env.name, WITHOUT_MOVES)
    check_plans(model)
    windows = windows_of(rollouts, env)
    every = p_of_each(model, rollouts, env), p_of_each(exact_belief(env), rollouts, env)
    said, exact = (rewards.gather(2, windows.action[..., None])[..., 0] for rewards in every)
    before = (windows.tokens.last_reward >= domain_of(env).max_reward).cumsum(1) == 0
    never_met, paid = ~met(windows, env) & before, has_paid(windows, env)
    new, truth = said[never_met], exact[never_met]
    varies = len(new) > 0 and bool(new.max() > new.min())
    correlation = torch.corrcoef(torch.stack((new, truth)))[0, 1].item() if varies else float("nan")
    means = {"never met": never_met, "in vain": before & ~never_met & ~paid, "known": paid}
    if domain_of(env).rewards_once:
        means["known door"] = paid & (stages(windows.tokens, 3) > 0)
    rows = [
        Probed(name, said[where].mean().item(), exact[where].mean().item())
        for name, where in means.items()
    ]
    rows = [rows[0], Probed("correlation", correlation, 1.0), *rows[1:]]
    if env.name != "darkroom":
        return rows
    new = new_once_paid(windows, env)
    return [*rows, Probed("elsewhere", *(rewards[new].mean().item() for rewards in every))]


def met(windows: Windows, env: GridConfig) -> Bool[Tensor, "batch n"]:
    """Which steps lead to a cell that was visited before."""
    been = F.one_hot(windows.tokens.outcome, env.n_cells + 1).cumsum(1) > 0
    return been.gather(2, windows.next_observation[..., None])[..., 0]


def new_once_paid(windows: Windows, env: GridConfig) -> Bool[Tensor, "batch n action"]:
    """Which actions would lead to a cell never met once the goal is known, so
    such cells pay nothing. A planner stays on the goal, and most of its memory says so; none of
    that says anything of another cell."""
    leads = exact_belief(env).next_cell[windows.tokens.observation]     # batch n action
    been = F.one_hot(windows.tokens.outcome, env.n_cells + 1).cumsum(1) > 0
    known = windows.tokens.last_reward.cumsum(1) > 0
    return ~been.gather(2, leads) & known[..., None]


def has_paid(windows: Windows, env: GridConfig) -> Bool[Tensor, "batch n"]:
    """Which steps lead to a cell that gave a reward in this rollout,
    with as many rewards so far in the episode."""
    place = windows.next_observation
    if domain_of(env).rewards_once:
        place = stages(windows.tokens, 3) * env.n_cells + place
    paid = F.one_hot(place, 3 * env.n_cells) * windows.reward[..., None]
    return (paid.cumsum(1) - paid).gather(2, place[..., None])[..., 0] > 0


@torch.no_grad()
def p_of_each(
    model: Learner, rollouts: Rollouts, env: GridConfig
) -> Float[Tensor, "agent step action"]:
    """P(reward) of every action at each step of a rollout, as the model imagines it just before."""
    tokens = tokens_of(rollouts, env)
    context, said = model.begin(len(tokens.first)), []
    for t in range(tokens.first.shape[1] - 1):                    # the last one is the present
        model.observe(context, tokens.at(t))
        said.append(model.imagine(model.root(context)).reward[:, 0])
    return torch.stack(said, dim=1).float()


@checked
@torch.no_grad()
def walks(
    model: Learner, env: GridConfig, n_walks: Count = N_WALKS, seed: Seed = 0
) -> list[Probed]:
    """P(reward) at each step of imagined walks of an agent that has done nothing yet: each step
    leads to a cell that the walk has not met, and is imagined to pay nothing. Where it grows, the
    model takes imagined actions for evidence."""
    one_of("env.name", env.name, WITHOUT_MOVES)
    check_plans(model)
    action, cell = new_cells(env, n_walks, torch.Generator().manual_seed(seed))
    means = [along(learner, env, action, cell) for learner in (model, exact_belief(env))]
    return [Probed(f"walk {n}", *pair) for n, pair in enumerate(zip(*means, strict=True), start=1)]


def along(model: Learner, env: GridConfig, action: Tensor, cell: Tensor) -> list[float]:
    """Mean P(reward) at each step of the imagined walks [walk step]."""
    domain, start = domain_of(env), torch.full((len(action),), exact_belief(env).start)
    context, means = model.begin(len(action)), []
    model.observe(context, domain.first_tokens(start))
    state = model.root(context)
    for t in range(action.shape[1]):
        step = action[:, t : t + 1]
        means.append(model.imagine(state).reward[:, 0].gather(1, step).mean().item())
        nothing = torch.zeros(step.shape, dtype=domain.reward.dtype)
        state = model.advance(state, step, nothing, cell[:, t : t + 1])
    return means


def new_cells(
    env: GridConfig, n_walks: int, generator: torch.Generator
) -> tuple[Int[Tensor, "walk step"], Int[Tensor, "walk step"]]:
    """(actions, cells that they lead to) of random walks from the start that meet no cell twice."""
    believer = exact_belief(env)
    cell, rows = torch.full((16 * n_walks,), believer.start), torch.arange(16 * n_walks)
    met = F.one_hot(cell, env.n_cells).bool()
    alive, actions, cells = torch.ones_like(cell, dtype=torch.bool), [], []
    for _ in range(N_STEPS):
        leads = believer.next_cell[cell]      # walk action
        is_new = ~met.gather(1, leads)
        alive &= is_new.any(1)
        action = (torch.rand(leads.shape, generator=generator) * is_new).argmax(1)
        cell = leads[rows, action]
        met[rows, cell] = True
        actions.append(action)
        cells.append(cell)
    rows_kept = alive.nonzero()[:n_walks, 0]
    return torch.stack(actions, dim=1)[rows_kept], torch.stack(cells, dim=1)[rows_kept]


def check_plans(model: Learner) -> None:
    if not model.can_plan:
        raise refuse("model", type(model).__name__, "one that can plan")


@checked
@torch.no_grad()
def moves(model: Learner, rollouts: Rollouts, env: GridConfig) -> list[Probed]:
    """Darkroom-Permuted: by how many nats where an action led was a surprise, a step; and P(reward)
    where an action cannot be the last step to the goal (elsewhere). The world models that count
    have no such numbers."""
    one_of("env.name", env.name, ("darkroom_permuted",))
    if not hasattr(model, "predict"):
        raise refuse("model", type(model).__name__, "one that was trained to predict")
    windows, explorer = windows_of(rollouts, env), exact_belief(env)
    said = model.predict(windows)
    x, y = windows.next_observation // env.size, windows.next_observation % env.size
    surprise = sum(
        F.cross_entropy(logits.movedim(-1, 1), at)
        for logits, at in ((said.next_x, x), (said.next_y, y))
    )
    exact = explorer.surprise(tokens_of(rollouts, env), windows).mean()
    every = p_of_each(model, rollouts, env), p_of_each(explorer, rollouts, env)
    nowhere = every[1] == 0
    elsewhere = (rewards[nowhere].mean().item() for rewards in every)
    return [Probed("move", surprise.item(), exact.item()), Probed("elsewhere", *elsewhere)]


# ---- what was measured of the models that runs used ---------------------------------------------


@checked
def recorded_probes(world: World) -> pd.DataFrame:
    """Columns run, split, probe, value, exact: of the world models of recorded runs, as `probe`
    says. No rows where nothing is recorded; `StoreError` where the file is damaged."""
    return table_in(recordings.RECORDED, world)


def table_in(folder: Path, world: str) -> pd.DataFrame:
    """The same, of the file in a folder of results."""
    rows_kept = read_probes(probes_path(folder, world))
    rows = [
        {"run": one["run"], "split": one["split"], "probe": name, "value": value, "exact": exact}
        for one in rows_kept.values() for name, (value, exact) in one["probes"].items()
    ]
    table = pd.DataFrame(rows, columns=["run", "split", "probe", "value", "exact"])
    return table.astype({"value": float, "exact": float})


def probes_path(folder: Path, world: str) -> Path:
    return folder / f"{world}_probes.json"


def read_probes(path: Path) -> dict[str, dict]:
    """By the name of its model: the run, the split and the numbers of `probe`,
    as (value, exact)."""
    if not store.exists(path):
        return {}
    values, sealed = store.read_record(path)
    if not sealed or not isinstance(values.get("models"), dict):
        raise store.StoreError(f"{path} is damaged: it is no sealed record of probes.")
    return values["models"]


def kept_probes(table: pd.DataFrame, run: str, split: int) -> dict:
    """A table of `probe` as it is kept: numbers that there are not as None."""
    numbers = table[["value", "exact"]].to_numpy()
    pairs = [[float(x) if isfinite(x) else None for x in pair] for pair in numbers]
    return {"run": run, "split": split, "probes": dict(zip(table["probe"], pairs, strict=True))}


def write_probes(path: Path, models: dict[str, dict]) -> None:
    store.write_record(path, {"models": models})
