"""What is read off the Transformer: the policy, and the world model's reward, next observation and return-to-go."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from dicp.config import EnvConfig, ModelConfig


class Predictions(NamedTuple):
    """Logits of the world model for one (history, action); the next cell is factored into x and y."""

    reward: Float[Tensor, "*batch 2"]
    next_x: Float[Tensor, "*batch size"]
    next_y: Float[Tensor, "*batch size"]
    return_to_go: Float[Tensor, "*batch n_returns"]


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


class RetrievalRewardHead(nn.Module):
    """P(reward | history, cell arrived at): look the cell up among the cells of the context, then judge what was found.

    Nothing else is judged, neither the place nor the rest of the history: a head that also saw the Transformer's summary of
    the context lost a known goal once more rewards lay behind it than any training window held (P from 1 to 0.4).
    A cell is shown to this head only through a code, its x and y symbol one-hot. In training the symbols are permuted at
    random in every window, so the head can learn "the same cell pays again" and "a new cell may pay", but not which cells
    never paid in the training tasks. That any cell may pay is thereby built in.
    """

    def __init__(self, env: EnvConfig, config: ModelConfig):
        super().__init__()
        self.size, d_code, d = env.size, 2 * env.size, config.d_model
        self.match = nn.Parameter(4.0 * torch.eye(d_code))          # tied; a whole match scores 32, half of one 16
        self.null_key = nn.Parameter(torch.full((d_code,), 3.0))    # "not there": 24, between half a match and a whole one
        self.null_value = nn.Parameter(torch.zeros(d))
        self.value = nn.Linear(d, d)
        self.judge = nn.Sequential(nn.Linear(d, config.d_head_hidden), nn.SiLU(), nn.Linear(config.d_head_hidden, 2))

    def code(self, cell: Int[Tensor, "*batch"], symbols: Tensor | None = None) -> Float[Tensor, "*batch d_code"]:
        """One-hot x and one-hot y; a row past the last cell (nothing arrived at yet) is all zeros.

        `symbols` [batch 2 size]: this window's permutation of the x symbols and of the y symbols (cell: [batch n]).
        """
        x, y = cell.clamp(max=self.size**2 - 1) // self.size, cell % self.size
        if symbols is not None:
            x, y = symbols[:, 0].gather(1, x), symbols[:, 1].gather(1, y)
        code = torch.cat((F.one_hot(x, self.size), F.one_hot(y, self.size)), dim=-1)
        return (code * (cell < self.size**2)[..., None]).float()

    def memorise(self, x: Tensor, arrived: Int[Tensor, "batch *n"], symbols: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(keys [batch *n d_code], values [batch *n d_model]) of the embedded tokens whose last action led to `arrived`."""
        return self.code(arrived, symbols) @ self.match, self.value(x)

    def query(self, next_cell: Int[Tensor, "batch *n"], symbols: Tensor | None = None) -> Float[Tensor, "batch *n d_code"]:
        """What to look for in the context before judging an arrival at `next_cell`."""
        return self.code(next_cell, symbols) @ self.match

    def read(self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Reward logits [batch n 2]; `mask` [n key]: True where a query may look. The null key is always there."""
        null = (query @ self.null_key)[..., None]
        scores = query @ keys.transpose(-1, -2)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        weights = torch.cat((null, scores), dim=-1).softmax(-1)
        found = weights[..., 1:] @ values + weights[..., :1] * self.null_value
        return self.judge(found)

    def tabulate(self, arrived: Int[Tensor, "batch n"], values: Float[Tensor, "batch n d_model"]) -> "LookUp":
        """What `read` finds in the context, for every cell at once. Scores depend on cells alone, so a planner that asks
        about hundreds of imagined arrivals adds only what was imagined (a third of the time of `read` for each)."""
        cells = torch.arange(self.size**2 + 1, device=arrived.device)
        query, keys = self.query(cells[:-1]), self.code(cells) @ self.match
        scores, null = query @ keys.T, query @ self.null_key
        top = torch.maximum(scores.amax(1), null)[:, None]                    # softmax's usual shift, a constant a cell
        likeness, null = (scores - top).exp(), (null[:, None] - top).exp()
        weights = likeness[:, arrived].transpose(0, 1)                        # batch cell n
        return LookUp(likeness, weights @ values + null * self.null_value, weights.sum(-1, keepdim=True) + null)


class LookUp(NamedTuple):
    """A context as the reward head sees it: for each cell asked about, the weighted sum of what was found, the sum of the
    weights, and how much an arrival at another cell would add to them."""

    likeness: Float[Tensor, "cell arrived"]
    found: Float[Tensor, "batch cell d_model"]
    weight: Float[Tensor, "batch cell 1"]

    def __call__(
        self, cell: Int[Tensor, "batch beam action"], been: Int[Tensor, "batch beam n"], values: Tensor
    ) -> Float[Tensor, "batch beam action d_model"]:
        """What is found about `cell` by a beam that has, in imagination, `been` at some cells (and found `values`)."""
        row = torch.arange(len(cell), device=cell.device)[:, None, None]
        more = self.likeness[cell[..., None], been[:, :, None]]               # batch beam action n
        return (self.found[row, cell] + more @ values) / (self.weight[row, cell] + more.sum(-1, keepdim=True))
