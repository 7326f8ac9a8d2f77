"""What a batch is made of: no choice bends a mean, and each does what it is for."""

import torch

from dicp.selection import preferring_rare, spread_streams


def dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_rare_windows_are_drawn_more_often_and_count_the_less():
    reward = torch.zeros(1000, 8, dtype=torch.long)
    reward[:100, 0] = reward[:100, 4] = 1                         # a key in both episodes
    reward[:10, 1] = reward[:10, 5] = 1                           # and a door
    index, weight = preferring_rare(reward, 100_000, 4, dice())
    share = torch.bincount(index, minlength=1000).float() / 100_000
    assert 70 < share[:10].mean() / share[100:].mean() < 78       # 1 + 3 + 10 + 60
    means = torch.bincount(index, weight, minlength=1000) / 100_000
    assert torch.allclose(means[:100].sum(), torch.tensor(0.1), atol=0.01) and abs(weight.mean() - 1) < 0.05


def test_streams_are_spread_over_the_room_or_any():
    went = torch.eye(6, dtype=torch.bool).repeat(2, 1)[None].expand(500, -1, -1)          # twice the same six cells
    spread = spread_streams(went, 6, 12, dice())
    assert all(len(set(row)) == 6 for row in spread.tolist())     # six different streams
    n_cells = [len({stream % 6 for stream in row}) for row in spread.tolist()]
    any_of_them = [len({stream % 6 for stream in row}) for row in spread_streams(went, 6, 1, dice()).tolist()]
    assert sum(n_cells) > 1.2 * sum(any_of_them) and min(n_cells) < 6
    assert torch.bincount(spread.flatten(), minlength=12).min() > 0.7 * spread.numel() / 12
