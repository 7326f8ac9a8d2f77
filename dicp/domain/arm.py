"""The tasks of Meta-World."""

from collections.abc import Sequence
from functools import cache

import torch
from jaxtyping import Shaped
from torch import Tensor

from dicp.checks import refuse
from dicp.config import MetaWorldConfig, SourceConfig
from dicp.domain.base import MEANINGS, Domain, NoTransition
from dicp.envs.metaworld import ml1_instances
from dicp.envs.tasks import Task
from dicp.envs.worlds import N_NUMBERS, SeenMetaWorld
from dicp.types import Log, Space


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
