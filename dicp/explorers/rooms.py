"""The exact beliefs of Dark Treasure and Noisy Darkroom."""

from dataclasses import replace

import torch
from torch import Tensor

from dicp.checks import Count, checked
from dicp.config.world import GridConfig
from dicp.domain import domain_of
from dicp.explorers.base import Belief, Explorer
from dicp.planning import Imagined


@checked
class TreasureExplorer(Explorer):
    """Dark Treasure: every cell may hold the small treasure, every other the large one."""

    worlds = ("dark_treasure",)
    n_goals = 2

    def __init__(self, env: GridConfig):
        super().__init__(env)
        self.rewards = domain_of(env).reward

    def learn(self, belief: Belief, action: Tensor, reward: Tensor, outcome: Tensor) -> Tensor:
        """A cell has one treasure or none, and each treasure is in one cell."""
        possible = belief.possible.clone()
        row = torch.arange(len(outcome))
        which = self.rewards.index(reward)
        possible[row, :, outcome] = False
        found = row[which > 0]
        possible[found, which[found] - 1] = False
        possible[found, which[found] - 1, outcome[found]] = True
        return possible

    def imagine(
        self, state: Belief, action: Tensor | None = None, *, return_to_go: bool = False,
        uncertainty: bool = False,
    ) -> Imagined:
        next_cell = self.next_cell[state.cell]                              # batch beam action
        chance = state.possible / state.possible.sum(-1, keepdim=True)      # batch beam goal cell
        index = next_cell[:, :, None].expand(-1, -1, self.n_goals, -1)
        treasure = chance.gather(-1, index).transpose(2, 3)
        chances = torch.cat((1 - treasure.sum(-1, keepdim=True), treasure), dim=-1)
        return Imagined.of_rewards(chances, self.rewards, next_cell)


class NoisyExplorer(Explorer):
    """Noisy Darkroom: every cell may be the goal,
    the less likely the more often it was tried in vain."""

    worlds = ("noisy_darkroom",)

    def begin(
        self, batch: Count, context_length: Count | None = None,
        generator: torch.Generator | None = None,
    ) -> Belief:
        belief = super().begin(batch, context_length, generator)
        return replace(belief, possible=belief.possible.double())

    def learn(self, belief: Belief, action: Tensor, reward: Tensor, outcome: Tensor) -> Tensor:
        """Bayes' rule: a visit in vain is less likely where the goal is,
        a reward impossible elsewhere."""
        possible, row = belief.possible.clone(), torch.arange(len(outcome))
        p_reward = self.env.p_reward
        possible[row, 0, outcome] *= torch.where(reward > 0, p_reward, 1 - p_reward)
        found = row[reward > 0]
        possible[found] = 0
        possible[found, 0, outcome[found]] = 1
        return possible / possible.sum(-1, keepdim=True)

    def imagine(
        self, state: Belief, action: Tensor | None = None, *, return_to_go: bool = False,
        uncertainty: bool = False,
    ) -> Imagined:
        next_cell = self.next_cell[state.cell]
        chance = (state.possible / state.possible.sum(-1, keepdim=True))[:, :, 0]
        paid = self.env.p_reward * chance.gather(-1, next_cell).float()
        return Imagined.of_chances(paid, next_cell)
