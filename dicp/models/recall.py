"""One cross-attention over the context with fixed scores: have I met this before, and what came of it?"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

NEVER = math.exp(-8)      # weight of "never met" beside 1 for each time that a thing was met


class Recall(nn.Module):
    """Look a thing (a number below `n_things`: a cell, an action) up among the things of the context.

    Attention with scores that are not learned: 8 for the same thing, minus infinity for another, 0 for the null key. So it
    finds the mean of what the thing's earlier appearances brought, and the null value where there were none. A plain
    Transformer does not learn this in a thousand updates, and learned keys found strangers a little alike: P(reward) of
    cells that nobody had seen then differed by half, and the agent searched the far ones first.
    """

    def __init__(self, n_things: int, d_value: int):
        super().__init__()
        self.n_things = n_things
        self.null_value = nn.Parameter(torch.zeros(d_value))

    def forward(
        self, query: Int[Tensor, "batch n"], key: Int[Tensor, "batch n"], value: Float[Tensor, "batch n d_value"],
        salience: Float[Tensor, "batch n"] | None = None,
    ) -> Float[Tensor, "batch n d_value"]:
        """What is found about `query[t]` among the first t + 1 things of the context. `salience` is added to the scores of
        memories that count more than others."""
        weight = (query[:, :, None] == key[:, None]).tril().to(value)                     # batch n key
        weight = weight if salience is None else weight * salience.exp()[:, None]
        return (weight @ value + NEVER * self.null_value) / (weight.sum(-1, keepdim=True) + NEVER)

    def tabulate(
        self, key: Int[Tensor, "batch m"], value: Float[Tensor, "batch m d_value"], salience: Tensor | None = None
    ) -> "LookUp":
        """What is found about every thing, for a planner that asks about hundreds and only adds what it imagines."""
        weight = (torch.arange(self.n_things, device=key.device)[:, None] == key[:, None]).to(value)      # batch thing m
        weight = weight if salience is None else weight * salience.exp()[:, None]
        return LookUp(weight @ value + NEVER * self.null_value, weight.sum(-1, keepdim=True) + NEVER)


class LookUp(NamedTuple):
    """A context as `Recall` sees it: for each thing the weighted sum of what was found, and the sum of the weights."""

    found: Float[Tensor, "batch thing d_value"]
    weight: Float[Tensor, "batch thing 1"]

    def __call__(
        self, query: Int[Tensor, "batch beam action"], key: Int[Tensor, "n batch beam"],
        value: Float[Tensor, "n batch beam d_value"], salience: Float[Tensor, "n batch beam"] | None = None,
    ) -> Float[Tensor, "batch beam action d_value"]:
        """What is found about `query` by a beam that has met, in imagination, the things `key` (and found `value`)."""
        row = torch.arange(len(query), device=query.device)[:, None, None]
        more = (query == key[..., None]).to(value)                                        # n batch beam action
        more = more if salience is None else more * salience.exp()[..., None]
        found = self.found[row, query] + torch.einsum("nbka,nbkd->bkad", more, value)
        return found / (self.weight[row, query] + more.sum(0)[..., None])
