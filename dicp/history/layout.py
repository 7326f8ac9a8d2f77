"""How learning histories lie in zarr: the arrays, their attributes, and how a store is made, opened and refused."""

import errno
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import zarr
from zarr.storage import LocalStore, ZipStore

from dicp.config import EnvConfig, SourceConfig
from dicp.envs.grid import check_tasks
from dicp.envs.tasks import Task

FORMAT, VERSION = "dicp-learning-histories", 1
Tasks = Sequence | np.ndarray       # of tasks, each also as a list or an array (`as_task`)
EMPTY = 255             # what zarr reads where nothing was written; no cell, action or reward is ever 255
ZSTD_LEVEL = 6
ARRAYS = {
    "cell": (("task", "stream", "step"), "where the agent is before the action: x * size + y"),
    "action": (("task", "stream", "step"), "+x, -x, +y, -y, stay"),
    "reward": (("task", "stream", "step"), "0 or 1, for this action"),
    "terminal_cell": (("task", "stream", "episode"), "where the last action of the episode led"),
    "done": (("task",), "whether the histories of the task are complete"),
}


class HistoryError(ValueError):
    """Learning histories that cannot be used. The message says what is wrong and what to do."""


def shape_of(name: str, n_tasks: int, n_streams: int, env_steps: int, horizon: int) -> tuple[int, ...]:
    sizes = {"task": n_tasks, "stream": n_streams, "step": env_steps, "episode": env_steps // horizon}
    return tuple(sizes[dim] for dim in ARRAYS[name][0])


def largest(name: str, env: EnvConfig) -> int:
    return {"action": env.n_actions - 1, "reward": 1}.get(name, env.n_cells - 1)


def new_arrays(store: LocalStore | ZipStore, attrs: dict, n_streams: int) -> dict[str, zarr.Array]:
    """The empty group in `store`: one chunk a task, every chunk with a checksum."""
    group = zarr.create_group(store, attributes=attrs, zarr_format=3)
    arrays = {}
    for name, (dims, meaning) in ARRAYS.items():
        shape = shape_of(name, len(attrs["tasks"]), n_streams, attrs["source"]["env_steps"], attrs["env"]["horizon"])
        flag = name == "done"
        arrays[name] = group.create_array(
            name, shape=shape, chunks=(1, *shape[1:]), dtype="bool" if flag else "uint8", dimension_names=dims,
            fill_value=False if flag else EMPTY, attributes={"long_name": meaning},
            compressors=None if flag else zarr.codecs.ZstdCodec(level=ZSTD_LEVEL, checksum=True),
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


def as_task(value) -> Task:
    """A task as JSON, NumPy or a user writes it, in the form of the task lists: whole numbers and tuples."""
    if isinstance(value, list | tuple | np.ndarray):
        return tuple(as_task(part) for part in value)
    return int(value) if isinstance(value, np.integer) else value


def check_storable(env: EnvConfig, source: SourceConfig, tasks: list[Task]) -> None:
    """Raise `ValueError` unless histories of `tasks` fit into the arrays."""
    check_tasks(env, tasks)
    if not tasks or len(set(tasks)) < len(tasks):
        raise HistoryError(f"tasks holds {len(tasks)}, {len(set(tasks))} of them different; allowed: some, each once.")
    if env.n_cells > EMPTY:
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
