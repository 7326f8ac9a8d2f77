"""What the world model that is asked reads: tokens, and queries, which leave something blank."""

from itertools import accumulate

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dicp.config.world import GridConfig
from dicp.domain import domain_of
from dicp.types import Tokens


class BlankableEmbedding(nn.EmbeddingBag):
    """The sum of one embedding for each field of a token or of a query. `note`: what else is to be
    known of the transition that a token tells of (`QueryModel.note`).

    The cell where an agent is has two embeddings, for x and for y. The cell where an action led may
    have four, for x + y and x - y besides (modulo the size): a query looks for this cell in the
    memory, and two cells may share x or y, half of a match, but at most one of the four numbers
    (two in a room of even size).
    """

    def __init__(self, env: GridConfig, d_model: int, n_notes: int, n_lines: int = 2):
        size, self.rewards = env.size, domain_of(env).reward
        sizes = [
            size, size, env.n_actions + 1, self.rewards.n + 1, 2, *[size + 2] * n_lines, n_notes,
        ]
        super().__init__(sum(sizes), d_model, mode="sum")
        nn.init.normal_(self.weight, std=0.3)
        xy = [divmod(cell, size) for cell in range(env.n_cells)]
        lines = [(x, y, (x + y) % size, (x - y) % size)[:n_lines] for x, y in xy]
        lines += [(beyond,) * n_lines for beyond in (size, size + 1)]              # nowhere, blank
        xy += [(size, size), (size + 1, size + 1)]
        offsets = torch.tensor([*accumulate([0, *sizes[:-1]])])
        self.register_buffer("offsets", offsets, persistent=False)
        self.register_buffer("xy", torch.tensor(xy), persistent=False)
        self.register_buffer("lines", torch.tensor(lines), persistent=False)

    def forward(
        self, tokens: Tokens, note: Int[Tensor, "*batch"], is_blank: bool = False
    ) -> Float[Tensor, "*batch d_model"]:
        """is_blank: the rewards are not told."""
        reward = self.rewards.index(tokens.last_reward)
        if is_blank:
            reward = torch.full_like(reward, self.rewards.n)
        rest = torch.stack((tokens.last_action, reward, tokens.first), dim=-1)
        cells = self.xy[tokens.observation], rest, self.lines[tokens.outcome], note[..., None]
        fields = torch.cat(cells, dim=-1) + self.offsets
        flat = super().forward(fields.reshape(-1, fields.shape[-1]))
        return flat.view(*fields.shape[:-1], self.embedding_dim)
