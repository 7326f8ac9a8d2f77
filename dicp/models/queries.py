"""A world model that is asked: one plain Transformer,
and queries that read its memory while no token reads them.

The memory holds one token a step, as in the imitators. A query is the next token with a blank. An
*outcome query* knows the action and where it led, but not the reward; a *move query* knows
the action alone, where what an action does is hidden (Darkroom-Permuted). So reward and move are
factored, P(o' | h, a) P(r | h, a, o'), and attention finds what the memory holds of a cell or an
action: a head on (h_t, a), as the paper's, cannot ask about a cell that h_t did not think of.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from dicp.checks import Count, checked
from dicp.config import ModelConfig
from dicp.config.world import GridConfig
from dicp.domain import Domain, domain_of
from dicp.models.blankable import BlankableEmbedding
from dicp.models.categorical import Predictions, Returns, next_cell_logits
from dicp.models.context import EpisodicContext, flat_index, grown
from dicp.models.transformer import Transformer
from dicp.planning import Imagined, Proposal
from dicp.policies import policy_of
from dicp.selection import log_counts, new_names, relabelled, remembered, renamed
from dicp.types import Tokens, Windows
from dicp.windows import stages

STAGES = 3        # rewards so far in the episode, as far as they are told apart: 0, 1, 2 or more
MOVES = 9         # by -1, 0 or 1 in x and in y


def check_neighbours(domain: Domain) -> None:
    """Raise `ValueError` where an action is known to lead beyond the cells around: `MOVES` are all
    that are predicted."""
    if domain.leads_to is None:
        return
    end, size = domain.leads_to, domain.config.size
    cell = torch.arange(domain.config.n_cells, device=end.device)[:, None]
    rows, columns = end // size - cell // size, end % size - cell % size
    far = (torch.maximum(rows.abs(), columns.abs()) > 1).nonzero()
    if len(far):
        variant, start, action = far[0].tolist()
        raise ValueError(
            f"world_model is 'queries', and in {domain.name} action {action} leads from cell "
            f"{start} to {end[variant, start, action]}; allowed: a world in which row and column "
            "change by 1 at most."
        )


class StagedContext(EpisodicContext):
    """What every `EpisodicContext` holds, and the rewards so far in the episode."""

    def __init__(
        self, env: GridConfig, config: ModelConfig, batch: int, context_length: int | None,
        device: torch.device,
    ):
        super().__init__(env, config, batch, context_length, device)
        self.stage = torch.zeros(batch, dtype=torch.long, device=device)

    def rows(self, index: Tensor) -> "StagedContext":
        """The same for some of the agents."""
        part = super().rows(index)
        part.stage = self.stage[index]
        return part


class Imagination(NamedTuple):
    """Where each imagined future stands. A row's beams share its context; `imagined` holds what
    each has added, `beams` says which of them these are since a fork (None: all)."""

    context: StagedContext
    cell: Int[Tensor, "batch beam"]
    stage: Int[Tensor, "batch beam"]
    imagined: Float[Tensor, "n batch*old_beam memory"]
    beams: Int[Tensor, "batch*beam"] | None = None


class QueryModel(nn.Module):
    """P(reward, next observation | history, do(action)), read off queries to one causal
    Transformer. It has no policy.

    Where any cell may pay, the cells of a training window are relabelled at random, rows and
    columns each by a permutation of their own (`config.relabels`): "any cell may pay" is thereby
    built in (Kirsch et al. 2022, arXiv 2212.04458, make general learners so). Which cells lie
    side by side is then not to be seen, and need not be: there, what an action does depends on
    the cell alone.
    """

    can_plan = True
    has_policy = False

    def __init__(self, env: GridConfig, config: ModelConfig):
        super().__init__()
        self.env, self.config, d, hidden = env, config, config.d_model, config.d_head_hidden
        self.domain = domain = domain_of(env)
        self.policy = policy_of(domain.action)
        check_neighbours(domain)
        self.moves_are_hidden, self.rewards_once = domain.moves_are_hidden, domain.rewards_once
        n_notes = MOVES + 2 if self.moves_are_hidden else STAGES
        self.embed = BlankableEmbedding(env, d, n_notes, config.n_lines)
        self.transformer = Transformer(config)
        self.reward = nn.Linear(d, domain.reward.n)
        self.move = (
            nn.Linear(d, hidden) if self.moves_are_hidden
            else nn.Embedding(env.n_cells * env.n_actions, hidden)
        )
        self.move_out = nn.Linear(hidden, 6)      # x: -1, 0, +1; y: -1, 0, +1
        n_returns = Returns(domain).n
        self.returns = nn.Sequential(nn.Linear(d, hidden), nn.SiLU(), nn.Linear(hidden, n_returns))

    @property
    def device(self) -> torch.device:
        return self.reward.weight.device

    # ---- training: whole windows -----------------------------------------------------------------

    def predict(
        self, windows: Windows, generator: torch.Generator | None = None, most_repeats: int = 1
    ) -> Predictions:
        """Logits at every position of whole windows, for the action taken there; of the reward,
        given where it led. `generator`: as in training, cells get new names (where moves are
        hidden, some tokens are forgotten instead) and tokens count up to `most_repeats` times
        (`log_counts`)."""
        tokens, action, next_cell = windows.tokens, windows.action, windows.next_observation
        before, now = self.stages(tokens)
        labelled, outcome, log_count = tokens, next_cell, None
        if generator is not None and most_repeats > 1:
            log_count = log_counts(tokens, self.env, most_repeats, generator)
        if generator is not None and self.moves_are_hidden:
            is_kept = remembered(tokens, self.env, generator)
            log_count = torch.where(is_kept, 0.0 if log_count is None else log_count, -torch.inf)
        elif generator is not None and self.config.relabels:
            names = new_names(len(next_cell), self.env, generator).to(next_cell.device)
            labelled, outcome = relabelled(tokens, names), renamed(names, next_cell)
        memory = self.embed(labelled, self.notes(labelled, before))
        asked = [self.query(labelled.observation, action, outcome, now)]
        if self.moves_are_hidden:
            asked.append(self.query(labelled.observation, action, self.blank(action), now))
        asked = torch.stack(asked, dim=2)
        _, answers = self.transformer.read_and_ask(memory, asked, log_count)
        moved = answers[:, :, 1] if self.moves_are_hidden else None
        next_x, next_y = self.next_logits(tokens.observation, action, moved)
        # What aimless actions will earn says little: the Transformer is not bent towards it,
        # only read.
        returns = self.returns(answers[:, :, 0].detach())
        return Predictions(self.reward(answers[:, :, 0]), (next_x, next_y), returns, self.domain)

    def stages(self, tokens: Tokens) -> tuple[Int[Tensor, "batch n"], Int[Tensor, "batch n"]]:
        """Rewards in the episode, where only the first of each kind pays: before the transition
        that a token tells of, and now. Elsewhere 0."""
        if not self.rewards_once:
            return torch.zeros_like(tokens.first), torch.zeros_like(tokens.first)
        now = stages(tokens, STAGES)
        return F.pad(now, (1, 0))[:, :-1], now

    def note(self, cell: Tensor, outcome: Tensor, stage: Tensor) -> Int[Tensor, "*batch"]:
        """What a token or a query says besides, of a transition from `cell` to `outcome`, which may
        be nowhere or blank (all arguments [*batch]): the rewards in the episode before it; where
        moves are hidden, the move that was made, for which attention would otherwise have to look
        at two tokens at once."""
        if not self.moves_are_hidden:
            return stage
        n_cells, by = self.env.n_cells, (self.embed.xy[outcome] - self.embed.xy[cell]).clamp(-1, 1)
        move = 3 * by[..., 0] + by[..., 1] + MOVES // 2
        return torch.where(outcome < n_cells, move, MOVES + outcome - n_cells)

    def notes(self, tokens: Tokens, before: Int[Tensor, "batch n"]) -> Int[Tensor, "batch n"]:
        """Of the tokens of whole windows."""
        return self.note(F.pad(tokens.observation, (1, 0))[:, :-1], tokens.outcome, before)

    def blank(self, like: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
        return torch.full_like(like, self.env.n_cells + 1)

    def query(
        self, cell: Tensor, action: Tensor, outcome: Tensor, stage: Tensor
    ) -> Float[Tensor, "*batch d_model"]:
        """A token with a blank reward and, if `outcome` is blank,
        a blank outcome (all arguments [*batch])."""
        no, note = torch.zeros_like(action), self.note(cell, outcome, stage)
        return self.embed(Tokens(cell, action, no, outcome, no), note, is_blank=True)

    def next_logits(
        self, cell: Int[Tensor, "*batch"], action: Int[Tensor, "*batch"],
        answer: Float[Tensor, "*batch d_model"] | None,
    ) -> tuple[Float[Tensor, "*batch size"], Float[Tensor, "*batch size"]]:
        """Of the next cell's x and of its y. What is predicted is the change of each, by -1, 0 or
        1: from the answer to a move query, or, where moves are not hidden, from cell and action."""
        known = cell * self.env.n_actions + action if answer is None else answer
        found = self.move(known)
        return next_cell_logits(self.move_out(F.silu(found)), cell, self.env.size)

    # ---- acting: one real token at a time --------------------------------------------------------

    @checked
    def begin(
        self, batch: Count, context_length: Count | None = None,
        generator: torch.Generator | None = None,
    ) -> StagedContext:
        """An empty context for each of `batch` agents, of at most the transitions that the model
        was trained with."""
        return StagedContext(self.env, self.config, batch, context_length, self.device)

    @torch.no_grad()
    def observe(self, context: StagedContext, tokens: Tokens) -> Float[Tensor, "batch n_actions"]:
        """Append one real token of each agent; it has no policy, all actions are alike to it."""
        if context.is_full:
            left = context.forget()
            notes = self.notes(left, self.stages(left)[0])
            self.transformer(self.embed(left, notes), context.cache)
        is_first = context.cache.n_held == 0
        before = torch.zeros_like(context.stage) if is_first else context.stage
        came_from = torch.zeros_like(tokens.first) if is_first else context.observation
        tokens = context.note(tokens)
        note = self.note(came_from, tokens.outcome, before)
        context.h = self.transformer.append(self.embed(tokens, note), context.cache)
        if self.rewards_once:
            context.stage = torch.where(
                tokens.first == 1, 0, (context.stage + tokens.last_reward).clamp(0, STAGES - 1)
            )
        return context.h.new_zeros(len(context.h), self.env.n_actions)

    # ---- planning: the WorldModel protocol of dicp.planning --------------------------------------

    def root(self, context: StagedContext) -> Imagination:
        """One beam a row: nothing imagined yet."""
        d_memory = 2 * self.config.n_layers * self.config.d_model
        nothing = context.h.new_zeros(0, len(context.h), d_memory)
        return Imagination(context, context.observation[:, None], context.stage[:, None], nothing)

    def propose(
        self, state: Imagination, n: int = 1, generator: torch.Generator | None = None
    ) -> Proposal:
        """All actions, all alike."""
        alike = state.context.h.new_zeros(*state.cell.shape, self.env.n_actions)
        return self.policy.propose(alike, n, generator)

    @torch.no_grad()
    def imagine(
        self, state: Imagination, action: Tensor | None = None, *, return_to_go: bool = False,
        uncertainty: bool = False,
    ) -> Imagined:
        """What every action would lead to."""
        if action is None:
            action = self.propose(state).action
        cell, stage = (x[..., None].expand_as(action) for x in (state.cell, state.stage))
        imagined = state.imagined
        if state.beams is not None:
            imagined = imagined.index_select(1, state.beams)

        def ask(outcome: Tensor) -> Tensor:
            asked = self.query(cell, action, outcome, stage)
            return self.transformer.ask(asked, state.context.cache, imagined)

        moved = ask(self.blank(action)) if self.moves_are_hidden else None
        next_x, next_y = self.next_logits(cell, action, moved)
        next_cell = next_x.argmax(-1) * self.env.size + next_y.argmax(-1)
        answer = ask(next_cell)
        said = Predictions(self.reward(answer), (next_x, next_y), self.returns(answer), self.domain)
        return said.imagined(return_to_go, uncertainty)

    @torch.no_grad()
    def advance(
        self, state: Imagination, action: Tensor, reward: Tensor, next_cell: Tensor
    ) -> Imagination:
        """Append one imagined transition to each beam (all arguments [batch beam])."""
        no, imagined = torch.zeros_like(action), grown(state.imagined, state.beams)
        note = self.note(state.cell, next_cell, state.stage)
        token = self.embed(Tokens(next_cell, action, reward, next_cell, no), note)
        self.transformer.branch(token, state.context.cache, imagined)
        stage = (state.stage + reward).clamp(0, STAGES - 1) if self.rewards_once else state.stage
        return Imagination(state.context, next_cell, stage, imagined)

    def fork(self, state: Imagination, beam: Int[Tensor, "batch new_beam"]) -> Imagination:
        """Keep the given beams of each row."""
        flat = flat_index(beam, state.cell.shape[1])
        cell, stage = (x.flatten()[flat].view(beam.shape) for x in (state.cell, state.stage))
        beams = flat if state.beams is None else state.beams[flat]
        return Imagination(state.context, cell, stage, state.imagined, beams)
