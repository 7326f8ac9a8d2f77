"""An agent, or what a config describes, on tasks that it never saw: one call, one table."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any

import pandas as pd

from dicp import results
from dicp.artifacts import load_or_train
from dicp.checks import Count, Seed, checked, refuse, text
from dicp.config import Config, ModelConfig, PlanConfig, WorldConfig
from dicp.config.env import named
from dicp.config.presets import ALONE
from dicp.config.registry import WorldName
from dicp.domain import domain_of
from dicp.envs import Task
from dicp.history.tasks import as_task
from dicp.rollout import Learner, rollout
from dicp.rollout_checks import a_plan

__all__ = ["evaluate", "make_env"]

OWN = "own"                        # the method of an agent that is none of ours, in tables


@checked
def make_env(
    env: WorldName | WorldConfig, tasks: Sequence[Task] | None = None, n_streams: Count = 1,
    seed: Seed = 0,
) -> Any:
    """`n_streams` agents in each of the tasks, stepped together: `reset()` gives observations
    [task stream ...], `step(action)` a `dicp.types.Step`.

    env: a name, as "darkroom", or a config, as `EnvConfig("darkroom", size=5)`. tasks: None is the
    held-out tasks of split 0. seed: of what is random in the world.
    (One environment for one agent: `gymnasium.make("dicp/Darkroom-v0")`.)
    Raises `ValueError` for a task of another world, and for more agents than the memory holds.
    """
    world = domain_of(named(env) if isinstance(env, str) else env)
    tasks = world.split(0)[1] if tasks is None else _as_tasks(tasks)
    world.check_tasks(tasks)
    return world.simulator(tasks, n_streams, seed)


@checked
def evaluate(
    agent: Config | Learner, plan: Annotated[PlanConfig | Callable | None, a_plan] = None, *,
    env: WorldConfig | None = None, tasks: Sequence[Task] | None = None,
    n_rollouts: Count | None = None, n_episodes: Count | None = None, seed: Seed = 0,
    greedy: bool = False, name: Annotated[str, text] | None = None,
) -> pd.DataFrame:
    """The result table of rollouts in held-out tasks: a row an episode (`dicp.results` reads it,
    and `dicp.plot.returns` draws it).

    agent: a config (its model is loaded, or trained now), a trained model, or an agent of your own
    (`dicp.rollout.Learner`). plan: None acts by the policy alone; a planner of your own, as
    `rollout` takes one. env: of an agent that does not say where it acts. tasks, n_rollouts,
    n_episodes: None is what the recorded results of that world use, in the config's split
    (split 0). name: what the table calls it, in the column `run`. Raises `ValueError` for a model
    of another world, a plan that it cannot carry out, and one that has no policy and no plan.
    """
    config = _config_of(agent, env)
    world, kind = domain_of(config.env), config.model.world_model
    n_tasks, usual = world.evaluation.rollouts(kind, plan)
    tasks = world.split(config.split)[1][:n_tasks] if tasks is None else _as_tasks(tasks)
    world.check_tasks(tasks)
    model = agent
    if isinstance(agent, Config):
        _check_before_training(config, plan)
        model = load_or_train(config).model
    n_episodes = n_episodes or world.evaluation.n_episodes
    rollouts = rollout(
        model, config.env, tasks, n_rollouts or usual, n_episodes, plan, seed, greedy, record=False
    )
    settings = {"run": name or _name_of(agent, config), "greedy": greedy}
    if not _is_ours(agent):
        is_control = getattr(agent, "name", None) in results.CONTROLS
        is_ours = type(agent).__module__.startswith("dicp.")      # somebody's own may have any name
        method = agent.name if is_control and is_ours else OWN
        settings |= {"method": method, "world_model": "none", "config_hash": "none"}
    return results.from_rollouts(rollouts, config, tasks, plan, rollout_seed=seed, **settings)


def _as_tasks(tasks: Sequence[Task]) -> list[Task]:
    """As they are stored; `ValueError` for none, and for one that is there twice."""
    tasks = [as_task(task) for task in tasks]
    if not tasks or len(set(tasks)) < len(tasks):
        raise refuse("tasks", tasks, "at least one, each once")
    return tasks


def _check_before_training(config: Config, plan: PlanConfig | Callable | None) -> None:
    """Raise `ValueError` for a plan that such a model could not carry out,
    however it is trained."""
    if isinstance(plan, PlanConfig):
        if config.model.world_model == "none":
            what = f"planner is {plan.planner!r}, but {config.method} has no world model"
            raise ValueError(f"{what}; allowed: no plan, or another world_model.")
        domain_of(config.env).check_plan(plan)
    elif plan is None and config.model.world_model in ALONE:
        allowed = f"a PlanConfig, because {config.method} has no policy of its own"
        raise refuse("plan", None, allowed)


def _is_ours(agent: Config | Learner) -> bool:
    """Whether a config says what it is."""
    return isinstance(agent, Config) or isinstance(getattr(agent, "config", None), ModelConfig)


def _config_of(agent: Config | Learner, env: WorldConfig | None) -> Config:
    """What describes it best."""
    if isinstance(agent, Config):
        if env not in (None, agent.env):
            raise refuse("env", env, "None, because the config says it")
        return agent
    env = env or getattr(agent, "env", None)
    if env is None:
        raise refuse("env", None, "a world's config, because this agent does not say where it acts")
    preset = Config.preset(env.name, task=env.task)
    if _is_ours(agent):
        return replace(preset, env=env, model=agent.config)
    context_length = env.horizon * max(preset.model.context_length // env.horizon, 1)
    return replace(preset, env=env, model=replace(preset.model, context_length=context_length))


def _name_of(agent: Config | Learner, config: Config) -> str:
    return config.method if _is_ours(agent) else getattr(agent, "name", type(agent).__name__)
