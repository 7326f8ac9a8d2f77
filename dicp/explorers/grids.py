"""The exact beliefs of the paper's three grids."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dicp.checks import checked
from dicp.config.world import GridConfig
from dicp.envs import GridRules
from dicp.envs.tasks import PERMUTATIONS
from dicp.explorers.base import Belief, Explorer
from dicp.models.categorical import outcomes_of
from dicp.planning import Imagined
from dicp.types import Tokens, Windows


@checked
class GoalExplorer(Explorer):
    """Darkroom and Dark Key-to-Door: every cell may be the goal; or the key,
    and every cell the door."""

    worlds = ("darkroom", "dark_key_to_door")

    def __init__(self, env: GridConfig):
        super().__init__(env)
        self.n_goals = 2 if self.rewards_once else 1

    def learn(self, belief: Belief, action: Tensor, reward: Tensor, outcome: Tensor) -> Tensor:
        """A cell that gave a reward is the goal, one that did not is not."""
        possible = belief.possible.clone()
        row = torch.arange(len(outcome))
        goal = self._goal(belief.stage)
        searching = goal < self.n_goals      # once the door is open, nothing more is learned
        paid = row[searching & (reward > 0)]
        possible[paid, goal[paid]] = False
        row = row[searching]
        possible[row, goal[row], outcome[row]] = reward[row] > 0
        return possible

    def imagine(
        self, state: Belief, action: Tensor | None = None, *, return_to_go: bool = False,
        uncertainty: bool = False,
    ) -> Imagined:
        next_cell = self.next_cell[state.cell]      # batch beam action
        goal = self._goal(state.stage)
        index = goal.clamp(max=self.n_goals - 1)[..., None, None]
        index = index.expand(*goal.shape, 1, self.n_hypotheses)
        possible = state.possible.gather(2, index)[:, :, 0]
        chance = possible / possible.sum(-1, keepdim=True).clamp(min=1)
        paid = chance.gather(-1, next_cell) * (goal < self.n_goals)[..., None]
        return Imagined.of_chances(paid, next_cell)

    def _goal(self, stage: Tensor) -> Tensor:
        return stage if self.rewards_once else torch.zeros_like(stage)


@checked
class ActionExplorer(Explorer):
    """Darkroom-Permuted: the goal is known, each of the 120 permutations may be the true one."""

    worlds = ("darkroom_permuted",)

    def __init__(self, env: GridConfig):
        super().__init__(env)
        self.rules = GridRules.of(env, range(len(PERMUTATIONS)))
        self.n_hypotheses, self.start = len(PERMUTATIONS), self.rules.start
        # hypothesis action move
        self.does = F.one_hot(torch.tensor(PERMUTATIONS), env.n_actions).float()

    def learn(self, belief: Belief, action: Tensor, reward: Tensor, outcome: Tensor) -> Tensor:
        """The permutations under which this action leads there from here."""
        leads = self.rules.next_cell[:, belief.cell, action] == outcome
        return belief.possible & leads.T[:, None]

    def chances(self, state: Belief) -> Float[Tensor, "batch beam action move"]:
        """P(move | action)."""
        possible = state.possible[:, :, 0].float()
        return torch.einsum("bkh,ham->bkam", possible / possible.sum(-1, keepdim=True), self.does)

    def surprise(self, tokens: Tokens, windows: Windows) -> Float[Tensor, "batch n"]:
        """Nats of where each action of whole rollouts led; `tokens`: what their agents read, one
        more than there are steps."""
        context = self.begin(len(windows.action))
        rows = torch.arange(len(windows.action))
        chance = []
        for t in range(windows.action.shape[1]):
            self.observe(context, tokens.at(t))
            moves = self.chances(self.root(context))[rows, 0, windows.action[:, t]]
            leads = self.next_cell[context.cell] == windows.next_observation[:, t, None]
            chance.append((moves * leads).sum(-1))
        return -torch.stack(chance, dim=1).log()

    def imagine(
        self, state: Belief, action: Tensor | None = None, *, return_to_go: bool = False,
        uncertainty: bool = False,
    ) -> Imagined:
        next_cell, probability, entropy = outcomes_of(
            self.chances(state), self.next_cell[state.cell]
        )
        paid = (next_cell == self.rules.goals[0, 0]).float()
        return Imagined.of_chances(paid, next_cell, None, probability, entropy)
