"""A world model of what actions do, whoever chooses them: P(reward, next observation | history, do(action)).

It is trained on episodes in which nobody could know the goal, so an action is no evidence of where the goal is. It has no
policy. A reward is looked up in the context, and so is what an action does; the Transformer supplies the rest.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from dicp.checks import Count, checked
from dicp.config import EnvConfig, ModelConfig
from dicp.models.categorical import Predictions, TokenEmbedding, doubts_of, next_cell_logits
from dicp.models.context import EpisodicContext, flat_index, grown
from dicp.models.recall import LookUp, Recall
from dicp.models.transformer import Transformer
from dicp.planning import Imagined
from dicp.windows import Tokens, Windows, stages

CHANGE_TELLS = 8.0     # an action that changed nothing met a wall, mostly: a change tells e^8 times as much about it
STAGES = 3        # rewards so far in the episode, as far as they are told apart: 0, 1, 2 or more


class Past(NamedTuple):
    """What the last action of a token did, as numbers that `Recall` looks up, and how it was found."""

    cell: Int[Tensor, "*batch"]                  # arrived at; n_cells: nothing has been done yet
    staged_cell: Int[Tensor, "*batch"]           # the same with the rewards before it: cell * STAGES + rewards
    action: Int[Tensor, "*batch"]                # n_actions: nothing has been done yet
    reward_value: Float[Tensor, "*batch d_model"]
    move_value: Float[Tensor, "*batch d_model"]
    move_salience: Float[Tensor, "*batch"]


class Memory(EpisodicContext):
    """What an agent remembers, for a batch of agents: besides what every `EpisodicContext` holds, the last transitions for the
    look-ups, and where the agent stands: its cell, and its rewards so far in the episode."""

    def __init__(self, env: EnvConfig, config: ModelConfig, batch: int, context_length: int | None, device: torch.device):
        super().__init__(env, config, batch, context_length, device)
        n, d = self.cache.capacity, config.d_model
        numbers, values = torch.zeros(3, batch, n, dtype=torch.long), torch.zeros(2, batch, n, d)
        self.past = Past(*numbers.to(device), *values.to(device), values[0, ..., 0].clone().to(device))
        self.cell = torch.full((batch,), env.n_cells, device=device)
        self.stage = torch.zeros_like(self.cell)

    def rows(self, index: Tensor) -> "Memory":
        """The same for some of the agents."""
        part = super().rows(index)
        part.past, part.cell, part.stage = Past(*(x[index] for x in self.past)), self.cell[index], self.stage[index]
        return part


class Imagination(NamedTuple):
    """Where each imagined future stands. A row's beams share its context; `past` and `imagined` are what each has added,
    `kept` says which of them the beams are since a fork (None: all)."""

    memory: Memory
    look_ups: tuple[LookUp, LookUp, LookUp]
    h: Float[Tensor, "batch beam d_model"]
    cell: Int[Tensor, "batch beam"]
    stage: Int[Tensor, "batch beam"]
    imagined: Float[Tensor, "n batch*old_beam memory"]
    past: Past                                                          # fields [n batch*old_beam ...]
    kept: Int[Tensor, "batch*beam"] | None = None


class InterventionalModel(nn.Module):
    """The world model with its two look-ups, read off one causal Transformer.

    - *Has this cell paid?* The cell arrived at is looked up among those of the context, alone and together with the
      rewards so far in the episode; the reward is judged by what was found. Nothing else is judged, neither the place
      nor the Transformer's summary, which lost a known goal once more rewards lay behind it than any training window
      held. That any cell may pay is thereby built in; without `config.any_cell_may_pay` the place is judged, too.
    - *What does this action do?* The action is looked up among those of the context, for the moves it made.
    """

    can_plan = True
    has_policy = False

    def __init__(self, env: EnvConfig, config: ModelConfig):
        super().__init__()
        self.env, self.config, d = env, config, config.d_model
        self.embed = TokenEmbedding(env, d)
        self.transformer = Transformer(config)
        self.by_cell, self.by_stage = Recall(env.n_cells, d), Recall(env.n_cells * STAGES, d)
        self.by_action = Recall(env.n_actions, d)
        self.reward_value = nn.Linear(d, d)
        self.move_value = nn.Sequential(nn.Linear(2 * (env.size + 1) + 6, d), nn.SiLU(), nn.Linear(d, d))
        self.judge = nn.Sequential(nn.Linear(2 * d, config.d_head_hidden), nn.SiLU(), nn.Linear(config.d_head_hidden, 2))
        self.place = None if config.any_cell_may_pay else nn.Embedding(env.n_cells, 2)
        hidden = config.d_head_hidden
        self.next_from = nn.ModuleList((nn.Linear(d, hidden), nn.Linear(d, hidden), nn.Embedding(env.n_actions, hidden)))
        self.next_out = nn.Linear(hidden, 6)                             # x: -1, 0, +1; y: -1, 0, +1
        self.returns = nn.Sequential(nn.Linear(d, hidden), nn.SiLU(), nn.Linear(hidden, env.n_actions * (env.horizon + 1)))

    @property
    def device(self) -> torch.device:
        return self.embed.weight.device

    # ---- training: whole windows -------------------------------------------------------------------------------------

    def forward(self, tokens: Tokens) -> Float[Tensor, "batch n d_model"]:
        """The Transformer's vector at every position."""
        return self.transformer(self.embed(tokens))

    def predict(self, windows: Windows) -> Predictions:
        """Logits at every position of whole lives, for the action taken there; of the reward, given where it led."""
        tokens, action, next_cell = windows.tokens, windows.action, windows.next_observation
        h, stage, past = self(tokens), stages(tokens, STAGES), self.past_of_window(tokens)
        found = torch.cat((
            self.by_cell(next_cell, past.cell, past.reward_value),
            self.by_stage(next_cell * STAGES + stage, past.staged_cell, past.reward_value),
        ), dim=-1)
        moves = self.by_action(action, past.action, past.move_value, past.move_salience)
        next_x, next_y = self.next_logits(h, tokens.observation, action, moves)
        # What aimless actions will earn says little: the Transformer is not bent towards it, only read.
        returns = self.returns(h.detach()).unflatten(-1, (self.env.n_actions, -1))
        returns = returns.gather(2, action[..., None, None].expand(-1, -1, 1, returns.shape[-1]))[:, :, 0]
        return Predictions(self.reward_logits(next_cell, found), next_x, next_y, returns)

    # ---- the look-ups ------------------------------------------------------------------------------------------------

    def past_of(self, tokens: Tokens, came_from: Tensor, before: Tensor) -> Past:
        """The last transition of each token. came_from: the cell it began in; before: the rewards in its episode until
        then (fields of the shape of the tokens')."""
        size, cell = self.env.size, tokens.arrived
        staged = torch.where(cell < self.env.n_cells, cell * STAGES + before, self.env.n_cells * STAGES)
        x, y = came_from // size, came_from % size
        steps = ((there - here).clamp(-1, 1) + 1 for here, there in ((x, cell // size), (y, cell % size)))
        codes = [F.one_hot(i, n) for n, pair in ((size + 1, (x, y)), (3, steps)) for i in pair]
        move = self.move_value(torch.cat(codes, dim=-1).to(self.by_cell.null_value))
        salience = CHANGE_TELLS * (came_from != cell).to(move)
        return Past(cell, staged, tokens.last_action, self.reward_value(self.embed(tokens)), move, salience)

    def past_of_window(self, tokens: Tokens) -> Past:
        """The same for each token of whole windows [batch n]."""
        nowhere, stage = torch.full_like(tokens.observation[:, :1], self.env.n_cells), stages(tokens, STAGES)
        came_from = torch.cat((nowhere, tokens.observation[:, :-1]), dim=1)
        return self.past_of(tokens, came_from, torch.cat((torch.zeros_like(nowhere), stage[:, :-1]), dim=1))

    def reward_logits(self, next_cell: Tensor, found: Float[Tensor, "*batch found"]) -> Float[Tensor, "*batch 2"]:
        """What was found about a cell, judged."""
        logits = self.judge(found)
        return logits if self.place is None else logits + self.place(next_cell)

    def next_logits(
        self, h: Float[Tensor, "*batch d_model"], cell: Tensor, action: Tensor, found: Tensor
    ) -> tuple[Float[Tensor, "*shape size"], Float[Tensor, "*shape size"]]:
        """Of the next cell's x and of its y. What is predicted is the change of each, by -1, 0 or 1."""
        from_h, from_found, from_action = self.next_from
        hidden = F.silu(from_h(h) + from_found(found) + from_action(action))
        return next_cell_logits(self.next_out(hidden), cell, self.env.size)

    # ---- acting: one real token at a time ----------------------------------------------------------------------------

    @checked
    def begin(self, batch: Count, context_length: Count | None = None, generator: torch.Generator | None = None) -> Memory:
        """An empty memory for each of `batch` agents, of at most the transitions that the model was trained with."""
        return Memory(self.env, self.config, batch, context_length, self.device)

    @torch.no_grad()
    def observe(self, memory: Memory, tokens: Tokens) -> Float[Tensor, "batch n_actions"]:
        """Append one real token of each agent; it has no policy, all actions are alike to it."""
        if memory.is_full:
            kept = memory.forget()
            self.transformer(self.embed(kept), memory.cache)
            for old, new in zip(memory.past, self.past_of_window(kept), strict=True):
                old[:, : new.shape[1]] = new
        at, tokens = memory.cache.n_held, memory.note(tokens)
        came_from = memory.cell if at else torch.full_like(memory.cell, self.env.n_cells)
        memory.h = self.transformer.append(self.embed(tokens), memory.cache)
        for kept, new in zip(memory.past, self.past_of(tokens, came_from, memory.stage), strict=True):
            kept[:, at] = new
        memory.stage = torch.where(tokens.first == 1, 0, (memory.stage + tokens.last_reward).clamp(max=STAGES - 1))
        memory.cell = tokens.observation
        return memory.h.new_zeros(len(memory.h), self.env.n_actions)

    # ---- planning: the WorldModel protocol of dicp.planning ----------------------------------------------------------

    def root(self, memory: Memory) -> Imagination:
        """One beam a row: nothing imagined yet."""
        n, past, h = memory.cache.n_held, memory.past, memory.h[:, None]
        held = Past(*(x[:, :n] for x in past))
        look_ups = (
            self.by_cell.tabulate(held.cell, held.reward_value), self.by_stage.tabulate(held.staged_cell, held.reward_value),
            self.by_action.tabulate(held.action, held.move_value, held.move_salience),
        )
        nothing = h.new_zeros(0, len(h), 2 * self.config.n_layers * self.config.d_model)
        empty = Past(*(x.new_zeros(0, len(h), *x.shape[2:]) for x in past))
        return Imagination(memory, look_ups, h, memory.cell[:, None], memory.stage[:, None], nothing, empty)

    def propose(self, state: Imagination) -> Float[Tensor, "batch beam n_actions"]:
        """All actions alike."""
        return state.h.new_zeros(*state.cell.shape, self.env.n_actions)

    def imagine(self, state: Imagination, return_to_go: bool = False, doubts: bool = False) -> Imagined:
        """What each action would lead to."""
        past = state.past if state.kept is None else Past(*(x.index_select(1, state.kept) for x in state.past))
        (by_cell, by_stage, by_action), past = state.look_ups, Past(*(x.unflatten(1, state.cell.shape) for x in past))
        action = torch.arange(self.env.n_actions, device=self.device).expand(*state.cell.shape, -1)
        moves = by_action(action, past.action, past.move_value, past.move_salience)   # batch beam action d_model
        next_x, next_y = self.next_logits(state.h[:, :, None], state.cell[..., None], action, moves)
        next_cell = next_x.argmax(-1) * self.env.size + next_y.argmax(-1)
        staged = next_cell * STAGES + state.stage[..., None]
        found = torch.cat((
            by_cell(next_cell, past.cell, past.reward_value), by_stage(staged, past.staged_cell, past.reward_value)
        ), dim=-1)
        reward, returns = self.reward_logits(next_cell, found), None
        if return_to_go:
            returns = self.returns(state.h).unflatten(-1, (self.env.n_actions, -1)).softmax(-1)
            returns = returns @ torch.arange(returns.shape[-1], device=self.device, dtype=returns.dtype)
        probability, entropy = doubts_of(next_x, next_y) if doubts else (None, None)
        return Imagined((reward[..., 1] - reward[..., 0]).sigmoid(), next_cell, returns, probability, entropy)

    @torch.no_grad()
    def advance(self, state: Imagination, action: Tensor, reward: Tensor, next_cell: Tensor) -> Imagination:
        """Append one imagined transition to each beam (all arguments [batch beam])."""
        tokens = Tokens(next_cell, action, reward, next_cell, torch.zeros_like(action))
        imagined, past = grown(state.imagined, state.kept), Past(*(grown(x, state.kept) for x in state.past))
        h = self.transformer.branch(self.embed(tokens), state.memory.cache, imagined)
        for kept, new in zip(past, self.past_of(tokens, state.cell, state.stage), strict=True):
            kept[-1] = new.flatten(0, 1)
        stage = (state.stage + reward).clamp(max=STAGES - 1)
        return Imagination(state.memory, state.look_ups, h, next_cell, stage, imagined, past)

    def fork(self, state: Imagination, beam: Int[Tensor, "batch new_beam"]) -> Imagination:
        """Keep the given beams of each row."""
        flat = flat_index(beam, state.h.shape[1])
        h, cell, stage = (x.flatten(0, 1)[flat].unflatten(0, beam.shape) for x in (state.h, state.cell, state.stage))
        return state._replace(h=h, cell=cell, stage=stage, kept=flat if state.kept is None else state.kept[flat])
