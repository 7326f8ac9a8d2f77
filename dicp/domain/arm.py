"""The tasks of Meta-World."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from dicp.checks import refuse
from dicp.config import MetaWorldConfig, SourceConfig
from dicp.domain.base import MEANINGS, Domain, Evaluation
from dicp.domain.spaces import Scales
from dicp.envs.metaworld import ml1_instances
from dicp.envs.tasks import Task
from dicp.envs.worlds import N_NUMBERS, SeenMetaWorld
from dicp.types import Space

# of hand x, y, z, gripper opening, object x, y, z, q0 to q3, and the same seven of a second object
CENTRE = (0.0, 0.65, 0.2, 0.5, 0.0, 0.65, 0.1, *[0.0] * 4, 0.0, 0.65, 0.1, *[0.0] * 4)
SCALE = (0.1, 0.1, 0.1, 0.5, 0.1, 0.1, 0.1, *[1.0] * 4, 0.1, 0.1, 0.1, *[1.0] * 4)
CHANGE = (0.01, 0.01, 0.01, 0.1, 0.01, 0.01, 0.01, *[0.1] * 4, 0.01, 0.01, 0.01, *[0.1] * 4)


# As many episodes as in the paper (its tables of all tasks: 200).
ML1_EPISODES = {
    "reach-v3": 100, "push-v3": 300, "sweep-v3": 500, "pick-place-v3": 2000,
    "peg-insert-side-v3": 2000,
}


class ArmDomain(Domain):
    """A task of Meta-World; its instances are what other worlds call tasks."""

    config_class = MetaWorldConfig
    config: MetaWorldConfig
    reward, max_reward = Space(), 10.0
    says_success = timeout_bootstraps = True
    meanings = MEANINGS | {
        "action": "as executed, each from -1 to 1: hand x, y, z, gripper",
        "reward": "for this action, 0 to 10",
    }

    def __init__(self, config: MetaWorldConfig):
        super().__init__(config)
        self.observation = Space(shape=(config.n_observed,))
        self.action = Space(shape=(config.d_action,), low=-1, high=1)

    @property
    def evaluation(self) -> Evaluation:
        """One rollout in each of the 50 held-out instances; of the source its ten streams."""
        return Evaluation(ML1_EPISODES.get(self.config.task, 200), sizes=(None, 1), of_source=10)

    @property
    def name(self) -> str:
        return f"{self.config.name}-{self.config.task}"

    @property
    def scales(self) -> Scales:
        """Metres, and shares of what a gripper can open."""
        n = self.config.n_observed
        return Scales(CENTRE[:n], SCALE[:n], CHANGE[:n], self.max_reward, reward_change=0.1)

    def split(self, seed: int) -> tuple[list[Task], list[Task]]:
        """The 50 + 50 instances of `ML1(task, seed=2 * seed)`; twice, because there the test
        instances of one seed are the train instances of the next."""
        return tuple(map(list, instances_of(self.config.task, 2 * seed)))

    def source_tasks(self, source: SourceConfig, seed: int) -> list[Task]:
        """The split's training instances,
        and for the source's own curve the first held-out ones."""
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

    def check_tasks(self, tasks: Sequence[Task]) -> None:
        """An instance is a list of coordinates; whether there is such a one shows as it is made."""
        for task in tasks:
            if not isinstance(task, tuple) or any(isinstance(part, tuple) for part in task):
                allowed = "the coordinates of an instance, as numbers"
                raise refuse(f"{self.config.task} task", task, allowed)

    @property
    def columns(self) -> dict[str, Any]:
        """The column `task` names the instance."""
        others = {name: value for name, value in super().columns.items() if name != "env_task"}
        return {"ml1_task": self.config.task} | others


@cache
def instances_of(task: str, seed: int) -> tuple[list[Task], list[Task]]:
    """`ml1_instances`, made once."""
    return ml1_instances(task, seed)
