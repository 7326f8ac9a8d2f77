"""Dark Treasure: is it worth to leave the small one and search for the large one?"""

import random
from collections.abc import Sequence

from jaxtyping import Shaped
from torch import Tensor

from dicp.checks import refuse
from dicp.config.env import TreasureConfig
from dicp.config.presets import ALONE, Row
from dicp.domain.base import Evaluation
from dicp.domain.rooms import TabularRoomDomain
from dicp.envs.tabular import TabularWorld
from dicp.envs.tasks import Cell, Task, is_key_and_door
from dicp.types import Space

LARGE = 1.0
ROUNDING = 1e-3            # sums of rewards that are equal differ by less


class TreasureDomain(TabularRoomDomain):
    """A task is (cell of the small treasure, cell of the large one)."""

    config_class = TreasureConfig
    config: TreasureConfig
    controls = (*TabularRoomDomain.controls, "exact_belief_250")
    evaluation = Evaluation(sizes=(16, 8), alone=(16, 2))
    presets = (
        Row(
            {},
            source={
                "n_streams": 50, "keep_streams": 50, "env_steps": 2000, "batch_size": 100,
                "n_epochs": 10,
            },
            model={"context_length": 250}, train={"batch_size": 32},
        ),
        Row(
            {"world_model": ALONE},
            model={"n_layers": 2, "n_lines": 4},
            # each token counts once: how many cells were searched is to be seen
            train={
                "data": "first_episodes", "updates": 2500, "n_compared": 50, "learning_rate": 0.005,
            },
        ),
        Row({"planner": ("paper", "gated")}, plan={"depth": 16, "start_after": 250}),
        Row({"planner": "gated"}, plan={"start_after": 0}),
        Row({"planner": "bayes"}, plan={"rewards_persist": True, "discount": 1.0, "depth": 35}),
    )

    def __init__(self, config: TreasureConfig):
        super().__init__(config)
        self.reward = Space(3, values=(0.0, config.small_reward, LARGE))

    def split(self, seed: int) -> tuple[list[Task], list[Task]]:
        """Pairs of different cells, drawn without replacement."""
        config, drawn = self.config, random.Random(seed)
        n_cells, n_tasks = config.n_cells, config.n_train + config.n_held_out
        pairs = drawn.sample(range(n_cells * (n_cells - 1)), n_tasks)
        tasks = [self.task_of(*divmod(pair, n_cells - 1)) for pair in pairs]
        return tasks[: config.n_train], tasks[config.n_train :]

    def task_of(self, small: int, other: int) -> tuple[Cell, Cell]:
        """other: the large one's number among the cells that are left."""
        size = self.config.size
        return divmod(small, size), divmod(other + (other >= small), size)

    def check_tasks(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            if not is_key_and_door(task, self.config.size) or tuple(task[0]) == tuple(task[1]):
                top = self.config.size - 1
                allowed = f"((x, y), (x, y)), two different cells, whole numbers from 0 to {top}"
                raise refuse(f"{self.config.name} task", task, allowed)

    def rewards_at(self, tasks: Sequence[Task]) -> Shaped[Tensor, "task cell"]:
        rewards, size = super().rewards_at(tasks), self.config.size
        for row, ((small_x, small_y), (large_x, large_y)) in zip(rewards, tasks, strict=True):
            row[small_x * size + small_y] = self.config.small_reward
            row[large_x * size + large_y] = LARGE
        return rewards

    def solved(
        self, returns: Shaped[Tensor, "task *rest"], tasks: Sequence[Task]
    ) -> Shaped[Tensor, "task *rest"]:
        """Where an episode brings more than it can with the small treasure alone: the large one was
        found, and early enough to be worth it. (Where the small one alone is best, in none.)"""
        without = self.rewards_at(tasks).clamp(max=self.config.small_reward)
        for row, (_, (x, y)) in zip(without, tasks, strict=True):
            row[x * self.config.size + y] = 0
        alone = TabularWorld(self.leads_to, without, self.config.horizon, 1, self.start).max_return
        return returns > alone.view(-1, *[1] * (returns.ndim - 1)) + ROUNDING

    def make(self, tasks: Sequence[Task], n_streams: int) -> TabularWorld:
        self.check_tasks(tasks)
        how = self.config.horizon, n_streams, self.start
        return TabularWorld(self.leads_to, self.rewards_at(tasks), *how)
