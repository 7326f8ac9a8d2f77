"""Weights, loss curve and record: whole or not there, and known to be whole."""

import json
import os
import random
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
import safetensors.torch
import torch
from helpers import flipped, refused

from dicp import artifacts, store
from dicp.artifacts import load_trained, save_trained, weights_name
from dicp.config import Config, EnvConfig, ModelConfig, SourceConfig, TrainConfig
from dicp.files import CheckpointError, load_model, save_model
from dicp.models import new_model
from dicp.store import StoreError

SOURCE = SourceConfig(n_streams=4, env_steps=100, n_steps=50, batch_size=50)
SMALL = dict(context_length=100, d_model=8, n_layers=1, n_heads=1, d_ff=8, d_head_hidden=8)
KINDS = ("weights", "log", "record")
SUFFIX = dict(zip(KINDS, (".safetensors", ".csv", ".json"), strict=True))


def tiny(
    env: str = "darkroom", kind: str = "observational", target: str = "ad", **changes
) -> Config:
    model = ModelConfig(kind, target, **SMALL)
    return Config(
        EnvConfig.preset(env), SOURCE, model, TrainConfig(**dict(updates=3, n_streams=4) | changes)
    )


def save(config: Config, folder, seed: int = 0):
    """The path of a model as `save_trained` leaves it."""
    torch.manual_seed(seed)
    model = new_model(config.env, config.model)
    log = pd.DataFrame({"update": [1, 2, 3], "policy": [1.5, 1.25, 1.0]})
    path = folder / weights_name(config)
    save_trained(artifacts.Trained(model, "trained", log, 1.5), config, path)
    return path


def age(path) -> None:
    """Leave the record as it was written before there were digests."""
    record, _ = store.read_record(path.with_suffix(".json"))
    del record["sha256"]
    path.with_suffix(".json").write_text(json.dumps(record, indent=1), encoding="utf-8")


def copy_to(path, other, kinds=KINDS) -> None:
    for kind in kinds:
        other.with_suffix(SUFFIX[kind]).write_bytes(path.with_suffix(SUFFIX[kind]).read_bytes())


def values(trained) -> tuple:
    weights = {name: value.tolist() for name, value in trained.model.state_dict().items()}
    return weights, trained.log.values.tolist(), trained.cpu_seconds


@pytest.mark.parametrize("kind", KINDS)
def test_no_flipped_bit_goes_unnoticed(tmp_path, kind):
    config = tiny()
    path = save(config, tmp_path)
    file, whole = path.with_suffix(SUFFIX[kind]), values(load_trained(path, config))
    data, bits = file.read_bytes(), random.Random(0)
    for _ in range(200):
        at = bits.randrange(8 * len(data))
        damaged = flipped(data, at)
        file.write_bytes(damaged)
        try:
            assert values(load_trained(path, config)) == whole, f"bit {at} of {kind}"
        except CheckpointError as error:
            assert file.name in str(error) and "\n" not in str(error)
        assert file.read_bytes() == damaged  # nothing was written over it
    file.write_bytes(data)
    assert values(load_trained(path, config)) == whole


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_what_is_cut_short_is_refused(tmp_path, kind, share):
    path = save(tiny(), tmp_path)
    file = path.with_suffix(SUFFIX[kind])
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with refused(file.name):
        load_trained(path)
    file.unlink()
    with refused(f"{file.name} cannot be read"):
        load_trained(path)


@pytest.mark.parametrize(
    "other",
    [tiny("darkroom_permuted"), tiny(target="dpt"), tiny(seed=1)],
    ids=["world", "method", "seed"],
)
@pytest.mark.parametrize("kinds", [KINDS, KINDS[:1], KINDS[1:2], KINDS[2:]], ids="-".join)
def test_files_of_another_model_are_refused(tmp_path, other, kinds):
    """Of the same shapes; one of its files or all of them under this one's name."""
    config = tiny()
    path, theirs = save(config, tmp_path), save(other, tmp_path / "other", seed=1)
    pd.DataFrame({"update": [1, 2, 3], "policy": [3.0, 2.0, 1.0]}).to_csv(
        theirs.with_suffix(".csv"), index=False
    )
    copy_to(theirs, path, kinds)
    with refused(path.stem):
        load_trained(path, config)
    with refused(path.stem):
        load_trained(path)


def test_a_name_has_to_fit_the_config(tmp_path):
    path, other = save(tiny(), tmp_path), tmp_path / weights_name(tiny(seed=1))
    copy_to(path, other)
    with refused(
        f"{other.name} is named as another config's; weights of its config are {path.name}"
    ):
        load_model(other)
    copy_to(path, tmp_path / "mine.safetensors")  # a name of one's own is free
    assert load_model(tmp_path / "mine.safetensors")[1] == tiny()


def as_nan(weights):
    return {name: torch.full_like(x, torch.nan) for name, x in weights.items()}


def one_infinity(weights):
    weights["policy_head.bias"][0] = torch.inf
    return weights


BAD = {"all NaN": as_nan, "one infinity": one_infinity, "empty": lambda weights: {}}
BAD |= {
    str(t): lambda weights, t=t: {name: x.to(t) for name, x in weights.items()}
    for t in (torch.float64, torch.float16, torch.bfloat16, torch.int32)
}


@pytest.mark.parametrize("with_digests", [True, False])
@pytest.mark.parametrize("change", BAD)
def test_weights_that_cannot_be_are_refused(tmp_path, change, with_digests):
    """Whether or not their digest fits."""
    path = save(tiny(), tmp_path)
    data = safetensors.torch.save(BAD[change](safetensors.torch.load_file(path)))
    path.write_bytes(data)
    if with_digests:
        record, _ = store.read_record(path.with_suffix(".json"))
        record["sha256"]["weights"] = store.digest(data)
        store.write_record(path.with_suffix(".json"), record)
    else:
        age(path)
    with refused(
        rf"{path.name} holds (numbers that are not finite|weights of another architecture)"
    ):
        load_model(path)


def test_shapes_are_compared_before_a_model_is_made(tmp_path, monkeypatch):
    """A record that asks for 2,000 times the memory of the file's weights."""
    path = tmp_path / "mine.safetensors"
    copy_to(save(tiny(), tmp_path), path)
    record, _ = store.read_record(path.with_suffix(".json"))
    record["config"]["model"] |= {"d_ff": 60_000, "d_head_hidden": 60_000}
    store.write_record(path.with_suffix(".json"), record)
    made = []
    real = torch.nn.Module.load_state_dict
    monkeypatch.setattr(
        torch.nn.Module, "load_state_dict", lambda *a, **k: made.append(1) or real(*a, **k)
    )
    before = torch.get_rng_state()
    with refused("there, .* by the config"):
        load_model(path)
    assert torch.equal(torch.get_rng_state(), before) and not made  # nothing drew initial weights


def test_loading_draws_what_one_new_model_draws(tmp_path):
    path = save(tiny(), tmp_path)
    after = []
    for load in (lambda: load_model(path), lambda: new_model(tiny().env, tiny().model)):
        torch.manual_seed(0)
        load()
        after.append(torch.rand(1).item())
    assert after[0] == after[1]


def test_loading_does_not_bring_the_compiler():
    """Two seconds."""
    code = (
        "import sys; from dicp import artifacts, config; config = config.Config.preset()\n"
        "artifacts.load_or_train(config); print('torch._dynamo' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


# ---- older files ---------------------------------------------------------------------------------


def test_an_older_record_gets_digests(tmp_path):
    config = tiny()
    path = save(config, tmp_path)
    sealed, whole = path.with_suffix(".json").read_bytes(), values(load_trained(path))
    age(path)
    assert (
        values(load_trained(path, config)) == whole
        and path.with_suffix(".json").read_bytes() == sealed
    )


def test_an_older_cache_that_can_only_be_read_will_do(tmp_path, monkeypatch):
    path = save(tiny(), tmp_path)
    age(path)
    old = path.with_suffix(".json").read_bytes()

    def refuse(*_):
        raise StoreError("read-only")

    monkeypatch.setattr(store, "write", refuse)
    assert load_trained(path).log["policy"].tolist() == [1.5, 1.25, 1.0]
    assert path.with_suffix(".json").read_bytes() == old


@pytest.mark.parametrize(
    "text",
    [
        "update,policy\n1,1.5\n2,1.2\n",
        "update,policy\n1,1.5\n2,1.2\n4,1.1\n",
        "update,policy\n1,1.5\n2,\n3,1.0\n",
        "update,policy\n1,1.5\n2,inf\n3,1.0\n",
        "update,policy\n1,1.5\n2,x\n3,1.0\n",
        "",
        "policy\n1.5\n1.2\n1.0\n",
        "\x00\xff",
    ],
)
def test_an_older_curve_that_is_not_whole_is_refused(tmp_path, text):
    path = save(tiny(), tmp_path)
    age(path)
    path.with_suffix(".csv").write_text(text, encoding="utf-8")
    with refused(f"{path.stem}.csv is not a whole loss curve"):
        load_trained(path)


def test_a_record_with_digests_has_a_seal(tmp_path):
    path = save(tiny(), tmp_path)
    text = path.with_suffix(".json").read_text(encoding="utf-8")
    path.with_suffix(".json").write_text(text.replace('"seal"', '"sea"'), encoding="utf-8")
    with refused(f"{path.stem}.json is damaged: it has no seal"):
        load_model(path)


@pytest.mark.parametrize("digest", [None, 5])
def test_a_digest_that_is_none_is_no_reason_not_to_look(tmp_path, digest):
    path = save(tiny(), tmp_path)
    record, _ = store.read_record(path.with_suffix(".json"))
    record["sha256"]["log"] = digest
    store.write_record(path.with_suffix(".json"), record)
    with refused(f"{path.stem}.json is not the record of a model .*no digest"):
        load_model(path)


# ---- what comes with the package -----------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    sorted((artifacts.SHIPPED / "weights").glob("*.safetensors")),
    ids=lambda path: path.stem,
)
def test_shipped_weights_are_vouched_for(path):
    record, sealed = store.read_record(path.with_suffix(".json"))
    assert sealed and record["sha256"].keys() == {"weights", "log"}
    assert load_trained(path, origin="shipped").origin == "shipped"


def test_shipped_weights_without_a_seal_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts, "SHIPPED", tmp_path)
    path = save(tiny(), tmp_path / "weights")
    age(path)
    with refused(f"{path.stem}.json is damaged: it has no seal; install dicp again"):
        artifacts.load_or_train(tiny())


# ---- writing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_writes", [0, 1, 2])
def test_a_writer_that_ends_early_leaves_no_mixture(tmp_path, monkeypatch, n_writes):
    """Another model under the same name; the process is killed before one of its three writes."""
    config = tiny()
    path = save(config, tmp_path)
    old, real, done = values(load_trained(path)), store.write, []

    def write(*args):
        if len(done) == n_writes:
            raise KeyboardInterrupt
        done.append(args[0])
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", write)
        with pytest.raises(KeyboardInterrupt):
            save(config, tmp_path, seed=1)
    assert not path.with_suffix(".json").exists()
    new = values(load_trained(save(config, tmp_path, seed=1)))
    assert new != old


def test_saving_the_same_again_never_takes_the_record_away(tmp_path, monkeypatch):
    path = save(tiny(), tmp_path)
    beside, real, seen = path.with_suffix(".json"), store.write, []
    monkeypatch.setattr(store, "write", lambda *args: seen.append(beside.exists()) or real(*args))
    save(tiny(), tmp_path)
    assert seen == [True] * 3


def test_a_full_disk_keeps_the_old_model(tmp_path, monkeypatch):
    path = save(tiny(), tmp_path)
    old, real = values(load_trained(path)), store.write

    def write(to, data):
        if to == path:
            raise StoreError(f"{to} cannot be written, the disk is full.")
        return real(to, data)

    monkeypatch.setattr(store, "write", write)
    with refused("the disk is full", StoreError):
        save(tiny(), tmp_path, seed=1)
    assert values(load_trained(path)) == old


@pytest.mark.parametrize("suffix", SUFFIX.values())
def test_nothing_is_removed_where_nothing_can_be_written(tmp_path, suffix):
    path = save(tiny(), tmp_path)
    path.with_suffix(suffix).unlink()
    os.symlink(tmp_path / "elsewhere", path.with_suffix(suffix))
    before = {file.name for file in tmp_path.iterdir()}
    with refused("is a link; allowed: a plain file", StoreError):
        save(tiny(), tmp_path, seed=1)
    assert {file.name for file in tmp_path.iterdir()} == before


def test_what_is_saved_is_finite_and_of_its_config(tmp_path):
    config, path = tiny(), tmp_path / "m.safetensors"
    model = new_model(config.env, config.model)
    with refused("model.config is .*; allowed: that of the config", ValueError):
        save_model(model, replace(config, model=replace(config.model, dropout=0.5)), path)
    with refused("allowed: torch.float32"):
        save_model(model.double(), config, path)
    with torch.no_grad():
        model.float().policy_head.bias[0] = torch.nan
    with refused("not finite, in policy_head.bias"):
        save_model(model, config, path)
    for wrong in ("m.json", "m.csv", "m", ""):
        with refused("path is .*; allowed", ValueError):
            save_model(new_model(config.env, config.model), config, wrong)
    with refused("the name of a fact is", ValueError):
        save_model(new_model(config.env, config.model), config, path, seal="x")
    for wrong in (float("nan"), float("inf"), None, True, []):
        with refused("cpu_seconds is", ValueError):
            save_model(new_model(config.env, config.model), config, path, cpu_seconds=wrong)
    assert not list(tmp_path.iterdir())
