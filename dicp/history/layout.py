"""How learning histories lie in zarr: the arrays, their attributes, and how a store is made, opened and refused."""

import errno
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import zarr
from zarr.storage import LocalStore, ZipStore

from dicp.config import Env, EnvConfig, SourceConfig
from dicp.envs.grid import check_tasks
from dicp.envs.tasks import Task

FORMAT, VERSION = "dicp-learning-histories", 1
Tasks = Sequence | np.ndarray       # of tasks, each also as a list or an array (`as_task`)
EMPTY = {"uint8": 255, "float32": np.nan, "bool": False}    # what zarr reads where nothing was written; no log says 255 or nan
ZSTD_LEVEL = 6


class Field(NamedTuple):
    """One array of the store."""

    dims: tuple[str, ...]
    dtype: str
    meaning: str


STEP, EPISODE = ("task", "stream", "step"), ("task", "stream", "episode")
DONE = {"done": Field(("task",), "bool", "whether the histories of the task are complete")}
OF_GRIDS = {
    "cell": Field(STEP, "uint8", "where the agent is before the action: x * size + y"),
    "action": Field(STEP, "uint8", "+x, -x, +y, -y, stay"),
    "reward": Field(STEP, "uint8", "0 or 1, for this action"),
    "terminal_cell": Field(EPISODE, "uint8", "where the last action of the episode led"),
}
OF_METAWORLD = {
    "observation": Field((*STEP, "number"), "float32", "what the agent sees before the action"),
    "action": Field((*STEP, "component"), "float32", "as executed, each from -1 to 1: hand x, y, z, gripper"),
    "reward": Field(STEP, "float32", "for this action, 0 to 10"),
    "success": Field(STEP, "uint8", "1 where the task's criterion is met"),
    "terminal_observation": Field((*EPISODE, "number"), "float32", "what the last action of the episode led to"),
}


class HistoryError(ValueError):
    """Learning histories that cannot be used. The message says what is wrong and what to do."""


def fields_of(env: Env) -> dict[str, Field]:
    """The arrays of a log, in its order."""
    return OF_GRIDS if isinstance(env, EnvConfig) else OF_METAWORLD


def shape_of(env: Env, field: Field, n_tasks: int, n_streams: int, env_steps: int) -> tuple[int, ...]:
    sizes = {"task": n_tasks, "stream": n_streams, "step": env_steps, "episode": env_steps // env.horizon, "component": 4}
    return tuple(env.n_observed if dim == "number" else sizes[dim] for dim in field.dims)


def bounds_of(name: str, env: Env) -> tuple[int, int] | None:
    """The least and the largest value that an array of a log may hold; None: any number."""
    if isinstance(env, EnvConfig):
        return 0, {"action": env.n_actions - 1, "reward": 1}.get(name, env.n_cells - 1)
    return {"action": (-1, 1), "success": (0, 1)}.get(name)


def possible(values: np.ndarray, name: str, env: Env) -> bool:
    """Whether an array of a log can hold these values."""
    low, high = bounds_of(name, env) or (-np.inf, np.inf)
    return bool(np.isfinite(values).all() and low <= values.min() and values.max() <= high)


def new_arrays(store: LocalStore | ZipStore, attrs: dict, env: Env, n_streams: int) -> dict[str, zarr.Array]:
    """The empty group in `store`: one chunk a task, every chunk with a checksum."""
    group = zarr.create_group(store, attributes=attrs, zarr_format=3)
    arrays = {}
    for name, field in (fields_of(env) | DONE).items():
        shape = shape_of(env, field, len(attrs["tasks"]), n_streams, attrs["source"]["env_steps"])
        arrays[name] = group.create_array(
            name, shape=shape, chunks=(1, *shape[1:]), dtype=field.dtype, dimension_names=field.dims,
            fill_value=EMPTY[field.dtype], attributes={"long_name": field.meaning},
            compressors=None if name == "done" else zarr.codecs.ZstdCodec(level=ZSTD_LEVEL, checksum=True),
        )
    return arrays


def open_group(path: Path) -> zarr.Group:
    """The group at `path`; `HistoryError` unless it is there, is ours and of this version."""
    if not path.exists():
        raise HistoryError(f"There are no learning histories at {path}; correct the path, or collect them there.")
    if path.is_file() and not zipfile.is_zipfile(path):
        raise HistoryError(f"{path} is a file, but not a whole .zarr.zip of learning histories; get a new copy of it.")
    if path.is_dir() and not (path / "zarr.json").exists():
        raise HistoryError(f"{path} is a folder without learning histories (no zarr.json in it); correct the path.")
    try:
        store, mode = (ZipStore(path, mode="r"), "r") if path.is_file() else (LocalStore(path), "r+")
        group = zarr.open_group(store, mode=mode, zarr_format=3)
    except Exception as error:
        raise unreadable(path, error) from error
    if group.attrs.get("format") != FORMAT:
        raise HistoryError(f"{path} is a zarr store, but not learning histories of dicp; correct the path.")
    if (version := group.attrs.get("version")) != VERSION:
        raise HistoryError(f"{path} has format version {version}; this dicp reads version {VERSION}: update dicp.")
    return group


def as_task(value) -> Task | float:
    """A task as JSON, NumPy or a user writes it, in the form of the task lists: whole numbers and tuples."""
    if isinstance(value, list | tuple | np.ndarray):
        return tuple(as_task(part) for part in value)
    return value.item() if isinstance(value, np.number) else value


def check_of(env: Env, tasks: list[Task]) -> None:
    """Raise `ValueError` unless each is a task of the world; Meta-World itself checks its instances when they are made."""
    if isinstance(env, EnvConfig):
        check_tasks(env, tasks)


def check_storable(env: Env, source: SourceConfig, tasks: list[Task]) -> None:
    """Raise `ValueError` unless histories of `tasks` fit into the arrays."""
    check_of(env, tasks)
    if not tasks or len(set(tasks)) < len(tasks):
        raise HistoryError(f"tasks holds {len(tasks)}, {len(set(tasks))} of them different; allowed: some, each once.")
    if isinstance(env, EnvConfig) and env.n_cells > EMPTY["uint8"]:
        raise HistoryError(f"env.size is {env.size}; allowed: at most 15, because cells are stored in one byte.")
    if source.env_steps % env.horizon:
        raise HistoryError(f"source.env_steps is {source.env_steps}; allowed: a multiple of the horizon {env.horizon}.")


def one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:160]


def unreadable(path: Path, error: Exception) -> HistoryError:
    return HistoryError(f"{path} is damaged or not learning histories ({one_line(error)}); delete it and collect anew.")


def disk_error(path: Path, error: OSError) -> HistoryError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HistoryError(f"The disk is full at {path}; make room and call again: the tasks already stored are kept.")
    return HistoryError(f"{path} cannot be written ({one_line(error)}); correct the path or its permissions.")
