"""Algorithm Distillation, with or without a world model on the same Transformer (DICP-AD).

The policy head imitates the source's actions (Paper: Eq. 1). The world model predicts what an action leads to (Eq. 2):
`observational` as the paper has it, read off the history by an MLP; `interventional`, ours, looks the cell up in context.
"""

from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from dicp.config import EnvConfig, ModelConfig
from dicp.models.heads import LookUp, Predictions, RetrievalRewardHead, WorldModelHead
from dicp.models.transformer import Cache, Transformer
from dicp.planning import Imagined
from dicp.windows import Tokens


class Context:
    """What an agent remembers of its life, for a batch of agents: the Transformer's cache, what the reward head looks up
    (the cells arrived at, and what was found there), and `h`, the reading of the last token."""

    def __init__(self, cache: Cache, arrived: Tensor, values: Tensor, h: Tensor | None = None):
        self.cache, self.arrived, self.values, self.h = cache, arrived, values, h
        self.context_length = cache.capacity

    def rows(self, index: Tensor) -> "Context":
        """The same for some of the agents."""
        return Context(self.cache.rows(index), self.arrived[index], self.values[index], self.h[index])


class BeamState(NamedTuple):
    """Where each imagined future stands. A row's beams share its context; the rest is what each beam has added to it: keys
    and values of the Transformer, and for the reward head the cells it has been at and what it found there."""

    context: Context
    look_up: LookUp | None
    h: Float[Tensor, "batch beam d_model"]
    imagined: Float[Tensor, "n batch*beam memory"]
    been: Int[Tensor, "n batch*beam"]
    found: Float[Tensor, "n batch*beam d_model"]


class InContextModel(nn.Module):
    """A policy and, if the config says so, a world model, both read off one causal Transformer."""

    def __init__(self, env: EnvConfig, config: ModelConfig):
        super().__init__()
        self.env, self.config = env, config
        arrived = [(cell // env.size, cell % env.size) for cell in range(env.n_cells)] + [(env.size, env.size)]
        sizes = [env.size, env.size, env.n_actions + 1, 2, 2, env.size + 1, env.size + 1]
        offsets = torch.tensor([0, *sizes[:-1]]).cumsum(0)
        self.register_buffer("offsets", offsets, persistent=False)
        self.register_buffer("arrived_xy", torch.tensor(arrived), persistent=False)
        self.embed = nn.EmbeddingBag(sum(sizes), config.d_model, mode="sum")
        # PyTorch's unit variance drowns what attention adds: 600 updates end at 0.39 of the highest return, this at 0.6
        nn.init.normal_(self.embed.weight, std=0.1)
        self.transformer = Transformer(config)
        self.policy_head = nn.Linear(config.d_model, env.n_actions)
        if config.world_model != "none":
            self.world_model_head = WorldModelHead(env, config)
        if config.world_model == "interventional":
            self.reward_head = RetrievalRewardHead(env, config)

    @property
    def can_plan(self) -> bool:
        return self.config.world_model != "none"

    @property
    def device(self) -> torch.device:
        return self.offsets.device

    # ---- training: whole windows -----------------------------------------------------------------------------------

    def embed_tokens(self, tokens: Tokens) -> Float[Tensor, "*batch d_model"]:
        """The sum of one embedding for each field of the token."""
        xy = torch.stack((tokens.cell // self.env.size, tokens.cell % self.env.size), dim=-1)
        rest = torch.stack((tokens.last_action, tokens.last_reward, tokens.first), dim=-1)
        fields = torch.cat((xy, rest, self.arrived_xy[tokens.arrived]), dim=-1) + self.offsets
        return self.embed(fields.reshape(-1, fields.shape[-1])).view(*fields.shape[:-1], -1)

    def forward(self, tokens: Tokens) -> Float[Tensor, "batch n d_model"]:
        """The Transformer's vector at every position; the heads turn it into predictions."""
        return self.transformer(self.embed_tokens(tokens))

    def reward_logits(
        self, tokens: Tokens, next_cell: Int[Tensor, "batch n"], symbols: Tensor | None = None
    ) -> Float[Tensor, "batch n 2"]:
        """The retrieval reward head on whole windows: position t looks up `next_cell` among the cells up to t."""
        head, n = self.reward_head, next_cell.shape[1]
        keys, values = head.memorise(self.embed_tokens(tokens), tokens.arrived, symbols)
        mask = torch.ones(n, n, dtype=torch.bool, device=next_cell.device).tril()
        return head.read(head.query(next_cell, symbols), keys, values, mask)

    # ---- acting: one real token at a time --------------------------------------------------------------------------

    def begin(self, batch: int, context_length: int | None = None) -> Context:
        """An empty context for each of `batch` agents, of at most the transitions that the model was trained with."""
        c, device = self.config, self.device
        context_length = c.context_length if context_length is None else context_length
        if not 1 <= context_length <= c.context_length:
            raise ValueError(
                f"context_length is {context_length}; allowed: 1 to {c.context_length}, what this model was trained with."
            )
        arrived = torch.zeros(batch, context_length, dtype=torch.long, device=device)
        return Context(Cache(c, batch, context_length, device), arrived, torch.zeros(*arrived.shape, c.d_model, device=device))

    @torch.no_grad()
    def observe(self, context: Context, tokens: Tokens) -> Float[Tensor, "batch n_actions"]:
        """Append one real token of each agent (fields [batch]) to its context; returns the policy's logits."""
        slot = context.cache.n_seen % context.cache.capacity
        x = self.embed_tokens(tokens)
        context.h = self.transformer.append(x, context.cache)
        if self.config.world_model == "interventional":
            context.arrived[:, slot], context.values[:, slot] = tokens.arrived, self.reward_head.value(x)
        return self.policy_head(context.h)

    # ---- planning: the WorldModel protocol of dicp.planning --------------------------------------------------------

    def root(self, context: Context) -> BeamState:
        """One beam a row: nothing imagined yet."""
        h, c, n_held, look_up = context.h[:, None], self.config, context.cache.n_held, None
        if c.world_model == "interventional":
            look_up = self.reward_head.tabulate(context.arrived[:, :n_held], context.values[:, :n_held])
        nothing = h.new_zeros(0, len(h), 2 * c.n_layers * c.d_model), context.arrived.new_zeros(0, len(h))
        return BeamState(context, look_up, h, *nothing, h.new_zeros(0, len(h), c.d_model))

    def propose(self, state: BeamState) -> Float[Tensor, "batch beam n_actions"]:
        """Log-probabilities of the policy head at the (imagined) present."""
        return self.policy_head(state.h).log_softmax(-1)

    def imagine(self, state: BeamState, return_to_go: bool = False) -> Imagined:
        """What each action would lead to."""
        p: Predictions = self.world_model_head(state.h)                               # batch beam action ...
        next_cell = p.next_x.argmax(-1) * self.env.size + p.next_y.argmax(-1)
        reward = p.reward if self.config.world_model == "observational" else self._look_up(state, next_cell)
        returns = None
        if return_to_go:
            possible = torch.arange(p.return_to_go.shape[-1], device=state.h.device, dtype=state.h.dtype)
            returns = p.return_to_go.softmax(-1) @ possible
        return Imagined((reward[..., 1] - reward[..., 0]).sigmoid(), next_cell, returns)

    def _look_up(self, state: BeamState, next_cell: Int[Tensor, "batch beam action"]) -> Tensor:
        been, values = (rearrange(x, "n (b k) ... -> b k n ...", b=len(next_cell)) for x in (state.been, state.found))
        return self.reward_head.judge(state.look_up(next_cell, been, values))

    def advance(self, state: BeamState, action: Tensor, reward: Tensor, next_cell: Tensor) -> BeamState:
        """Append one imagined transition to each beam (all arguments [batch beam])."""
        tokens = Tokens(next_cell, action, reward, next_cell, torch.zeros_like(action))
        imagined = torch.cat((state.imagined, state.imagined.new_empty(1, *state.imagined.shape[1:])))
        x = self.embed_tokens(tokens)
        h = self.transformer.branch(x, state.context.cache, imagined)
        state = state._replace(h=h, imagined=imagined)
        if self.config.world_model == "interventional":
            been = torch.cat((state.been, next_cell.reshape(1, -1)))
            found = torch.cat((state.found, self.reward_head.value(x).view(1, -1, x.shape[-1])))
            state = state._replace(been=been, found=found)
        return state

    def fork(self, state: BeamState, beam: Int[Tensor, "batch new_beam"]) -> BeamState:
        """Keep the given beams of each row; copies only what was imagined."""
        flat = (beam + state.h.shape[1] * torch.arange(len(beam), device=beam.device)[:, None]).flatten()
        h = state.h.flatten(0, 1)[flat].view(*beam.shape, -1)
        imagined, been, found = (x.index_select(1, flat) for x in state[3:])
        return BeamState(state.context, state.look_up, h, imagined, been, found)
