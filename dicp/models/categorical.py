"""What goes into the Transformer, a token a step, and what is read off it: reward, next observation and return-to-go."""

from itertools import accumulate
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from dicp.config import EnvConfig, ModelConfig
from dicp.planning import Imagined
from dicp.types import Tokens, Windows


class TokenEmbedding(nn.EmbeddingBag):
    """The sum of one embedding for each field of a token; a cell has two, one for x and one for y."""

    def __init__(self, env: EnvConfig, d_model: int):
        sizes = self.sizes(env)
        super().__init__(sum(sizes), d_model, mode="sum")
        # PyTorch's unit variance drowns what attention adds: 600 updates end at 0.39 of the highest return, this at 0.6
        nn.init.normal_(self.weight, std=0.1)
        xy = [(cell // env.size, cell % env.size) for cell in range(env.n_cells)] + [(env.size, env.size)]    # last: nowhere
        self.register_buffer("offsets", torch.tensor([*accumulate([0, *sizes[:-1]])]), persistent=False)
        self.register_buffer("xy", torch.tensor(xy), persistent=False)

    @staticmethod
    def sizes(env: EnvConfig) -> list[int]:
        """How many values each field of a token may have."""
        size = env.size
        return [size, size, env.n_actions + 1, 2, 2, size + 1, size + 1]

    @classmethod
    def n_rows(cls, env: EnvConfig) -> int:
        """Embeddings of all fields."""
        return sum(cls.sizes(env))

    def forward(self, tokens: Tokens) -> Float[Tensor, "*batch d_model"]:
        rest = torch.stack((tokens.last_action, tokens.last_reward, tokens.first), dim=-1)
        fields = torch.cat((self.xy[tokens.observation], rest, self.xy[tokens.arrived]), dim=-1) + self.offsets
        return super().forward(fields.reshape(-1, fields.shape[-1])).view(*fields.shape[:-1], self.embedding_dim)


def cross_entropy(logits: Tensor, target: Tensor, weight: Float[Tensor, "batch"] | None = None) -> Tensor:
    """Mean over every position of every window (the dense loss; Paper: Eq. 1 and 2). `weight`: how much each counts."""
    if weight is None:
        return F.cross_entropy(logits.flatten(0, -2), target.flatten())
    each = F.cross_entropy(logits.flatten(0, -2), target.flatten(), reduction="none").view_as(target)
    return (weight[:, None] * each).mean()


class Predictions(NamedTuple):
    """Logits of the world model for one (history, action); the next cell is factored into x and y."""

    reward: Float[Tensor, "*batch 2"]
    next_x: Float[Tensor, "*batch size"]
    next_y: Float[Tensor, "*batch size"]
    return_to_go: Float[Tensor, "*batch n_returns"]

    def loss_terms(
        self, windows: Windows, weight: Float[Tensor, "batch"] | None = None
    ) -> dict[str, Tensor]:
        """- log g(reward, next observation, return-to-go | history, action taken), mean, term by term (Paper: Eq. 2).
        `weight`: how much each window counts."""
        size = self.next_x.shape[-1]
        x, y = windows.next_observation // size, windows.next_observation % size
        next_obs = cross_entropy(self.next_x, x, weight) + cross_entropy(self.next_y, y, weight)
        terms = {"reward": cross_entropy(self.reward, windows.reward, weight), "next_obs": next_obs}
        return terms | {"return_to_go": cross_entropy(self.return_to_go, windows.return_to_go, weight)}


class WorldModelHead(nn.Module):
    """An MLP on (what the Transformer knows at t, action): reward, next cell and return-to-go (Paper: Eq. 2)."""

    def __init__(self, env: EnvConfig, config: ModelConfig):
        super().__init__()
        self.sizes = (2, env.size, env.size, env.horizon + 1)
        self.from_context = nn.Linear(config.d_model, config.d_head_hidden)
        self.from_action = nn.Embedding(env.n_actions, config.d_head_hidden)
        self.out = nn.Linear(config.d_head_hidden, sum(self.sizes))

    def forward(self, h: Float[Tensor, "*batch d_model"], action: Int[Tensor, "*batch"] | None = None) -> Predictions:
        """Logits for `action`, or for every action (one more axis before the last) when none is given."""
        hidden = self.from_context(h)
        hidden = hidden[..., None, :] + self.from_action.weight if action is None else hidden + self.from_action(action)
        return Predictions(*self.out(F.silu(hidden)).split(self.sizes, dim=-1))

    @staticmethod
    def n_parameters(env: EnvConfig, config: ModelConfig) -> int:
        """About how many it has."""
        n_outputs = 2 * env.size + env.horizon + 3
        return config.d_head_hidden * (config.d_model + n_outputs + env.n_actions + 2)

    def imagined(
        self, state: Any, action: Tensor | None, return_to_go: bool, uncertainty: bool
    ) -> Imagined:
        """What every action would lead to; `action`: all of them."""
        return imagined_of(self(state.h), return_to_go, uncertainty)


def imagined_of(
    p: Predictions, return_to_go: bool = False, uncertainty: bool = False
) -> Imagined:
    """Logits for each action as a planner reads them."""
    reward = (p.reward[..., 1] - p.reward[..., 0]).sigmoid()
    next_cell = p.next_x.argmax(-1) * p.next_x.shape[-1] + p.next_y.argmax(-1)
    returns = expected_return(p.return_to_go) if return_to_go else None
    sure = certainty_of(p.next_x, p.next_y) if uncertainty else (None, None)
    return Imagined.of_chances(reward, next_cell, returns, *sure)


def expected_return(logits: Float[Tensor, "*batch n_returns"]) -> Float[Tensor, "*batch"]:
    """Of a return that may be 0, 1, 2, ..."""
    possible = torch.arange(logits.shape[-1], device=logits.device, dtype=logits.dtype)
    return logits.softmax(-1) @ possible


def certainty_of(
    next_x: Float[Tensor, "*batch size"], next_y: Float[Tensor, "*batch size"]
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """(probability of the most likely cell, entropy over all cells in nats), from the logits of its x and y."""
    x, y = next_x.softmax(-1), next_y.softmax(-1)
    return x.amax(-1) * y.amax(-1), -sum((q * q.clamp(min=1e-9).log()).sum(-1) for q in (x, y))


def next_cell_logits(
    changes: Float[Tensor, "*batch 6"], cell: Tensor, size: int
) -> tuple[Float[Tensor, "*shape size"], Float[Tensor, "*shape size"]]:
    """Of the next cell's x and of its y, from those of the change of each: -1, 0 or +1, of x first. cell: as many as changes,
    or what broadcasts to them."""
    step, logits = torch.arange(3, device=cell.device), []
    for at, change in zip((cell // size, cell % size), changes.unflatten(-1, (2, 3)).unbind(-2), strict=True):
        beyond = change.new_full((*change.shape[:-1], size + 2), -1e9)          # the room with its walls
        index = (at[..., None] + step).expand_as(change)
        logits.append(beyond.scatter(-1, index, change)[..., 1:-1])
    return logits[0], logits[1]


def outcomes_of(
    chance: Float[Tensor, "batch beam action move"], there: Int[Tensor, "batch beam move"]
) -> tuple[Int[Tensor, "batch beam action"], Float[Tensor, "batch beam action"], Float[Tensor, "batch beam action"]]:
    """(the most likely next cell of each action, its probability, the entropy over cells in nats), if an action makes each
    move with a given chance and a move leads `there`."""
    same = (there[..., None] == there[..., None, :]).float()                           # at a wall, moves lead to one cell
    chances = torch.einsum("bkam,bkmn->bkan", chance, same)
    probability, move = chances.max(-1)
    return there.gather(-1, move), probability, -(chance * chances.clamp(min=1e-9).log()).sum(-1)
