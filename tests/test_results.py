"""The result table and its statistics, on tables small enough to do by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

import dicp
from dicp import bootstrap, paper, results
from dicp.config import Config, EnvConfig, PlanConfig
from dicp.envs import GridRules, split_tasks

SETTINGS = {"env": "darkroom", "split": 0, "method": "ad", "world_model": "none", "planner": "none", "train_seed": 0}
TASKS, HIGHEST = [(0, 1), (2, 3)], [10, 20]
#            rollout 0   rollout 1
RETURNS = [[[0, 5, 10], [0, 0, 0]],      # task (0, 1)
           [[20, 0, 10], [0, 10, 10]]]   # task (2, 3)


def table(returns=RETURNS, **settings):
    return results.build(returns, SETTINGS | settings, tasks=TASKS, max_return=HIGHEST, horizon=20)


def noisy(n_seeds=4, n_tasks=6, n_rollouts=3, n_episodes=12, spread=(0.0, 0.0), seed=0, **settings):
    """Returns of 0 to 20; `spread`: standard deviation of the (seed, task) effects."""
    rng, parts = np.random.default_rng(seed), []
    of_task = rng.normal(0, spread[1], (n_tasks, 1, 1))
    for train_seed in range(n_seeds):
        returns = 10 + rng.normal(0, spread[0]) + of_task + rng.normal(0, 2, (n_tasks, n_rollouts, n_episodes))
        parts.append(results.build(returns.clip(0, 20), SETTINGS | {"train_seed": train_seed} | settings,
                                   tasks=range(n_tasks), max_return=[20] * n_tasks, horizon=20))
    return pd.concat(parts, ignore_index=True)


def test_one_row_per_task_rollout_episode():
    full = table()
    assert len(full) == 12
    row = full.query("task == '(2, 3)' and rollout == 0 and episode == 2").iloc[0]
    assert (row.env_steps, row.episode_return, row.max_return, row.success, row.solved_so_far) == (40, 0, 20, 0, 1)
    assert row.code_version == dicp.__version__ and row.planner == "none"


def test_key_to_door_is_solved_by_the_door_not_by_the_key():
    two = results.build([[[1, 2]]], SETTINGS | {"env": "dark_key_to_door"}, tasks=[0], max_return=[2], horizon=50)
    assert two["success"].tolist() == [0, 1]


def test_planner_settings_become_flat_columns():
    settings = results.plan_settings(PlanConfig(beam_width=3))
    full = table(method="dicp_ad", world_model="observational", **settings)
    assert set(full["beam_width"]) == {3} and {"depth", "start_after", "discount"} <= set(full.columns)
    assert results.plan_settings(None) == {"planner": "none"}


def test_a_life_becomes_a_table():
    rollouts = SimpleNamespace(episode_return=torch.tensor(RETURNS), max_return=torch.tensor(HIGHEST), horizon=20,
                           episode_success=None)
    full = results.from_rollouts(rollouts, Config.preset(seed=3), TASKS, PlanConfig.preset("gated"), rollout_seed=7)
    assert len(full) == 12 and full["episode_return"].sum() == 65
    row = full.iloc[0]
    assert (row.train_seed, row.rollout_seed, row.planner, row.beam_width) == (3, 7, "gated", 10)
    control = results.from_rollouts(rollouts, Config.preset(), TASKS, method="random", world_model="none")
    assert set(control["method"]) == {"random"} and set(control["planner"]) == {"none"}


def test_meta_world_says_which_task_and_what_success_was():
    success = torch.tensor([[[True, False, True]]])
    rollouts = SimpleNamespace(episode_return=torch.tensor([[[3.0, 2.0, 9.0]]]), max_return=torch.tensor([1000.0]), horizon=100,
                           episode_success=success)
    full = results.from_rollouts(rollouts, Config.preset("metaworld", task="push-v3"), [(0.1, 0.2)])
    assert full["success"].tolist() == [1, 0, 1] and full["solved_so_far"].tolist() == [1, 1, 1]
    assert set(full["ml1_task"]) == {"push-v3"} and set(full["task"]) == {"(0.1, 0.2)"}


def test_blocks_of_episodes():
    """Two rollouts of four episodes, two episodes a row."""
    returns = np.array([[[1, 3, 0, 4], [0, 2, 2, 6]]])
    settings = {"env": "darkroom", "split": 0, "method": "ad", "world_model": "none", "planner": "none", "train_seed": 0}
    full = results.build(returns, settings, tasks=[(0, 1)], max_return=[10], horizon=20)
    blocks = results.in_blocks(full, 2)
    assert blocks["episode"].tolist() == [2, 4] and blocks["env_steps"].tolist() == [40, 80]
    assert blocks["episode_return"].tolist() == [1.5, 3.0] and blocks["success"].tolist() == [0.75, 0.75]
    assert blocks["solved_so_far"].tolist() == [1, 1] and blocks["max_return"].tolist() == [10, 10]
    assert results.in_blocks(full, 1)["episode_return"].tolist() == results.compact(full)["episode_return"].tolist()
    with pytest.raises(ValueError, match="size is 3; allowed: a divisor of the 4 episodes"):
        results.in_blocks(full, 3)


def test_compact_keeps_what_needs_single_rollouts():
    small = results.compact(table())
    assert len(small) == 6 and set(small["n_rollouts"]) == {2}
    first = small[small["task"] == "(0, 1)"]
    assert first["episode_return"].tolist() == [0, 2.5, 5]
    assert first["solved_so_far"].tolist() == [0, 0.5, 0.5]
    assert first["return_after_find"].fillna(-1).tolist() == [-1, -1, 10]     # rollout 0 found the goal in episode 2
    assert results.compact(small) is small


def test_summary_by_hand():
    values = results.summary(table(), last=1, found_by=2).set_index("metric")["value"]
    assert values["last_1_episodes"] == pytest.approx((1.0 + 0 + 0.5 + 0.5) / 4)
    assert values["all_episodes"] == pytest.approx((1.5 + 0 + 1.5 + 1.0) / 12)
    assert values["found_by_2"] == 0.75
    assert values["after_find"] == pytest.approx((1.0 + 0.0 + 0.5 + 0.5) / 4)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_saved_compact_table_gives_the_same_summary(tmp_path, name):
    full = pd.concat([noisy(), noisy(seed=1, method="dicp_ad", planner="paper", beam_width=10)], ignore_index=True)
    results.save(results.compact(full), tmp_path / name)
    again = results.load(tmp_path / name)
    assert set(again["planner"]) == {"none", "paper"}        # the word "none" is not a missing value
    numbers = ["value", "low", "high"]
    np.testing.assert_allclose(results.summary(full)[numbers], results.summary(again)[numbers], atol=1e-4)
    first = (tmp_path / name).read_bytes()
    results.save(again, tmp_path / name)
    assert (tmp_path / name).read_bytes() == first


def test_interval_knows_seeds_and_tasks():
    def width(**kwargs):
        row = results.summary(noisy(**kwargs)).set_index("metric").loc["all_episodes"]
        assert row.low <= row.value <= row.high
        return row.high - row.low
    quiet = width(seed=3)
    assert width(spread=(3, 0), seed=3) > 5 * quiet          # training runs differ
    assert width(spread=(0, 3), seed=3) > 5 * quiet          # tasks differ


def test_interval_covers_the_truth():
    """A crossed design with known mean 10: nominal 95%; the pigeonhole bootstrap leans to the wide side."""
    hits, rng = 0, np.random.default_rng(0)
    cells = pd.DataFrame([(0, s, t) for s in range(8) for t in range(12)], columns=bootstrap.CELL)
    for _ in range(60):
        values = 10 + rng.normal(size=(8, 1)) + rng.normal(size=12) + 0.5 * rng.normal(size=(8, 12))
        _, low, high = bootstrap.interval(cells, values.ravel())
        hits += low <= 10 <= high
    assert hits >= 50


def test_five_splits_of_one_seed_are_five_training_runs():
    parts = [noisy(n_seeds=1, seed=s, split=s, spread=(3, 0)) for s in range(5)]
    row = results.summary(pd.concat(parts, ignore_index=True)).iloc[0]
    assert row.n_train_seeds == 5 and row.high - row.low > 0.1


def test_iqm_ignores_the_outer_quarters():
    assert bootstrap.iqm(np.array([100.0, 1, 2, -50])) == 1.5
    assert bootstrap.iqm(np.array([1.0, 3]), np.array([[2, 0], [0, 1], [1, 1]])).tolist() == [1, 3, 2]


def test_env_steps_to_solve():
    assert results.env_steps_to_solve(table()) == 40
    assert results.env_steps_to_solve(table(np.zeros((2, 2, 3)))) == float("inf")


def test_normalised():
    assert results.normalised(table()).tolist()[:3] == [0, 0.5, 1]


@pytest.mark.parametrize("spoil, sentence", [
    (lambda t: t.drop(columns="success"), "lacks success"),
    (lambda t: pd.concat([t, t]), "duplicate"),
    (lambda t: t.assign(method="add"), "Did you mean 'ad'"),
    (lambda t: t.assign(planner="bays"), "Did you mean 'bayes'"),
    (lambda t: t.assign(episode_return=np.nan), "empty values in episode_return"),
])
def test_bad_tables_are_refused_in_one_sentence(spoil, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        results.validate(spoil(table()))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "column, values",
    [
        ("success", (7, -1, np.inf, "yes")),
        ("solved_so_far", (1.5, -0.1, "1")),
        ("episode_return", (np.inf, -np.inf, 21, "high", True)),
        ("max_return", (0, -3, np.inf, "high", True)),
        ("episode", (0, -4, 1.5, np.inf, 1e308, "first", True)),
        ("env_steps", (-20, 0.5, 2**63)),
        ("rollout", (-1, 0.5, "a")),
        ("rollout_seed", (-1, np.inf)),
        ("split", (-1, 0.5, "0", True)),
        ("train_seed", (-1, "0", 2**63)),
        ("env", ("../x", 3)),
    ],
)
@pytest.mark.parametrize("everywhere", [True, False])
def test_what_cannot_be_is_refused_by_its_column_and_value(column, values, everywhere):
    good = table()
    for value in values:
        cells = good[column].astype(object)
        cells.iloc[slice(None) if everywhere else slice(3, 4)] = value
        with pytest.raises(ValueError, match=f"{column}.* is .*; allowed: ") as error:
            results.validate(
                good.assign(**{column: cells if not everywhere else cells.infer_objects()})
            )
        assert "\n" not in str(error.value)


def test_what_cannot_be_in_a_compact_table_is_refused():
    small = results.compact(table())
    for column, value in (
        ("n_rollouts", 0),
        ("n_rollouts", 1.5),
        ("return_after_find", np.inf),
        ("return_after_find", 99),
    ):
        with pytest.raises(ValueError, match=f"{column} in the result table is {value}; allowed: "):
            results.validate(small.assign(**{column: value}))
    with pytest.raises(ValueError, match="empty values in n_rollouts"):
        results.validate(small.assign(n_rollouts=np.nan))
    with pytest.raises(ValueError, match="episode_return twice"):
        results.validate(pd.concat([small, small[["episode_return"]]], axis=1))


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(ValueError, match=rf"{name} cannot be read"):
        results.load(path)
    results.save(table(), path)
    data = path.read_bytes()
    for spoilt in (
        b"",
        data[:10],
        data[: len(data) // 2],
        b"a,b\n1,2\n",
        b"\xff\xfe\x00",
        data[:-9],
    ):
        path.write_bytes(spoilt)
        with pytest.raises(ValueError, match=rf"{name} is no whole result table: ") as error:
            results.load(path)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="paths is"):
        results.load()


def test_saving_goes_through_the_store(tmp_path):
    (tmp_path / "t.csv").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"t\.csv is a link; allowed: a plain file"):
        results.save(table(), tmp_path / "t.csv")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    "changed, sentence",
    [
        ({"returns": np.array(RETURNS) * np.nan}, "returns is .*; allowed: finite numbers"),
        ({"returns": [[[1]], [[1, 2]]]}, "returns is .*; allowed: finite numbers"),
        ({"returns": "text"}, "returns is 'text'; allowed: finite numbers"),
        ({"returns": np.zeros((2, 0, 3))}, "returns has shape"),
        ({"settings": {**SETTINGS, "task": [1, 2]}}, r"settings\['task'\] is \[1, 2\]"),
        ({"settings": {**SETTINGS, "split": np.inf}}, "split in the result table is inf"),
        ({"tasks": None}, "tasks is None; allowed: a sequence"),
        ({"max_return": [10, np.inf]}, "max_return is"),
        ({"max_return": [10, -20]}, "max_return in the result table is -20"),
        ({"max_return": [10, 12]}, "allowed: at most max_return"),
        ({"horizon": 0}, "horizon is 0"),
        ({"horizon": True}, "horizon is True"),
        ({"horizon": 2**63}, "horizon is"),
        ({"success": [[1]]}, "success is"),
        ({"success": np.full((2, 2, 3), 0.5)}, "success is"),
    ],
)
def test_a_table_is_built_from_what_can_be(changed, sentence):
    given = {
        "returns": RETURNS,
        "settings": SETTINGS,
        "tasks": TASKS,
        "max_return": HIGHEST,
        "horizon": 20,
    } | changed
    with pytest.raises(ValueError, match=sentence):
        results.build(**given)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="lacks split"):
        results.build(RETURNS, {"env": "darkroom"}, tasks=TASKS, max_return=HIGHEST, horizon=20)
    with pytest.raises(ValueError, match="returns has shape"):
        results.build(RETURNS[:1], SETTINGS, tasks=TASKS, max_return=HIGHEST, horizon=20)
    with pytest.raises(ValueError, match="found_by is 9"):
        results.summary(table(), found_by=9)


def test_unlike_settings_are_never_averaged():
    both = pd.concat([table(beam_width=10), table(beam_width=81)], ignore_index=True)
    with pytest.raises(ValueError, match="mixes beam_width 10, 81"):
        results.summary(both)
    assert len(results.summary(both, by=["beam_width"], found_by=2)) == 8


def test_paper_curve_is_normalised_by_what_its_five_splits_allow():
    highest = [GridRules.of(EnvConfig(), split_tasks("darkroom", s)[1]).max_return(20).float().mean() for s in range(5)]
    assert np.mean(highest) == pytest.approx(paper.HIGHEST["darkroom"])
    curve = paper.paper_curve("darkroom", "dicp_ad")
    assert curve["episode"].tolist() == list(range(1, 51))
    assert curve["normalised"].iloc[-1] == pytest.approx(15.425 / 16.55)


def test_paper_tables_are_all_there_and_names_are_checked():
    for name in paper.TABLES:
        assert len(paper.paper_table(name)) > 1
    for env in paper.HIGHEST:
        for method in paper.METHODS:
            assert len(paper.paper_curve(env, method)) == 50
    with pytest.raises(ValueError, match="Did you mean 'table_ml10'"):
        paper.paper_table("table_ml1")
    with pytest.raises(ValueError, match="paper method is"):
        paper.paper_curve("darkroom", "ppo")


def test_a_difference_is_taken_task_by_task():
    """Two tasks, two episodes of which 20 is the most: one run earns 2 more in one task, 4 more in the other, at the end."""
    settings = {"env": "darkroom", "split": 0, "method": "ad", "world_model": "none", "train_seed": 0, "planner": "none"}
    sizes = dict(max_return=[20, 20], horizon=20)
    one, other = ([[[4, 8]], [[10, 16]]], [[[4, 6]], [[10, 12]]])
    tables = [results.build(np.array(returns, float), settings | {"run": name}, tasks=[(0, 1), (2, 3)], **sizes)
              for name, returns in (("one", one), ("other", other))]
    table = pd.concat(map(results.compact, tables))
    value, low, high = results.difference(table, "one", "other")
    assert value == pytest.approx(0.075) and low == pytest.approx(0.05) and high == pytest.approx(0.1)
    assert results.difference(table, "one", "other", last=1) == pytest.approx((0.15, 0.1, 0.2))
    with pytest.raises(ValueError, match="run is 'third'; allowed: 'one', 'other'"):
        results.difference(table, "third", "one")
    elsewhere = table.assign(split=(table["run"] == "one").astype(int))
    with pytest.raises(ValueError, match="other is 'other'; allowed: a run with tasks that 'one' has"):
        results.difference(elsewhere, "one", "other")


def test_what_never_happened_has_no_interval_and_no_warning(recwarn):
    """A random policy that finds nothing has no return after the find."""
    index = pd.DataFrame({"split": [0, 0], "train_seed": [0, 0], "task": ["a", "b"]})
    nothing = np.zeros(2)
    point, low, high = bootstrap.interval(index, nothing, nothing)
    assert all(np.isnan(value) for value in (point, low, high)) and not recwarn.list
