"""tools/optimum.py: tiny worlds by hand and by trying every walk."""

import itertools

import optimum
import pandas as pd
import pytest
from optimum import Search

EAST, WEST, NORTH, SOUTH, STAY = range(5)


def test_a_walk_in_a_room_of_four_by_hand():
    """Cells (0, 0), (0, 1), (1, 0), (1, 1); the start is (1, 1); two episodes of two steps."""
    search = Search(2, 2, 2)
    assert search.best.tolist() == [1, 2, 2, 2]                          # the far corner pays once
    # The start pays 2 + 2 of 4, (0, 1) at step 2 of the first episode 1 + 2, the others in the second.
    assert search.value([[STAY, WEST], [SOUTH, WEST]]) == pytest.approx((4 / 4 + 3 / 4 + 2 / 4 + 1 / 2) / 4)
    assert search.bound() == pytest.approx((4 / 4 + 3 / 4 + 2 / 4 + 1 / 2) / 4)


@pytest.mark.parametrize("size, horizon, n_episodes", [(2, 2, 2), (2, 3, 2), (3, 3, 2), (3, 6, 1)])
def test_the_best_of_all_walks_lies_between(size, horizon, n_episodes):
    search = Search(size, horizon, n_episodes)
    episodes = list(map(list, itertools.product(range(5), repeat=horizon)))
    best = max(search.value(list(walk)) for walk in itertools.product(episodes, repeat=n_episodes))
    found = max(search.anneal(n_episodes, 3000, seed)[0] for seed in range(3))
    assert found == pytest.approx(best) and best <= search.bound() + 1e-12


def test_a_walk_found_by_annealing_is_worth_what_it_says():
    search = Search(5, 6, 10)
    value, walk = search.anneal(4, 2000, 0)
    assert search.value(walk) == value <= search.bound()
    assert value > search.anneal(4, 1, 0)[0]


def test_key_and_door_where_one_step_is_all():
    """Nine cells, one step: five cells can be looked at, each in an episode of its own, once a rollout."""
    bounds = optimum.dark_key_to_door(3, 1, 5)
    keys = [5, 4, 3, 2, 1]                       # episodes in which a key among the five cells pays
    assert bounds.high == pytest.approx(sum(keys) / 5 / 9)
    assert bounds.low is None


def test_key_and_door_where_all_is_found_in_time():
    """Four cells, the start among them, long episodes: all but a few steps is perfect."""
    assert optimum.dark_key_to_door(2, 50, 3).high == 1


def test_permuted_in_a_room_of_four_by_hand():
    """From (0, 0) to (1, 1), both ways are two steps; one episode of three steps pays 2 at most.

    Three actions of five (west, south, stay) leave the agent where it is. A first action leads on
    with 2 / 5; then one of the other four leads to the goal."""
    bounds = optimum.darkroom_permuted(2, 3, 1)
    assert bounds.low is None                                             # the goal may be missed
    # Led on: 1/4 arrives and is paid twice, 2/4 stays and then arrives with 1/3, 1/4 is led back.
    # Stayed: 2/4 is led on by the second action, and then arrives with 1/3.
    assert bounds.high == pytest.approx((2 / 5 * (1 / 4 * 2 + 2 / 4 * 1 / 3) + 3 / 5 * 2 / 4 * 1 / 3) / 2)


def test_permuted_in_a_room_of_four_with_time():
    assert optimum.darkroom_permuted(2, 9, 1).low == optimum.darkroom_permuted(2, 9, 1).high < 1
    one, many = (optimum.darkroom_permuted(2, 9, n).high for n in (1, 50))
    assert many == pytest.approx((49 + one) / 50)


def test_what_an_action_did_narrows_the_others():
    every = (frozenset(range(5)),) * 5
    known = optimum.narrowed(every, 0, frozenset({EAST}))
    assert sorted(map(sorted, known)) == [[EAST], *[[WEST, NORTH, SOUTH, STAY]] * 4]
    blocked = optimum.narrowed(every, 2, frozenset({WEST, STAY}))
    assert len(optimum.consistent(blocked)) == 2 * 24


def test_what_is_recorded_is_what_comes_out():
    """The bounds computed again, and the recorded walk walked."""
    found = pd.read_csv(optimum.PATH, encoding="utf-8").set_index("env")
    search = Search(9, 20, 50)
    walk = [[int(move) for move in moves] for moves in found.loc["darkroom", "walk"].split()]
    assert all(len(moves) == 20 for moves in walk)
    assert found.loc["darkroom", "low"] == pytest.approx(search.value(walk), abs=5e-6)
    assert found.loc["darkroom", "high"] == pytest.approx(search.bound(), abs=5e-6)
    assert found.loc["darkroom", "low"] > found.loc["darkroom", "high"] - 3e-4
    permuted = optimum.darkroom_permuted(9, 50, 50)
    assert tuple(found.loc["darkroom_permuted", ["low", "high"]]) == pytest.approx(permuted[:2], abs=5e-6)
    assert found.loc["dark_key_to_door", "high"] == pytest.approx(optimum.dark_key_to_door(9, 50, 50).high, abs=5e-6)
