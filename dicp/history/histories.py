"""`LearningHistories`: the histories at one path, written task by task, seen through xarray, loaded into memory."""

import os
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import zarr
from jaxtyping import Bool, Shaped
from torch import Tensor
from zarr.storage import LocalStore, ZipStore

from dicp.config import Env, EnvConfig, SourceConfig, env_from_dict
from dicp.envs.tasks import Task
from dicp.history.layout import (
    DONE,
    EMPTY,
    FORMAT,
    VERSION,
    HistoryError,
    Tasks,
    as_task,
    check_of,
    check_storable,
    disk_error,
    fields_of,
    new_arrays,
    one_line,
    open_group,
    possible,
    shape_of,
    unreadable,
)
from dicp.history.logs import Log, check_log
from dicp.source import ContinuousLog, SourceLog


class LearningHistories:
    """The histories of a list of tasks at one path: a folder, or a zip file of one (read only).

    `write` sets a task's `done` flag last, so a process killed at any moment loses only the task under way, and several
    processes may write different tasks at the same time.
    """

    def __init__(self, path: Path, group: zarr.Group):
        """Use `create` or `open`."""
        self.path, self._store, self._attrs = path, group.store, dict(group.attrs)
        self.env, self.source = env_from_dict(self._attrs["env"]), SourceConfig(**self._attrs["source"])
        self.tasks: list[Task] = [as_task(task) for task in self._attrs["tasks"]]
        self.seed, self.algorithm = int(self._attrs["seed"]), str(self._attrs["algorithm"])
        self.tasks_per_block = int(self._attrs["tasks_per_block"])
        self._fields = fields_of(self.env) | DONE
        self._arrays = {name: group[name] for name in self._fields}
        self.n_streams = self._arrays["reward"].shape[1]
        check_of(self.env, self.tasks)
        for name, array in self._arrays.items():
            expected = self._fields[name].dtype, self._shape(name)
            if (array.dtype, array.shape) != expected:
                raise ValueError(f"{name} is {array.dtype} {array.shape}, not {expected[0]} {expected[1]}")

    @classmethod
    def create(
        cls,
        path: str | Path,
        env: Env,
        source: SourceConfig,
        tasks: Tasks,
        seed: int = 0,
        algorithm: str = "ppo",
        tasks_per_block: int = 1,
    ) -> "LearningHistories":
        """A new folder at `path`, no task done yet. `tasks_per_block`: how many tasks the source learns at once."""
        path, tasks = Path(path), [as_task(task) for task in tasks]
        check_storable(env, source, tasks)
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            raise HistoryError(f"{path} exists already; open it, delete it or choose another path.")
        attrs = {
            "format": FORMAT, "version": VERSION, "env": asdict(env), "source": asdict(source), "seed": seed,
            "algorithm": algorithm, "tasks_per_block": tasks_per_block, "tasks": tasks,
        }
        draft = draft_of(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            new_arrays(LocalStore(draft), attrs, env, source.n_kept)
            if path.is_dir():
                path.rmdir()
            os.rename(draft, path)                      # appears whole or not at all
        except OSError as error:
            raise disk_error(path, error) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> "LearningHistories":
        """The histories at `path`; `HistoryError` unless they are there, ours and whole."""
        path = Path(path)
        group = open_group(path)
        try:
            return cls(path, group)
        except Exception as error:
            raise unreadable(path, error) from error

    def __repr__(self) -> str:
        size = f"{int(self.done.sum())} of {len(self.tasks)} tasks, {self.n_streams} streams"
        return f"LearningHistories({self.env.name}: {size} x {self.source.env_steps} steps, {str(self.path)!r})"

    def _shape(self, name: str) -> tuple[int, ...]:
        return shape_of(self.env, self._fields[name], len(self.tasks), self.n_streams, self.source.env_steps)

    @property
    def done(self) -> Bool[np.ndarray, "task"]:
        """Which tasks are complete."""
        return self.is_done(slice(None))

    def is_done(self, index: int | slice) -> np.ndarray:
        """Whether task number `index` is complete; faster than `done` where there are thousands."""
        try:
            return self._arrays["done"][index]
        except Exception as error:
            raise unreadable(self.path, error) from error

    @property
    def dataset(self) -> "xarray.Dataset":      # noqa: F821 (imported when used: it takes a while)
        """Everything as an `xarray.Dataset`; nothing is read before it is used."""
        import xarray

        data = xarray.open_zarr(self._store, chunks=None, consolidated=False, mask_and_scale=False)
        data = data[list(self._fields)]
        data.attrs = {name: str(value) for name, value in data.attrs.items() if name != "tasks"}
        return data.assign_coords(task=[str(task) for task in self.tasks]).set_coords("done")

    def write(self, index: int, log: Log) -> None:
        """Store the histories of task number `index` (each [stream, step]), its `done` flag last."""
        if self.path.is_file():
            raise HistoryError(f"{self.path} is read only; write to a folder made by LearningHistories.create.")
        log = self._log(torch.as_tensor(values) for values in log)
        check_log(self.env, self.source, self.n_streams, self.tasks[index], log)
        try:
            for name, values in log._asdict().items():
                self._arrays[name][index] = values.numpy()
            self._arrays["done"][index] = True
        except OSError as error:
            raise disk_error(self.path, error) from error

    def discard(self, tasks: Tasks) -> None:
        """Mark `tasks` as not done, so that `collect` makes them anew (damaged ones, say)."""
        for index in self.indices(tasks):
            self._arrays["done"][index] = False

    def load(self, tasks: Tasks | None = None, n_streams: int | None = None) -> Log:
        """The histories of `tasks` (None: of all) in memory, those of the first `n_streams` streams."""
        indices, n_streams = self._complete(tasks), self._streams(n_streams)
        return self._log(self._read(name, indices, n_streams) for name in fields_of(self.env))

    def episode_returns(
        self, tasks: Tasks | None = None, n_streams: int | None = None
    ) -> Shaped[Tensor, "task stream episode"]:
        """The return of every episode, with only the rewards read."""
        reward = self._read("reward", self._complete(tasks), self._streams(n_streams))
        return reward.unflatten(-1, (-1, self.env.horizon)).sum(-1)

    def save_sample(self, path: str | Path, tasks: Tasks | None = None, n_streams: int | None = None) -> Path:
        """Write `tasks` and the first `n_streams` streams to one zip file, which `open` reads; returns its path."""
        path, log = Path(path), self.load(tasks, n_streams)
        tasks = [self.tasks[index] for index in self.indices(tasks)]
        draft = draft_of(path)
        try:
            with ZipStore(draft, mode="w") as store:
                arrays = new_arrays(store, self._attrs | {"tasks": tasks}, self.env, log.reward.shape[1])
                for name, values in log._asdict().items():
                    arrays[name][:] = values.numpy()
                arrays["done"][:] = True
            os.replace(draft, path)
        except OSError as error:
            raise disk_error(path, error) from error
        finally:
            draft.unlink(missing_ok=True)
        return path

    def _log(self, values: Iterable[Tensor]) -> Log:
        return (SourceLog if isinstance(self.env, EnvConfig) else ContinuousLog)(*values)

    def indices(self, tasks: Tasks | None) -> list[int]:
        """The places of `tasks` (None: of all) in `self.tasks`; `HistoryError` names one that is not there."""
        position = {task: i for i, task in enumerate(self.tasks)}
        wanted = self.tasks if tasks is None else [as_task(task) for task in tasks]
        unknown = [task for task in wanted if task not in position]
        if unknown:
            raise HistoryError(f"Task {unknown[0]!r} is not at {self.path}; allowed: its {len(position)} .tasks.")
        return [position[task] for task in wanted]

    def _complete(self, tasks: Tasks | None) -> list[int]:
        indices, done = self.indices(tasks), self.done
        missing = [str(self.tasks[i]) for i in indices if not done[i]]
        if missing:
            names = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            count = f"{len(missing)} of {len(indices)} tasks at {self.path}"
            raise HistoryError(f"{count} are not collected yet ({names}); call collect again, or load those that are.")
        return indices

    def _streams(self, n_streams: int | None) -> int:
        if n_streams is not None and not 1 <= n_streams <= self.n_streams:
            raise HistoryError(f"n_streams is {n_streams}; allowed: 1 to {self.n_streams}, the streams of {self.path}.")
        return n_streams or self.n_streams

    def _read(self, name: str, indices: list[int], n_streams: int) -> Shaped[Tensor, "task stream ..."]:
        """One chunk after the other, so that damage can be laid to a task."""
        values = np.empty((len(indices), n_streams, *self._shape(name)[2:]), self._fields[name].dtype)
        for row, index in enumerate(indices):
            why = "missing or overwritten"
            try:
                values[row] = self._arrays[name][index, :n_streams]
            except Exception as error:
                why, values[row] = one_line(error), EMPTY[self._fields[name].dtype]
            if not possible(values[row], name, self.env):
                task = self.tasks[index]
                cure = "get a new copy" if self.path.is_file() else f"discard([{task}]) and collect again make it anew"
                raise HistoryError(f"The {name} of task {task} in {self.path} is damaged ({why}); {cure}.")
        return torch.from_numpy(values)


def draft_of(path: Path) -> Path:
    """A name beside `path` for what is not yet complete."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
