"""Training: the loss, the schedule, going on after an interruption, and files that are never half written or misread."""

import errno
import json
import os
import shutil
from dataclasses import asdict, replace

import pandas as pd
import pytest
import torch
from helpers import refused

from dicp import artifacts, config, store, training
from dicp.artifacts import load_or_train, load_trained, save_trained, weights_name
from dicp.config import Config, EnvConfig, ModelConfig, SourceConfig, TrainConfig
from dicp.config.parts import DATA, MIXED
from dicp.domain import domain_of
from dicp.envs import split_tasks
from dicp.files import load_model, save_model, write_csv
from dicp.losses import losses, world_windows
from dicp.models.categorical import cross_entropy
from dicp.source import train_ppo
from dicp.states import load_state, save_state
from dicp.store import StoreError
from dicp.training import Trainer, counted, learning_rate, train
from dicp.types import Log
from dicp.windows import WindowSampler

ENV, SOURCE = EnvConfig(), SourceConfig(n_streams=8, env_steps=400, batch_size=40, n_epochs=5, learning_rate=1e-3)
GOALS = [(4, 6), (6, 4), (3, 3)]
KINDS = [("none", "ad"), ("observational", "ad"), ("none", "dpt"), ("observational", "idt"), ("queries", "ad")]


def tiny(kind: str = "observational", target: str = "ad", dropout: float = 0.0, **changes) -> Config:
    model = ModelConfig(kind, target, context_length=40, d_model=16, n_layers=1, n_heads=1, d_ff=16, d_head_hidden=16)
    model = replace(model, dropout=dropout, chunk=5)
    return Config(ENV, SOURCE, model, TrainConfig(**dict(updates=8, batch_size=4, warmup=2, n_streams=8) | changes))


@pytest.fixture(scope="module")
def log():
    """PPO learns three near goals."""
    return train_ppo(ENV, GOALS, SOURCE, 0)


def fit(settings: Config, log, folder=None, **options) -> Trainer:
    return train(settings, log, folder, progress=False, tasks=GOALS, **options)


def terms_of(trainer: Trainer, seed: int = 0) -> dict:
    """One batch's losses; the seed decides the windows and, for IDT, the decisions."""
    torch.manual_seed(seed)
    return losses(trainer.model, trainer.sampler, trainer.config.train, torch.Generator().manual_seed(seed))


def weights(model) -> dict:
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def seen_by(trainer: Trainer, monkeypatch):
    """(one batch's losses, its windows)."""
    seen, real = [], trainer.model.read
    monkeypatch.setattr(trainer.model, "read", lambda windows: seen.append(windows) or real(windows))
    return terms_of(trainer), seen[0]


# ---- the loss ------------------------------------------------------------------------------------------------------------


def test_the_loss_is_the_mean_over_every_position():
    logits = torch.tensor([[[0.0, 0.0], [1.0, 0.0]], [[0.0, 2.0], [0.0, 0.0]]])
    by_hand = [0.5, 1 / (1 + 2.718281828), 1 / (1 + 7.389056099), 0.5]
    label = torch.tensor([[0, 1], [0, 1]])
    assert cross_entropy(logits, label).item() == pytest.approx(-torch.tensor(by_hand).log().mean().item())


def test_the_learning_rate_by_hand():
    settings = TrainConfig(updates=10, warmup=2, learning_rate=1.0)
    rates = [learning_rate(settings, update) for update in (0, 1, 2, 4, 6, 10)]
    assert rates == pytest.approx([0.5, 1, 1, 0.853553, 0.5, 0])
    assert learning_rate(replace(settings, warmup=0), 0) == 1


@pytest.mark.parametrize("kind, target", KINDS)
def test_the_loss_falls_on_real_histories(log, kind, target):
    curve = fit(tiny(kind, target, updates=120, batch_size=16), log).log
    first, last = curve[:5].mean(), curve[-10:].mean()
    if kind != "queries":
        if target != "dpt":                                                  # which learns to stay at once
            assert first["policy"] == pytest.approx(1.61, abs=0.15)            # the logarithm of five actions
        assert last["policy"] < first["policy"] - 0.1
    if kind != "none":
        assert last["next_obs"] < 0.5 * first["next_obs"] and last["reward"] < 0.6 * first["reward"]
        assert last["return_to_go"] < first["return_to_go"]


@pytest.mark.parametrize("target", ["ad", "dpt"])
def test_without_world_model_weight_the_policy_trains_alone(log, target):
    """As AD, or DPT."""
    alone, other = fit(tiny("none", target), log), fit(tiny("observational", target, world_model_weight=0.0), log)
    pd.testing.assert_frame_equal(alone.log, other.log)
    shared = weights(alone.model)
    assert equal(shared, {name: weights(other.model)[name] for name in shared})


@pytest.mark.parametrize("target", ["ad", "dpt", "idt"])
def test_the_world_model_weight_scales_its_terms(log, target):
    def terms(**changes):
        return terms_of(Trainer(tiny("observational", target, **changes), log, tasks=GOALS))

    plain, weighted, without = terms(), terms(world_model_weight=3.0), terms(world_model_weight=0.0)
    for name, value in plain.items():
        assert weighted[name].item() == pytest.approx((1 if name == "policy" else 3) * value.item(), rel=1e-5)
    assert set(plain) == {"policy", "reward", "next_obs", "return_to_go"} and set(without) == {"policy"}


@pytest.mark.parametrize("kind, target", KINDS[:4])
def test_a_loss_that_is_not_dense_counts_the_last_position_alone(log, kind, target, monkeypatch):
    trainer = Trainer(tiny(kind, target, dense=False), log, tasks=GOALS)
    terms, windows = seen_by(trainer, monkeypatch)
    torch.manual_seed(0)
    h = trainer.model.read(windows)[:, -1]
    expected = {"policy": cross_entropy(trainer.model.policy_head(h), windows.label[:, -1])}
    if kind != "none":
        p = trainer.model.world_model_head(h, windows.action[:, -1])
        cell = windows.next_observation[:, -1]
        expected |= {
            "reward": cross_entropy(p.reward, windows.reward[:, -1]),
            "next_obs": cross_entropy(p.next_x, cell // 9) + cross_entropy(p.next_y, cell % 9),
            "return_to_go": cross_entropy(p.return_to_go, windows.return_to_go[:, -1]),
        }
    assert {name: x.item() for name, x in terms.items()} == pytest.approx({name: x.item() for name, x in expected.items()})


# ---- what each kind learns from ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["ad", "dpt", "idt"])
def test_only_dpt_imitates_the_optimal_actions(log, target, monkeypatch):
    trainer = Trainer(tiny("none", target), log, tasks=GOALS)
    terms, windows = seen_by(trainer, monkeypatch)
    label = windows.action
    if target == "dpt":
        table = domain_of(ENV).optimal_actions(GOALS)[:, 0]                              # task cell
        fit_all = [(table[task][windows.tokens.observation] == windows.label).all(1) for task in range(3)]
        assert torch.stack(fit_all).any(0).all() and not torch.equal(windows.label, windows.action)
        label = windows.label
    torch.manual_seed(0)
    trainer.generator.manual_seed(0)
    logits = trainer.model.policy_head(trainer.model.read(windows))
    assert terms["policy"].item() == pytest.approx(cross_entropy(logits, label).item())


def test_dpt_becomes_optimal_where_it_was(log):
    """After some training, the optimal action is its first choice more often than the action taken is AD's, whose source
    is still learning."""
    dpt, ad = (fit(tiny("none", target, updates=120, batch_size=16), log) for target in ("dpt", "ad"))
    windows = dpt.sampler.history(200, 2, 4, torch.Generator().manual_seed(0))
    assert dpt.log["policy"][-10:].mean() < ad.log["policy"][-10:].mean() - 0.1
    with torch.no_grad():
        choice = dpt.model.policy_head(dpt.model(windows.tokens)).argmax(-1)
    assert (choice == windows.label).float().mean() > (choice == windows.action).float().mean() + 0.1


def test_dpt_knows_the_training_tasks_of_its_split(log):
    train_tasks, _ = split_tasks("darkroom", 3)
    histories = log.map(lambda x: x[torch.zeros(len(train_tasks), dtype=torch.long)])
    trainer = Trainer(replace(tiny("none", "dpt"), split=3), histories)
    assert torch.equal(trainer.sampler.optimal, domain_of(ENV).optimal_actions(train_tasks))
    assert Trainer(tiny("none", "ad"), log).sampler.optimal is None


@pytest.mark.parametrize("sort_episodes", [False, True])
def test_episodes_are_sorted_by_their_returns_if_wanted(log, sort_episodes, monkeypatch):
    trainer = Trainer(tiny("none", "idt", sort_episodes=sort_episodes, batch_size=64), log)
    _, windows = seen_by(trainer, monkeypatch)
    earned = windows.reward.unflatten(1, (-1, ENV.horizon)).sum(-1)
    assert (earned[:, 0] <= earned[:, 1]).all() == sort_episodes


@pytest.mark.parametrize("n_streams", [3, 8])
@pytest.mark.parametrize("quantile", [0.0, 0.5, 1.0])
def test_idt_asks_for_what_the_streams_achieved_at_best(log, n_streams, quantile):
    best = sorted(log.episode_returns[:, :n_streams].amax(-1).flatten().tolist())
    model = Trainer(tiny("none", "idt", n_streams=n_streams, prompt_quantile=quantile), log).model
    middle = (best[(len(best) - 1) // 2] + best[len(best) // 2]) / 2
    assert model.prompt.item() == {0.0: best[0], 0.5: middle, 1.0: best[-1]}[quantile]
    assert best[0] < best[-1] and model.begin(2).prompt.tolist() == [model.prompt.item()] * 2


@pytest.mark.parametrize("kind, target", [*KINDS, ("none", "idt")])
def test_only_the_first_tasks_are_used(log, kind, target):
    """Whatever happened in the others; labels and prompt are of the first, too."""
    less, settings = log.map(lambda x: x[:2]), tiny(kind, target, max_tasks=2, updates=3)
    few, all_of_few = fit(settings, log), train(settings, less, progress=False, tasks=GOALS[:2])
    assert few.sampler.n_tasks == 2 and equal(weights(few.model), weights(all_of_few.model))
    assert not equal(weights(few.model), weights(fit(tiny(kind, target, updates=3), log).model))


@pytest.mark.parametrize("n_first", [1, 3])
def test_a_world_model_of_first_episodes_sees_these_alone(log, n_first, monkeypatch):
    """What came later may have been anything. It has no policy."""
    n_steps, g = n_first * ENV.horizon, torch.Generator().manual_seed(0)
    noise = (torch.randint(below, log.observation.shape, generator=g).byte() for below in (81, 5, 2))
    step = torch.arange(log.observation.shape[-1])
    true = log.observation, log.action, log.reward
    fields = (torch.where(step < n_steps, x, y) for x, y in zip(true, noise, strict=True))
    garbage = Log(*fields, log.terminal_observation)
    settings = tiny("queries", n_first_episodes=n_first, updates=4, data="first_episodes")
    plain, other = fit(settings, log), fit(settings, garbage)
    assert set(plain.log) == {"update", "reward", "next_obs", "return_to_go"}
    assert equal(weights(plain.model), weights(other.model)) and not hasattr(plain.model, "policy_head")
    other = fit(replace(settings, train=replace(settings.train, n_first_episodes=n_first + 1)), garbage)
    assert not equal(weights(plain.model), weights(other.model))


def test_the_loss_of_a_world_model_alone_is_that_of_its_predictions(log):
    """Of cells that are relabelled with the generator that has drawn the windows."""
    trainer, generator = Trainer(tiny("queries", data="first_episodes"), log), torch.Generator().manual_seed(0)
    windows = trainer.sampler.before_first_update(4, 2, 1, generator)
    p = trainer.model.predict(windows, generator)
    expected = {name: term.item() for name, term in p.loss_terms(windows).items()}
    assert {name: term.item() for name, term in terms_of(trainer).items()} == expected
    assert all(term < 10 for term in expected.values())                        # nothing that happens is thought impossible


def test_tokens_count_once_until_their_share_of_the_training_is_over(log):
    """Then the two trainings part."""
    once, later = (Trainer(tiny("queries", data="first_episodes", updates=4, **changes), log)
                   for changes in ({}, {"most_repeats": 64, "repeats_after": 0.5}))
    for parts in (False, False, True):
        for trainer in (once, later):
            trainer.step()
        assert equal(weights(once.model), weights(later.model)) != parts


def test_the_seed_decides_the_weights_and_the_windows(log):
    first, again, other = (Trainer(tiny(seed=seed), log) for seed in (0, 0, 1))
    assert equal(weights(first.model), weights(again.model)) and not equal(weights(first.model), weights(other.model))
    draws = [t.sampler.history(20, 2, 4, t.generator).action for t in (first, again, other)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind, target", KINDS)
def test_a_gpu_trains_as_the_cpu_does_and_resumes(log, kind, target, tmp_path, monkeypatch):
    settings = tiny(kind, target)
    cpu, gpu = fit(settings, log), fit(settings, log, device="cuda")
    if target != "idt":                                                    # whose decisions are drawn on the device
        pd.testing.assert_frame_equal(cpu.log, gpu.log, rtol=0.02)
    kill_after(5, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        fit(settings, log, tmp_path, device="cuda", save_every=2)
    monkeypatch.undo()
    pd.testing.assert_frame_equal(fit(settings, log, tmp_path, device="cuda").log, gpu.log, rtol=1e-3)


# ---- interruptions -------------------------------------------------------------------------------------------------------


def kill_after(n_updates: int, monkeypatch) -> None:
    real = Trainer.step

    def step(self):
        if self.update == n_updates:
            raise KeyboardInterrupt
        real(self)

    monkeypatch.setattr(Trainer, "step", step)


@pytest.mark.parametrize("kind, target", KINDS)
def test_an_interrupted_training_goes_on_as_if_nothing_had_happened(log, kind, target, tmp_path, monkeypatch):
    settings = tiny(kind, target, dropout=0.2)
    whole = fit(settings, log)
    kill_after(5, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        fit(settings, log, tmp_path, save_every=2)
    monkeypatch.undo()
    assert load_state(tmp_path / "state.pt")["update"] == 4                  # update 5 is lost
    torch.rand(100)                                                          # another use of the global generator
    resumed = fit(settings, log, tmp_path, save_every=3)
    pd.testing.assert_frame_equal(resumed.log, whole.log, check_exact=True)
    assert equal(weights(resumed.model), weights(whole.model))
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "log.csv"), whole.log)
    monkeypatch.setattr(Trainer, "step", None)                               # nothing is left to do
    assert equal(weights(fit(settings, log, tmp_path).model), weights(whole.model))


def test_a_state_of_another_config_is_refused(log, tmp_path):
    fit(tiny(), log, tmp_path)
    with refused("state.pt was made with another config .train.updates is 8 there, 9 here.; choose another folder"):
        fit(tiny(updates=9), log, tmp_path)
    with refused("model.world_model is 'observational' there, 'none' here; train.seed is 0 there, 1 here"):
        fit(tiny("none", seed=1), log, tmp_path)


def test_a_state_from_before_a_field_was_added_goes_on(log, tmp_path, monkeypatch):
    """What it does not name had the default."""
    whole = fit(tiny(), log)
    kill_after(5, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        fit(tiny(), log, tmp_path, save_every=2)
    monkeypatch.undo()
    state = load_state(tmp_path / "state.pt")
    del state["config"]["train"]["dense"], state["config"]["source"]["keep_streams"]
    save_state(state, tmp_path / "state.pt")
    assert equal(weights(fit(tiny(), log, tmp_path).model), weights(whole.model))
    del state["config"]["model"]["chunk"]
    save_state(state, tmp_path / "state.pt")
    with refused("model.chunk is 10 there, 5 here"):
        fit(tiny(), log, tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_damaged_state_is_refused(log, tmp_path, share):
    fit(tiny(), log, tmp_path)
    state = tmp_path / "state.pt"
    state.write_bytes(state.read_bytes()[: int(share * state.stat().st_size)])
    with refused("not a whole training state"):
        fit(tiny(), log, tmp_path)
    state.write_text("no state\nat all", encoding="utf-8")
    with refused("not a whole training state"):
        fit(tiny(), log, tmp_path)


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_stops_the_training_and_loses_nothing(log, tmp_path, monkeypatch):
    """The disk is full at the second of four savings; with room again, the curve is that of an uninterrupted run."""
    real, whole = training.save_state, fit(tiny(), log)

    def save(state, path):
        if state["update"] == 4:
            monkeypatch.setattr(os, "fsync", full)
        real(state, path)

    monkeypatch.setattr(training, "save_state", save)
    with refused("state.pt cannot be written, the disk is full", StoreError):
        fit(tiny(), log, tmp_path, save_every=2)
    monkeypatch.undo()
    assert load_state(tmp_path / "state.pt")["update"] == 2
    pd.testing.assert_frame_equal(fit(tiny(), log, tmp_path).log, whole.log, check_exact=True)


# ---- files ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(log, tmp_path):
    """(trainer, path of its saved model)."""
    trainer = Trainer(tiny("queries"), log)
    save_model(trainer.model, trainer.config, tmp_path / "model.safetensors", cpu_seconds=1.5)
    return trainer, tmp_path / "model.safetensors"


def test_a_saved_model_comes_back(saved):
    trainer, path = saved
    model, settings = load_model(path, trainer.config)
    assert settings == trainer.config and equal(weights(model), weights(trainer.model)) and not model.training
    assert json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["cpu_seconds"] == 1.5
    windows = trainer.sampler.history(2, 2, 1, torch.Generator().manual_seed(0))
    assert torch.equal(model.predict(windows).reward, trainer.model.eval().predict(windows).reward)
    assert not list(path.parent.glob("*.tmp"))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_truncated_weights_are_refused(saved, share):
    trainer, path = saved
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with refused("model.safetensors is damaged: its SHA-256"):
        load_model(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"config": {"env": {}}}', '{"config": {"env": {"goal": 3}}}'])
def test_a_damaged_config_is_refused(saved, text):
    trainer, path = saved
    path.with_suffix(".json").write_text(text, encoding="utf-8")
    with refused("model.json is (damaged|not the record of a model)"):
        load_model(path)
    path.with_suffix(".json").unlink()
    with refused("model.json cannot be read"):
        load_model(path)


def rewrite(path, change) -> None:
    """The record of the model at `path` as `change` leaves it, with a seal that fits."""
    record, _ = store.read_record(path.with_suffix(".json"))
    change(record)
    store.write_record(path.with_suffix(".json"), record)


def test_weights_of_another_config_or_architecture_are_refused(saved):
    trainer, path = saved
    with refused("another config .train.updates is 8 there, 9 here"):
        load_model(path, tiny("queries", updates=9))
    changes = (({"d_ff": 32}, r"down.weight is F32 .16, 16. there, F32 .16, 32. by the config"),
               ({"n_layers": 2}, "blocks.1.* is missing there"),
               ({"world_model": "none"}, r"embed.weight is F32 .54, 16. there, F32 .48, 16. by the config"))
    for change, reason in changes:
        rewrite(path, lambda record, change=change: record["config"]["model"].update(change))
        with refused(f"another architecture than its config: .*{reason}"):
            load_model(path)
        rewrite(path, lambda record: record.update(config=asdict(trainer.config)))
    load_model(path)


@pytest.mark.parametrize("name, write", [
    ("state.pt", lambda trainer, path: save_state(trainer.state_dict(), path)),
    ("log.csv", lambda trainer, path: write_csv(pd.DataFrame({"loss": range(99999)}), path)),
    ("model.safetensors", lambda trainer, path: save_model(trainer.model, trainer.config, path)),
])
def test_a_full_disk_keeps_what_was_there(log, tmp_path, monkeypatch, name, write):
    path, trainer = tmp_path / name, Trainer(tiny(), log)
    path.write_text("old", encoding="utf-8")
    monkeypatch.setattr(os, "fsync", full)
    with refused(f"{name} cannot be written, the disk is full: make room and call again", StoreError):
        write(trainer, path)
    assert path.read_text(encoding="utf-8") == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_is_a_file_is_refused(log, tmp_path):
    (tmp_path / "folder").write_text("a file", encoding="utf-8")
    with refused("cannot be written", StoreError):
        fit(tiny(), log, tmp_path / "folder" / "below")


# ---- data of a world model alone ------------------------------------------------------------------------------------------


def test_rollouts_of_the_exact_belief_are_trained_on_whole_and_without_a_source(monkeypatch, tmp_path):
    monkeypatch.setenv("DICP_CACHE", str(tmp_path))
    monkeypatch.setattr(artifacts, "load_or_collect", lambda *args, **kwargs: pytest.fail("the source was asked"))
    seen, draw = [], WindowSampler.history
    monkeypatch.setattr(WindowSampler, "history", lambda *args: seen.append(draw(*args)) or seen[-1])
    settings = tiny("queries", data="exact_belief", n_streams=2)
    trained = artifacts.load_or_train(settings, progress=False)
    assert trained.origin == "trained" and len(seen) == settings.train.updates
    for windows in seen:
        assert (windows.tokens.first[:, 0] == 1).all() and windows.reward.shape == (4, 40)
    assert any(not windows.reward.any(1).all() for windows in seen)            # those that found nothing are there, too


@pytest.mark.parametrize("env, horizon, n_steps", [
    ("darkroom", 20, 20), ("darkroom_permuted", 50, 50), ("dark_key_to_door", 20, 30)])
@pytest.mark.parametrize("n_first", [1, 3])
def test_of_first_episodes_no_more_is_collected_than_them(env, horizon, n_steps, n_first, monkeypatch, tmp_path):
    monkeypatch.setenv("DICP_CACHE", str(tmp_path))
    source = SourceConfig(n_streams=4, env_steps=300, n_steps=n_steps, batch_size=4 * n_steps, n_epochs=1, keep_streams=4)
    settings = tiny("queries", data="first_episodes", n_streams=4, n_first_episodes=n_first)
    world = EnvConfig(env, size=9 if env == "darkroom_permuted" else 2, horizon=horizon)
    settings = replace(settings, env=world, source=source, model=replace(settings.model, context_length=3 * horizon))
    first, whole = artifacts.training_log(settings, 1), artifacts.load_or_collect(settings, n_jobs=1)
    n = first.reward.shape[-1]
    assert n_first * horizon <= n < whole.reward.shape[-1] and n % horizon == 0
    for (_, one), (_, all_of_it) in zip(first.items(), whole.items(), strict=True):
        assert torch.equal(one, all_of_it[..., : one.shape[-1]])
    losses = [Trainer(settings, log) for log in (first, whole)]
    for _ in range(2):
        assert [trainer.step() for trainer in losses] == [None, None]
    assert losses[0].log.equals(losses[1].log)


@pytest.mark.parametrize("data", MIXED)
def test_half_of_a_mixed_batch_is_rollouts_from_their_start(data, log):
    """Told by what no untrained agent did: the others hold action 0 alone."""
    own = log.map(lambda x: x[:, :2, : 40 * x.shape[2] // log.reward.shape[2]])
    settings, first = tiny("queries", data=data, batch_size=5), log._replace(action=torch.full_like(log.action, 1))
    trainer = Trainer(settings, first, rollouts=own._replace(action=torch.zeros_like(own.action)))
    how = trainer.sampler, settings.train, 5, 2, torch.Generator().manual_seed(0)
    windows = world_windows(*how)
    assert [set(row.tolist()) for row in windows.action] == [{1}] * 3 + [{0}] * 2
    starts = own.observation.long().flatten(0, 1)
    assert all((starts == row).all(-1).any() for row in windows.tokens.observation[3:])       # whole, nothing before
    trainer.step()


@pytest.mark.parametrize("data", MIXED)
def test_of_fewer_tasks_nothing_comes_from_the_others(data, monkeypatch, tmp_path):
    monkeypatch.setenv("DICP_CACHE", str(tmp_path))
    settings, asked = tiny("queries", data=data, n_streams=8, n_rollouts=2, max_tasks=2, updates=1), []
    make = artifacts.rollouts_to_learn_from
    monkeypatch.setattr(artifacts, "rollouts_to_learn_from", lambda *args: asked.append(args[2]) or make(*args))
    artifacts.load_or_train(settings, progress=False, n_jobs=1)
    assert asked == [artifacts.training_tasks(settings)[:2]] and len(artifacts.training_tasks(settings)) > 2


def test_a_table_is_counted_in_no_more_tasks_than_others_learn_from(log):
    settings = tiny("table", data="first_episodes", max_tasks=1)
    alone = counted(settings, log.map(lambda x: x[:1]))
    assert torch.equal(counted(settings, log).chance, alone.chance)
    assert not torch.equal(counted(tiny("table", data="first_episodes"), log).chance, alone.chance)


def test_rollouts_are_given_where_the_data_mix_two_and_there_alone(log):
    for data, rollouts in (("first_and_own", None), ("first_episodes", log)):
        with pytest.raises(ValueError, match=f"train.data is '{data}'; allowed: a log with 'first_and_exact'"):
            Trainer(tiny("queries", data=data), log, rollouts=rollouts)
        with pytest.raises(ValueError, match=f"train.data is '{data}'; allowed: a log with 'first_and_exact'"):
            counted(tiny("table", data=data), log, rollouts)
    short = log.map(lambda x: x[:, :, : x.shape[2] // log.n_episodes])
    with pytest.raises(ValueError, match="episodes"):
        Trainer(tiny("queries", data="first_and_own"), log, rollouts=short).step()
    with pytest.raises(ValueError, match="train.batch_size is 1; allowed: 2 and more, with data 'first_and_own'"):
        tiny("queries", data="first_and_own", batch_size=1)


@pytest.mark.parametrize("kind", ["queries", "table"])
@pytest.mark.parametrize("data", MIXED)
def test_a_mix_is_made_once_and_kept_until_the_training_is_done(kind, data, monkeypatch, tmp_path):
    """A training that is killed goes on with the rollouts that it had; its own cost counts."""
    monkeypatch.setenv("DICP_CACHE", str(tmp_path))
    settings = tiny(kind, data=data, n_streams=8, n_rollouts=2)
    calls, make = [], artifacts.rollouts_to_learn_from
    monkeypatch.setattr(artifacts, "rollouts_to_learn_from", lambda *args: calls.append(make(*args)) or calls[-1])
    if kind == "table":
        rollouts, seconds = artifacts.rollouts_for(settings, None, False, 1)
        model = counted(settings, artifacts.training_log(settings, 1), rollouts)
        assert model.chance.isfinite().all() and seconds > 0 and len(calls) == 1
        return
    step = Trainer.step

    def killed(self):
        if self.update == 5 and self.config == settings:
            raise KeyboardInterrupt
        step(self)

    monkeypatch.setattr(Trainer, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        artifacts.load_or_train(settings, progress=False, n_jobs=1)
    monkeypatch.setattr(Trainer, "step", step)
    kept = tmp_path / "weights" / "unfinished" / settings.key / "rollouts.pt"
    spent = load_state(kept)["cpu_seconds"]
    trained = artifacts.load_or_train(settings, progress=False, n_jobs=1)
    assert len(calls) == 1 and not kept.exists() and trained.cpu_seconds > spent > 0
    assert calls[0].reward.shape == (len(artifacts.training_tasks(settings)), 2, settings.model.context_length)
    assert artifacts.load_or_train(settings, progress=False).origin == "cached"


@pytest.mark.parametrize("kind", ["none", "observational"])
def test_data_that_a_model_does_not_read_are_refused(kind):
    with pytest.raises(ValueError, match="train.data is 'first_episodes'; allowed: 'histories'"):
        tiny(kind, data="first_episodes")


# ---- configs -------------------------------------------------------------------------------------------------------------


def others(value) -> list:
    """Other values of the same kind, some of which a field may refuse."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, str):
        names = *config.ENVS, *config.WORLD_MODELS, *config.IMITATORS, *DATA, *config.SOURCES
        return [name for name in names if name != value]
    if isinstance(value, tuple):
        return [(0.5, 0.5)]
    less = value / 2 if isinstance(value, float) else value - 1
    return [other for other in (2 * value, value + 1, value + 2, less, value - 2, 0.5) if other != value]


def variants(settings: Config):
    """(field, the config with it changed) for every field of every part."""
    parts = asdict(settings)
    leaves = [(part, name) for part, values in parts.items() if isinstance(values, dict) for name in values]
    leaves.remove(("model", "new_cells"))                         # of a table alone: tests/test_table.py
    for part, name in [*leaves, ("split", None), ("source_seed", None)]:
        for value in others(parts[part][name] if name else parts[part]):
            try:
                yield f"{part}.{name}", Config.from_dict(parts | {part: parts[part] | {name: value} if name else value})
                break
            except ValueError:
                continue
        else:
            pytest.fail(f"no other value found for {part}.{name}")


def test_the_key_changes_with_every_field():
    base = Config.preset(world_model="queries")                   # which may be trained on any data
    keys = {base.key: "nothing"}
    for field, changed in variants(base):
        assert changed != base and changed.key not in keys, f"{field} against {keys[changed.key]}"
        keys[changed.key] = field
        assert Config.from_dict(json.loads(json.dumps(asdict(changed)))) == changed      # as it comes back from a file
    assert len(keys) > 40 and all(len(key) == 10 for key in keys) and base.key == Config.preset(world_model="queries").key


@pytest.mark.parametrize("env, horizon", [("darkroom", 20), ("darkroom_permuted", 50), ("dark_key_to_door", 50)])
@pytest.mark.parametrize("profile", config.PROFILES)
def test_presets_of_every_world_and_kind(env, horizon, profile):
    keys = set()
    for kind in config.WORLD_MODELS:
        for target in config.IMITATORS:
            preset = Config.preset(env, profile, kind, seed=2, split=3, target=target)
            expected = {"none": target, "observational": f"dicp_{target}"}
            assert preset.method == expected.get(kind, kind)
            assert preset.method in config.METHODS and (preset.env.name, preset.env.horizon) == (env, horizon)
            assert preset.train.seed == 2 and preset.split == 3
            assert preset.source_seed == (0 if env == "dark_key_to_door" else 3)
            assert Config.from_dict(json.loads(json.dumps(asdict(preset)))) == preset
            keys.add(preset.key)
    assert len(keys) == 3 * len(config.WORLD_MODELS)


def test_what_is_retired_gets_a_sentence_and_what_was_written_with_it_still_loads(saved):
    trainer, path = saved
    rewrite(path, lambda record: record["config"]["model"].update(any_cell_may_pay=True))     # of the look-ups alone
    assert load_model(path)[1] == trainer.config
    rewrite(path, lambda record: record["config"]["model"].update(world_model="interventional"))
    sentence = "world_model is 'interventional'; allowed: 'none', .*'table'. The look-ups were retired: train 'queries'"
    with refused(sentence):
        load_model(path)
    for refusing in (lambda: Config.preset(world_model="interventional"), lambda: ModelConfig("interventional")):
        with pytest.raises(ValueError, match=sentence):
            refusing()


def test_a_field_that_is_not_known_is_named_with_the_nearest():
    values = asdict(Config())
    values["train"]["bacth_size"] = 3
    with pytest.raises(ValueError, match="train has the field 'bacth_size'; allowed: .* Did you mean 'batch_size'"):
        Config.from_dict(values)


@pytest.mark.parametrize("changes, sentence", [
    (dict(model=ModelConfig(target="idt", chunk=7)), "chunk is 7; allowed: a divisor of the horizon 20"),
    (dict(model=ModelConfig(context_length=50)), "context_length is 50; allowed: a multiple of the horizon 20"),
    (dict(train=TrainConfig(n_streams=101)), "n_streams is 101; allowed: 1 to 100"),
])
def test_parts_that_do_not_fit_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        Config(**changes)
    assert Config(model=ModelConfig(target="ad", chunk=7)).method == "ad"                # for IDT alone


@pytest.mark.parametrize("name, value", [
    ("min_final_return", 1.1), ("min_final_success", -1.0), ("prompt_quantile", -0.1), ("batch_size", 0), ("max_tasks", 0),
    ("failures_share", 1)])
def test_impossible_settings_are_refused(name, value):
    with pytest.raises(ValueError, match=f"train.{name} is {value}; allowed"):
        TrainConfig(**{name: value})


def test_a_loss_that_is_not_finite_stops_the_training(log):
    trainer = Trainer(tiny(), log)
    trainer.step()
    with torch.no_grad():
        trainer.model.policy_head.bias.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="update 2 is not finite .nan; policy nan.*learning rate below"):
        trainer.step()


# ---- shipped, cached, trained ----------------------------------------------------------------------------------------------


def test_shipped_comes_before_cached_before_trained(log, tmp_path, monkeypatch):
    collected = []
    monkeypatch.setattr(artifacts, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr(artifacts, "training_tasks", lambda settings: GOALS)
    monkeypatch.setattr(artifacts, "load_or_collect", lambda settings, n_jobs: collected.append(settings) or log)
    monkeypatch.setenv("DICP_CACHE", str(tmp_path / "cache"))
    settings, cache = tiny(), tmp_path / "cache" / "weights"

    first = load_or_train(settings, progress=False)
    assert first.origin == "trained" and (cache / weights_name(settings)).exists()
    assert not list(tmp_path.glob("**/state.pt"))                            # what was only for resuming is gone
    again = load_or_train(settings, progress=False)
    assert again.origin == "cached" and collected == [settings]
    assert equal(weights(again.model), weights(first.model)) and again.cpu_seconds == first.cpu_seconds
    pd.testing.assert_frame_equal(again.log, fit(settings, log).log.round(4))

    shutil.copytree(cache, tmp_path / "shipped" / "weights")                 # shipped weights that can be told apart
    with torch.no_grad():
        first.model.policy_head.bias.fill_(7)
    save_trained(first, settings, tmp_path / "shipped" / "weights" / weights_name(settings))
    shipped = load_or_train(settings, progress=False)
    assert shipped.origin == "shipped" and (shipped.model.policy_head.bias == 7).all()

    mine = load_or_train(settings, retrain=True, progress=False)                  # what is shipped does not count
    assert mine.origin == "cached" and len(collected) == 1 and equal(weights(mine.model), weights(again.model))
    anew = load_or_train(settings, fresh=True, progress=False)
    assert anew.origin == "trained" and len(collected) == 2 and equal(weights(anew.model), weights(again.model))
    other = load_or_train(tiny(seed=1), progress=False)                      # no file of another config will do
    assert other.origin == "trained" and not equal(weights(other.model), weights(again.model))
    assert load_trained(cache / weights_name(settings)).origin == "file"
