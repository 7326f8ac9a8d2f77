"""Dark Treasure and Noisy Darkroom one agent at a time, as Gymnasium environments.

`import dicp` registers them: `gymnasium.make("dicp/DarkTreasure-v0", render_mode="rgb_array")`.
"""

from typing import Annotated

import torch

from dicp.checks import Count, Number, checked
from dicp.config.env import NoisyConfig, TreasureConfig
from dicp.config.world import GridConfig
from dicp.domain import domain_of
from dicp.domain.treasure import LARGE
from dicp.envs.draw import Mark
from dicp.envs.gym import CellEnv, Place, RenderMode, check_cell, draw_cell
from dicp.envs.tabular import TabularWorld
from dicp.envs.tasks import Cell, Size, Task

__all__ = ["DarkTreasure", "NoisyDarkroom"]

SmallReward = Annotated[float, Number(0, 1, above=True, below=True)]
Probability = Annotated[float, Number(0, 1, above=True)]


class RoomEnv(CellEnv):
    """One agent of a batched simulator. `success`: in this episode it has had the highest reward
    (in tables an episode of Dark Treasure counts by its return, `Domain.solved`)."""

    def __init__(self, config: GridConfig, render_mode: str | None):
        super().__init__(config, render_mode)
        self.rewards: set[float] = set()    # the different ones of this episode

    def _rules_of(self, task: Task) -> TabularWorld:
        return domain_of(self.config).simulator([task], 1)

    @property
    def max_return(self) -> float:
        """The highest possible return of an episode of this task; of Noisy Darkroom, the highest
        expected one."""
        return float(domain_of(self.config).max_return([self.task]))

    @property
    def is_success(self) -> bool:
        return domain_of(self.config).max_reward in self.rewards

    def _begin(self) -> int:
        self.rewards = set()
        return int(self._known()[1].reset())

    def _move(self, action: int) -> tuple[int, float]:
        step = self._known()[1].step(torch.tensor([[action]]))
        reward = step.reward.item()
        self.rewards.add(reward)
        return int(step.next_observation), reward


class DarkTreasure(RoomEnv):
    """Two hidden treasures: each step on the small one gives `small_reward`, on the large one 1."""

    @checked
    def __init__(
        self, small: Place | None = None, large: Place | None = None, size: Size = 13,
        horizon: Count = 50, small_reward: SmallReward = 0.3, render_mode: RenderMode = None,
    ):
        few = {"n_train": 1, "n_held_out": 1}
        config = TreasureConfig("dark_treasure", size, horizon, small_reward, **few)
        super().__init__(config, render_mode)
        self.small = None if small is None else check_cell("small", small, size)
        self.large = None if large is None else check_cell("large", large, size)
        if self.small is not None and self.large is not None:
            domain_of(self.config).check_tasks([(self.small, self.large)])
            self._set_task((self.small, self.large))

    def draw_task(self) -> tuple[Cell, Cell]:
        """What is not given is drawn among the other cells."""
        small, large = self.small or draw_cell(self), self.large or draw_cell(self)
        while small == large:
            small, large = self.small or draw_cell(self), self.large or draw_cell(self)
        return small, large

    def _marks(self) -> list[Mark]:
        small, large = self.task
        was_on_small = any(0 < reward < LARGE for reward in self.rewards)
        return [Mark("coin", small, was_on_small), Mark("goal", large, LARGE in self.rewards)]


class NoisyDarkroom(RoomEnv):
    """A hidden goal: a step on it gives a reward with probability `p_reward`. What is drawn depends
    on the seed of `reset`."""

    @checked
    def __init__(
        self, goal: Place | None = None, size: Size = 9, horizon: Count = 20,
        p_reward: Probability = 0.4, render_mode: RenderMode = None,
    ):
        super().__init__(NoisyConfig("noisy_darkroom", size, horizon, p_reward), render_mode)
        self.goal = None if goal is None else check_cell("goal", goal, size)
        if self.goal is not None:
            self._set_task(self.goal)

    def draw_task(self) -> Cell:
        return self.goal or draw_cell(self)

    def _begin(self) -> int:
        self._known()[1].generator.manual_seed(int(self.np_random.integers(2**31)))
        return super()._begin()

    def _marks(self) -> list[Mark]:
        return [Mark("goal", self.task, self.is_success)]
