"""Which windows a batch is made of, under which names cells are seen in them, which tokens are kept
and how often each counts: chosen by where an agent went and what it did there, or by how rare a
reward is.

None of this bends what is learned. Where an agent went and what it tried there is known before the
reward is: given its way, a reward is as likely in the chosen windows as in all, and to have seen
the same outcome more often says no more about it. A rare window that is drawn more often counts the
less, so that no mean changes.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

import dicp.processes  # noqa: F401 (one thread)
from dicp.config.world import GridConfig
from dicp.types import Tokens

MOST_REPEATED = 0.25       # the largest share of (cell, action) pairs that count more often


def at_tokens(
    values: Shaped[Tensor, "batch cell action"], tokens: Tokens, first: float | bool
) -> Shaped[Tensor, "batch n"]:
    """What was drawn for each action in each cell, at the tokens that tell of their outcomes;
    `first`: at the first token of a window, of which no action is known."""
    n_actions, came_from = values.shape[-1], F.pad(tokens.observation, (1, 0))[:, :-1]
    values = F.pad(values, (0, 1), value=first).flatten(1).to(tokens.first.device)
    return values.gather(1, came_from * (n_actions + 1) + tokens.last_action)


def log_counts(
    tokens: Tokens, env: GridConfig, most: int, generator: torch.Generator
) -> Float[Tensor, "batch n"]:
    """How often each token counts, as a logarithm: as if the agent had tried some actions in some
    cells up to `most` times as often as it did.

    A planner that has found a reward stays: three quarters of its memory then say the same thing.
    No window of random walks is like that, and a Transformer that was trained on these alone reads
    the one reward that is there sixty times into cells that it has never met. Which (cell, action)
    counts more is drawn before its outcome is looked at, so what is to be said stays the same.
    """
    batch = len(tokens.first)
    pairs = batch, env.n_cells, env.n_actions
    share = MOST_REPEATED * torch.rand(batch, 1, 1, generator=generator) ** 2
    repeated = torch.rand(pairs, generator=generator) < share
    log_count = torch.rand(pairs, generator=generator) * math.log(most) * repeated
    return at_tokens(log_count, tokens, first=0.0)


def new_names(
    batch: int, env: GridConfig, generator: torch.Generator
) -> Int[Tensor, "batch cell_and_beyond"]:
    """What each cell is called in rooms whose rows and columns have other numbers, drawn for each
    window; nowhere and blank, which come after the cells, keep theirs."""
    size = env.size
    x, y = torch.rand(2, batch, size, generator=generator).argsort(-1)
    names = (x[:, :, None] * size + y[:, None]).flatten(1)
    beyond = torch.arange(env.n_cells, env.n_cells + 2).expand(batch, -1)
    return torch.cat((names, beyond), dim=1)


def renamed(
    names: Int[Tensor, "batch cell_and_beyond"], cell: Int[Tensor, "batch *n"]
) -> Int[Tensor, "batch *n"]:
    """The cells under these names."""
    return names.gather(1, cell.flatten(1)).view_as(cell)


def relabelled(tokens: Tokens, names: Int[Tensor, "batch cell_and_beyond"]) -> Tokens:
    """The same windows in rooms whose cells have these names."""
    return tokens._replace(
        observation=renamed(names, tokens.observation), outcome=renamed(names, tokens.outcome)
    )


def remembered(
    tokens: Tokens, env: GridConfig, generator: torch.Generator
) -> Bool[Tensor, "batch n"]:
    """Which tokens of a window are kept; the others are forgotten. Of each window some actions, and
    of these some of the cells that they were tried in, many or few: whatever the outcome was, so
    that what is left says as much of it as before. A random walker soon has tried every action in
    many cells; a planner's context may hold no more than the two actions that it needs, one of them
    mostly against a wall."""
    batch, n_actions, n_cells = len(tokens.first), env.n_actions, env.n_cells
    n_kept = torch.randint(n_actions + 1, (batch, 1), generator=generator)
    some = torch.rand(batch, n_actions, generator=generator).argsort(-1) < n_kept
    share = torch.rand(batch, 1, 1, generator=generator)
    keeps = (torch.rand(batch, n_cells, n_actions, generator=generator) < share) & some[:, None]
    return at_tokens(keeps, tokens, first=True)


def spread_streams(
    went: Bool[Tensor, "batch stream cell"], n_episodes: int, n_compared: int,
    generator: torch.Generator,
) -> Int[Tensor, "batch episode"]:
    """For each window `n_episodes` different streams, in any order: each is the one that adds most
    cells to the window, of 1 to `n_compared` that were drawn (how many differs from window to
    window, so that narrow ones are there, too). went: where each stream has been."""
    batch, n_streams, n_cells = went.shape
    rows, visited, unmet = torch.arange(batch), went.float(), torch.ones(batch, n_cells, 1)
    n_drawn = torch.randint(1, n_compared + 1, (batch, 1), generator=generator)
    taken, chosen = torch.zeros(batch, n_streams, dtype=torch.bool), []
    for _ in range(n_episodes):
        lot = torch.rand(batch, n_streams, generator=generator)
        last = lot.masked_fill(taken, 2).sort(-1).values.gather(1, n_drawn - 1)
        adds = (visited @ unmet)[..., 0] + lot                            # ties by lot
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
    """(which `n` of the windows to use, how much each counts). Of four random episodes of
    Dark Key-to-Door a quarter hold a key twice, one in sixty a door twice: those are
    drawn more often."""
    returns = reward.unflatten(1, (-1, horizon)).sum(-1)                         # window episode
    keys, doors = (returns >= 1).sum(1), (returns >= 2).sum(1)
    odds = 1.0 + 3 * (keys >= 2) + 10 * (doors >= 1) + 60 * (doors >= 2)
    drawn = torch.multinomial(odds, n, replacement=True, generator=generator)
    return drawn, odds.mean() / odds[drawn]
