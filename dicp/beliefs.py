"""What a world model believes: about every cell, asked alike of trained models, simulators and the
exact belief; and about the steps of given rollouts."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dicp.believed import believed_rewards
from dicp.checks import Count, checked, one_of, refuse
from dicp.config import Config, PlanConfig, WorldConfig
from dicp.config.parts import MIXED, TrainConfig
from dicp.config.world import GridConfig
from dicp.domain import domain_of
from dicp.envs import Task
from dicp.explorers import exact_belief
from dicp.models import Model
from dicp.rollout import Learner, Rollouts, rollout
from dicp.types import Log, Space, Tokens, Windows
from dicp.windows import episodes_as_windows, without_past

__all__ = [
    "believed_rewards", "first_arrivals", "last_episodes", "log_of", "p_reward", "remember",
    "rollouts_to_learn_from", "tokens_of", "who_acts", "windows_of",
]

AT_ONCE = 40          # tasks in which an agent acts at once: their plans have to fit the memory


def check_rollouts(rollouts: Rollouts, env: WorldConfig) -> None:
    """Raise `ValueError` unless the rollouts were recorded whole, in a world like this one."""
    if rollouts.observation is None:
        raise refuse("rollouts.observation", None, "those of rollout(..., record=True)")
    if rollouts.horizon != env.horizon:
        raise refuse("env.horizon", env.horizon, f"{rollouts.horizon}, that of the rollouts")
    domain, observation = domain_of(env), rollouts.observation
    same = observation.shape[3:] == domain.observation.shape
    if not same or (domain.observation.n or math.inf) <= float(observation.max()):
        raise refuse("env", env, "the world of the rollouts")


@checked
def tokens_of(rollouts: Rollouts, env: GridConfig) -> Tokens:
    """What the agents have read: fields [agent step + 1], one token more than steps. The
    last one is the present, the start of an episode in which nothing has been done yet."""
    check_rollouts(rollouts, env)
    cell, action, reward, next_cell = (x.flatten(0, 1) for x in rollouts[:4])
    start = cell[:, :1]
    pairs = zip((action, reward, next_cell), domain_of(env).no_transition, strict=True)
    last = (torch.cat((torch.full_like(x[:, :1], none), x), dim=1) for x, none in pairs)
    cell = torch.cat((cell, start), dim=1)
    first = (torch.arange(cell.shape[1]) % env.horizon == 0).long().expand_as(cell)
    return Tokens(cell, *last, first)


def check_tokens(tokens: Tokens, env: GridConfig) -> None:
    """Raise `ValueError` for a token that no agent of this room reads."""
    most = dict(
        observation=env.n_cells - 1, last_action=env.n_actions, outcome=env.n_cells, first=1
    )
    for name, highest in most.items():
        within(f"tokens.{name}", getattr(tokens, name), highest)
    domain_of(env).reward.check("tokens.last_reward", tokens.last_reward)


def check_windows(windows: Windows, env: GridConfig) -> None:
    """The same for windows, and what is asked about them."""
    check_tokens(windows.tokens, env)
    within("windows.action", windows.action, env.n_actions - 1)
    within("windows.next_observation", windows.next_observation, env.n_cells - 1)


def within(what: str, values: Tensor, most: int) -> None:
    for value in (values.min(), values.max()) if values.numel() else ():
        if not 0 <= value <= most:
            raise refuse(what, int(value), f"0 to {most}")


@checked
def remember(model: Learner, tokens: Tokens) -> Any:
    """The context of a model that has read `tokens` (fields [agent n]) one after the other."""
    if tokens.first.ndim != 2 or not len(tokens.first):
        raise refuse("tokens.first", tokens.first, "fields [agent n] of at least one agent")
    env = getattr(model, "env", None)
    if env is not None and domain_of(env).observation.n:
        check_tokens(tokens, env)
    context = model.begin(len(tokens.observation))
    for t in range(tokens.observation.shape[1]):
        model.observe(context, tokens.at(t))
    return context


@checked
def windows_of(rollouts: Rollouts, env: WorldConfig) -> Windows:
    """Whole rollouts as windows, as if cut from learning histories: [agent step]."""
    check_rollouts(rollouts, env)
    returns = rollouts.episode_return.flatten(0, 1)
    fields = (x.flatten(0, 1) for x in rollouts[:4])
    fields = (x if x.is_floating_point() else x.long() for x in fields)
    return episodes_as_windows(env, *fields, returns.amax(1, keepdim=True) - returns)


@checked
def log_of(rollouts: Rollouts) -> Log:
    """Rollouts in a grid in the form of learning histories, each of them a stream: something to
    train on."""
    if rollouts.success is not None or rollouts.observation is None:
        raise refuse("rollouts", type(rollouts).__name__, "rollouts in a grid, recorded whole")
    highest = int(torch.maximum(rollouts.observation, rollouts.next_observation).max())
    stored = Space(highest + 1).stored_as
    terminal = rollouts.next_observation[..., rollouts.horizon - 1 :: rollouts.horizon]
    is_whole = not rollouts.reward.is_floating_point()
    reward = rollouts.reward.byte() if is_whole else rollouts.reward
    steps = rollouts.observation.to(stored), rollouts.action.byte(), reward
    return Log(*steps, terminal.to(stored))


@checked
def rollouts_to_learn_from(
    config: Config, agent: Learner, tasks: Sequence[Task], n_rollouts: Count
) -> Log:
    """Something else to train on: in each task so many rollouts of an agent with the Bayes
    planner, as long as a window, from an empty context. Like the first episodes of a source, and
    unlike the later ones, they hold no action that knew more than its own history (*compliant*,
    Lee et al. 2023, arXiv 2306.14892); unlike these, contexts as a planner meets them (Ross and
    Bagnell, arXiv 1203.1007: train a model where one explores, and where one's own plans lead)."""
    env, seed, logs = config.env, config.train.seed, []
    n_episodes = config.model.context_length // env.horizon
    plan = PlanConfig.preset("bayes", env)
    for i in range(0, max(len(tasks), 1), AT_ONCE):         # none at all: the rollout refuses it
        some = tasks[i : i + AT_ONCE]
        logs.append(log_of(rollout(agent, env, some, n_rollouts, n_episodes, plan, seed + i)))
    return Log.concat(logs)


@checked
def who_acts(
    config: Config, trained: Callable[[Config], tuple[Learner, float]]
) -> tuple[Learner, float]:
    """(whose rollouts `train.data` mixes with first episodes, the CPU seconds of its training):
    the exact belief, or what `trained` makes of the same config and of first episodes alone."""
    one_of("config.train.data", config.train.data, MIXED)
    if config.train.data == "first_and_exact":
        return exact_belief(config.env), 0.0
    usual = TrainConfig().n_rollouts                  # which first episodes do not read
    train = replace(config.train, data="first_episodes", n_rollouts=usual)
    return trained(replace(config, train=train))


@checked
def last_episodes(windows: Windows, n_steps: Count, env: GridConfig) -> Windows:
    """The last `n_steps` of each window, as if nothing had come before."""
    n = windows.action.shape[1]
    if n_steps > n:
        raise refuse("n_steps", n_steps, f"1 to {n}, the length of the windows")
    windows = windows.last_steps(n_steps)
    return windows._replace(tokens=without_past(windows.tokens, env, n_steps))


@checked
def first_arrivals(
    windows: Windows, env: GridConfig
) -> tuple[Bool[Tensor, "batch n"], Int[Tensor, "batch n"]]:
    """(which steps lead to a cell not visited before while no reward has come, how many cells were
    visited before)."""
    been = F.one_hot(windows.tokens.outcome, env.n_cells + 1).cumsum(1) > 0
    new = ~been.gather(2, windows.next_observation[..., None])[..., 0]
    return new & (windows.tokens.last_reward.cumsum(1) == 0), been[..., :-1].sum(-1)


@checked
@torch.no_grad()
def p_reward(model: Model, windows: Windows) -> Float[Tensor, "batch n"]:
    """P(reward) of the action taken at each step, as the model predicted it just before."""
    if not model.can_plan:
        kind = model.config.world_model
        raise refuse("model.config.world_model", kind, "'observational', 'queries', 'heads'")
    if domain_of(model.env).reward.n != 2:
        raise refuse("model.env.name", model.env.name, "a grid, where a reward is there or not")
    check_windows(windows, model.env)
    return model.predict(windows).reward.softmax(-1)[..., 1]
