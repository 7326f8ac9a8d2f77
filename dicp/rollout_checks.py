"""Can this model act in this world, and does what it would record fit the memory? Asked once,
before anything is allocated."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from dicp.checks import fits_memory, refuse, rule_of
from dicp.config import ModelConfig, PlanConfig, WorldConfig
from dicp.domain import domain_of
from dicp.envs import Task
from dicp.models.context import whole_episodes
from dicp.planning import BYTES_OF_A_FUTURE, WorldModel

BYTES_OF_AN_AGENT = 1000  # whatever it does


def a_plan(what: str, value: object) -> PlanConfig | Callable | None:
    """The rule of a plan: its settings, or what makes a planner of its own
    (`dicp.planner.OwnPlanner`)."""
    if value is not None and not isinstance(value, PlanConfig) and not makes_planners(value):
        allowed = (
            "a PlanConfig, as PlanConfig.preset('bayes') makes one, a planner's class, or what "
            "makes a planner from (model, number of agents, generator), or None"
        )
        raise refuse(what, value, allowed)
    return value


def makes_planners(value: object) -> bool:
    """Whether it can be called as the class of a planner is."""
    try:
        inspect.signature(value).bind("model", "batch", "generator")
    except (TypeError, ValueError):        # it takes other arguments, or does not say which
        return False
    return True


def check_model(
    model: Any, env: WorldConfig, tasks: Sequence[Task], plan: PlanConfig | Callable | None
) -> None:
    """Raise `ValueError` unless the model acts in this world, as `plan` says, with finite weights
    and without dropout."""
    known = getattr(model, "env", env)
    if known != env:
        raise refuse("env", env, f"{known}, the world of this model")
    own_tasks = getattr(model, "tasks", tasks)
    if len(own_tasks) != len(tasks):
        raise refuse(
            "the number of tasks", len(tasks), f"{len(own_tasks)}, as many as this model knows"
        )
    if isinstance(plan, PlanConfig):
        if not model.can_plan:
            raise ValueError(
                f"planner is {plan.planner!r}, but this agent has no world model; allowed: no plan."
            )
        domain_of(env).check_plan(plan)
        rule_of(WorldModel)("model", model)
        if not hasattr(model, "root"):
            raise refuse("model", model, "one with a root(context), where imagined futures begin")
    elif plan is None and not getattr(model, "has_policy", True):
        raise refuse(
            "plan",
            None,
            f"a PlanConfig, because this {type(model).__name__} has no policy of its own",
        )
    if isinstance(model, nn.Module):
        check_weights(model)


def check_weights(model: nn.Module) -> None:
    """Raise `ValueError` where dropout would blur what a model says, or a weight is not finite."""
    for name, module in model.named_modules():
        dropout = module.p if isinstance(module, nn.Dropout) else getattr(module, "dropout", 0)
        if module.training and isinstance(dropout, float) and dropout > 0:
            where = f"model.{name}.training" if name else "model.training"
            raise refuse(
                where, True, f"False, because dropout is {dropout:g}: call model.eval() first"
            )
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            raise refuse(f"model.{name}", weight, "finite weights")
    for name, buffer in model.named_buffers():
        if torch.isinf(buffer).any():                    # NaN: not set yet, its user says so
            raise refuse(f"model.{name}", buffer, "finite numbers")


def check_room(
    model: Any,
    env: WorldConfig,
    n_agents: int,
    n_steps: int,
    plan: PlanConfig | Callable | None,
    context_length: int | None,
    record: bool,
) -> None:
    """Raise `ValueError` if the recorded steps, the contexts and the imagined futures would not fit
    into the memory."""
    config = getattr(model, "config", None)
    config = config if isinstance(config, ModelConfig) else None
    held = 0 if config is None else whole_episodes(env, config, context_length)
    per_token = (
        0 if config is None else 8 * config.n_layers * config.d_model
    )  # keys and values in single precision
    per_agent = BYTES_OF_AN_AGENT + n_steps * _bytes_of_a_step(env, record) + held * per_token
    if isinstance(plan, PlanConfig):
        futures, depth = _futures(env, plan), min(plan.depth, env.horizon)
        per_agent += (held + 2 * futures * depth) * per_token + futures * _branches(
            env, plan
        ) * BYTES_OF_A_FUTURE
    fits_memory(
        "number of agents x env steps",
        f"{n_agents} x {n_steps}",
        n_agents * per_agent,
        "fewer tasks, n_rollouts or n_episodes, a smaller plan, or record=False",
    )


def _branches(env: WorldConfig, plan: PlanConfig) -> int:
    """Actions that are tried in each future."""
    return domain_of(env).action.n or plan.candidates


def _futures(env: WorldConfig, plan: PlanConfig) -> int:
    """As many as there can be in the beam."""
    return min(plan.beam_width, _branches(env, plan) ** min(plan.depth, env.horizon, 30))


def _bytes_of_a_step(env: WorldConfig, record: bool) -> int:
    """Of one agent: once as it is recorded, once put together, and whole numbers once more as long
    integers."""
    domain = domain_of(env)
    spaces = [domain.reward]
    if record:
        spaces += [domain.action, domain.observation, domain.observation]
    switches = 3    # planned, and success or what is told of a plan
    stored = sum(space.n_bytes for space in spaces) + switches
    return 2 * stored + sum(8 for space in spaces if space.n is not None)


def check_rollout(
    model: Any,
    env: WorldConfig,
    tasks: Sequence[Task],
    n_rollouts: int,
    n_episodes: int,
    plan: PlanConfig | Callable | None,
    context_length: int | None,
    record: bool,
) -> None:
    """Everything that `rollout` refuses but for the tasks themselves, which the world knows."""
    check_model(model, env, tasks, plan)
    n_agents = len(tasks) * n_rollouts
    check_room(model, env, n_agents, n_episodes * env.horizon, plan, context_length, record)
