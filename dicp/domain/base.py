"""What the library asks of a world."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor

from dicp.checks import refuse
from dicp.config import PlanConfig, SourceConfig
from dicp.envs.tasks import Task
from dicp.types import Log, Space, Tokens


class NoTransition(NamedTuple):
    """What the fields of a token say where nothing has been done yet."""

    last_action: int
    last_reward: int
    arrived: int


MEANINGS = {
    "observation": "what the agent sees before the action",
    "action": "as executed",
    "reward": "for this action",
    "terminal_observation": "what the last action of the episode led to",
    "success": "1 where the task's criterion is met",
}


class Domain(ABC):
    """A world: its spaces, its tasks, its simulator, and what a token tells of a transition."""

    observation: Space
    action: Space
    reward: Space
    max_reward: float                       # of a step
    no_transition: NoTransition
    name: str                               # in files and tables: "darkroom", "metaworld-reach-v3"
    says_success = False                    # a step tells whether the task's criterion is met
    moves_are_hidden = False                # what an action does differs from task to task
    pays_once = False                       # a goal pays once an episode, then the next one does
    # at the horizon an episode is cut off, not over: what would have come counts for the source
    timeout_bootstraps = False
    # of the arrays in which learning histories are stored: what they hold, and their names where
    # these are not those of `dicp.types.Log`
    meanings: Mapping[str, str] = MEANINGS
    stored_names: Mapping[str, str] = {}

    def __init__(self, config: Any):
        self.config = config

    @abstractmethod
    def split(self, seed: int) -> tuple[list[Task], list[Task]]:
        """(training, held-out) tasks."""

    @abstractmethod
    def source_tasks(self, source: SourceConfig, seed: int) -> list[Task]:
        """Those whose learning histories are collected together."""

    @abstractmethod
    def training_tasks(self, source: SourceConfig, seed: int) -> list[Task]:
        """Those of them that a model is trained on."""

    @abstractmethod
    def make(self, tasks: Sequence[Task], n_streams: int) -> Any:
        """`n_streams` agents in each of the tasks, stepped together: `reset()` gives observations
        [task stream ...], `step` a `dicp.types.Step`."""

    def make_for_source(self, tasks: Sequence[Task], n_streams: int) -> Any:
        """The same as the source algorithm sees it; its observations (`source_observation`) may hold
        more numbers than those of other agents, which come first."""
        return self.make(tasks, n_streams)

    @property
    def source_observation(self) -> Space:
        """What the source sees."""
        return self.observation

    @abstractmethod
    def max_return(self, tasks: Sequence[Task]) -> Shaped[Tensor, "task"]:
        """The highest possible return of an episode."""

    @abstractmethod
    def outcome(
        self, observation: Tensor, next_observation: Tensor, reward: Tensor, reward_before: Tensor
    ) -> Tensor:
        """What a token tells of where an action led."""

    @abstractmethod
    def check_tasks(self, tasks: Sequence[Task]) -> None:
        """Raise `ValueError` for one that cannot be of this world."""

    @abstractmethod
    def check_moves(self, task: Task, log: Log) -> None:
        """Raise `ValueError` where the log of one task [stream, step ...] tells what cannot happen
        in it."""

    def optimal_actions(
        self, tasks: Sequence[Task], push_walls: bool = False
    ) -> UInt8[Tensor, "task stage cell"]:
        """The optimal action for each observation, after each number of rewards in the episode that
        matters; `ValueError` where nobody knows it."""
        raise ValueError(f"optimal actions are not known in {self.config.name}; allowed: a grid.")

    # of a plan, what this world does not read: the only values that are allowed
    unread: Mapping[str, Any] = {}

    def check_plan(self, plan: PlanConfig) -> None:
        """Raise `ValueError` for a field that would have no effect here."""
        for name, value in self.unread.items():
            if getattr(plan, name) != value:
                allowed = f"{value!r} in {self.config.name}, where nothing reads it"
                raise refuse(f"plan.{name}", getattr(plan, name), allowed)

    @property
    def columns(self) -> dict[str, str]:
        """What a result table says besides the world's name."""
        return {}

    def first_tokens(self, observation: Tensor) -> Tokens:
        """What agents read that have done nothing yet."""
        batch, none = len(observation), self.no_transition
        action = self.action.full(batch, none.last_action)
        reward = self.reward.full(batch, none.last_reward)
        like = self.outcome(observation, observation, reward, reward)
        arrived = torch.full_like(like, none.arrived)
        return Tokens(observation, action, reward, arrived, torch.ones(batch).long())
