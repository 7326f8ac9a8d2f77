"""A trained model as three files: its weights, its loss curve, the record that vouches for both."""

import io
import json
import re
from contextlib import suppress
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from dicp import store
from dicp.checks import checked, refuse
from dicp.config import Config
from dicp.domain import domain_of
from dicp.models import Model
from dicp.store import StoreError, one_line
from dicp.weights import CheckpointError, as_bytes, model_of

__all__ = [
    "CheckpointError", "Saved", "check_same", "load_model", "load_saved", "save_model",
    "weights_name", "world_name", "write_csv",
]

OUR_NAME = re.compile(r"-[0-9a-f]{10}\.safetensors$")


class Saved(NamedTuple):
    """What `save_model` wrote."""

    model: Model
    config: Config
    log: pd.DataFrame | None      # each loss term at each update, if it was saved
    facts: dict


# ---- names ---------------------------------------------------------------------------------------


@checked
def world_name(config: Config) -> str:
    """As files are named: "darkroom", "metaworld-reach-v3"."""
    return domain_of(config.env).name


@checked
def weights_name(config: Config) -> str:
    """Of the safetensors file; loss curve and record have the same name with .csv and .json."""
    kind = config.model.world_model
    return f"{world_name(config)}-{config.method}-{kind}-{config.key}.safetensors"


# ---- a trained model -----------------------------------------------------------------------------


@checked
def write_csv(table: pd.DataFrame, path: str | PathLike) -> None:
    """The table without its index, whole or not at all. Raises `StoreError`."""
    store.write(path, _csv(table))


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n").encode("utf-8")


@checked
def save_model(
    model: Model, config: Config, path: str | PathLike, log: pd.DataFrame | None = None,
    **facts: float | str,
) -> None:
    """Weights as safetensors at `path`, the loss curve beside them as CSV, and last, as JSON, the
    record: the config, any `facts`, and the digests of the other two.

    The record makes it valid: where it is missing there is no model. So one that says something
    else is removed first, and a process that is killed on the way leaves no model, or the old one,
    or the new one. Raises `StoreError`, and `ValueError` for weights that are not finite or not of
    this config.
    """
    path = _safetensors(path)
    if (model.env, model.config) != (config.env, config.model):
        raise refuse("model.config", model.config, "that of the config, for its world")
    if {"sha256", store.SEAL} & facts.keys():
        raise refuse("the name of a fact", sorted(facts), "any but sha256 and seal")
    files = {"weights": (path, as_bytes(model))}
    if log is not None:
        files["log"] = (path.with_suffix(".csv"), _csv(log))
    digests = {name: store.digest(data) for name, (_, data) in files.items()}
    record = json.loads(json.dumps({"config": asdict(config), **facts, "sha256": digests}))
    _write_all([*files.values()], path.with_suffix(".json"), record)


def _write_all(files: list[tuple[Path, bytes]], beside: Path, record: dict) -> None:
    """The files, and last the record; an old record that says something else is removed before."""
    for path in (*(path for path, _ in files), beside):
        store.refuse_special(path)
    old = None
    if beside.exists() and not _says(beside, record):
        old = store.read(beside)
        beside.unlink()
    nothing_changed = True
    try:
        for path, data in files:
            store.write(path, data)
            nothing_changed = False
    except StoreError:
        if old is not None and nothing_changed:              # the old model stays valid
            with suppress(StoreError):
                store.write(beside, old)
        raise
    store.write_record(beside, record)


def _says(beside: Path, record: dict) -> bool:
    with suppress(StoreError):
        return store.read_record(beside) == (record, True)
    return False


@checked
def load_model(path: str | PathLike, expected: Config | None = None) -> tuple[Model, Config]:
    """The model at `path`, on the CPU, in eval mode, and its config. Errors: see `load_saved`."""
    saved = load_saved(path, expected)
    return saved.model, saved.config


@checked
def load_saved(
    path: str | PathLike, expected: Config | None = None, must_be_sealed: bool = False
) -> Saved:
    """What `save_model` wrote; `CheckpointError` if a file is damaged or missing, of another config
    than `expected`, or named as another config's.

    An older record has no digests. Then the curve must have a row for each update, and the weights
    the names, shapes and types that the config asks for; a record with their digests takes its
    place. must_be_sealed: no older record will do.
    """
    path = _safetensors(path)
    try:
        record, config = _read_record(path.with_suffix(".json"), must_be_sealed)
        if expected is not None:
            check_same(asdict(expected), asdict(config), str(path))
        if OUR_NAME.search(path.name) and path.name != weights_name(config):
            what = f"{path} is named as another config's"
            raise CheckpointError(f"{what}; weights of its config are {weights_name(config)}.")
        digests = record.get("sha256")
        data = store.read(path, digests and digests["weights"])
        model = model_of(config, data, str(path))
        log, curve = _read_log(path.with_suffix(".csv"), config, digests)
    except CheckpointError:
        raise
    except StoreError as error:
        raise CheckpointError(str(error)) from error
    if digests is None:
        digests = {"weights": store.digest(data)}
        if log is not None:
            digests["log"] = store.digest(curve)
        with suppress(StoreError):                           # a cache that can only be read
            store.write_record(path.with_suffix(".json"), record | {"sha256": digests})
    facts = {name: x for name, x in record.items() if name not in ("config", "sha256")}
    return Saved(model, config, log, facts)


def _safetensors(path: str | PathLike) -> Path:
    path = Path(path)
    if path.suffix != ".safetensors":
        raise refuse("path", str(path), "the name of a file that ends in .safetensors")
    return path


def _read_record(beside: Path, must_be_sealed: bool) -> tuple[dict, Config]:
    """(the record, its config)."""
    record, is_sealed = store.read_record(beside)
    digests = record.get("sha256")
    if (digests is None and must_be_sealed) or (digests is not None and not is_sealed):
        raise CheckpointError(f"{beside} is damaged: it has no seal.")
    try:
        if digests is not None and not isinstance(digests["weights"], str):
            raise TypeError("it has no digest of the weights")
        if digests is not None and not isinstance(digests.get("log", ""), str):
            raise TypeError("what it has for the log is no digest")
        return record, Config.from_dict(record["config"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = one_line(error)
        raise CheckpointError(f"{beside} is not the record of a model ({why}).") from error


def _read_log(
    path: Path, config: Config, digests: dict | None
) -> tuple[pd.DataFrame | None, bytes]:
    """(the loss curve or, where none was saved, None; its bytes)."""
    if "log" not in digests if digests is not None else not path.exists():
        return None, b""
    data = store.read(path, digests and digests["log"])
    try:
        log = pd.read_csv(io.BytesIO(data), encoding="utf-8")
        rows = np.arange(1, config.train.updates + 1)
        finite = np.isfinite(log.to_numpy(float)).all()
        if digests is None and not (finite and np.array_equal(log["update"], rows)):
            raise ValueError(f"it has not one row for each of {config.train.updates} updates")
        return log, data
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is not a whole loss curve ({one_line(error)}).") from error


@checked
def check_same(wanted: dict, found: dict, where: str) -> None:
    """Raise `CheckpointError` naming every field in which two configs (as dicts) differ."""
    differ = []
    for part, values in wanted.items():
        pairs = values.items() if isinstance(values, dict) else [(None, values)]
        for name, value in pairs:
            other = found.get(part) if name is None else found.get(part, {}).get(name)
            if _plain(other) != _plain(value):
                field = part if name is None else f"{part}.{name}"
                differ.append(f"{field} is {other!r} there, {value!r} here")
    if differ:
        raise CheckpointError(
            f"{where} was made with another config ({'; '.join(differ)}); choose another folder."
        )


def _plain(value):
    return list(value) if isinstance(value, tuple) else value
