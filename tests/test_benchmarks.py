"""The plain versions that the benchmarks measure against do the same as ours; nothing here is timed."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dicp.config import ENVS, Config, EnvConfig, ModelConfig, PlanConfig, SourceConfig, TrainConfig
from dicp.models import HierarchicalModel, InContextModel
from dicp.models.categorical import cross_entropy
from dicp.rollout import rollout
from dicp.source import train_ppo

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import metaworld_acting  # noqa: E402
import naive  # noqa: E402
import speed  # noqa: E402
import training  # noqa: E402

ENV = EnvConfig()


def model_of(n_layers: int, context_length: int = 20) -> InContextModel:
    """Untrained, with weights large enough that rewards are imagined here and not there."""
    torch.manual_seed(0)
    model = InContextModel(ENV, ModelConfig("observational", context_length=context_length, n_layers=n_layers)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    return model


def certain_idt(context_length: int) -> HierarchicalModel:
    """Its decisions have no noise."""
    torch.manual_seed(0)
    model = HierarchicalModel(ENV, ModelConfig("observational", "idt", context_length, n_layers=2)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
        model.high_level.out.weight[8:], model.high_level.out.bias[8:] = 0, -200
    model.prompt.fill_(9.0)
    return model


@pytest.mark.parametrize("n_tokens", [1, 9, 10, 15, 33, 73])
def test_idt_without_a_cache_plans_the_same(n_tokens):
    speed.check_same_plan(certain_idt(40), 3, n_tokens, PlanConfig.preset("paper", beam_width=4))


@pytest.mark.parametrize("planner", ["paper", "gated", "mean"])
def test_shared_keys_and_values_give_the_plan_of_whole_windows(planner):
    changes = dict(beam_width=4, depth=5)
    plan = PlanConfig.preset("paper", rank="mean", **changes) if planner == "mean" else PlanConfig.preset(planner, **changes)
    speed.check_same_plan(model_of(n_layers=3), n_agents=3, n_tokens=15, plan=plan)
    speed.check_same_plan(model_of(n_layers=3, context_length=40), n_agents=3, n_tokens=73, plan=plan)     # it has forgotten


def test_the_check_notices_a_difference(monkeypatch):
    def least_likely_first(self, state, n=1, generator=None):
        return self.model.policy.propose(-self.model.policy_head(state.h), n)

    monkeypatch.setattr(naive.WholeWindows, "propose", least_likely_first)
    with pytest.raises(AssertionError, match="the plans differ"):
        speed.check_same_plan(model_of(3), 3, 15, PlanConfig.preset("paper", beam_width=4, depth=5))


def test_a_life_without_a_cache_is_the_same_life():
    model, plan = model_of(n_layers=2, context_length=40), PlanConfig.preset("paper", beam_width=4, depth=3, start_after=5)
    # greedy, where IDT draws its decisions from the same dice
    for one, p, greedy in ((model, None, False), (model, plan, False), (certain_idt(40), None, True)):
        ours, plain = (rollout(m, ENV, [(4, 5), (4, 3)], 2, 4, p, greedy=greedy) for m in (one, naive.WholeWindows(one)))
        assert all(torch.equal(a, b) for a, b in zip(ours[:5], plain[:5], strict=True))


def test_the_two_token_model_sees_the_action_at_the_second_token_alone():
    source = SourceConfig(n_streams=4, env_steps=60, batch_size=40, n_epochs=1)
    model = ModelConfig("observational", context_length=40, d_model=16, n_layers=2, n_heads=1)
    config = Config(ENV, source, model, TrainConfig(updates=4, batch_size=4, n_streams=4))
    trainer = naive.TwoTokenTrainer(config, train_ppo(ENV, [(4, 5)], source, 0))
    windows = trainer.sampler.history(4, 2, 1, trainer.generator)
    changed = windows.action.clone()
    changed[:, 9] = (changed[:, 9] + 1) % 5
    other = windows._replace(action=changed)
    (obs, act), (obs_other, act_other) = trainer.model.read(windows), trainer.model.read(other)
    assert torch.equal(obs[:, :10], obs_other[:, :10]) and torch.equal(act[:, :9], act_other[:, :9])
    assert not torch.equal(act[:, 9], act_other[:, 9]) and not torch.equal(obs[:, 10], obs_other[:, 10])
    assert cross_entropy(trainer.model.policy_head(obs), windows.action).item() == pytest.approx(1.61, abs=0.3)
    before = trainer.model.embed_action.weight.clone()
    trainer.step()
    assert trainer.update == 1 and not torch.equal(trainer.model.embed_action.weight, before)


def test_agents_live_on_with_full_contexts(monkeypatch):
    monkeypatch.setattr(speed, "N_ROLLOUTS", 3)
    for learner in (model_of(1), naive.WholeWindows(model_of(1))):
        living = speed.Living(learner, ENV, 2, replace(PlanConfig.preset("paper"), beam_width=2, depth=2))
        assert living() == 6
        assert living.context.n_transitions == 20 + 2 - 20


def test_a_run_prints_a_table_and_writes_it(tmp_path, monkeypatch, capsys):
    options = ["--quick", "--names", "env", "--envs", "darkroom_permuted", "--json", str(tmp_path / "rows.json")]
    monkeypatch.setattr(sys, "argv", ["speed.py", *options])
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    speed.main()
    (row,) = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))
    assert list(row) == ["name", "env", "ours", "reference", "unit", "ratio", "tokens_per_cpu_s", "threads"]
    assert row["name"] == "env" and row["ratio"] > 0 and row["threads"] == torch.get_num_threads()
    assert "Gymnasium environment, one agent, one step at a time" in capsys.readouterr().out


@pytest.mark.parametrize("env", ENVS)
@pytest.mark.parametrize("name", ["rollout_idt", "planning_idt", "training_idt", "planning", "training"])
def test_every_comparison_is_ready_in_every_world(name, env, monkeypatch):
    """Both sides do some work; a small one."""
    monkeypatch.setattr(speed, "N_ROLLOUTS", 2)
    preset = Config.preset
    small = dict(d_model=16, n_layers=1, n_heads=1, d_ff=16)
    monkeypatch.setattr(speed.Config, "preset", lambda *args, **kwargs: replace(
        c := preset(*args, **kwargs), model=replace(c.model, **small), train=replace(c.train, batch_size=2, n_streams=10)))
    sides = speed.CASES[name].prepare(env, True)
    assert sides.ours() > 0 and sides.reference() > 0 and sides.tokens > 0


def test_agents_of_meta_world_act_with_full_contexts(monkeypatch):
    monkeypatch.setattr(metaworld_acting, "N_AGENTS", 2)
    small = dict(d_model=16, n_layers=1, n_heads=1, d_ff=16, context_length=200, n_forget_episodes=1)
    preset, searched = Config.preset, []
    monkeypatch.setattr(metaworld_acting.Config, "preset", lambda *args, **kwargs: replace(
        c := preset(*args, **kwargs), model=replace(c.model, **small)))
    search = metaworld_acting.search
    monkeypatch.setattr(metaworld_acting, "search", lambda *args: searched.append(args[2].depth) or search(*args))
    rows = metaworld_acting.measure(3, 1)
    assert [(row["target"], row["depth"]) for row in rows] == [(name, depth) for name in ("ad", "idt") for depth in (0, 1, 4)]
    assert sorted(searched) == 6 * [1] + 6 * [4] and all(row["ms"] > 0 for row in rows)
    config = metaworld_acting.Config.preset("metaworld")
    living = metaworld_acting.Living(metaworld_acting.new_model(config.env, config.model), None, torch.Generator())
    assert living.context.is_full and living.n_seen == 200


def test_an_update_is_timed_in_every_kind_of_training(monkeypatch, tmp_path, capsys):
    preset, small = Config.preset, dict(d_model=16, n_layers=1, n_heads=1, d_ff=16)
    monkeypatch.setattr(training.Config, "preset", lambda *args, **kwargs: replace(
        c := preset(*args, **kwargs), model=replace(c.model, **small), train=replace(c.train, batch_size=2, updates=600)))
    monkeypatch.setattr(training, "KINDS", [("darkroom", "dpt"), ("darkroom", "idt"), ("metaworld", "ad")])
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["training.py", "--seconds", "0.1", "--paper", "--json", str(tmp_path / "rows.json")])
    training.main()
    rows = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))
    assert [(row["method"], row["profile"], row["device"]) for row in rows] == [
        ("dicp_dpt", "fast", "cpu"), ("dicp_idt", "fast", "cpu"), ("dicp_ad", "fast", "cpu")]
    assert all(row["minutes"] == pytest.approx(row["ms"] / 100, abs=0.06) for row in rows)          # 600 updates
    assert capsys.readouterr().out.count("an update") == 3
