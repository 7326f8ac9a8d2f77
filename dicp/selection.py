"""Which windows a batch is made of: chosen by where an agent went, or by how rare a reward is.

Neither bends what is learned. Where an agent went is known before its reward is: given its way, a
reward is as likely in the chosen windows as in all. A rare window that is drawn more often counts
the less, so that no mean changes.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

import dicp.processes  # noqa: F401 (one thread)


def spread_streams(
    went: Bool[Tensor, "batch stream cell"], n_episodes: int, n_compared: int,
    generator: torch.Generator,
) -> Int[Tensor, "batch episode"]:
    """For each window `n_episodes` different streams, in any order: each is the one that adds most
    cells to the window, of 1 to `n_compared` that were drawn (how many differs from window to
    window, so that narrow ones are there, too). went: where each stream has been."""
    batch, n_streams, n_cells = went.shape
    rows, there, unmet = torch.arange(batch), went.float(), torch.ones(batch, n_cells, 1)
    n_drawn = torch.randint(1, n_compared + 1, (batch, 1), generator=generator)
    taken, chosen = torch.zeros(batch, n_streams, dtype=torch.bool), []
    for _ in range(n_episodes):
        lot = torch.rand(batch, n_streams, generator=generator)
        last = lot.masked_fill(taken, 2).sort(-1).values.gather(1, n_drawn - 1)
        adds = (there @ unmet)[..., 0] + lot                            # ties by lot
        adds = adds.masked_fill((lot > last) | taken, -1)
        stream = adds.argmax(-1)
        chosen.append(stream)
        taken[rows, stream] = True
        unmet = unmet * ~went[rows, stream][..., None]
    order = torch.rand(batch, n_episodes, generator=generator).argsort(-1)
    return torch.stack(chosen, dim=1).gather(1, order)


def preferring_rare(
    reward: Int[Tensor, "window step"], n: int, horizon: int, generator: torch.Generator
) -> tuple[Int[Tensor, "n"], Float[Tensor, "n"]]:
    """(which `n` of the windows to use, how much each counts). Of four random episodes of Dark
    Key-to-Door a quarter hold a key twice, one in sixty a door twice: those are drawn more often."""
    returns = reward.unflatten(1, (-1, horizon)).sum(-1)                         # window episode
    keys, doors = (returns >= 1).sum(1), (returns >= 2).sum(1)
    odds = 1.0 + 3 * (keys >= 2) + 10 * (doors >= 1) + 60 * (doors >= 2)
    drawn = torch.multinomial(odds, n, replacement=True, generator=generator)
    return drawn, odds.mean() / odds[drawn]
