"""Every world as a rollout sees it: a batch of tasks, stepped together, in tensors."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dicp.config import Env, EnvConfig, MetaWorldConfig
from dicp.envs.grid import GridWorld
from dicp.envs.metaworld import MetaWorld
from dicp.envs.tasks import Instance, Task


class Outcome(NamedTuple):
    """One transition of every agent, as `GridStep`."""

    reward: Float[Tensor, "task stream"]
    next_observation: Float[Tensor, "task stream n_observed"]
    observation: Float[Tensor, "task stream n_observed"]
    done: bool
    success: Bool[Tensor, "task stream"]


class SeenMetaWorld:
    """Meta-World with the numbers that agents see, in single precision."""

    def __init__(self, env: MetaWorldConfig, tasks: Sequence[Instance], n_streams: int):
        self.world, self.tasks, self.n_observed = MetaWorld(env.task, tasks, n_streams, env.horizon), tasks, env.n_observed
        self.max_return = torch.full((len(tasks),), 10.0 * env.horizon)      # nobody can do better; few come close

    @property
    def t(self) -> int:
        return self.world.t

    def reset(self) -> Float[Tensor, "task stream n_observed"]:
        return self._seen(self.world.reset())

    def step(self, action: Float[Tensor, "task stream 4"]) -> Outcome:
        step = self.world.step(action.double().numpy())
        seen, observation = self._seen(step.next_observation), self._seen(step.observation)
        return Outcome(torch.from_numpy(step.reward).float(), seen, observation, step.done, torch.from_numpy(step.success))

    def _seen(self, observation: np.ndarray) -> Tensor:
        return torch.from_numpy(observation[..., : self.n_observed]).float()


def world_of(env: Env, tasks: Sequence[Task], n_streams: int) -> GridWorld | SeenMetaWorld:
    """`n_streams` agents in each of the tasks."""
    return (GridWorld if isinstance(env, EnvConfig) else SeenMetaWorld)(env, tasks, n_streams)
