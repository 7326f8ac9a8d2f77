"""Meta-World as a rollout sees it: in tensors, with the numbers that agents see."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dicp.checks import Count, Whole, checked, refuse
from dicp.config import MetaWorldConfig
from dicp.envs.metaworld import MetaWorld, WorldState
from dicp.envs.tasks import Instance
from dicp.types import Step

__all__ = ["N_NUMBERS", "SeenMetaWorld"]

N_NUMBERS = 39                          # of the library's observation


class SeenMetaWorld:
    """Meta-World with the numbers that agents see, in single precision."""

    @checked
    def __init__(
        self, env: MetaWorldConfig, tasks: Sequence[Instance], n_streams: Count,
        n_numbers: Annotated[int, Whole(1, N_NUMBERS)] | None = None,
    ):
        """n_numbers: the first so many of the library's (None: `env.n_observed`)."""
        self.world, self.tasks = MetaWorld(env.task, tasks, n_streams, env.horizon), tasks
        self.n_observed = n_numbers or env.n_observed

    @property
    def t(self) -> int:
        return self.world.t

    def reset(self) -> Float[Tensor, "task stream n_observed"]:
        return self._seen(self.world.reset())

    def step(self, action: Float[Tensor, "task stream 4"]) -> Step:
        """Take one action everywhere. Raises `ValueError` as `MetaWorld.step`."""
        if not isinstance(action, Tensor) or action.dtype == torch.bool or action.is_complex():
            raise refuse("action", action, "a tensor of real numbers, (task, stream, 4)")
        step = self.world.step(action.detach().double().numpy())
        next_observation = self._seen(step.next_observation)
        observation = self._seen(step.observation)
        return Step(
            torch.from_numpy(step.reward).float(), next_observation, observation, step.done,
            torch.from_numpy(step.success),
        )

    def get_state(self) -> WorldState:
        """Everything that `set_state` needs, in copies."""
        return self.world.get_state()

    @checked
    def set_state(self, state: WorldState) -> Float[Tensor, "task stream n_observed"]:
        """Go on from there, as often as one likes. Raises `ValueError` as `MetaWorld.set_state`."""
        return self._seen(self.world.set_state(state))

    def _seen(self, observation: np.ndarray) -> Tensor:
        return torch.from_numpy(observation[..., : self.n_observed]).float()
