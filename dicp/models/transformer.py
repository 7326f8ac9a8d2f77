"""A causal Transformer that reads one token a step, with a key-value cache that beams can share
(Paper: section 5.1; RMSNorm, rotary positions and SwiGLU as in LLaMA)."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from dicp.config import ModelConfig


def rotary(position: Tensor, d_head: int) -> Tensor:
    """The rotations of rotary position embedding (Su et al. 2021)
    as complex numbers [*position d_head/2].

    Scores then depend on how far apart two tokens are, not on where they are,
    so a key is stored already rotated.
    """
    half = d_head // 2
    angle = position[..., None] * 10_000.0 ** (-torch.arange(half, device=position.device) / half)
    return torch.polar(torch.ones_like(angle), angle)


def rotate(x: Float[Tensor, "*batch d_head"], rotation: Tensor) -> Float[Tensor, "*batch d_head"]:
    """Turn each pair of neighbouring components by its angle."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * rotation).flatten(-2)


class Block(nn.Module):
    """Attention, then a gated feed-forward layer, each added to the residual stream."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        d, self.n_heads, self.dropout = config.d_model, config.n_heads, config.dropout
        self.norm_attention, self.norm_ff = nn.RMSNorm(d), nn.RMSNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.up = nn.Linear(d, 2 * config.d_ff, bias=False)
        self.down = nn.Linear(config.d_ff, d, bias=False)

    def project(
        self, x: Float[Tensor, "batch n d_model"], rotation: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [batch head n d_head]; `rotation` as `rotary` gives it,
        for each n or for all."""
        qkv = self.qkv(self.norm_attention(x))
        qkv = rearrange(qkv, "b n (three h d) -> three b h n d", three=3, h=self.n_heads)
        q, k = rotate(qkv[:2], rotation)
        return q, k, qkv[2]

    def finish(
        self, x: Tensor, attended: Float[Tensor, "batch head n d_head"]
    ) -> Float[Tensor, "batch n d_model"]:
        """Everything after the attention itself."""
        read = self.out(rearrange(attended, "b h n d -> b n (h d)"))
        x = x + F.dropout(read, self.dropout, self.training)
        gate, value = self.up(self.norm_ff(x)).chunk(2, dim=-1)
        return x + F.dropout(self.down(F.silu(gate) * value), self.dropout, self.training)


def counted_mask(log_count: Float[Tensor, "batch n"]) -> Float[Tensor, "batch head=1 n n"]:
    """What attention adds to its scores where some tokens count more often than once, or not at
    all: token s counts exp(log_count[s]) times for every later token (-inf: it is forgotten), and
    once for itself."""
    n = log_count.shape[1]
    later = torch.full((n, n), -torch.inf, device=log_count.device).triu(1)
    itself = torch.eye(n, dtype=torch.bool, device=log_count.device)
    return (log_count[:, None, :] + later).masked_fill(itself, 0.0)[:, None]


class Cache:
    """Keys and values of the first `n_held` of `capacity` tokens of each row, per layer."""

    def __init__(
        self, config: ModelConfig, batch: int, capacity: int, device: torch.device | str = "cpu"
    ):
        self.capacity, self.n_held = capacity, 0
        d_head = config.d_model // config.n_heads
        shape = (config.n_layers, 2, batch, config.n_heads, self.capacity, d_head)
        # layer (key, value) batch head slot d_head
        self.memory = torch.zeros(shape, device=device)

    def write(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Store the next tokens [batch head n d_head] of one layer; count them, once all have,
        with `n_held += n`."""
        slots = slice(self.n_held, self.n_held + key.shape[2])
        self.memory[layer, 0, :, :, slots], self.memory[layer, 1, :, :, slots] = key, value

    def rows(self, index: Tensor) -> "Cache":
        """The same cache for some of the rows (a copy)."""
        part = object.__new__(Cache)
        part.capacity, part.n_held = self.capacity, self.n_held
        part.memory = self.memory[:, :, index]
        return part


class Transformer(nn.Module):
    """Token embeddings in, one vector a token out. Three ways to run the same weights: whole
    windows (`forward`), one real token at a time (`append`), and one imagined token for each of
    many beams (`branch`). All three agree."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config, self.d_head = config, config.d_model // config.n_heads
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.norm = nn.RMSNorm(config.d_model)

    def forward(
        self, x: Float[Tensor, "batch n d_model"], cache: Cache | None = None,
        log_count: Float[Tensor, "batch n"] | None = None,
    ) -> Float[Tensor, "batch n d_model"]:
        """Read whole windows at once; position t sees tokens 0..t only. An empty `cache` will
        remember them. `log_count`: see `counted_mask`."""
        rotation = rotary(torch.arange(x.shape[1], device=x.device), self.d_head)
        mask = None if log_count is None else counted_mask(log_count)
        for layer, block in enumerate(self.blocks):
            q, k, v = block.project(x, rotation)
            if cache is not None:
                cache.write(layer, k, v)
            attended = F.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None)
            x = block.finish(x, attended)
        if cache is not None:
            cache.n_held += x.shape[1]
        return self.norm(x)

    def append(
        self, x: Float[Tensor, "batch d_model"], cache: Cache
    ) -> Float[Tensor, "batch d_model"]:
        """Read one new token of each row and remember it."""
        x, rotation = x[:, None], rotary(torch.tensor(cache.n_held, device=x.device), self.d_head)
        for layer, block in enumerate(self.blocks):
            q, k, v = block.project(x, rotation)
            cache.write(layer, k, v)
            keys, values = cache.memory[layer, :, :, :, : cache.n_held + 1]
            x = block.finish(x, F.scaled_dot_product_attention(q, keys, values))
        cache.n_held += 1
        return self.norm(x)[:, 0]

    def read_and_ask(
        self, x: Float[Tensor, "batch n d_model"], queries: Float[Tensor, "batch n asked d_model"],
        log_count: Float[Tensor, "batch n"] | None = None,
    ) -> tuple[Float[Tensor, "batch n d_model"], Float[Tensor, "batch n asked d_model"]]:
        """Read whole windows, and answer the queries about each step: those about step t read
        tokens 0..t and themselves, where token t + 1 will be. No token and no other query reads
        them. `log_count`: see `counted_mask`."""
        n, n_asked = queries.shape[1:3]
        rotation = rotary(torch.arange(n + 1, device=x.device), self.d_head)
        step = torch.arange(n, device=x.device)
        step, asked = step.repeat_interleave(n_asked), queries.flatten(1, 2)
        unread, place = torch.arange(n, device=x.device) > step[:, None], rotation[step + 1]
        bias, mask = torch.zeros(n, device=x.device), None
        if log_count is not None:
            bias, mask = log_count[:, None, None], counted_mask(log_count)
        bias = torch.where(unread, -torch.inf, bias)
        for block in self.blocks:
            q, k, v = block.project(x, rotation[:n])
            own_q, own_k, own_v = block.project(asked, place)
            attended = F.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None)
            x = block.finish(x, attended)
            own_q = own_q / math.sqrt(self.d_head)
            scores = own_q @ k.transpose(-1, -2) + bias
            own_score = (own_q * own_k).sum(-1, keepdim=True)
            weights = torch.cat((scores, own_score), dim=-1).softmax(-1)
            asked = block.finish(asked, weights[..., :-1] @ v + weights[..., -1:] * own_v)
        return self.norm(x), self.norm(asked).unflatten(1, (-1, n_asked))

    def ask(
        self, x: Float[Tensor, "batch beam asked d_model"], cache: Cache,
        imagined: Float[Tensor, "n batch*beam memory"],
    ) -> Float[Tensor, "batch beam asked d_model"]:
        """Answer queries about the next step of each beam: each reads the row's cache, what its
        beam has imagined, and itself; nothing is remembered of it."""
        (batch, beams, n_asked, _), n_held, n = x.shape, cache.n_held, len(imagined)
        rotation = rotary(torch.tensor(n_held + n, device=x.device), self.d_head)
        own = imagined.view(n, batch, beams, len(self.blocks), 2, self.config.n_heads, self.d_head)
        x = x.flatten(1, 2)
        for layer, block in enumerate(self.blocks):
            q, k, v = block.project(x, rotation)    # batch head beam*asked d_head
            q = q / math.sqrt(self.d_head)
            keys, values = cache.memory[layer, :, :, :, :n_held]
            own_k, own_v = rearrange(own[:, :, :, layer], "n b k two h d -> two b h k n d")
            own_scores = (q.unflatten(2, (beams, n_asked)) @ own_k.transpose(-1, -2)).flatten(2, 3)
            own_score = (q * k).sum(-1, keepdim=True)
            scores = torch.cat((q @ keys.transpose(-1, -2), own_scores, own_score), dim=-1)
            weights = scores.softmax(-1)
            from_own = weights[..., n_held:-1].unflatten(2, (beams, n_asked)) @ own_v
            attended = weights[..., :n_held] @ values + from_own.flatten(2, 3)
            x = block.finish(x, attended + weights[..., -1:] * v)
        return self.norm(x).unflatten(1, (beams, n_asked))

    def branch(
        self, x: Float[Tensor, "batch beam d_model"], cache: Cache,
        imagined: Float[Tensor, "n batch*beam memory"],
    ) -> Float[Tensor, "batch beam d_model"]:
        """Read one imagined token a beam. All beams of a row share the row's cache; `imagined`
        holds each beam's own keys and values of its imagined tokens (memory = layer key/value head
        d_head), the last of them to be filled in here.
        """
        (batch, beams, _), n_held = x.shape, cache.n_held
        rotation = rotary(torch.tensor(n_held + len(imagined) - 1, device=x.device), self.d_head)
        own = imagined.view(
            len(imagined), batch, beams, len(self.blocks), 2, self.config.n_heads, -1
        )
        for layer, block in enumerate(self.blocks):
            # batch beam head d_head
            q, k, v = (part.transpose(1, 2) for part in block.project(x, rotation))
            own[-1, :, :, layer, 0], own[-1, :, :, layer, 1] = k, v
            own_k, own_v = own[:, :, :, layer, 0], own[:, :, :, layer, 1]
            keys, values = cache.memory[layer, :, :, :, :n_held]
            q = q / math.sqrt(q.shape[-1])
            scores = q.transpose(1, 2) @ keys.transpose(-1, -2)    # batch head beam slot
            own_scores = rearrange((q * own_k).sum(-1), "n b k h -> b h k n")
            weights = torch.cat((scores, own_scores), dim=-1).softmax(-1)
            from_own = (rearrange(weights[..., n_held:], "b h k n -> n b k h 1") * own_v).sum(0)
            x = block.finish(x, weights[..., :n_held] @ values + from_own.transpose(1, 2))
        return self.norm(x)
