"""What the library has to know of a world, in one object: `domain_of(env)`, made from its config.

Where worlds differ the library asks this object, or branches on its observation and action spaces.
(Not everywhere yet: the stores of learning histories and some models still ask for the config's
type.)
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor

from dicp.checks import Count, checked, refuse
from dicp.config import Env, EnvConfig, MetaWorldConfig, PlanConfig, SourceConfig
from dicp.envs.grid import GridRules, GridState, GridWorld
from dicp.envs.metaworld import ml1_instances
from dicp.envs.tasks import SplitSeed, Task, all_tasks, check_tasks, split_tasks
from dicp.envs.worlds import N_NUMBERS, SeenMetaWorld
from dicp.types import Log, Space, Tokens

__all__ = ["domain_of", "split_of", "world_of"]


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


class GridDomain(Domain):
    """The three grids: an observation is a cell, a reward 0 or 1."""

    config: EnvConfig
    reward, max_reward = Space(2), 1.0
    meanings = MEANINGS | {
        "observation": "where the agent is before the action: x * size + y",
        "action": "+x, -x, +y, -y, stay",
        "reward": "0 or 1, for this action",
        "terminal_observation": "where the last action of the episode led",
    }
    stored_names = {"observation": "cell", "terminal_observation": "terminal_cell"}
    unread = {"candidates": PlanConfig.candidates}         # all actions are tried

    def __init__(self, config: EnvConfig):
        super().__init__(config)
        side = config.size
        self.observation = Space(config.n_cells, coordinates_below=(side, side))
        self.action = Space(config.n_actions)
        self.no_transition = NoTransition(config.n_actions, 0, config.n_cells)
        self.name = config.name
        # what an action does differs from task to task
        self.moves_are_hidden = config.name == "darkroom_permuted"
        # a goal pays once an episode, and the next one only after it
        self.pays_once = config.name == "dark_key_to_door"

    def split(self, seed: int) -> tuple[list[Task], list[Task]]:
        return split_tasks(self.config.name, seed, self.config.size)

    def source_tasks(self, source: SourceConfig, seed: int) -> list[Task]:
        """All tasks of the world: they serve every split."""
        return all_tasks(self.config.name, self.config.size)

    def training_tasks(self, source: SourceConfig, seed: int) -> list[Task]:
        return self.split(seed)[0]

    def make(self, tasks: Sequence[Task], n_streams: int) -> GridWorld:
        return GridWorld(self.config, tasks, n_streams)

    def max_return(self, tasks: Sequence[Task]) -> Shaped[Tensor, "task"]:
        return GridRules.of(self.config, tasks).max_return(self.config.horizon)

    def outcome(
        self, observation: Tensor, next_observation: Tensor, reward: Tensor, reward_before: Tensor
    ) -> Tensor:
        """The cell."""
        return next_observation

    def check_tasks(self, tasks: Sequence[Task]) -> None:
        check_tasks(self.config, tasks)

    def check_moves(self, task: Task, log: Log) -> None:
        """Each action must lead where the rules say (mostly a cell after the reset was taken for
        the terminal one)."""
        config, rules = self.config, GridRules.of(self.config, [task])
        led_to = rules.next_cell[0, log.observation.int(), log.action.int()]
        wrong = led_to != log.next_observation
        wrong[:, :: config.horizon] |= log.observation[:, :: config.horizon] != rules.start
        if wrong.any():
            stream, step = wrong.nonzero()[0].tolist()
            where = f"{config.name}, task {task}, stream {stream}, step {step}"
            allowed = "true moves, terminal observations before the reset"
            raise ValueError(f"The log of {where} breaks the rules; allowed: {allowed}.")

    def optimal_actions(
        self, tasks: Sequence[Task], push_walls: bool = False
    ) -> UInt8[Tensor, "task stage cell"]:
        """Of the shortest ways the one along the longer leg first: it turns early, so a walk soon
        shows two of its actions, not one. `push_walls`: on a goal by the wall push against it. That
        is as good as to stay, and where nobody knows which action stays (Darkroom-Permuted), the way
        there has shown which one pushes."""
        rules = GridRules.of(self.config, tasks)
        cell = torch.arange(self.config.n_cells).expand(len(rules.goals), -1)
        stages = (torch.full_like(cell, stage) for stage in range(rules.goals.shape[1]))
        how = dict(longer_leg_first=True, push_walls=push_walls)
        actions = [rules.optimal_action(GridState(cell, stage), **how) for stage in stages]
        return torch.stack(actions, dim=1).to(torch.uint8)


class ArmDomain(Domain):
    """A task of Meta-World; its instances are what other worlds call tasks."""

    config: MetaWorldConfig
    reward, max_reward = Space(), 10.0
    no_transition = NoTransition(0, 0, 0)
    says_success = timeout_bootstraps = True
    # the likeliest reward is the expected one, candidates have no order, and reality never is
    # exactly what was imagined
    unread = {
        "rank": "mean", "ties": "order", "replan": True, "weigh_paths": False, "curiosity": 0.0,
        "deduplicate": False, "needs_reward": False, "draws_goal": False,
    }
    meanings = MEANINGS | {
        "action": "as executed, each from -1 to 1: hand x, y, z, gripper",
        "reward": "for this action, 0 to 10",
    }

    def __init__(self, config: MetaWorldConfig):
        super().__init__(config)
        self.observation = Space(shape=(config.n_observed,))
        self.action = Space(shape=(config.d_action,), low=-1, high=1)
        self.name = f"{config.name}-{config.task}"

    def split(self, seed: int) -> tuple[list[Task], list[Task]]:
        """The 50 + 50 instances of `ML1(task, seed=2 * seed)`; twice, because there the test
        instances of one seed are the train instances of the next."""
        return tuple(map(list, instances_of(self.config.task, 2 * seed)))

    def source_tasks(self, source: SourceConfig, seed: int) -> list[Task]:
        """The split's training instances, and for the source's own curve the first held-out ones."""
        train, held_out = self.split(seed)
        return [*train[: source.train_instances], *held_out[: source.test_instances]]

    def training_tasks(self, source: SourceConfig, seed: int) -> list[Task]:
        return self.split(seed)[0][: source.train_instances]

    def make(self, tasks: Sequence[Task], n_streams: int) -> SeenMetaWorld:
        return SeenMetaWorld(self.config, tasks, n_streams)

    def make_for_source(self, tasks: Sequence[Task], n_streams: int) -> SeenMetaWorld:
        """With all numbers of the library's observation, those of the last step among them."""
        return SeenMetaWorld(self.config, tasks, n_streams, N_NUMBERS)

    @property
    def source_observation(self) -> Space:
        return Space(shape=(N_NUMBERS,))

    def max_return(self, tasks: Sequence[Task]) -> Shaped[Tensor, "task"]:
        """Nobody can do better than this; few come close."""
        return torch.full((len(tasks),), self.max_reward * self.config.horizon)

    def outcome(
        self, observation: Tensor, next_observation: Tensor, reward: Tensor, reward_before: Tensor
    ) -> Tensor:
        """[*batch 2 n_observed + 1]: the next observation, and by how much it and the reward have
        changed: small differences of large numbers, hard to read off two tokens."""
        change = next_observation - observation
        return torch.cat((next_observation, change, (reward - reward_before)[..., None]), dim=-1)

    def check_tasks(self, tasks: Sequence[Task]) -> None:
        """An instance is a list of coordinates; whether there is such a one shows as it is made."""
        for task in tasks:
            if not isinstance(task, tuple) or any(isinstance(part, tuple) for part in task):
                allowed = "the coordinates of an instance, as numbers"
                raise refuse(f"{self.config.task} task", task, allowed)

    def check_moves(self, task: Task, log: Log) -> None:
        """Nothing that is finite is impossible, as far as we know."""

    @property
    def columns(self) -> dict[str, str]:
        """The column `task` names the instance."""
        return {"ml1_task": self.config.task}


@cache
def instances_of(task: str, seed: int) -> tuple[list[Task], list[Task]]:
    """`ml1_instances`, made once."""
    return ml1_instances(task, seed)


DOMAINS: dict[type, type[Domain]] = {EnvConfig: GridDomain, MetaWorldConfig: ArmDomain}


@checked
def domain_of(env: Env) -> Domain:
    """The world that a config describes. Raises `ValueError` for anything else."""
    return made(env)


@cache
def made(env: Env) -> Domain:
    """The same object for the same config."""
    kind = next(kind for config, kind in DOMAINS.items() if isinstance(env, config))
    return kind(env)


@checked
def split_of(env: Env, seed: SplitSeed) -> tuple[list[Task], list[Task]]:
    """(training, held-out) tasks of any world. Raises `ValueError` for another world or seed."""
    return made(env).split(seed)


@checked
def world_of(env: Env, tasks: Sequence[Task], n_streams: Count) -> GridWorld | SeenMetaWorld:
    """`n_streams` agents in each of the tasks. Raises `ValueError` for a task of another world and
    for more agents than the memory holds."""
    return made(env).make(tasks, n_streams)
