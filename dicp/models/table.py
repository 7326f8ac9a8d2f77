"""The world model that learns nothing but counts: how often there is a reward in a cell that was
never met, met in vain, or met with a reward (where there are several rewards: with which at best).

The control beside every trained world model: what does it know that this table does not?
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from dicp.checks import Count, checked, refuse
from dicp.config import ModelConfig
from dicp.config.world import GridConfig
from dicp.domain import domain_of
from dicp.models.categorical import outcomes_of
from dicp.models.context import EpisodicContext
from dicp.planning import Imagined, Proposal
from dicp.policies import policy_of
from dicp.types import Tokens, Windows
from dicp.windows import stages

# What the context holds of a cell, with the rewards so far in the episode: it was never met, or
# met, and that at best with the first reward (none), the second, ...
NEVER, IN_VAIN = range(2)
STAGES = 3                          # of these, as far as they are told apart: 0, 1, 2 or more
UNKNOWN = -1                        # what an action does


class Noted(NamedTuple):
    """What a context holds, and where each imagined future stands."""

    cell: Int[Tensor, "batch beam"]
    stage: Int[Tensor, "batch beam"]
    met: Int[Tensor, "batch beam stage*cell"]
    does: Int[Tensor, "batch beam action"]          # the move that each action made, or UNKNOWN


class TableContext(EpisodicContext):
    """What every `EpisodicContext` holds, and what was noted of it."""

    noted: Noted | None = None

    def rows(self, index: Tensor) -> "TableContext":
        """The same for some of the agents."""
        part = super().rows(index)
        part.noted = Noted(*(x[index] for x in self.noted))
        return part


class TableModel(nn.Module):
    """P(reward, next observation | history, do(action)) from a table; it has no policy.

    P(reward) is one number for each kind of cell (in Key-to-Door: with as many rewards so far in
    the episode). In Darkroom-Permuted it is one for each cell; there an action that has moved the
    agent does what it did, and the others share the moves that are left.
    """

    can_plan = True
    has_policy = False

    def __init__(self, env: GridConfig, config: ModelConfig):
        super().__init__()
        self.env, self.config, domain = env, config, domain_of(env)
        self.policy, self.moves_are_hidden = policy_of(domain.action), domain.moves_are_hidden
        self.n_stages = STAGES if domain.rewards_once else 1
        self.rewards, self.n_kinds = domain.reward, 1 + domain.reward.n
        n_kinds = env.n_cells if self.moves_are_hidden else self.n_kinds * self.n_stages
        self.register_buffer("chance", torch.full((n_kinds, self.rewards.n), 1 / self.rewards.n))
        if self.moves_are_hidden and config.new_cells != 1:
            raise refuse("model.new_cells", config.new_cells, f"1.0 in {domain.name}")
        if domain.leads_to is None:
            raise ValueError(
                f"world_model is 'table', which counts rewards alone, and {domain.name} does not "
                "say where actions lead; allowed: a world whose domain has leads_to."
            )
        self.by_move = domain.leads_to[0]                                      # cell move
        identity = torch.arange(env.n_actions)
        self.does = torch.full_like(identity, UNKNOWN) if self.moves_are_hidden else identity

    # ---- counting --------------------------------------------------------------------------------

    def count(self, windows: Windows) -> Float[Tensor, "kind reward"]:
        """How often a step of each kind brought each reward."""
        kind, reward = self.kinds(windows).flatten(), self.rewards.index(windows.reward).flatten()
        counts = torch.bincount(kind * self.rewards.n + reward, minlength=self.chance.numel())
        return counts.double().view_as(self.chance)

    def learn(self, counts: Float[Tensor, "kind reward"]) -> None:
        """Take P(reward) from what `count` gave; of cells never met times `config.new_cells`, a
        control: what would one number do that nobody has learned? `ValueError` where this is more
        than one."""
        chance, factor = counts / counts.sum(-1, keepdim=True).clamp(min=1), self.config.new_cells
        if factor != 1:
            never = chance[NEVER :: self.n_kinds]                       # at every stage
            never[:, 1:] *= factor
            if (total := float(never[:, 1:].sum(-1).max())) > 1:
                raise refuse("model.new_cells", factor, f"at most {factor / total:g} here")
            never[:, 0] = 1 - never[:, 1:].sum(-1)
        self.chance.copy_(chance)

    def kinds(self, windows: Windows) -> Int[Tensor, "batch n"]:
        """Of each step: what the window holds of the cell that it leads to."""
        outcome, n_cells = windows.next_observation, self.env.n_cells
        if self.moves_are_hidden:
            return outcome
        stage = stages(windows.tokens, self.n_stages)
        place, reward = stage * n_cells + outcome, self.rewards.index(windows.reward)
        there, kind = F.one_hot(place, self.n_stages * n_cells), stage * self.n_kinds
        for least in range(self.rewards.n):
            met = there * (reward >= least)[..., None]
            kind = kind + (met.cumsum(1) - met > 0).gather(2, place[..., None])[..., 0]
        return kind

    # ---- acting ----------------------------------------------------------------------------------

    @checked
    def begin(
        self, batch: Count, context_length: Count | None = None,
        generator: torch.Generator | None = None,
    ) -> "TableContext":
        """An empty context for each of `batch` agents,
        of at most the transitions that other models hold."""
        return TableContext(self.env, self.config, batch, context_length, torch.device("cpu"))

    def observe(self, context: "TableContext", tokens: Tokens) -> Float[Tensor, "batch n_actions"]:
        """Append one real token of each agent; it has no policy, all actions are alike to it."""
        if context.is_full:
            kept = context.forget()
            context.noted, context.cache.n_held = None, kept.first.shape[1]
            for t in range(context.cache.n_held):
                self.note(context, kept.at(t))
        self.note(context, context.note(tokens))
        context.cache.n_held += 1
        context.h = torch.zeros(len(tokens.first), self.env.n_actions)
        return context.h

    def note(self, context: "TableContext", tokens: Tokens) -> None:
        """Note the transition that a token tells of, and where the agent is now."""
        cell, first = tokens.observation[:, None], tokens.first[:, None] == 1
        if context.noted is None:
            met = torch.full((len(cell), 1, self.n_stages * self.env.n_cells), NEVER)
            does = self.does.expand(len(cell), 1, -1)
            context.noted = Noted(cell, torch.zeros_like(cell), met, does)
            return
        step = (x[:, None] for x in (tokens.last_action, tokens.last_reward, tokens.outcome))
        noted = self.advance(context.noted, *step)
        context.noted = noted._replace(cell=cell, stage=torch.where(first, 0, noted.stage))

    def root(self, context: "TableContext") -> Noted:
        """One beam a row: nothing imagined yet."""
        return context.noted

    def propose(
        self, state: Noted, n: int = 1, generator: torch.Generator | None = None
    ) -> Proposal:
        """All actions, all alike."""
        alike = torch.zeros(*state.cell.shape, self.env.n_actions)
        return self.policy.propose(alike, n, generator)

    def imagine(
        self, state: Noted, action: Tensor | None = None, *, return_to_go: bool = False,
        uncertainty: bool = False,
    ) -> Imagined:
        """What every action would lead to."""
        # batch beam action move
        known = state.does[..., None] == torch.arange(self.env.n_actions)
        left = ~known.any(2, keepdim=True).expand_as(known)
        is_unknown = (state.does == UNKNOWN)[..., None]
        chance = torch.where(is_unknown, left / left.sum(-1, keepdim=True), known.float())
        next_cell, probability, entropy = outcomes_of(chance, self.by_move[state.cell])
        if self.moves_are_hidden:
            uncertain = None, probability, entropy
            return Imagined.of_rewards(self.chance[next_cell], self.rewards, next_cell, *uncertain)
        place = state.stage[..., None] * self.env.n_cells + next_cell
        kind = state.stage[..., None] * self.n_kinds + state.met.gather(-1, place)
        return Imagined.of_rewards(self.chance[kind], self.rewards, next_cell)

    def advance(self, state: Noted, action: Tensor, reward: Tensor, next_cell: Tensor) -> Noted:
        """Note one transition of each beam (all arguments [batch beam])."""
        place = (state.stage * self.env.n_cells + next_cell)[..., None]
        found = IN_VAIN + self.rewards.index(reward)[..., None]
        met = state.met.scatter(-1, place, torch.maximum(state.met.gather(-1, place), found))
        there = self.by_move[state.cell] == next_cell[..., None]    # batch beam move
        tells = there.sum(-1) == 1                                  # at a wall, several lead there
        does = state.does.scatter(-1, action[..., None], there.long().argmax(-1, keepdim=True))
        does = torch.where(tells[..., None], does, state.does)
        stage = state.stage
        if self.n_stages > 1:
            stage = (stage + reward).clamp(0, self.n_stages - 1)
        return Noted(next_cell, stage, met, does)

    def fork(self, state: Noted, beam: Int[Tensor, "batch new_beam"]) -> Noted:
        """Keep the given beams of each row."""
        row = torch.arange(len(beam))[:, None]
        return Noted(*(x[row, beam] for x in state))
