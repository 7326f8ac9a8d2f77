"""Noisy Darkroom: how often must a cell have been tried in vain?"""

from collections.abc import Sequence

import torch
from jaxtyping import Shaped
from torch import Tensor

from dicp.checks import refuse
from dicp.config.env import NoisyConfig
from dicp.config.parts import SourceConfig
from dicp.config.presets import ALONE, Row
from dicp.domain.base import Evaluation
from dicp.domain.rooms import TabularRoomDomain
from dicp.envs.tabular import NoisyTabularWorld
from dicp.envs.tasks import Task, a_goal, all_tasks, is_cell, split_tasks


class NoisyDomain(TabularRoomDomain):
    """A task is the cell of the goal."""

    config_class = NoisyConfig
    config: NoisyConfig
    evaluation = Evaluation(sizes=(8, 8), alone=(8, 4))
    presets = (
        Row(
            {"world_model": ALONE},
            model={"n_layers": 2, "n_lines": 4, "context_length": 400},
            train={
                "data": "first_episodes", "batch_size": 32, "updates": 2000, "n_compared": 100,
                "learning_rate": 0.005,
            },
        ),
        Row({"planner": "bayes"}, plan={"rewards_persist": True}),
    )

    def split(self, seed: int) -> tuple[list[Task], list[Task]]:
        """Darkroom's: nine cells of ten are for training."""
        return split_tasks("darkroom", seed, self.config.size)

    def source_tasks(self, source: SourceConfig, seed: int) -> list[Task]:
        """All cells: they serve every split."""
        return all_tasks("darkroom", self.config.size)

    def check_tasks(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            if not is_cell(task, self.config.size):
                raise refuse(f"{self.config.name} task", task, a_goal(self.config.size))

    def rewards_at(self, tasks: Sequence[Task]) -> Shaped[Tensor, "task cell"]:
        rewards, size = super().rewards_at(tasks), self.config.size
        rewards[torch.arange(len(tasks)), [x * size + y for x, y in tasks]] = 1
        return rewards

    def solved(
        self, returns: Shaped[Tensor, "task *rest"], tasks: Sequence[Task]
    ) -> Shaped[Tensor, "task *rest"]:
        """Once there was a reward."""
        return returns >= 1

    def make(
        self, tasks: Sequence[Task], n_streams: int, generator: torch.Generator | None = None
    ) -> NoisyTabularWorld:
        self.check_tasks(tasks)
        how = self.config.horizon, n_streams, self.start, self.config.p_reward, generator
        return NoisyTabularWorld(self.leads_to, self.rewards_at(tasks), *how)
