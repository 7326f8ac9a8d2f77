"""Meta-World's scripted experts as controls: one that is told the goal, and one that goes blindly
for the mean training goal.

Neither learns, remembers or sees a reward. What acts no better than the blind one need not have
found out anything of its instance.
"""

import warnings
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dicp.checks import Count, OneOf, checked, refuse
from dicp.config import MetaWorldConfig
from dicp.envs.metaworld import MetaWorld
from dicp.envs.metaworld_import import libraries
from dicp.envs.tasks import Instance
from dicp.types import Tokens

__all__ = ["ScriptedExpert", "blind_expert", "informed_expert"]

N_IN_LIBRARY, GOAL = 39, slice(36, 39)              # numbers of the library's observation


class ScriptedExpert:
    """The library's expert of a task, the same in every episode. It sees what agents see,
    and a goal.

    goals: of each task [m], (task, 3). name: as which it is recorded. Roll it out with
    `greedy=True`: it has no noise.
    """

    can_plan = False

    @checked
    def __init__(
        self, env: MetaWorldConfig, tasks: Sequence[Instance], goals: Float[Tensor, "task 3"],
        name: Annotated[str, OneOf(("blind", "informed"))] = "informed",
    ):
        if len(goals) != len(tasks):
            raise refuse("goals", goals, f"one for each of the {len(tasks)} tasks")
        libraries()                                 # or a sentence that says what is missing
        from metaworld.policies import ENV_POLICY_MAP

        self.env, self.tasks, self.goals, self.name = env, list(tasks), goals, name
        self._policy = ENV_POLICY_MAP[env.task]()

    @checked
    def begin(
        self, batch: Count, context_length: Count | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch 3"]:
        """Each agent's goal: all there is to know. batch: as many agents in each task."""
        if batch % len(self.tasks):
            raise refuse("batch", batch, f"a multiple of the number of tasks, {len(self.tasks)}")
        return self.goals.repeat_interleave(batch // len(self.tasks), 0)

    def observe(
        self, context: Float[Tensor, "batch 3"], tokens: Tokens
    ) -> Float[Tensor, "batch 8"]:
        """Its action, at most 1 in size as the arm takes it, and the log of a tiny spread."""
        observation = np.zeros((len(context), N_IN_LIBRARY))
        observation[:, : tokens.observation.shape[1]] = tokens.observation
        observation[:, GOAL] = context
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")         # the library's: a number that is not a command
            action = np.array([self._policy.get_action(row) for row in observation])
        mean = torch.from_numpy(action).float().clamp(-1, 1)
        return torch.cat([mean, torch.full_like(mean, -10)], -1)


@checked
def informed_expert(env: MetaWorldConfig, tasks: Sequence[Instance]) -> ScriptedExpert:
    """The expert that is told each task's goal."""
    return ScriptedExpert(env, tasks, _goals(env, tasks))


@checked
def blind_expert(
    env: MetaWorldConfig, tasks: Sequence[Instance], training: Sequence[Instance]
) -> ScriptedExpert:
    """The expert that goes for the mean goal of the training instances, whatever the task."""
    mean = _goals(env, training).mean(0, keepdim=True)
    return ScriptedExpert(env, tasks, mean.expand(len(tasks), -1), "blind")


def _goals(env: MetaWorldConfig, tasks: Sequence[Instance]) -> Float[Tensor, "task 3"]:
    return torch.from_numpy(MetaWorld(env.task, tasks, 1, env.horizon).goal)
