"""What goes into the Transformer, a token a step, and what is read off it: reward,
next observation and return-to-go."""

from itertools import accumulate, product
from math import prod
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from dicp.config import ModelConfig
from dicp.domain import Domain
from dicp.planning import Imagined
from dicp.types import Space, Tokens, Windows


class TokenEmbedding(nn.EmbeddingBag):
    """The sum of one embedding for each field of a token; an observation has one for each of its
    coordinates, as a cell for x and for y."""

    def __init__(self, domain: Domain, d_model: int):
        sizes, factors = self.sizes(domain), domain.observation.factors
        super().__init__(sum(sizes), d_model, mode="sum")
        # PyTorch's unit variance drowns what attention adds: 600 updates end at 0.39 of the highest
        # return, this at 0.6
        nn.init.normal_(self.weight, std=0.1)
        # of each observation; last: nowhere
        places = torch.tensor([*product(*map(range, factors)), factors])
        self.rewards = domain.reward
        offsets = torch.tensor([*accumulate([0, *sizes[:-1]])])
        self.register_buffer("offsets", offsets, persistent=False)
        self.register_buffer("places", places, persistent=False)

    @staticmethod
    def sizes(domain: Domain) -> list[int]:
        """How many values each field of a token may have."""
        factors = domain.observation.factors
        return [*factors, domain.action.n + 1, domain.reward.n, 2, *(n + 1 for n in factors)]

    @classmethod
    def n_rows(cls, domain: Domain) -> int:
        """Embeddings of all fields."""
        return sum(cls.sizes(domain))

    def forward(self, tokens: Tokens) -> Float[Tensor, "*batch d_model"]:
        reward = self.rewards.index(tokens.last_reward)
        rest = torch.stack((tokens.last_action, reward, tokens.first), dim=-1)
        parts = self.places[tokens.observation], rest, self.places[tokens.outcome]
        fields = torch.cat(parts, dim=-1) + self.offsets
        x = super().forward(fields.reshape(-1, fields.shape[-1]))
        return x.view(*fields.shape[:-1], self.embedding_dim)


def cross_entropy(
    logits: Tensor, target: Tensor, weight: Float[Tensor, "batch"] | None = None
) -> Tensor:
    """Mean over every position of every window (the dense loss; Paper: Eq. 1 and 2). `target`:
    which one it is, or how likely each is. `weight`: how much each window counts."""
    flat = target.flatten() if target.ndim < logits.ndim else target.flatten(0, -2)
    if weight is None:
        return F.cross_entropy(logits.flatten(0, -2), flat)
    each = F.cross_entropy(logits.flatten(0, -2), flat, reduction="none").view(logits.shape[:-1])
    return (weight[:, None] * each).mean()


class Returns:
    """The returns-to-go that there are, as categories: each whole number, where rewards are whole;
    else a hundred steps from the lowest to the highest, between two of which a return is shared."""

    N_STEPS = 100

    def __init__(self, domain: Domain):
        low, high = (domain.config.horizon * bound for bound in domain.reward.bounds)
        low, high = min(low, 0), max(high, 0)
        self.are_whole = domain.reward.is_whole
        n = int(high - low) + 1 if self.are_whole else self.N_STEPS + 1
        self.low, self.step, self.n = low, (high - low) / max(n - 1, 1), n

    def target(self, value: Tensor) -> Tensor:
        """Of a loss: the number of the category, or how much of the return each of them gets."""
        if self.are_whole:
            return value
        place = ((value - self.low) / self.step).clamp(0, self.n - 1)
        lower = place.floor().long().clamp(max=self.n - 2)
        share = (place - lower)[..., None]
        return F.one_hot(lower, self.n) * (1 - share) + F.one_hot(lower + 1, self.n) * share

    def expected(self, logits: Float[Tensor, "*batch n_returns"]) -> Float[Tensor, "*batch"]:
        possible = torch.arange(self.n, device=logits.device, dtype=logits.dtype)
        return self.low + self.step * (logits.softmax(-1) @ possible)


class Predictions(NamedTuple):
    """Logits of the world model for one (history, action); the next observation is factored
    into its coordinates."""

    reward: Float[Tensor, "*batch n_rewards"]
    next_coordinates: tuple[Float[Tensor, "*batch n"], ...]
    return_to_go: Float[Tensor, "*batch n_returns"]
    domain: Domain

    @property
    def logits(self) -> tuple[Tensor, ...]:
        """All of them."""
        return self.reward, *self.next_coordinates, self.return_to_go

    @property
    def next_x(self) -> Float[Tensor, "*batch size"]:
        """Of a cell."""
        return self.next_coordinates[0]

    @property
    def next_y(self) -> Float[Tensor, "*batch size"]:
        """Of a cell."""
        return self.next_coordinates[1]

    def loss_terms(
        self, windows: Windows, weight: Float[Tensor, "batch"] | None = None
    ) -> dict[str, Tensor]:
        """- log g(reward, next observation, return-to-go | history, action taken), mean, term by
        term (Paper: Eq. 2). `weight`: how much each window counts."""
        space, rewards = self.domain.observation, self.domain.reward
        next_parts = space.coordinates(windows.next_observation).unbind(-1)
        parts = zip(self.next_coordinates, next_parts, strict=True)
        returns = Returns(self.domain).target(windows.return_to_go)
        return {
            "reward": cross_entropy(self.reward, rewards.index(windows.reward), weight),
            "next_obs": sum(cross_entropy(logits, part, weight) for logits, part in parts),
            "return_to_go": cross_entropy(self.return_to_go, returns, weight),
        }

    def imagined(self, return_to_go: bool = False, uncertainty: bool = False) -> Imagined:
        """The same for each action, as a planner reads it."""
        space = self.domain.observation
        parts = torch.stack([logits.argmax(-1) for logits in self.next_coordinates], dim=-1)
        returns = Returns(self.domain).expected(self.return_to_go) if return_to_go else None
        sure = certainty_of(*self.next_coordinates) if uncertainty else (None, None)
        return imagined_reward(self.reward, self.domain.reward, space.joined(parts), returns, *sure)


def imagined_reward(
    logits: Float[Tensor, "*batch n_rewards"], rewards: Space, *others: Any
) -> Imagined:
    """With what is expected of a reward, and the most likely one; `others`: the fields from
    `next_observation` on."""
    if rewards.is_whole and rewards.n == 2:
        return Imagined.of_chances((logits[..., 1] - logits[..., 0]).sigmoid(), *others)
    return Imagined.of_rewards(logits.softmax(-1), rewards, *others)


class WorldModelHead(nn.Module):
    """An MLP on (what the Transformer knows at t, action): reward, next observation and
    return-to-go (Paper: Eq. 2)."""

    def __init__(self, domain: Domain, config: ModelConfig):
        super().__init__()
        self.domain, self.sizes = domain, self.outputs(domain)
        self.from_context = nn.Linear(config.d_model, config.d_head_hidden)
        self.from_action = nn.Embedding(domain.action.n, config.d_head_hidden)
        self.out = nn.Linear(config.d_head_hidden, sum(self.sizes))

    def forward(
        self, h: Float[Tensor, "*batch d_model"], action: Int[Tensor, "*batch"] | None = None
    ) -> Predictions:
        """Logits for `action`, or for every action (one more axis before the last)
        when none is given."""
        hidden = self.from_context(h)
        if action is None:
            hidden = hidden[..., None, :] + self.from_action.weight
        else:
            hidden = hidden + self.from_action(action)
        reward, *coordinates, returns = self.out(F.silu(hidden)).split(self.sizes, dim=-1)
        return Predictions(reward, tuple(coordinates), returns, self.domain)

    @staticmethod
    def outputs(domain: Domain) -> tuple[int, ...]:
        """How many numbers tell of the reward, of each coordinate, and of the return-to-go."""
        return domain.reward.n, *domain.observation.factors, Returns(domain).n

    @classmethod
    def n_parameters(cls, domain: Domain, config: ModelConfig) -> int:
        """About how many it has."""
        n_outputs = sum(cls.outputs(domain))
        return config.d_head_hidden * (config.d_model + n_outputs + domain.action.n + 2)

    def imagined(
        self, state: Any, action: Tensor | None, return_to_go: bool, uncertainty: bool
    ) -> Imagined:
        """What every action would lead to; `action`: all of them."""
        return self(state.h).imagined(return_to_go, uncertainty)


def certainty_of(
    *logits: Float[Tensor, "*batch n"]
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """(probability of the most likely observation, entropy over all in nats),
    from the logits of its coordinates."""
    chances = [one.softmax(-1) for one in logits]
    most = prod(q.amax(-1) for q in chances)
    return most, -sum((q * q.clamp(min=1e-9).log()).sum(-1) for q in chances)


def next_cell_logits(
    changes: Float[Tensor, "*batch 6"], cell: Tensor, size: int
) -> tuple[Float[Tensor, "*shape size"], Float[Tensor, "*shape size"]]:
    """Of the next cell's x and of its y, from those of the change of each: -1, 0 or +1, of x first.
    cell: as many as changes, or what broadcasts to them."""
    step, logits = torch.arange(3, device=cell.device), []
    places, by_place = (cell // size, cell % size), changes.unflatten(-1, (2, 3)).unbind(-2)
    for at, change in zip(places, by_place, strict=True):
        beyond = change.new_full((*change.shape[:-1], size + 2), -1e9)    # the room with its walls
        index = (at[..., None] + step).expand_as(change)
        logits.append(beyond.scatter(-1, index, change)[..., 1:-1])
    return logits[0], logits[1]


def outcomes_of(
    chance: Float[Tensor, "batch beam action move"], next_cell: Int[Tensor, "batch beam move"]
) -> tuple[
    Int[Tensor, "batch beam action"], Float[Tensor, "batch beam action"],
    Float[Tensor, "batch beam action"],
]:
    """(the most likely next cell of each action, its probability, the entropy over cells in nats),
    if an action makes each move with a given chance and a move leads to `next_cell`."""
    # at a wall, several moves lead to one cell
    same = (next_cell[..., None] == next_cell[..., None, :]).float()
    chances = torch.einsum("bkam,bkmn->bkan", chance, same)
    probability, move = chances.max(-1)
    entropy = -(chance * chances.clamp(min=1e-9).log()).sum(-1)
    return next_cell.gather(-1, move), probability, entropy
