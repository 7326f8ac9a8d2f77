"""Learning histories of Meta-World: what is stored is what was done, and damage does not go unnoticed."""

import inspect
from dataclasses import replace

import pytest
import torch

from dicp import artifacts, ml1
from dicp.config import Config, MetaWorldConfig, SourceConfig
from dicp.domain import arm
from dicp.history import HistoryError, LearningHistories, collect
from dicp.types import Log

ENV = MetaWorldConfig("metaworld", "reach-v3", horizon=5)
SOURCE = SourceConfig(n_streams=4, env_steps=20, n_steps=10, batch_size=20, n_epochs=2, keep_streams=2)
INSTANCES = [(0.01, 0.65, 0.02, -0.05, 0.85, 0.2), (0.0, 0.6, 0.02, 0.05, 0.81, 0.1), (-0.05, 0.62, 0.02, 0.0, 0.9, 0.25)]


def drift(env, tasks, source, seed):
    """Stands in for PPO: the instance's first three numbers, plus what was done."""
    generator = torch.Generator().manual_seed(seed)
    n, kept, steps = len(tasks), source.n_kept, source.env_steps
    action = torch.rand(n, kept, steps, 4, generator=generator) * 2 - 1
    observation = torch.zeros(n, kept, steps, env.n_observed)
    observation[..., :3] = torch.tensor(tasks)[:, None, None, :3] + action[..., :3].cumsum(2)
    reward = action.sum(-1)
    last = observation[:, :, env.horizon - 1 :: env.horizon] + 1
    return Log(observation, action, reward, last, (reward > 1).byte())


@pytest.fixture
def histories(tmp_path):
    return collect(tmp_path / "reach.zarr", ENV, SOURCE, INSTANCES, seed=3, algorithm=drift, n_jobs=1, progress=False)


def test_comes_back_as_it_was(histories, tmp_path):
    log = histories.load()
    assert log.observation.shape == (3, 2, 20, 11) and log.success.dtype == torch.uint8
    one = histories.load([INSTANCES[2]], n_streams=1)
    assert all(torch.equal(a, b[2:, :1]) for a, b in zip(one, log, strict=True))
    assert torch.equal(histories.episode_returns(), log.reward.view(3, 2, 4, 5).sum(-1))
    assert LearningHistories.open(histories.path).env == ENV and histories.tasks == INSTANCES
    sample = LearningHistories.open(histories.save_sample(tmp_path / "sample.zarr.zip", INSTANCES[1:], 1))
    assert torch.equal(sample.load().action, log.action[1:, :1]) and sample.tasks == INSTANCES[1:]
    assert list(histories.dataset.observation.dims) == ["task", "stream", "step", "number"]


def test_a_wrong_log_is_refused(histories):
    log = histories.load().map(lambda x: x[0])
    for change, message in (
        ({"action": log.action * 3}, r"action .* allowed: .* from -1 to 1"),
        ({"reward": log.reward.double()}, r"reward .*float64 .* allowed: torch.float32 \(2, 20\) with finite values"),
        ({"observation": log.observation[..., :10]}, r"observation .* allowed: torch.float32 \(2, 20, 11\)"),
        ({"observation": log.observation.log()}, "observation .* nan"),
        ({"success": log.success + 1}, "success .* from 0 to 1"),
    ):
        with pytest.raises(ValueError, match=message):
            histories.write(0, log._replace(**change))


@pytest.mark.parametrize("name", Log._fields)
def test_a_lost_chunk_is_named(histories, name):
    next(path for path in (histories.path / name / "c" / "1").rglob("0") if path.is_file()).unlink()
    with pytest.raises(HistoryError, match=rf"The {name} of task \(0.0, 0.6, .* is damaged"):
        LearningHistories.open(histories.path).load()


def test_ppo_collects_and_goes_on(tmp_path):
    """Killed after the first instance, a second call ends with the same numbers."""
    pytest.importorskip("metaworld")
    whole = collect(tmp_path / "whole.zarr", ENV, SOURCE, INSTANCES, n_jobs=1, progress=False)
    again = collect(tmp_path / "again.zarr", ENV, SOURCE, INSTANCES, n_jobs=1, progress=False)
    again.discard(INSTANCES[1:])
    again = collect(tmp_path / "again.zarr", ENV, SOURCE, INSTANCES, n_jobs=1, progress=False)
    log = whole.load()
    assert all(torch.equal(a, b) for a, b in zip(log, again.load(), strict=True))
    assert log.action.abs().max() == 1 and (log.reward > 0).all()
    hand = log.observation[..., :3]
    assert torch.equal(hand[:, :, 0], hand[:, :, 5]) and not torch.equal(hand[:, :, 0], hand[:, :, 4])       # resets
    moved = (log.terminal_observation[:, :, :, :3] - hand[:, :, ENV.horizon - 1 :: ENV.horizon]).abs()
    assert 0 < moved.max() < 0.02                    # the true last observation: one step from the one before, not the reset
    assert log.episode_returns.shape == (3, 2, 4)


def test_sb3_collects(tmp_path):
    pytest.importorskip("metaworld")
    source = replace(SOURCE, n_epochs=1)
    log = collect(tmp_path / "sb3.zarr", ENV, source, INSTANCES[:1], algorithm="sb3", n_jobs=1, progress=False).load()
    assert log.observation.shape == (1, 2, 20, 11) and log.terminal_observation.shape == (1, 2, 4, 11)
    assert log.action.abs().max() == 1 and (log.reward > 0).all()


def test_a_cut_run_collects_fewer_instances_and_steps(tmp_path, monkeypatch):
    """Of the first training instances alone, beside the whole run's histories, not in their place."""
    monkeypatch.setenv("DICP_CACHE", str(tmp_path))
    instances = [(float(i),) * 6 for i in range(50)]
    monkeypatch.setattr(arm, "instances_of", lambda task, seed: (instances, [(-x,) * 6 for x, *_ in instances]))
    asked = []
    monkeypatch.setattr(artifacts, "collect", lambda path, env, *rest, **_: asked.append((path.name, *rest[:2])))
    whole = Config.preset("metaworld", world_model="observational")
    cut = ml1.cut(whole, train_instances=3, env_steps=1000, updates=7)
    assert (cut.train.updates, cut.model, cut.source.env_steps) == (7, whole.model, 1000)
    inspect.unwrap(artifacts.histories_of)(cut), inspect.unwrap(artifacts.histories_of)(whole)
    (name, source, tasks), (whole_name, _, all_tasks) = asked
    assert tasks == [(0.0,) * 6, (1.0,) * 6, (2.0,) * 6, (-0.0,) * 6] and source == cut.source and name != whole_name
    assert len(all_tasks) == 60 and all_tasks[50] == (-0.0,) * 6
    assert artifacts.training_tasks(cut) == instances[:3] and cut.key != whole.key
    with pytest.raises(ValueError, match="config.env.name is 'darkroom'; allowed: 'metaworld'"):
        ml1.cut(Config.preset("darkroom"))
