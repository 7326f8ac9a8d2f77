"""What a world model believes: about every cell, asked alike of trained models, simulators and the exact belief; and about
the steps of given lives."""

import math
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dicp.checks import one_of
from dicp.config import Env, EnvConfig
from dicp.envs import GridRules, GridState, all_tasks
from dicp.models import Model
from dicp.rollout import Learner, Life
from dicp.source import SourceLog
from dicp.windows import Tokens, Windows, episodes_as_windows, newborn


def tokens_of(life: Life, env: EnvConfig) -> Tokens:
    """What the agents of a life have read: fields [agent step + 1], one token more than steps. The last one is the
    present, the start of an episode in which nothing has been done yet."""
    cell, action, reward, next_cell = (x.flatten(0, 1).long() for x in life[:4])
    start = cell[:, :1]
    born = (torch.full_like(start, x) for x in (env.n_actions, 0, env.n_cells))
    last = (torch.cat((at_birth, x), dim=1) for at_birth, x in zip(born, (action, reward, next_cell), strict=True))
    cell = torch.cat((cell, start), dim=1)
    first = (torch.arange(cell.shape[1]) % env.horizon == 0).long().expand_as(cell)
    return Tokens(cell, *last, first)


def remember(model: Learner, tokens: Tokens) -> Any:
    """The context of a model that has read `tokens` (fields [agent n]) one after the other."""
    context = model.begin(len(tokens.observation))
    for t in range(tokens.observation.shape[1]):
        model.observe(context, Tokens(*(field[:, t] for field in tokens)))
    return context


@torch.no_grad()
def believed_rewards(
    model: Learner, context: Any, env: EnvConfig, cell: Int[Tensor, "agent"]
) -> Float[Tensor, "agent cell"]:
    """P(reward) on arriving at each cell of Darkroom or Dark Key-to-Door, asked as a planner asks: the agent, now at `cell`,
    imagines a shortest walk there (first along x, then along y), finds nothing on the way, and arrives. In Key-to-Door that
    is the key, or the door once this episode has brought the key. NaN: farther than the model can imagine (IDT).

    The walk is part of the question. A model that takes actions for evidence believes more in a cell because it imagines
    walking there; one that does not gives the same answer for every walk to it.
    """
    one_of("env", env.name, ("darkroom", "dark_key_to_door"))                   # in Permuted nobody knows the walk
    room = replace(env, name="darkroom")
    rules = GridRules.of(room, all_tasks(room.name, env.size))                  # one task a cell: the goal to walk to
    batch, target = len(cell), torch.arange(env.n_cells)
    state = model.fork(model.root(context), torch.zeros(batch, env.n_cells, dtype=torch.long))     # one beam a goal
    at, belief = cell[:, None].expand(-1, env.n_cells), torch.full((batch, env.n_cells), torch.nan)
    left = getattr(context, "imaginable", math.inf)
    while True:
        action = rules.optimal_action(GridState(at.T, torch.zeros_like(at.T))).T.contiguous()
        there = rules.next_cell[0, at, action]
        arrives, left = (there == target) & belief.isnan(), left - 1
        belief = torch.where(arrives, model.imagine(state).reward.gather(-1, action[..., None])[..., 0], belief)
        if not belief.isnan().any() or not left:
            return belief
        state = model.advance(state, action, torch.zeros_like(action), there)
        at = there


def windows_of(life: Life, env: Env) -> Windows:
    """Whole lives as windows, as if cut from learning histories: [agent step]."""
    returns = life.episode_return.flatten(0, 1)
    fields = (x.flatten(0, 1) for x in life[:4])
    fields = (x if x.is_floating_point() else x.long() for x in fields)
    return episodes_as_windows(env, *fields, returns.amax(1, keepdim=True) - returns)


def log_of(life: Life) -> SourceLog:
    """A life in the form of learning histories, its rollouts as streams: something to train on."""
    terminal = life.next_observation[..., life.horizon - 1 :: life.horizon]
    return SourceLog(*(x.to(torch.uint8) for x in (life.observation, life.action, life.reward, terminal)))


def last_episodes(windows: Windows, n_steps: int, env: EnvConfig) -> Windows:
    """The last `n_steps` of each window, as if nothing had come before."""
    return Windows(newborn(windows.tokens, env, n_steps), *(x[:, -n_steps:] for x in windows[1:]))


def first_arrivals(windows: Windows, env: EnvConfig) -> tuple[Bool[Tensor, "batch n"], Int[Tensor, "batch n"]]:
    """(which steps lead to a cell not visited before while no reward has come, how many cells were visited before)."""
    been = F.one_hot(windows.tokens.arrived, env.n_cells + 1).cumsum(1) > 0
    new = ~been.gather(2, windows.next_observation[..., None])[..., 0]
    return new & (windows.tokens.last_reward.cumsum(1) == 0), been[..., :-1].sum(-1)


@torch.no_grad()
def p_reward(model: Model, windows: Windows) -> Float[Tensor, "batch n"]:
    """P(reward) of the action taken at each step, as the model predicted it just before."""
    return model.predict(windows).reward.softmax(-1)[..., 1]
