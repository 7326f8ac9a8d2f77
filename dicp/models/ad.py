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
from dicp.models.heads import Predictions, RetrievalRewardHead, WorldModelHead
from dicp.models.transformer import Cache, Transformer
from dicp.planning import Imagined
from dicp.windows import Tokens


class Context:
    """What an agent remembers of its life, for a batch of agents: the caches, and `h`, its reading of the last token."""

    def __init__(self, cache: Cache, looked_up: tuple[Tensor, Tensor] | None, h: Tensor | None = None):
        self.cache, self.looked_up, self.h = cache, looked_up, h

    def rows(self, index: Tensor) -> "Context":
        """The same for some of the agents."""
        looked_up = self.looked_up and tuple(x[index] for x in self.looked_up)
        return Context(self.cache.rows(index), looked_up, self.h[index])


class BeamState(NamedTuple):
    """Where each imagined future stands. The context is shared by all beams of a row; `imagined` and `found` hold what
    each beam has added to it: keys and values of the Transformer, and of the reward head."""

    context: Context
    h: Float[Tensor, "batch beam d_model"]
    imagined: Float[Tensor, "n batch*beam memory"]
    found: Float[Tensor, "n batch*beam found"]


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
        self.transformer = Transformer(config)
        self.policy_head = nn.Linear(config.d_model, env.n_actions)
        if config.world_model != "none":
            self.world_model_head = WorldModelHead(env, config)
        if config.world_model == "interventional":
            self.reward_head = RetrievalRewardHead(env, config)

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
        self, h: Tensor, tokens: Tokens, next_cell: Int[Tensor, "batch n"], symbols: Tensor | None = None
    ) -> Float[Tensor, "batch n 2"]:
        """The retrieval reward head on whole windows: position t looks up `next_cell` among the cells up to t."""
        head, n = self.reward_head, h.shape[1]
        keys, values = head.memorise(h, tokens.arrived, symbols)
        mask = torch.ones(n, n, dtype=torch.bool, device=h.device).tril()
        return head.read(h, head.query(h, next_cell, symbols), keys, values, mask)

    # ---- acting: one real token at a time --------------------------------------------------------------------------

    def begin(self, batch: int, context_length: int | None = None) -> Context:
        """An empty context for each of `batch` agents, of at most the transitions that the model was trained with."""
        c, device = self.config, self.device
        context_length = c.context_length if context_length is None else context_length
        if not 1 <= context_length <= c.context_length:
            raise ValueError(
                f"context_length is {context_length}; allowed: 1 to {c.context_length}, what this model was trained with."
            )
        looked_up = None
        if c.world_model == "interventional":
            sizes = (2 * self.env.size, c.d_model)
            looked_up = tuple(torch.zeros(batch, context_length, d, device=device) for d in sizes)
        return Context(Cache(c, batch, context_length, device), looked_up)

    @torch.no_grad()
    def observe(self, context: Context, tokens: Tokens) -> Float[Tensor, "batch n_actions"]:
        """Append one real token of each agent (fields [batch]) to its context; returns the policy's logits."""
        slot = context.cache.n_seen % context.cache.capacity
        context.h = self.transformer.append(self.embed_tokens(tokens), context.cache)
        if context.looked_up:
            key, value = self.reward_head.memorise(context.h, tokens.arrived)
            context.looked_up[0][:, slot], context.looked_up[1][:, slot] = key, value
        return self.policy_head(context.h)

    # ---- planning: the WorldModel protocol of dicp.planning --------------------------------------------------------

    def root(self, context: Context) -> BeamState:
        """One beam a row: nothing imagined yet."""
        h, c = context.h[:, None], self.config
        d_found = sum(x.shape[-1] for x in context.looked_up) if context.looked_up else 0
        return BeamState(context, h, h.new_zeros(0, len(h), 2 * c.n_layers * c.d_model), h.new_zeros(0, len(h), d_found))

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
        head, cache = self.reward_head, state.context.cache
        h = state.h[:, :, None].expand(*next_cell.shape, -1)                           # batch beam action d_model
        query = head.query(h, next_cell)
        own = rearrange(state.found, "n (b k) d -> b k n d", b=len(h))
        own_keys, own_values = own[..., : query.shape[-1]], own[..., query.shape[-1] :]
        keys, values = (x[:, None, : cache.n_held] for x in state.context.looked_up)
        scores = query @ keys.transpose(-1, -2)
        scores[..., cache.too_old(own.shape[2])] = -torch.inf
        null = (query @ head.null_key)[..., None]
        weights = torch.cat((scores, query @ own_keys.transpose(-1, -2), null), dim=-1).softmax(-1)
        in_context, in_beam, nowhere = weights.split((cache.n_held, own.shape[2], 1), dim=-1)
        found = in_context @ values + in_beam @ own_values + nowhere * head.null_value
        return head.judge(torch.cat((found, h), dim=-1))

    def advance(self, state: BeamState, action: Tensor, reward: Tensor, next_cell: Tensor) -> BeamState:
        """Append one imagined transition to each beam (all arguments [batch beam])."""
        tokens = Tokens(next_cell, action, reward, next_cell, torch.zeros_like(action))
        imagined = torch.cat((state.imagined, state.imagined.new_empty(1, *state.imagined.shape[1:])))
        h, found = self.transformer.branch(self.embed_tokens(tokens), state.context.cache, imagined), state.found
        if state.context.looked_up:
            memorised = torch.cat(self.reward_head.memorise(h, next_cell), dim=-1)
            found = torch.cat((found, memorised.view(1, -1, memorised.shape[-1])))
        return BeamState(state.context, h, imagined, found)

    def fork(self, state: BeamState, beam: Int[Tensor, "batch new_beam"]) -> BeamState:
        """Keep the given beams of each row; copies only what was imagined."""
        flat = (beam + state.h.shape[1] * torch.arange(len(beam), device=beam.device)[:, None]).flatten()
        h = state.h.flatten(0, 1)[flat].view(*beam.shape, -1)
        return BeamState(state.context, h, state.imagined.index_select(1, flat), state.found.index_select(1, flat))
