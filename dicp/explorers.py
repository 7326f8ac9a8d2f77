"""Agents that know the rules of a world and keep the exact belief over what is hidden in it: how
well could anybody do?

They act and plan through the same interface as a trained model (`dicp.rollout.Learner`,
`dicp.planning.WorldModel`).
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from dicp.checks import Count, checked, fits_memory, one_of
from dicp.config.world import GridConfig
from dicp.domain import domain_of
from dicp.envs import GridRules
from dicp.envs.grid import centre_of, moves_in
from dicp.envs.tasks import PERMUTATIONS
from dicp.models.categorical import outcomes_of
from dicp.planning import Imagined, Proposal
from dicp.policies import policy_of
from dicp.types import Tokens, Windows

__all__ = [
    "ActionExplorer", "Belief", "Explorer", "GoalExplorer", "NoisyExplorer", "TreasureExplorer",
    "exact_belief",
]


@dataclass
class Belief:
    """Where an agent is, how many rewards this episode has brought,
    and which hypotheses are still possible."""

    cell: Int[Tensor, "batch *beam"]
    stage: Int[Tensor, "batch *beam"]
    possible: Shaped[Tensor, "batch *beam goal hypothesis"]     # or how likely, in proportion
    n_transitions = max_plan_depth = math.inf

    def rows(self, index: Tensor) -> "Belief":
        return Belief(self.cell[index], self.stage[index], self.possible[index])


class Explorer(ABC):
    """Knows the rules of a world and keeps the exact belief over what is hidden, uniform over what
    is not ruled out.

    With the `bayes` planner it plans within an episode, not across them: a little more is possible.
    """

    can_plan = True
    has_policy = False
    name = "exact_belief"
    worlds: tuple[str, ...] = ()    # that this one is for
    n_goals = 1                     # parts of what is hidden that are learned of separately
    n_hypotheses: int               # for each of them
    start: int                      # where an episode begins

    @checked
    def __init__(self, env: GridConfig):
        one_of("env.name", env.name, self.worlds)
        self.env, self.n_hypotheses, self.start = env, env.n_cells, centre_of(env.size)
        self.next_cell, domain = moves_in(env.size), domain_of(env)             # cell move
        self.policy, self.rewards_once = policy_of(domain.action), domain.rewards_once

    @abstractmethod
    def learn(self, belief: Belief, action: Tensor, reward: Tensor, outcome: Tensor) -> Tensor:
        """What is possible (fields [row ...]) once `action` from `belief.cell` has led to `outcome`
        and paid `reward`."""

    @abstractmethod
    def imagine(
        self, state: Belief, action: Tensor | None = None, *, return_to_go: bool = False,
        uncertainty: bool = False,
    ) -> Imagined:
        """What each action leads to."""

    @checked
    def begin(
        self, batch: Count, context_length: Count | None = None,
        generator: torch.Generator | None = None,
    ) -> Belief:
        """An agent that rules nothing out, `batch` times."""
        fits_memory("batch", batch, 10 * batch * self.n_goals * self.n_hypotheses, "fewer agents")
        everything = torch.ones(batch, self.n_goals, self.n_hypotheses, dtype=torch.bool)
        start = torch.full((batch,), self.start)
        return Belief(start, torch.zeros(batch, dtype=torch.long), everything)

    def observe(self, context: Belief, tokens: Tokens) -> Float[Tensor, "batch n_actions"]:
        acted = (tokens.outcome < self.env.n_cells).nonzero()[:, 0]
        result = tokens.last_action[acted], tokens.last_reward[acted], tokens.outcome[acted]
        context.possible[acted] = self.learn(context.rows(acted), *result)
        stage = self.stage_after(context.stage, tokens.last_reward)
        context.stage = torch.where(tokens.first == 1, 0, stage)
        context.cell = tokens.observation
        return torch.zeros(len(tokens.observation), self.env.n_actions)

    def root(self, context: Belief) -> Belief:
        return Belief(context.cell[:, None], context.stage[:, None], context.possible[:, None])

    def propose(
        self, state: Belief, n: int = 1, generator: torch.Generator | None = None
    ) -> Proposal:
        return self.policy.propose(torch.zeros(*state.cell.shape, self.env.n_actions), n, generator)

    def advance(self, state: Belief, action: Tensor, reward: Tensor, next_cell: Tensor) -> Belief:
        flat = Belief(*(x.flatten(0, 1) for x in (state.cell, state.stage, state.possible)))
        possible = self.learn(flat, action.flatten(), reward.flatten(), next_cell.flatten())
        stage = self.stage_after(state.stage, reward)
        return Belief(next_cell, stage, possible.view_as(state.possible))

    def stage_after(self, stage: Tensor, reward: Tensor) -> Tensor:
        """Rewards in the episode, where only the first of each kind pays."""
        return stage + reward if self.rewards_once else stage

    def fork(self, state: Belief, beam: Int[Tensor, "batch new_beam"]) -> Belief:
        row = torch.arange(len(beam))[:, None]
        return Belief(state.cell[row, beam], state.stage[row, beam], state.possible[row, beam])


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


EXPLORERS = (GoalExplorer, ActionExplorer, TreasureExplorer, NoisyExplorer)


@checked
def exact_belief(env: GridConfig) -> Explorer:
    """The explorer of this world; `ValueError` where there is none."""
    kinds = {world: kind for kind in EXPLORERS for world in kind.worlds}
    return kinds[one_of("env.name", env.name, kinds)](env)
