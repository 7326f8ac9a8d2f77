"""What world models believe, against the exact belief, by hand and by its own measure."""

import pytest
import torch

from dicp.beliefs import tokens_of, windows_of
from dicp.config import Config, EnvConfig, PlanConfig
from dicp.envs import GridRules
from dicp.explorers import exact_belief
from dicp.models import TableModel, new_model
from dicp.oracles import RandomPolicy
from dicp.probes import N_STEPS, calibration, has_paid, moves, new_cells, new_once_paid, probe, walks
from dicp.rollout import rollout
from dicp.types import Tokens, Windows

GOALS = {"darkroom": [(0, 0), (8, 1)], "dark_key_to_door": [((0, 0), (8, 8)), ((4, 6), (3, 3))], "darkroom_permuted": [7, 61]}


def lived(name, n_episodes=4):
    env = EnvConfig.preset(name)
    plan = PlanConfig.preset("bayes", name)
    return env, rollout(exact_belief(env), env, GOALS[name], 2, n_episodes, plan, 0)


@pytest.mark.parametrize("name", ["darkroom", "dark_key_to_door"])
def test_the_exact_belief_is_its_own_measure(name):
    env, rollouts = lived(name)
    rows = {row.probe: row for row in calibration(exact_belief(env), rollouts, env)}
    for row in rows.values():
        assert row.value == pytest.approx(row.exact, abs=1e-6)
    assert rows["known"].value == 1 and rows["in vain"].value == 0
    assert ("known door" in rows) == (name == "dark_key_to_door") and rows.get("known door", rows["known"]).value == 1
    assert ("elsewhere" in rows) == (name == "darkroom") and rows.get("elsewhere", rows["in vain"]).value == 0
    assert 1 / 81 < rows["never met"].value < 1 / 20


def test_a_table_is_measured_by_its_three_numbers():
    env, rollouts = lived("darkroom")
    table = TableModel(env, Config.preset(world_model="table").model)
    p_reward = torch.tensor([0.02, 0.001, 0.99])
    table.chance.copy_(torch.stack((1 - p_reward, p_reward), dim=1))
    rows = {row.probe: row.value for row in calibration(table, rollouts, env)}
    assert rows["never met"] == pytest.approx(0.02) and rows["in vain"] == pytest.approx(0.001)
    assert rows["known"] == pytest.approx(0.99) and rows["elsewhere"] == pytest.approx(0.02)
    assert rows["correlation"] != rows["correlation"]               # a constant has none
    assert all(row.value == pytest.approx(0.02) for row in walks(table, env, 8))


def test_of_a_key_and_a_door_each_counts_in_its_own_stage():
    """The key's cell pays in no episode after the key, the door's not before it."""
    env, rollouts = lived("dark_key_to_door", 12)
    windows = windows_of(rollouts, env)
    known = has_paid(windows, env)
    assert known.any() and windows.reward[known].all()
    keys, doors = (torch.tensor([x * 9 + y for x, y in cells]) for cells in zip(*GOALS["dark_key_to_door"], strict=True))
    keys, doors = keys.repeat_interleave(2), doors.repeat_interleave(2)
    at_key, at_door = (windows.next_observation == cells[:, None] for cells in (keys, doors))
    assert (known <= (at_key | at_door)).all() and known[at_key].any() and known[at_door].any()


def test_elsewhere_are_the_cells_never_met_once_the_goal_is_known():
    """A 3 x 3 room, from the centre: right (it pays), stay, up."""
    env, no = EnvConfig(size=3, horizon=3), torch.zeros(1, 3, dtype=torch.long)
    tokens = Tokens(torch.tensor([[4, 7, 7]]), torch.tensor([[5, 0, 4]]), torch.tensor([[0, 1, 1]]), torch.tensor([[9, 7, 7]]),
                    torch.tensor([[1, 0, 0]]))
    new = new_once_paid(Windows(tokens, *[no] * 6), env)[0]
    assert not new[0].any()                                       # nothing has paid yet
    #                            +x: the wall  -x: to 4, where it was, met by no action  +y: 8  -y: 6  stay
    assert new[1].tolist() == new[2].tolist() == [False, True, True, True, False]


@pytest.mark.parametrize("name", ["darkroom", "dark_key_to_door"])
def test_walks_meet_no_cell_twice_and_follow_the_rules(name):
    env = EnvConfig.preset(name)
    action, cell = new_cells(env, 50, torch.Generator().manual_seed(0))
    rules = GridRules.of(env, GOALS[name])
    assert action.shape == cell.shape == (50, N_STEPS)
    at = torch.full((50,), rules.start)
    for t in range(N_STEPS):
        at = rules.next_cell[0, at, action[:, t]]
        assert torch.equal(at, cell[:, t])
    for way in cell:
        assert len({rules.start, *way.tolist()}) == N_STEPS + 1


def test_along_a_walk_the_exact_belief_counts_the_cells_that_are_left():
    env = EnvConfig.preset("darkroom")
    for n, row in enumerate(walks(exact_belief(env), env, 8)):
        assert row.value == row.exact == pytest.approx(1 / (81 - n))


def test_moves_are_measured_in_nats():
    """Before anything was tried each of five actions may do anything: log 5, less where a wall makes moves alike."""
    env, _ = lived("darkroom_permuted")
    rollouts = rollout(RandomPolicy(env), env, [7], 6, 1, None, 0)
    explorer, windows = exact_belief(env), windows_of(rollouts, env)
    surprise = explorer.surprise(tokens_of(rollouts, env), windows)
    stays = windows.next_observation[:, 0] == windows.tokens.observation[:, 0]         # in the corner three moves do
    expected = torch.where(stays, torch.tensor(5 / 3).log(), torch.tensor(5.0).log())
    torch.testing.assert_close(surprise[:, 0], expected)
    assert (surprise[:, -10:] < 1e-6).all()                                           # by then all is known
    model = new_model(env, Config.preset("darkroom_permuted", world_model="queries").model)
    row, _ = moves(model, rollouts, env)
    assert row.exact == pytest.approx(surprise.mean().item()) and row.value > row.exact


@pytest.mark.parametrize("p_reward", [0.3, 0.0])
def test_a_reward_expected_where_none_can_be_is_measured(p_reward, monkeypatch):
    """Two steps and more from the corner nothing pays, however little is known of the actions."""
    env, rollouts = lived("darkroom_permuted")
    model = new_model(env, Config.preset("darkroom_permuted", world_model="queries").model)
    imagine = model.imagine
    monkeypatch.setattr(model, "imagine", lambda state: imagine(state)._replace(
        reward=torch.full((len(state.cell), 1, env.n_actions), p_reward)))
    _, row = moves(model, rollouts, env)
    assert row.probe == "elsewhere" and (row.value, row.exact) == (pytest.approx(p_reward), 0)


@pytest.mark.parametrize("name, probes", [
    ("darkroom", 5 + N_STEPS), ("dark_key_to_door", 5 + N_STEPS), ("darkroom_permuted", 2)])
def test_a_model_is_probed_in_every_world(name, probes):
    env = EnvConfig.preset(name)
    config = Config.preset(name, world_model="queries")
    table = probe(new_model(env, config.model), env, GOALS[name], 0)
    assert list(table) == ["probe", "value", "exact"] and len(table) == probes


def test_other_worlds_are_refused():
    env, rollouts = lived("darkroom_permuted", 1)
    with pytest.raises(ValueError, match="env.name is 'darkroom_permuted'"):
        calibration(exact_belief(env), rollouts, env)
    with pytest.raises(ValueError, match="env.name is 'darkroom_permuted'"):
        walks(exact_belief(env), env)
    env, rollouts = lived("darkroom", 1)
    with pytest.raises(ValueError, match="env.name is 'darkroom'"):
        moves(exact_belief(env), rollouts, env)


def test_who_cannot_be_asked_is_refused():
    env, rollouts = lived("darkroom", 1)
    with pytest.raises(ValueError, match="model is 'RandomPolicy'; allowed: one that can plan"):
        walks(RandomPolicy(env), env)
    env, rollouts = lived("darkroom_permuted", 1)
    with pytest.raises(ValueError, match="allowed: one that was trained to predict"):
        moves(exact_belief(env), rollouts, env)
