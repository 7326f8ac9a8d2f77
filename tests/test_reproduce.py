"""The recorded runs: what each one is, when it counts as done, and that the table is put together from all that are."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from helpers import flipped

from dicp import estimate, figures, measuring, parts, probes, recordings, reproduce, results, runs
from dicp.artifacts import weights_name
from dicp.config import ENVS, IMITATORS, PlanConfig, TrainConfig
from dicp.config.presets import ALONE
from dicp.domain import arm, grids
from dicp.domain.base import Evaluation
from dicp.envs import split_tasks
from dicp.models import new_model
from dicp.runs import ABLATIONS, RUNS, config_of, part_name, plan_of, sizes_of
from dicp.store import StoreError

BY_NAME = {run.name: run for run in (*RUNS, *ABLATIONS)}


def test_every_method_is_there_with_every_planner():
    assert len(BY_NAME) == len(RUNS) + len(ABLATIONS)
    for target in IMITATORS:
        names = (target, f"dicp_{target}", f"dicp_{target}_paper", f"dicp_{target}_gated")
        kinds = [("none", "none"), ("observational", "none"), ("observational", "paper"), ("observational", "gated")]
        assert [(BY_NAME[n].world_model, BY_NAME[n].planner) for n in names] == kinds
        assert all(BY_NAME[n].target == target for n in names)
    assert {"queries", "random", "source", "exact_belief"} <= set(BY_NAME)


@pytest.mark.parametrize("env", ENVS)
def test_every_run_has_valid_settings_and_held_out_tasks(env):
    for run in BY_NAME.values():
        for split in (0, 4):
            config, (tasks, rollouts) = config_of(run, env, split), sizes_of(run, env, split)
            assert config.train.seed == config.split == split and config.env.name == env
            fewest = 2 if run.world_model in ALONE else 8
            assert rollouts >= fewest and len(tasks) >= 8 and set(tasks) <= set(split_tasks(env, split)[1])
            assert (plan_of(run, env) is None) == (run.planner == "none")


def test_meta_world_runs_four_methods_and_two_controls(monkeypatch):
    instances = [(0.0, n) for n in range(50)], [(1.0, n) for n in range(50)]
    monkeypatch.setattr(arm.ArmDomain, "split", lambda self, seed: instances)
    world = "metaworld-peg-insert-side-v3"
    names = ["ad", "dicp_ad", "dicp_ad_paper", "idt", "dicp_idt", "dicp_idt_paper", "random", "source", "blind", "informed",
             "dicp_ad_paper_reward", "dicp_idt_paper_reward"]
    assert [run.name for run in runs.runs_in(world)] == names
    others = {run.name: plan_of(run, "metaworld-push-v3") for run in runs.runs_in("metaworld-push-v3")[10:]}
    assert {name: plan.return_to_go for name, plan in others.items()} == {
        "dicp_ad_paper_return_to_go": True, "dicp_idt_paper_return_to_go": True}
    for run in runs.runs_in(world):
        config, plan = config_of(run, world, 1), plan_of(run, world)
        assert config.env.task == "peg-insert-side-v3" and config.split == 1 and (plan is None) == (run.planner == "none")
        assert runs.n_episodes_of(world, run) == (1 if run.name in ("blind", "informed") else 2000)
        assert runs.n_episodes_of(world) == 2000 and runs.n_episodes_of("metaworld-door-open-v3") == 200
        tasks, rollouts = sizes_of(run, world, 1)
        assert (len(tasks), rollouts) == ((10, 10) if run.name == "source" else (50, 1))
    assert len({part_name(run, world, 0) for run in runs.runs_in(world)}) == len(names)
    monkeypatch.setattr(arm, "ML1_EPISODES", {})
    assert part_name(BY_NAME["ad"], world, 0) != part_name(BY_NAME["ad"], "metaworld-reach-v3", 0)


def test_an_ablation_changes_what_its_name_says():
    changed = {name: config_of(BY_NAME[name], "darkroom", 0) for name in ("ad", "ad_20_tasks", "ad_last_position")}
    assert changed["ad_20_tasks"].train == replace(changed["ad"].train, max_tasks=20)
    assert changed["ad_last_position"].train == replace(changed["ad"].train, dense=False)
    assert plan_of(BY_NAME["dicp_ad_gated_k5"], "darkroom") == PlanConfig.preset("gated", beam_width=5)
    assert plan_of(BY_NAME["dicp_ad_paper_from0"], "darkroom").start_after == 0


def test_the_name_of_a_part_changes_with_every_setting():
    run = BY_NAME["dicp_ad_paper"]
    others = [
        (run, "darkroom", 1), (run, "darkroom_permuted", 0), (BY_NAME["dicp_ad_gated"], "darkroom", 0),
        (run._replace(plan=(("depth", 4),)), "darkroom", 0), (run._replace(train=(("updates", 7),)), "darkroom", 0),
        (run._replace(greedy=True), "darkroom", 0), (run._replace(context_length=20), "darkroom", 0),
    ]
    names = [part_name(*other) for other in [(run, "darkroom", 0), *others]]
    assert len(set(names)) == len(names) and part_name(run, "darkroom", 0) == names[0]


def test_what_is_not_trained_keeps_its_name_when_the_training_changes(monkeypatch):
    names = {name: part_name(BY_NAME[name], "darkroom", 0) for name in ("ad", "source", "random", "exact_belief")}
    monkeypatch.setattr(runs, "config_of", lambda run, *world: replace(config_of(run, *world), train=TrainConfig(updates=7)))
    changed = [name for name in names if part_name(BY_NAME[name], "darkroom", 0) != names[name]]
    assert changed == ["ad"] and part_name(BY_NAME["source"], "darkroom", 1) != names["source"]


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """An empty cache and nothing recorded, short rollouts; the runs that were made, in order."""
    monkeypatch.setenv("DICP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(recordings, "RECORDED", tmp_path / "data")
    short = Evaluation(n_episodes=3, sizes=(2, 4))
    monkeypatch.setitem(grids.EVALUATIONS, "darkroom", short)
    monkeypatch.setattr(figures, "draw", lambda *_: None)
    made, real = [], reproduce.measure

    def measure(run, env, split, n_jobs):
        made.append((run.name, split))
        return real(run, env, split, n_jobs)

    monkeypatch.setattr(reproduce, "measure", measure)
    return made


def test_what_is_done_is_skipped_and_all_of_it_is_recorded(asked, tmp_path, capsys):
    assert reproduce.reproduce("darkroom", ["random"], [0]) == 1
    assert reproduce.reproduce("darkroom", ["random", "exact_belief"], [0, 1]) == 3
    assert asked == [("random", 0), ("random", 1), ("exact_belief", 0), ("exact_belief", 1)]
    reproduce.record("darkroom")
    assert reproduce.reproduce("darkroom", ["exact_belief"], [1]) == 0 and len(asked) == 4
    said = capsys.readouterr().out
    assert (
        "darkroom: nothing to do, all 1 runs that you ask for are done (1 by this machine" in said
    )
    table = results.load(tmp_path / "cache" / "results" / "darkroom.csv.gz")
    assert table.groupby(["run", "split"]).size().to_list() == 4 * [2 * 3]
    assert (table["n_rollouts"] == 4).all() and set(table["planner"]) == {"none", "bayes"}
    cost = pd.read_csv(tmp_path / "cache" / "results" / "darkroom_cost.csv")
    assert len(cost) == 4 and (cost["env_steps"] == 2 * 4 * 3 * 20).all()


def test_a_setting_that_is_younger_than_a_part_has_its_default_there():
    plan = PlanConfig.preset("bayes", "darkroom")
    table = pd.DataFrame(
        {
            "planner": ["none", "bayes", "bayes"],
            "depth": [None, 25, 25],
            "candidates": [None, None, 7],
            "deduplicate": [None, None, True],
        },
        dtype=object,
    )
    done = parts.complete(table)
    assert (
        done["candidates"].tolist()[1:] == [PlanConfig().candidates, 7]
        and done["depth"].tolist()[1:] == [plan.depth] * 2
    )
    assert done["deduplicate"].tolist()[1:] == [False, True] and done.iloc[0, 1:].isna().all()


def test_settings_of_a_plan_stand_in_their_own_order_whichever_part_came_first():
    """Else the same rows, put together again, would be other bytes."""
    table = results.recorded("darkroom").head(3)
    names = list(table.columns)
    assert names.index("draws_goal") < names.index("data")
    younger = [name for name in names if name != "draws_goal"] + ["draws_goal"]
    assert list(parts.complete(table[younger]).columns) == names == list(parts.complete(table).columns)


def test_what_is_recorded_counts_as_done_and_is_not_copied(asked, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reproduce, "checkout", lambda: tmp_path)
    reproduce.main(["--runs", "random", "exact_belief", "--splits", "0", "--record"])
    files = [
        tmp_path / "data" / name
        for name in ("darkroom.csv.gz", "darkroom_cost.csv", "darkroom.json")
    ]
    before = [file.read_bytes() for file in files]
    monkeypatch.setenv("DICP_CACHE", str(tmp_path / "another"))
    asked.clear()
    reproduce.main(["--runs", "random", "exact_belief", "--splits", "0"])
    assert not asked and "2 recorded with the package" in capsys.readouterr().out
    assert not (tmp_path / "another").exists()
    reproduce.main(["--runs", "random", "--splits", "0", "1"])
    assert asked == [("random", 1)] and before == [file.read_bytes() for file in files]
    reproduce.main(["--runs", "random", "--splits", "0", "--again", "--dry-run"])
    assert "1 of the 1 runs that you ask for are missing" in capsys.readouterr().out
    for _ in range(2):                                      # the second time this machine has it
        reproduce.main(["--runs", "random", "--splits", "0", "--again"])
    assert asked == [("random", 1), ("random", 0)]
    asked.pop()
    table = results.load(tmp_path / "another" / "results" / "darkroom.csv.gz")
    order = [("random", 0), ("random", 1), ("exact_belief", 0)]
    assert (
        list(table.groupby(["run", "split"], sort=False).groups) == order
        and len(table) == 3 * 2 * 3
    )
    reproduce.main(["--runs", "random", "--splits", "0", "1", "--record"])
    assert len(results.recorded("darkroom")) == 3 * 2 * 3 and asked == [("random", 1)]


def test_a_cache_that_cannot_be_written_gets_one_sentence_at_the_start(asked, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DICP_CACHE", str(tmp_path / "file" / "cache"))
    sentence = "^dicp.reproduce: The cache .*cache cannot be written .*DICP_CACHE to a folder that can"
    with pytest.raises(SystemExit, match=sentence):
        reproduce.main(["--runs", "random", "--splits", "0"])
    assert not asked


def test_nothing_is_written_by_a_dry_run(asked, tmp_path, capsys):
    reproduce.main(["--dry-run", "--runs", "ad_greedy", "random", "--splits", "3"])
    said = capsys.readouterr().out
    assert not asked and not (tmp_path / "cache").exists()
    assert "2 of the 2 runs that you ask for are missing" in said and "time is not known" in said
    assert "together 0.00 CPU-hours without those whose time is not known, as recorded" in said


def test_a_dry_run_counts_each_model_once_unless_it_lies_ready(tmp_path, monkeypatch):
    """Not a control's, which has no model; not weights without the record that vouches for them."""
    monkeypatch.setenv("DICP_CACHE", str(tmp_path))
    asked = runs.run_named("random", "darkroom"), *map(BY_NAME.get, ("ad", "ad_greedy"))
    made = [parts.Part("darkroom", run, 3, tmp_path / run.name) for run in asked]
    weights = tmp_path / "weights" / weights_name(config_of(BY_NAME["ad"], "darkroom", 3))
    weights.parent.mkdir()
    weights.touch()
    hours = estimate.estimated(made)["train"]
    assert hours[0] == 0 < hours[1] and hours[2] == 0
    weights.with_suffix(".json").touch()
    assert not estimate.estimated(made)["train"].any()


def test_a_dry_run_tells_the_hours_from_recorded_costs(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DICP_CACHE", str(tmp_path))
    costs = recordings.recorded_costs("darkroom")
    ad = costs[costs["run"] == "ad_greedy"]
    reproduce.main(["--dry-run", "--runs", "ad_greedy", "random", "--splits", "3"])
    said = capsys.readouterr().out
    train, act = ad["train_cpu_s"].mean() / 3600, ad["evaluate_cpu_s"].mean() / 3600
    assert (
        f"ad_greedy split 3: {train + act:.2f} CPU-hours (training {train:.2f}, acting {act:.2f})"
        in said
    )
    assert "1 of the 2 runs" in said and not list(tmp_path.iterdir())
    reproduce.main(
        [
            "--dry-run",
            "--env",
            "metaworld",
            "--task",
            "door-open-v3",
            "--runs",
            "random",
            "--splits",
            "0",
        ]
    )
    assert "metaworld-door-open-v3 random split 0: 0.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--splits", "7"], "--splits: invalid choice: 7 (choose from 0, 1, 2, 3, 4)"),
        (
            ["--runs", "dicp_ad_paper_l5"],
            "run (in darkroom) is 'dicp_ad_paper_l5'; allowed: 'ad', ",
        ),
        (
            ["--env", "metaworld", "--task", "door-open-v3", "--runs", "bayes"],
            "run (in metaworld-door-open-v3) is 'bayes'",
        ),
        (["--task", "reach-v3"], "--task is 'reach-v3'; allowed: none in darkroom"),
        (["--seeds", "4"], "--seeds: invalid choice: 4 (choose from 1, 2, 3)"),
        (["--seeds", "2", "--runs", "random"], "--seeds is 2; allowed: 1, of these runs"),
        (["--runs", "queries_last_bayes"], "run (in darkroom) is 'queries_last_bayes'; allowed: 'ad', "),
        (["--env", "dark_key_to_door", "--runs", "queries_first_thompson"], "run (in dark_key_to_door) is "),
        (["--jobs", "0"], "--jobs is 0; allowed: a whole number of at least 1"),
        (["--jobs", "two"], "--jobs is 'two'; allowed: a whole number"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(asked, arguments, sentence, capsys):
    with pytest.raises(SystemExit) as error:
        reproduce.main(arguments)
    assert error.value.code == 2 and sentence in capsys.readouterr().err and not asked


@pytest.mark.parametrize("option", ["--record", "--ship"])
def test_only_a_checkout_can_be_changed(asked, option, tmp_path, monkeypatch, capsys):
    assert reproduce.checkout() is not None
    monkeypatch.setattr("dicp.__file__", str(tmp_path / "site-packages" / "dicp" / "__init__.py"))
    assert reproduce.checkout() is None
    with pytest.raises(SystemExit):
        reproduce.main([option])
    assert (
        "change a checkout of the repository; this package was installed" in capsys.readouterr().err
        and not asked
    )
    for change in (lambda: reproduce.record("darkroom", True), lambda: reproduce.ship("darkroom")):
        with pytest.raises(ValueError, match="checkout"):
            change()


def test_jobs_reach_the_collection_of_histories(asked, monkeypatch):
    seen = []
    monkeypatch.setattr(
        measuring, "load_or_train", lambda config, n_jobs: seen.append(n_jobs) or 1 / 0
    )
    monkeypatch.setattr(
        measuring, "histories_of", lambda config, tasks, n_jobs: seen.append(n_jobs) or 1 / 0
    )
    for run in ("ad", "source"):
        with pytest.raises(ZeroDivisionError):
            reproduce.main(["--runs", run, "--splits", "0", "--jobs", "3"])
    assert seen == [3, 3]


@pytest.mark.usefixtures("headless")
def test_figures_of_meta_world_are_drawn_from_what_is_recorded(tmp_path):
    figures.draw("metaworld-reach-v3", tmp_path, results.recorded)
    names = {"metaworld_success", "metaworld_solved_so_far", "metaworld_ranking"}
    assert {path.stem for path in tmp_path.iterdir()} == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())


def test_a_split_that_is_asked_for_twice_is_one():
    asked = reproduce.options(["--runs", "random", "random", "--splits", "1", "0", "1"])
    assert (asked.runs, asked.splits) == (["random"], [1, 0])


def test_more_training_seeds_are_asked_for_by_their_number():
    asked = reproduce.options(["--runs", "queries_first_bayes", "random", "--seeds", "3"])
    assert asked.runs == ["queries_first_bayes", "queries_first_bayes_seed1", "queries_first_bayes_seed2", "random"]
    seeds = [runs.config_of(runs.run_named(name, "darkroom"), "darkroom", 2).train.seed for name in asked.runs[:3]]
    assert len(set(seeds)) == 3 and seeds[0] == 2
    again = reproduce.options(["--runs", "queries_first_bayes", "queries_first_bayes_seed1", "--seeds", "2"])
    assert again.runs == ["queries_first_bayes", "queries_first_bayes_seed1"]


# ---- probes --------------------------------------------------------------------------------------


@pytest.fixture
def untrained(tmp_path, monkeypatch):
    """Nothing is recorded, and no model needs training: the names of the configs that were asked for."""
    monkeypatch.setenv("DICP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(recordings, "RECORDED", tmp_path / "data")
    asked = []

    def fresh(config, **_):
        asked.append(config.key)
        return SimpleNamespace(model=new_model(config.env, replace(config.model, d_model=8, n_heads=1, n_layers=1, d_ff=8)))

    monkeypatch.setattr(reproduce, "load_or_train", fresh)
    monkeypatch.setattr(probes, "N_ROLLOUTS", 2)
    monkeypatch.setattr(probes, "N_WALKS", 16)
    return asked


def test_probes_are_made_once_and_recorded(untrained):
    names = ["queries_first_bayes", "queries_first_paper", "heads_all_bayes", "random"]
    assert reproduce.probe_models("darkroom", names, [1]) == 2              # one a model, of those that the Bayes planner asks
    assert len(untrained) == 2
    assert reproduce.probe_models("darkroom", names, [1]) == 0 and len(untrained) == 2
    assert probes.recorded_probes("darkroom").empty
    reproduce.record_probes("darkroom")
    table = probes.recorded_probes("darkroom")
    assert set(table["run"]) == {"queries_first_bayes", "heads_all_bayes"} and set(table["split"]) == {1}
    assert list(dict.fromkeys(table["probe"])) == [name for name in probes.PROBES if name not in ("known door", "move")]
    assert table.drop(columns="value").notna().all().all()
    shutil.rmtree(parts.results_folder())
    assert reproduce.probe_models("darkroom", names, [1]) == 0              # the package has them
    assert reproduce.probe_models("darkroom", names, [1], again=True) == 2
    assert reproduce.probe_models("darkroom", ["random"], [1]) == 0


def test_probes_of_other_settings_do_not_count(untrained, monkeypatch):
    reproduce.probe_models("darkroom", ["queries_first_bayes"], [1])
    reproduce.record_probes("darkroom")
    other = runs.run_named("queries_first_bayes", "darkroom")
    other = other._replace(train=(*other.train, ("updates", 7)))
    monkeypatch.setattr(runs, "runs_in", lambda world: [other])
    assert reproduce.probe_models("darkroom", ["queries_first_bayes"], [1]) == 1
    reproduce.record_probes("darkroom")
    assert len(probes.recorded_probes("darkroom")) == len(probes.PROBES) - 2      # doors and moves are of other worlds


def test_damaged_probes_are_named_and_made_anew(untrained, capsys):
    reproduce.probe_models("darkroom", ["heads_all_bayes"], [1])
    path = probes.probes_path(parts.results_folder(), "darkroom")
    path.write_bytes(flipped(path.read_bytes(), 2000))
    assert reproduce.probe_models("darkroom", ["heads_all_bayes"], [1]) == 1
    assert f"{path} is damaged" in capsys.readouterr().out
    reproduce.record_probes("darkroom")
    package = probes.probes_path(recordings.RECORDED, "darkroom")
    for bit in range(3, 8 * package.stat().st_size, 997):
        good = package.read_bytes()
        package.write_bytes(flipped(good, bit))
        with pytest.raises(StoreError, match="_probes.json"):
            probes.recorded_probes("darkroom")
        package.write_bytes(good)
