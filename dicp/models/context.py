"""What an agent remembers: the last episodes of its rollout, as a window of the kind that it was
trained to read."""

import math
from copy import copy

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dicp.config import ModelConfig, WorldConfig
from dicp.models.sizes import check_context
from dicp.models.transformer import Cache
from dicp.types import Tokens
from dicp.windows import without_past


def whole_episodes(env: WorldConfig, config: ModelConfig, context_length: int | None) -> int:
    """How many transitions a context holds (None: as many as the model was trained with,
    the most allowed)."""
    most, horizon = config.context_length, env.horizon
    context_length = most if context_length is None else context_length
    if not horizon <= context_length <= most or context_length % horizon:
        raise ValueError(
            f"context_length is {context_length}; allowed: multiples of the horizon {horizon} "
            f"up to {most}, what this model was trained with."
        )
    return context_length


class Context:
    """What a beam search needs of the memory of a batch of agents."""

    cache: Cache                            # which all beams share
    h: Float[Tensor, "batch d_model"]       # the Transformer's reading of the last token
    observation: Tensor                     # the present one [batch ...]
    reward_before: Tensor                   # the last one of this episode, 0 as it begins [batch]
    max_plan_depth: float = math.inf        # env steps that may be imagined from here


class EpisodicContext(Context):
    """The last tokens of a batch of agents, the Transformer's cache of them,
    and its reading of the last one.

    Once it is full, the oldest episodes (`config.n_forget_episodes` of them) are forgotten and the
    others are read again as if the rollout had begun with them, at the price of a few tokens a
    step. To drop the oldest keys alone would be cheaper, but what the later tokens have read in
    them would stay: measured in Darkroom-Permuted, agents then drift away from what they know (0.75
    of the highest return after 50 episodes instead of 0.91). """

    def __init__(
        self, env: WorldConfig, config: ModelConfig, batch: int, context_length: int | None,
        device: torch.device,
    ):
        self.env, capacity = env, whole_episodes(env, config, context_length)
        check_context(env, config, batch, capacity, torch.device(device))
        self.n_forgotten = min(config.n_forget_episodes * env.horizon, capacity)  # at once
        self.cache, self.held = Cache(config, batch, capacity, device), None

    @property
    def n_transitions(self) -> int:
        """Those whose outcome the agent remembers."""
        return self.cache.n_held - 1

    @property
    def observation(self) -> Tensor:
        """The present one [batch ...]."""
        return self.held.observation[:, self.cache.n_held - 1]

    @property
    def reward_before(self) -> Tensor:
        """The last one of this episode, 0 as it begins [batch]."""
        return self.held.reward_before[:, self.cache.n_held - 1]

    @property
    def is_full(self) -> bool:
        return self.cache.n_held == self.cache.capacity

    def note(self, tokens: Tokens) -> Tokens:
        """Remember one new token of each agent (fields [batch]); returns it as it is to be read."""
        at = self.cache.n_held
        if self.held is None:
            capacity = self.cache.capacity
            self.held = tokens.map(lambda x: x.new_zeros(len(x), capacity, *x.shape[1:]))
        if at == 0:
            tokens = without_past(Tokens.stack([tokens]), self.env, 1).at(0)
        for kept, new in zip(self.held, tokens, strict=True):
            kept[:, at] = new
        return tokens

    def forget(self) -> Tokens:
        """Drop the oldest episodes; returns the others [batch n], to be read again."""
        kept = without_past(self.held, self.env, self.cache.capacity - self.n_forgotten)
        for old, new in zip(self.held, kept, strict=True):
            old[:, : new.shape[1]] = new
        self.cache.n_held = 0
        return kept

    def rows(self, index: Tensor) -> "EpisodicContext":
        """The same for some of the agents."""
        part = copy(self)
        part.cache, part.held, part.h = self.cache.rows(index), self.held.rows(index), self.h[index]
        return part


def flat_index(beam: Int[Tensor, "batch new_beam"], n_beams: int) -> Int[Tensor, "kept"]:
    """Where the given beams of each row are among all beams of all rows."""
    return (beam + n_beams * torch.arange(len(beam), device=beam.device)[:, None]).flatten()


def grown(x: Tensor, kept: Int[Tensor, "kept"] | None) -> Tensor:
    """A copy of what was imagined [n batch*beam ...] for the `kept` beams alone (None: all), with
    room for one step more. A fork only says which beams are kept; they are copied here, once:
    planning is mostly the moving of memory."""
    new = x.new_empty(len(x) + 1, x.shape[1] if kept is None else len(kept), *x.shape[2:])
    if kept is None:
        new[:-1] = x
    else:
        torch.index_select(x, 1, kept, out=new[:-1])
    return new
