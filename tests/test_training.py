"""Training: the loss, the schedule, going on after an interruption, and files that are never half written or misread."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from dicp import artifacts, config, training
from dicp.artifacts import load_or_train, load_trained, save_trained, weights_name
from dicp.config import Config, EnvConfig, ModelConfig, SourceConfig, TrainConfig
from dicp.files import CheckpointError, load_model, load_state, save_model, save_state, write_csv
from dicp.source import train_ppo
from dicp.training import Trainer, cross_entropy, learning_rate, losses, train
from dicp.windows import Tokens

ENV, SOURCE = EnvConfig(), SourceConfig(n_streams=8, env_steps=400, batch_size=40, n_epochs=5, learning_rate=1e-3)
KINDS = ("none", "observational", "interventional")
full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")


def tiny(kind: str = "observational", dropout: float = 0.0, **changes) -> Config:
    model = ModelConfig(world_model=kind, context_length=40, d_model=16, n_layers=1, n_heads=1, d_ff=16, d_head_hidden=16)
    settings = dict(updates=8, batch_size=4, warmup=2, n_streams=8, prior_batch_size=4) | changes
    return Config(ENV, SOURCE, replace(model, dropout=dropout), TrainConfig(**settings))


@pytest.fixture(scope="module")
def log():
    """PPO learns three near goals."""
    return train_ppo(ENV, [(4, 6), (6, 4), (3, 3)], SOURCE, 0)


def fit(settings: Config, log, folder=None, **options) -> Trainer:
    return train(settings, log, folder, progress=False, **options)


def weights(model) -> dict:
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def refused(match: str):
    """`CheckpointError`, one sentence."""
    return pytest.raises(CheckpointError, match=rf"(?s)^(?!.*\n).*{match}.*\.$")


# ---- the loss ------------------------------------------------------------------------------------------------------------


def test_the_loss_is_the_mean_over_every_position():
    logits = torch.tensor([[[0.0, 0.0], [1.0, 0.0]], [[0.0, 2.0], [0.0, 0.0]]])
    by_hand = [0.5, 1 / (1 + 2.718281828), 1 / (1 + 7.389056099), 0.5]
    target = torch.tensor([[0, 1], [0, 1]])
    assert cross_entropy(logits, target).item() == pytest.approx(-torch.tensor(by_hand).log().mean().item())


def test_the_learning_rate_by_hand():
    settings = TrainConfig(updates=10, warmup=2, learning_rate=1.0)
    rates = [learning_rate(settings, update) for update in (0, 1, 2, 4, 6, 10)]
    assert rates == pytest.approx([0.5, 1, 1, 0.853553, 0.5, 0])
    assert learning_rate(replace(settings, warmup=0), 0) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_falls_on_real_histories(log, kind):
    settings = dict(updates=120, batch_size=16, prior_batch_size=16, learning_rate=1e-2)
    curve = fit(tiny(kind, **settings), log).log
    first, last = curve[:5].mean(), curve[-10:].mean()
    assert first["policy"] == pytest.approx(1.61, abs=0.15)                    # the logarithm of five actions
    assert last["policy"] < first["policy"] - 0.1
    if kind != "none":
        assert last["next_obs"] < 0.5 * first["next_obs"] and last["reward"] < 0.5 * first["reward"]
        assert last["return_to_go"] < first["return_to_go"]


@pytest.mark.parametrize("kind", KINDS[1:])
def test_without_world_model_weight_the_policy_trains_as_ad(log, kind):
    ad, other = fit(tiny("none"), log), fit(tiny(kind, world_model_weight=0.0), log)
    pd.testing.assert_frame_equal(ad.log, other.log)
    shared = weights(ad.model)
    assert equal(shared, {name: weights(other.model)[name] for name in shared})


@pytest.mark.parametrize("kind", KINDS[1:])
def test_weights_scale_their_terms(log, kind):
    def terms(**changes):
        trainer = Trainer(tiny(kind, **changes), log)
        return losses(trainer.model, trainer.sampler, trainer.config.train, trainer.generator)

    plain, weighted = terms(), terms(world_model_weight=3.0, policy_weight=0.5)
    for name, value in plain.items():
        assert weighted[name].item() == pytest.approx((0.5 if name == "policy" else 3) * value.item(), rel=1e-5)
    alone = terms(policy_weight=0.0)
    assert not alone.pop("policy", torch.zeros(())) and all(term > 0 for term in alone.values())


def test_the_interventional_world_model_sees_first_episodes_alone(log, monkeypatch):
    """And the policy head, without weight, stays as it was."""
    trainer = Trainer(tiny("interventional", policy_weight=0.0), log)
    monkeypatch.setattr(trainer.sampler, "history", None)
    before = weights(trainer.model.policy_head)
    trainer.step()
    assert equal(weights(trainer.model.policy_head), before) and set(trainer.log) == {
        "update", "reward", "next_obs", "return_to_go"}


def test_the_seed_decides_the_weights_and_the_windows(log):
    first, again, other = (Trainer(tiny(seed=seed), log) for seed in (0, 0, 1))
    assert equal(weights(first.model), weights(again.model)) and not equal(weights(first.model), weights(other.model))
    draws = [t.sampler.history(20, 2, 4, t.generator).action for t in (first, again, other)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_trains_as_the_cpu_does_and_resumes(log, kind, tmp_path, monkeypatch):
    cpu, gpu = fit(tiny(kind), log), fit(tiny(kind), log, device="cuda")
    pd.testing.assert_frame_equal(cpu.log, gpu.log, rtol=0.02)
    kill_after(5, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        fit(tiny(kind), log, tmp_path, device="cuda", save_every=2)
    monkeypatch.undo()
    pd.testing.assert_frame_equal(fit(tiny(kind), log, tmp_path, device="cuda").log, gpu.log, rtol=1e-3)


# ---- interruptions -------------------------------------------------------------------------------------------------------


def kill_after(n_updates: int, monkeypatch) -> None:
    real = Trainer.step

    def step(self):
        if self.update == n_updates:
            raise KeyboardInterrupt
        real(self)

    monkeypatch.setattr(Trainer, "step", step)


@pytest.mark.parametrize("kind, dropout", [("none", 0.2), ("observational", 0.2), ("interventional", 0.0)])
def test_an_interrupted_training_goes_on_as_if_nothing_had_happened(log, kind, dropout, tmp_path, monkeypatch):
    settings = tiny(kind, dropout)
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


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_damaged_state_is_refused(log, tmp_path, share):
    fit(tiny(), log, tmp_path)
    state = tmp_path / "state.pt"
    state.write_bytes(state.read_bytes()[: int(share * state.stat().st_size)])
    with refused("not a whole training state"):
        fit(tiny(), log, tmp_path)
    state.write_text("no state\nat all")
    with refused("not a whole training state"):
        fit(tiny(), log, tmp_path)


@full_disk
def test_a_full_disk_stops_the_training_and_loses_nothing(log, tmp_path, monkeypatch):
    """The disk is full at the second of four savings; with room again, the curve is that of an uninterrupted run."""
    real, whole = training.save_state, fit(tiny(), log)

    def save(state, path):
        if state["update"] == 4:
            path.with_name("state.pt.tmp").symlink_to("/dev/full")
        real(state, path)

    monkeypatch.setattr(training, "save_state", save)
    with refused("the disk is full: make room and call again; what was there before is kept"):
        fit(tiny(), log, tmp_path, save_every=2)
    monkeypatch.undo()
    assert load_state(tmp_path / "state.pt")["update"] == 2
    pd.testing.assert_frame_equal(fit(tiny(), log, tmp_path).log, whole.log, check_exact=True)


# ---- files ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(log, tmp_path):
    """(trainer, path of its saved model)."""
    trainer = Trainer(tiny("interventional"), log)
    save_model(trainer.model, trainer.config, tmp_path / "model.safetensors", cpu_seconds=1.5)
    return trainer, tmp_path / "model.safetensors"


def test_a_saved_model_comes_back(saved):
    trainer, path = saved
    model, settings = load_model(path, trainer.config)
    assert settings == trainer.config and equal(weights(model), weights(trainer.model)) and not model.training
    assert json.loads(path.with_suffix(".json").read_text())["cpu_seconds"] == 1.5
    tokens = Tokens(*(torch.randint(below, (2, 9)) for below in (81, 5, 2, 81, 2)))
    assert torch.equal(model(tokens), trainer.model.eval()(tokens))
    assert not list(path.parent.glob("*.tmp"))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_truncated_weights_are_refused(saved, share):
    trainer, path = saved
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with refused("model.safetensors is not a whole model"):
        load_model(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"config": {"env": {}}}', '{"config": {"env": {"goal": 3}}}'])
def test_a_damaged_config_is_refused(saved, text):
    trainer, path = saved
    path.with_suffix(".json").write_text(text)
    with refused("model.safetensors is not a whole model"):
        load_model(path)
    path.with_suffix(".json").unlink()
    with refused("model.safetensors is not a whole model"):
        load_model(path)


def test_weights_of_another_config_or_architecture_are_refused(saved):
    trainer, path = saved
    with refused("another config .train.updates is 8 there, 9 here"):
        load_model(path, tiny("interventional", updates=9))
    beside = path.with_suffix(".json")
    changes = ({"d_ff": 32}, "size mismatch"), ({"n_layers": 2}, "Missing key"), ({"world_model": "none"}, "Unexpected key")
    for change, reason in changes:
        facts = json.loads(beside.read_text())
        facts["config"]["model"] |= change
        beside.write_text(json.dumps(facts))
        with refused(f"another architecture than its config: .*{reason}"):
            load_model(path)
        beside.write_text(json.dumps({"config": asdict(trainer.config)}))


@full_disk
@pytest.mark.parametrize("name, write", [
    ("state.pt", lambda trainer, path: save_state(trainer.state_dict(), path)),
    ("log.csv", lambda trainer, path: write_csv(pd.DataFrame({"loss": range(99999)}), path)),
    ("model.safetensors", lambda trainer, path: save_model(trainer.model, trainer.config, path)),
    ("model.json", lambda trainer, path: save_model(trainer.model, trainer.config, path.with_suffix(".safetensors"))),
])
def test_a_full_disk_keeps_what_was_there(log, tmp_path, name, write):
    path, part = tmp_path / name, tmp_path / f"{name}.tmp"
    path.write_text("old")
    part.symlink_to("/dev/full")
    with refused("cannot be written, the disk is full: make room and call again; what was there before is kept"):
        write(Trainer(tiny(), log), path)
    assert path.read_text() == "old" and not part.is_symlink()


def test_a_folder_that_is_a_file_is_refused(log, tmp_path):
    (tmp_path / "folder").write_text("a file")
    with refused("cannot be written"):
        fit(tiny(), log, tmp_path / "folder" / "below")


# ---- configs -------------------------------------------------------------------------------------------------------------


def others(value) -> list:
    """Other values of the same kind, some of which a field may refuse."""
    if isinstance(value, str):
        return [name for name in (*config.ENVS, *config.WORLD_MODELS) if name != value]
    if isinstance(value, tuple):
        return [(0.5, 0.5)]
    less = value / 2 if isinstance(value, float) else value - 1
    return [other for other in (2 * value, value + 1, less, 0.5) if other != value]


def variants(settings: Config):
    """(field, the config with it changed) for every field of every part."""
    parts = asdict(settings)
    leaves = [(part, name) for part, values in parts.items() if isinstance(values, dict) for name in values]
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
    keys = {Config().key: "nothing"}
    for field, changed in variants(Config()):
        assert changed != Config() and changed.key not in keys, f"{field} against {keys[changed.key]}"
        keys[changed.key] = field
        assert Config.from_dict(json.loads(json.dumps(asdict(changed)))) == changed      # as it comes back from a file
    assert len(keys) > 40 and all(len(key) == 10 for key in keys) and Config().key == Config().key


# ---- shipped, cached, trained ----------------------------------------------------------------------------------------------


def test_shipped_comes_before_cached_before_trained(log, tmp_path, monkeypatch):
    collected = []
    monkeypatch.setattr(artifacts, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr(artifacts, "load_or_collect", lambda settings: collected.append(settings) or log)
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

    unfinished = cache / "unfinished" / settings.key
    (unfinished / "state.pt").write_text("left behind")
    anew = load_or_train(settings, retrain=True, progress=False)
    assert anew.origin == "trained" and len(collected) == 2 and equal(weights(anew.model), weights(again.model))
    other = load_or_train(tiny(seed=1), progress=False)                      # no file of another config will do
    assert other.origin == "trained" and not equal(weights(other.model), weights(again.model))
    assert load_trained(cache / weights_name(settings)).origin == "file"
