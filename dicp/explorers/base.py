"""What every exact belief does: it acts, it plans, and it forgets where its memory is bounded."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from dicp.checks import Count, checked, fits_memory, one_of, refuse
from dicp.config.world import GridConfig
from dicp.domain import domain_of
from dicp.envs.grid import centre_of, moves_in
from dicp.planning import Imagined, Proposal
from dicp.policies import policy_of
from dicp.types import Tokens


@dataclass
class Belief:
    """Where an agent is, how many rewards this episode has brought,
    and which hypotheses are still possible."""

    cell: Int[Tensor, "batch *beam"]
    stage: Int[Tensor, "batch *beam"]
    possible: Shaped[Tensor, "batch *beam goal hypothesis"]     # or how likely, in proportion
    # at most so many episodes are remembered (None: all), and the tokens of those that are
    n_episodes: int | None = None
    held: list[Tokens] = field(default_factory=list)
    max_plan_depth = math.inf

    @property
    def n_transitions(self) -> float:
        """That are remembered: an agent that forgets nothing has no bound."""
        return math.inf if self.n_episodes is None else len(self.held) - 1

    def rows(self, index: Tensor) -> "Belief":
        held = [tokens.rows(index) for tokens in self.held]
        parts = self.cell[index], self.stage[index], self.possible[index]
        return Belief(*parts, self.n_episodes, held)


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
        """An agent that rules nothing out, `batch` times. context_length: it remembers so many
        transitions, in whole episodes, and as the next one begins it forgets the oldest, as the
        models do (None: it remembers all)."""
        fits_memory("batch", batch, 10 * batch * self.n_goals * self.n_hypotheses, "fewer agents")
        everything = torch.ones(batch, self.n_goals, self.n_hypotheses, dtype=torch.bool)
        start = torch.full((batch,), self.start)
        horizon = self.env.horizon
        if context_length is not None and context_length % horizon:
            raise refuse("context_length", context_length, f"multiples of the horizon {horizon}")
        n_episodes = None if context_length is None else context_length // horizon
        return Belief(start, torch.zeros(batch, dtype=torch.long), everything, n_episodes)

    def observe(self, context: Belief, tokens: Tokens) -> Float[Tensor, "batch n_actions"]:
        if context.n_episodes is not None:
            context.held.append(tokens)
        held, most = len(context.held), (context.n_episodes or 0) * self.env.horizon
        if held > most > 0 and tokens.first[0] == 1:
            self.begin_again(context)
        else:
            self.update(context, tokens)
        return torch.zeros(len(tokens.first), self.env.n_actions)

    def begin_again(self, context: Belief) -> None:
        """Forget the oldest episode: believe what the others say, as if nothing had come before."""
        context.held = context.held[self.env.horizon :]
        first, *later = context.held
        context.possible = self.begin(len(first.first)).possible
        context.cell, context.stage = first.observation, torch.zeros_like(context.stage)
        for tokens in later:
            self.update(context, tokens)

    def update(self, context: Belief, tokens: Tokens) -> None:
        """What follows from the last action."""
        acted = (tokens.outcome < self.env.n_cells).nonzero()[:, 0]
        result = tokens.last_action[acted], tokens.last_reward[acted], tokens.outcome[acted]
        before = Belief(context.cell[acted], context.stage[acted], context.possible[acted])
        context.possible[acted] = self.learn(before, *result)
        stage = self.stage_after(context.stage, tokens.last_reward)
        context.stage = torch.where(tokens.first == 1, 0, stage)
        context.cell = tokens.observation

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
