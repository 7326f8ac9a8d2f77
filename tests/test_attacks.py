"""The attacks of tools/kills.py and tools/flips.py, bounded: some kills of every job, some flipped bits in every kind of file.

Each job runs in a fork of this process, with small worlds and a cache of its own.
"""

import random

import flips
import kills
import pytest


@pytest.mark.parametrize("name, n", [("reproduce", 1), ("training", 1), ("collecting", 1)])
def test_kills_lose_nothing(tmp_path, name, n):
    campaign = kills.campaigns()[name].run(n, tmp_path, random.Random(0))
    assert campaign.kills >= n and not campaign.lost
    assert campaign.in_writes or not campaign.lone


def test_a_write_may_be_killed_at_every_step(tmp_path):
    n_steps, wrong = kills.every_step_of_a_write(tmp_path)
    assert n_steps > 20 and not wrong


def test_no_flipped_bit_is_silent(tmp_path):
    def attack():
        assert flips.run(4, 0, tmp_path / "cache") == 0

    outcome = kills.start(attack, tmp_path / "cache")
    assert outcome.status == 0, outcome.said
