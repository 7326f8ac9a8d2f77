"""Every world as a rollout sees it: a batch of tasks, stepped together, in tensors."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dicp.checks import Count, checked, refuse
from dicp.config import Env, EnvConfig, MetaWorldConfig
from dicp.envs.grid import GridWorld
from dicp.envs.metaworld import MetaWorld
from dicp.envs.tasks import Instance, Task

__all__ = ["Outcome", "SeenMetaWorld", "world_of"]


class Outcome(NamedTuple):
    """One transition of every agent, as `GridStep`."""

    reward: Float[Tensor, "task stream"]
    next_observation: Float[Tensor, "task stream n_observed"]
    observation: Float[Tensor, "task stream n_observed"]
    done: bool
    success: Bool[Tensor, "task stream"]


class SeenMetaWorld:
    """Meta-World with the numbers that agents see, in single precision."""

    @checked
    def __init__(self, env: MetaWorldConfig, tasks: Sequence[Instance], n_streams: Count):
        self.world, self.tasks = MetaWorld(env.task, tasks, n_streams, env.horizon), tasks
        self.n_observed = env.n_observed
        highest = 10.0 * env.horizon                        # nobody can do better; few come close
        self.max_return = torch.full((len(tasks),), highest)

    @property
    def t(self) -> int:
        return self.world.t

    def reset(self) -> Float[Tensor, "task stream n_observed"]:
        return self._seen(self.world.reset())

    def step(self, action: Float[Tensor, "task stream 4"]) -> Outcome:
        """Take one action everywhere. Raises `ValueError` as `MetaWorld.step`."""
        if not isinstance(action, Tensor) or action.dtype == torch.bool or action.is_complex():
            raise refuse("action", action, "a tensor of real numbers, (task, stream, 4)")
        step = self.world.step(action.detach().double().numpy())
        seen, observation = self._seen(step.next_observation), self._seen(step.observation)
        return Outcome(torch.from_numpy(step.reward).float(), seen, observation, step.done, torch.from_numpy(step.success))

    def _seen(self, observation: np.ndarray) -> Tensor:
        return torch.from_numpy(observation[..., : self.n_observed]).float()


@checked
def world_of(env: Env, tasks: Sequence[Task], n_streams: Count) -> GridWorld | SeenMetaWorld:
    """`n_streams` agents in each of the tasks. Raises `ValueError` for a task of another world and
    for more agents than the memory holds."""
    return (GridWorld if isinstance(env, EnvConfig) else SeenMetaWorld)(env, tasks, n_streams)
