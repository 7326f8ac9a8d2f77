"""What a batch is made of: no choice bends a mean, and each does what it is for."""

import torch

from dicp.config import EnvConfig
from dicp.selection import MOST_REPEATED, log_counts, preferring_rare, spread_streams
from dicp.types import Tokens


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_rare_windows_are_drawn_more_often_and_count_the_less():
    reward = torch.zeros(1000, 8, dtype=torch.long)
    reward[:100, 0] = reward[:100, 4] = 1                         # a key in both episodes
    reward[:10, 1] = reward[:10, 5] = 1                           # and a door
    index, weight = preferring_rare(reward, 100_000, 4, generator())
    share = torch.bincount(index, minlength=1000).float() / 100_000
    assert 70 < share[:10].mean() / share[100:].mean() < 78       # 1 + 3 + 10 + 60
    means = torch.bincount(index, weight, minlength=1000) / 100_000
    assert torch.allclose(means[:100].sum(), torch.tensor(0.1), atol=0.01) and abs(weight.mean() - 1) < 0.05


def test_streams_are_spread_over_the_room_or_any():
    went = torch.eye(6, dtype=torch.bool).repeat(2, 1)[None].expand(500, -1, -1)          # twice the same six cells
    spread = spread_streams(went, 6, 12, generator())
    assert all(len(set(row)) == 6 for row in spread.tolist())     # six different streams
    n_cells = [len({stream % 6 for stream in row}) for row in spread.tolist()]
    any_of_them = [len({stream % 6 for stream in row}) for row in spread_streams(went, 6, 1, generator()).tolist()]
    assert sum(n_cells) > 1.2 * sum(any_of_them) and min(n_cells) < 6
    assert torch.bincount(spread.flatten(), minlength=12).min() > 0.7 * spread.numel() / 12


def walked(env: EnvConfig, batch: int = 500, n: int = 60) -> Tokens:
    """Random cells and actions, no action before the first."""
    action = torch.randint(env.n_actions, (batch, n), generator=generator(1))
    cell = torch.randint(env.n_cells, (batch, n), generator=generator(2))
    action[:, 0] = env.n_actions
    no = torch.zeros_like(cell)
    return Tokens(cell, action, no, no, no)


def test_how_often_a_token_counts_is_drawn_for_each_action_in_each_cell():
    env = EnvConfig(size=2)
    tokens = walked(env)
    counts = log_counts(tokens, env, 64, generator()).exp()
    assert (counts[:, 0] == 1).all() and counts.min() == 1 and 50 < counts.max() < 64
    pairs = tokens.observation[:, :-1] * env.n_actions + tokens.last_action[:, 1:]
    for pair, count in zip(pairs[:50], counts[:50, 1:], strict=True):
        for one in pair.unique():
            assert len(count[pair == one].unique()) == 1
    share = (counts[:, 1:] > 1).float().mean(1)                   # from window to window: none to a quarter
    assert (share == 0).sum() > 20 and (share > 0.2).sum() > 20 and share.mean() < MOST_REPEATED / 2


def test_how_often_a_token_counts_does_not_depend_on_what_came_of_it():
    env, tokens = EnvConfig(size=2), walked(EnvConfig(size=2))
    other = tokens._replace(last_reward=tokens.last_reward + 1, outcome=tokens.outcome + 1)
    assert torch.equal(log_counts(tokens, env, 64, generator()), log_counts(other, env, 64, generator()))
