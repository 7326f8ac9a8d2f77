"""What is recorded and shipped keeps its name, whatever is changed in the code: golden tests.

A trained model and a recorded run are found by a hash of their configuration. A renamed field or another default would lose
them, and nothing else would notice.
"""

import hashlib
import itertools
import json
from contextlib import suppress
from dataclasses import asdict

import pandas as pd
import pytest
import torch
from golden import GOLDEN, WEIGHTS, deeds

from dicp import artifacts, reproduce, runs
from dicp.config import ENVS, IMITATORS, ML1_TASKS, PLANNERS, PROFILES, WORLD_MODELS, Config, PlanConfig
from dicp.config.wire import old_name
from dicp.history import LearningHistories

N_PRESETS, DIGEST = 603, "39ad58116b"
STORES = sorted((artifacts.SHIPPED / "histories").glob("*.zarr.zip"))
COSTS = sorted((artifacts.SHIPPED / "results").glob("*_cost.csv"))


@pytest.mark.parametrize("path", WEIGHTS, ids=lambda path: path.stem)
def test_shipped_weights_are_found_under_their_configuration(path):
    config = Config.from_dict(json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["config"])
    assert artifacts.weights_name(config) == path.name


@pytest.mark.parametrize("path", WEIGHTS, ids=lambda path: path.stem)
def test_shipped_weights_act_as_they_did(path):
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))[path.stem]
    for was, now in zip(golden, deeds(path), strict=True):
        if isinstance(was["actions"], list):
            assert now["planner"] == was["planner"]
            assert torch.allclose(torch.tensor(now["actions"]), torch.tensor(was["actions"]), atol=2e-3)
        else:
            assert now == was


@pytest.mark.parametrize("path", STORES, ids=lambda path: path.stem)
def test_shipped_histories_open(path):
    histories = LearningHistories.open(path)
    assert histories.done.all() and len(histories.load().reward) == len(histories.tasks)


@pytest.mark.parametrize("path", COSTS, ids=lambda path: path.stem)
def test_recorded_parts_are_found_under_their_settings(path):
    world, costs = path.stem.removesuffix("_cost"), pd.read_csv(path)
    named = {run.name: run for run in runs.runs_in(world)}
    assert len(costs) and costs["part"].is_unique
    for row in costs[[not runs.is_retired(run, world) for run in costs["run"]]].itertuples():
        assert runs.part_name(named[row.run], world, row.split) == row.part


@pytest.mark.parametrize("path", COSTS, ids=lambda path: path.stem)
def test_nothing_is_left_to_do_where_all_is_recorded(path, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DICP_CACHE", str(tmp_path))
    world = path.stem.removesuffix("_cost")
    recorded = pd.read_csv(path)
    names = recorded.loc[recorded["split"] == 0, "run"]
    assert reproduce.reproduce(world, [name for name in names if not runs.is_retired(name, world)], [0]) == 0
    assert "nothing to do" in capsys.readouterr().out and not list(tmp_path.rglob("*.csv"))


def test_presets_say_what_they_said():
    """Every combination; whoever means to change one writes the new digest here, and says so in the commit."""
    said = {}
    for env, task in [*((name, None) for name in ENVS), *(("metaworld", task) for task in ML1_TASKS)]:
        for settings in itertools.product(PROFILES, WORLD_MODELS, IMITATORS):
            with suppress(ValueError):                                      # DPT in Meta-World, say
                profile, kind, target = settings
                config = Config.preset(env, profile, kind, 1, 2, target, task)
                said[f"{env} {task} {settings}"] = [with_first_names(config), config.key, config.history_key]
        for planner in PLANNERS:
            with suppress(ValueError):
                plan = PlanConfig.preset(planner, env, task)
                said[f"{env} {task} {planner}"] = plan and asdict(plan)
    text = json.dumps(said, sort_keys=True)
    assert (len(said), hashlib.sha1(text.encode()).hexdigest()[:10]) == (N_PRESETS, DIGEST)


def with_first_names(config: Config) -> dict:
    """Fields as they were called when the digest was made."""
    parts = asdict(config)
    return parts | {"model": {old_name(field): value for field, value in parts["model"].items()}}


def test_new_and_old_names_of_fields_are_read():
    config = Config.preset("darkroom", target="idt")
    new, old = asdict(config), with_first_names(config)
    assert {"imitates", "forgets", "asks_return"} <= old["model"].keys()
    assert {"target", "n_forget_episodes", "return_conditioned"} <= new["model"].keys()
    assert Config.from_dict(new) == Config.from_dict(old) == config
    both = old | {"model": old["model"] | {"target": "ad"}}
    with pytest.raises(ValueError, match="model.imitates is 'idt'; allowed: only target, which is its name now"):
        Config.from_dict(both)


def test_all_that_is_shipped_is_looked_at():
    assert (len(WEIGHTS), len(STORES), len(COSTS)) == (42, 3, 9)
