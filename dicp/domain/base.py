"""What the library asks of a world."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor

from dicp.checks import refuse
from dicp.config import PlanConfig, SourceConfig
from dicp.config.env import named
from dicp.config.presets import ALONE, Row
from dicp.config.world import WorldConfig
from dicp.domain.spaces import Scales, check_rows, check_spaces, check_task, column, unread_fields
from dicp.envs.tasks import Task
from dicp.types import Log, Space, Tokens


class NoTransition(NamedTuple):
    """What the fields of a token say where nothing has been done yet."""

    last_action: int
    last_reward: int
    outcome: int


class Evaluation(NamedTuple):
    """How long the rollouts are that are compared, in how many held-out tasks, and how many in
    each. Pairs: (tasks, rollouts in each)."""

    n_episodes: int = 50
    sizes: tuple[int | None, int] = (None, 8)       # None: all held-out tasks
    replanned: tuple[int | None, int] | None = None     # where a plan is made at every step
    alone: tuple[int | None, int] | None = None         # of a world model without a policy
    of_source: int | None = None        # streams of the source (None: as many as rollouts)

    def rollouts(self, world_model: str | None, plan: Any) -> tuple[int | None, int]:
        """(tasks, rollouts in each) of such an agent; plan: settings,
        a planner of somebody's own, None."""
        if world_model in ALONE:
            return self.alone or self.sizes
        plans_anew = isinstance(plan, PlanConfig) and plan.replan
        return (self.replanned if plans_anew else None) or self.sizes


MEANINGS = {
    "observation": "what the agent sees before the action",
    "action": "as executed",
    "reward": "for this action",
    "terminal_observation": "what the last action of the episode led to",
    "success": "1 where the task's criterion is met",
}


class Domain(ABC):
    """A world: its spaces, its tasks, its simulator, and what a token tells of a transition.

    A world of your own says its `config_class`, its spaces (in `__init__`, where they depend on the
    config), `split` and `make`; the rest has defaults. `dicp.register` makes it known
    under a name, `dicp.testing.check_world` tries all of it.
    """

    config_class: type[WorldConfig]
    observation: Space
    action: Space
    reward: Space = Space(2)                # 0 or 1
    says_success = False                    # a step tells whether the task's criterion is met
    moves_are_hidden = False                # what an action does differs from task to task
    rewards_once = False  # a goal gives its reward once an episode, then the next one
    # where each action leads from each of a few observations [variant observation action], if that
    # is known and the same in every task; where moves are hidden, each move
    leads_to: Tensor | None = None
    # at the horizon an episode is cut off, not over: what would have come counts for the source
    timeout_bootstraps = False
    evaluation = Evaluation()
    controls: Sequence[str] = ("random", "source")     # agents without a network, among the runs
    # settings that this world wants, beside the defaults: rows whose `when` needs no env
    presets: Sequence[Row] = ()
    # of the arrays in which learning histories are stored: what they hold, and their names where
    # these are not those of `dicp.types.Log`
    meanings: Mapping[str, str] = MEANINGS
    stored_names: Mapping[str, str] = {}

    def __init__(self, config: Any):
        self.config = config

    @classmethod
    def check_class(cls) -> None:
        """Raise `ValueError` unless the class can be a world's: all methods, and a config."""
        missing = sorted(cls.__abstractmethods__)
        if missing:
            lacks = f"{cls.__name__} lacks {', '.join(missing)}"
            raise ValueError(f"{lacks}; allowed: a domain with all methods of dicp.domain.Domain.")
        config = getattr(cls, "config_class", None)
        is_config = isinstance(config, type) and issubclass(config, WorldConfig)
        is_frozen = is_config and is_dataclass(config) and config.__dataclass_params__.frozen
        if not is_frozen or not {"name", "horizon"} <= {field.name for field in fields(config)}:
            allowed = "a frozen dataclass of the kind dicp.domain.WorldConfig with name and horizon"
            raise refuse(f"{cls.__name__}.config_class", config, allowed)
        check_rows(f"{cls.__name__}.presets", cls.presets)

    def check_spaces(self) -> None:
        """Raise `ValueError` where the library cannot learn with such spaces."""
        check_spaces(self)

    @property
    def name(self) -> str:
        """In files and tables: "darkroom", "metaworld-reach-v3"."""
        return self.config.name

    @property
    def max_reward(self) -> float:
        """Of a step."""
        return float(self.reward.bounds[1])

    # ---- tasks ----------------------------------------------------------------------------------

    @abstractmethod
    def split(self, seed: int) -> tuple[list[Task], list[Task]]:
        """(training, held-out) tasks: whole numbers, or tuples of numbers."""

    def source_tasks(self, source: SourceConfig, seed: int) -> list[Task]:
        """Those whose learning histories are collected together."""
        train, held_out = self.split(seed)
        return [*train, *held_out]

    def training_tasks(self, source: SourceConfig, seed: int) -> list[Task]:
        """Those of them that a model is trained on."""
        return self.split(seed)[0]

    def check_tasks(self, tasks: Sequence[Task]) -> None:
        """Raise `ValueError` for one that cannot be of this world: here, for a whole number that is
        in neither part of split 0, and for what is no tuple of numbers (or of such tuples)."""
        known = None
        for task in tasks:
            check_task(f"{self.config.name} task", task)
            if type(task) is int:
                known = known or set().union(*self.split(0))
                if task not in known:
                    raise refuse(f"{self.config.name} task", task, "one of split 0")

    def optimal_actions(
        self, tasks: Sequence[Task], push_walls: bool = False
    ) -> UInt8[Tensor, "task stage cell"]:
        """The optimal action for each observation, after each number of rewards in the episode that
        matters; `ValueError` where it is not known."""
        what = f"optimal actions are not known in {self.config.name}"
        raise ValueError(f"{what}; allowed: a grid, or a world whose domain has optimal_actions.")

    # ---- the simulator --------------------------------------------------------------------------

    @abstractmethod
    def make(self, tasks: Sequence[Task], n_streams: int) -> Any:
        """`n_streams` agents in each of the tasks, stepped together: `reset()` gives observations
        [task stream ...], `step` a `dicp.types.Step`; `t` counts the steps of the episode. After
        the last one of an episode the next begins by itself. Where `config.is_random` there is a
        third argument, the generator of its draws (None: one with seed 0)."""

    def make_for_source(self, tasks: Sequence[Task], n_streams: int, *generator: Any) -> Any:
        """The same as the source algorithm sees it; its observations (`source_observation`) may
        hold more numbers than those of other agents, which come first."""
        return self.make(tasks, n_streams, *generator)

    def simulator(
        self, tasks: Sequence[Task], n_streams: int, seed: int = 0, for_source: bool = False
    ) -> Any:
        """`make` or `make_for_source`; seed: of what is random. An agent that is seeded alike draws
        other numbers: else its actions would tell of the world's luck."""
        make = self.make_for_source if for_source else self.make
        if not self.config.is_random:
            return make(tasks, n_streams)
        own = int(np.random.SeedSequence((seed, 1)).generate_state(1)[0])
        return make(tasks, n_streams, torch.Generator().manual_seed(own))

    @property
    def source_observation(self) -> Space:
        """What the source sees."""
        return self.observation

    def max_return(self, tasks: Sequence[Task]) -> Shaped[Tensor, "task"]:
        """The highest possible return of an episode (where the world is random, the highest
        expected one); here, of the highest reward at every step: no agent can do better, and
        perhaps none comes close."""
        return torch.full((len(tasks),), float(self.max_reward * self.config.horizon))

    def check_moves(self, task: Task, log: Log) -> None:
        """Raise `ValueError` where the log of one task [stream, step ...] tells what cannot happen
        in it: here, for a reward that is none of those that there are."""
        if self.reward.values:
            self.reward.check(f"the reward in the log of {self.name}, task {task},", log.reward)

    def solved(
        self, returns: Shaped[Tensor, "task *rest"], tasks: Sequence[Task]
    ) -> Shaped[Tensor, "task *rest"]:
        """Which episodes count as solved, by their returns, where a step does not say so: here,
        those with at least half of the highest return."""
        highest = self.max_return(tasks).view(-1, *[1] * (returns.ndim - 1))
        return returns >= highest / 2

    # ---- what agents read -----------------------------------------------------------------------

    @property
    def no_transition(self) -> NoTransition:
        """Of numbers, 0; of what is one of a few, one more than there are."""
        n_actions, n_observations = self.action.n or 0, self.observation.n or 0
        return NoTransition(n_actions, 0, n_observations)

    def outcome(
        self, observation: Tensor, next_observation: Tensor, reward: Tensor, reward_before: Tensor
    ) -> Tensor:
        """What a token tells of where an action led. One of a few: the next observation. Numbers
        [*batch 2 n + 1]: the next ones, and by how much they and the reward have changed: small
        differences of large numbers, hard to read off two tokens."""
        if self.observation.is_discrete:
            return next_observation
        change = next_observation - observation
        return torch.cat((next_observation, change, (reward - reward_before)[..., None]), dim=-1)

    @property
    def scales(self) -> Scales:
        """By what a model divides the numbers of this world."""
        return Scales.of(self.observation, self.max_reward)

    # ---- plans and tables -----------------------------------------------------------------------

    @property
    def unread(self) -> Mapping[str, Any]:
        """Of a plan, what this world does not read: the only values that are allowed."""
        return unread_fields(self.action)

    def check_plan(self, plan: PlanConfig) -> None:
        """Raise `ValueError` for a field that would have no effect here."""
        for name, value in self.unread.items():
            if getattr(plan, name) != value:
                allowed = f"{value!r} in {self.config.name}, where nothing reads it"
                raise refuse(f"plan.{name}", getattr(plan, name), allowed)

    @property
    def columns(self) -> dict[str, Any]:
        """What a result table says besides the world's name: what is not as in its preset."""
        config = self.config
        usual = named(config.name)
        names = [field.name for field in fields(usual)]
        differs = [name for name in names if getattr(config, name) != getattr(usual, name)]
        return {f"env_{name}": column(getattr(config, name)) for name in differs}

    def first_tokens(self, observation: Tensor) -> Tokens:
        """What agents read that have done nothing yet."""
        batch, none = len(observation), self.no_transition
        action = self.action.full(batch, none.last_action)
        reward = self.reward.full(batch, none.last_reward)
        like = self.outcome(observation, observation, reward, reward)
        outcome = torch.full_like(like, none.outcome)
        return Tokens(observation, action, reward, outcome, torch.ones(batch).long())
