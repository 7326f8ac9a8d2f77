"""Write files whole or not at all, and say in one sentence why one cannot be written or used."""

import errno
import io
import json
import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import safetensors.torch
import torch

from dicp.config import Config
from dicp.models import Model, new_model


class CheckpointError(ValueError):
    """Weights or a training state that cannot be used or written. The message says what is wrong."""


def atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a file beside `path`, then put it in its place; a crash or a full disk leaves the old one whole."""
    part = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "the disk is full: make room and call again" if full else str(error.strerror or error)
        raise CheckpointError(f"{path} cannot be written, {why}; what was there before is kept.") from error


def save_state(state: dict, path: Path) -> None:
    buffer = io.BytesIO()                 # on a full disk, torch and safetensors raise errors of their own, Python an OSError
    torch.save(state, buffer)
    atomically(path, lambda part: part.write_bytes(buffer.getvalue()))


def load_state(path: Path) -> dict:
    """What `save_state` wrote, on the CPU; `CheckpointError` if it is damaged."""
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} is not a whole training state ({reason}); delete it to train anew.") from error


def write_csv(table: pd.DataFrame, path: Path) -> None:
    atomically(path, lambda part: table.to_csv(part, index=False))


def save_model(model: Model, config: Config, path: Path, **facts) -> None:
    """Weights as safetensors at `path`, and beside them, as JSON, the config that made them and any `facts`."""
    weights = {name: value.contiguous().cpu() for name, value in model.state_dict().items()}
    text = json.dumps({"config": asdict(config), **facts}, indent=1)
    atomically(path.with_suffix(".json"), lambda part: part.write_text(text + "\n"))
    atomically(path, lambda part: part.write_bytes(safetensors.torch.save(weights)))


def load_model(path: Path, expected: Config | None = None) -> tuple[Model, Config]:
    """The model at `path` and its config; `CheckpointError` if it is damaged or not what is `expected`."""
    try:
        config = Config.from_dict(json.loads(path.with_suffix(".json").read_text())["config"])
        weights = safetensors.torch.load_file(path)
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} is not a whole model (safetensors and JSON): {error}.") from error
    if expected is not None:
        check_same(asdict(expected), asdict(config), str(path))
    model = new_model(config.env, config.model)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise CheckpointError(f"{path} holds weights of another architecture than its config: {reason}") from error
    return model.eval(), config


def check_same(wanted: dict, there: dict, where: str) -> None:
    """Raise `CheckpointError` naming every field in which two configs (as dicts) differ."""
    differ = []
    for part, values in wanted.items():
        pairs = values.items() if isinstance(values, dict) else [(None, values)]
        for name, value in pairs:
            other = there.get(part) if name is None else there.get(part, {}).get(name)
            if _plain(other) != _plain(value):
                differ.append(f"{part if name is None else f'{part}.{name}'} is {other!r} there, {value!r} here")
    if differ:
        raise CheckpointError(f"{where} was made with another config ({'; '.join(differ)}); choose another folder.")


def _plain(value):
    return list(value) if isinstance(value, tuple) else value
