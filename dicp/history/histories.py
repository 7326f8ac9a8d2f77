"""`LearningHistories`: the histories at one path, written task by task, seen through xarray, loaded
into memory."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import zarr
from jaxtyping import Bool, Shaped
from torch import Tensor
from zarr.storage import LocalStore

from dicp.checks import Count, Index, Seed, checked, fits_memory, refuse, whole
from dicp.config import SourceConfig, WorldConfig, env_from_dict
from dicp.domain import domain_of
from dicp.envs.tasks import Task
from dicp.history.arrays import COMPLETE, DAMAGED, MISSING, HistoryArrays, write_sample
from dicp.history.claims import claim, draft_folder, give_name
from dicp.history.layout import FORMAT, VERSION, check_seal, fields_of, log_bytes, new_arrays
from dicp.history.logs import as_tensors, check_log
from dicp.history.opening import (
    HistoryError,
    disk_error,
    holds_something,
    listed,
    open_group,
    unreadable,
)
from dicp.history.tasks import Tasks, as_task, check_storable
from dicp.store import SEAL, seal_of
from dicp.types import Log

__all__ = ["LearningHistories"]


class LearningHistories:
    """The histories of a list of tasks at one path: a folder, or a zip file of one (read only).

    `write` sets a task's `done` flag last, so a process killed at any moment loses only the task
    under way, and several processes may write different tasks at the same time.
    """

    @checked
    def __init__(self, path: str | Path, group: zarr.Group):
        """Use `create` or `open`."""
        self.path, self._store, self._attrs = Path(path), group.store, dict(group.attrs)
        check_seal(self._attrs)
        self.env = env_from_dict(self._attrs["env"])
        self.source = SourceConfig(**self._attrs["source"])
        self.tasks: list[Task] = [as_task(task) for task in self._attrs["tasks"]]
        self.seed = whole("seed", self._attrs["seed"])
        self.algorithm = str(self._attrs["algorithm"])
        self.algorithm_code: str | None = self._attrs.get("algorithm_code")
        self.tasks_per_block = whole("tasks_per_block", self._attrs["tasks_per_block"], 1)
        domain_of(self.env).check_tasks(self.tasks)
        self.arrays = HistoryArrays(self.path, group, self.env, self.tasks, self.source.env_steps)
        self.n_streams = self.arrays.n_streams

    @classmethod
    @checked
    def create(
        cls,
        path: str | Path,
        env: WorldConfig,
        source: SourceConfig,
        tasks: Tasks,
        seed: Seed = 0,
        algorithm: str = "ppo",
        tasks_per_block: Count = 1,
        algorithm_code: str | None = None,
    ) -> "LearningHistories":
        """A new folder at `path`, no task done yet. `tasks_per_block`: how many tasks the source
        learns at once; `algorithm_code`: what else tells the algorithm from others."""
        path, tasks = Path(path), [as_task(task) for task in tasks]
        check_storable(env, source, tasks, tasks_per_block)
        if holds_something(path):
            raise HistoryError(f"{path} exists already; open it, delete it or choose another path.")
        attrs = {
            "format": FORMAT, "version": VERSION, "env": asdict(env), "source": asdict(source),
            "seed": seed, "algorithm": algorithm, "tasks_per_block": tasks_per_block,
            "tasks": tasks,
        }
        attrs |= {} if algorithm_code is None else {"algorithm_code": algorithm_code}
        try:
            with draft_folder(path) as draft:
                new_arrays(LocalStore(draft), attrs, env, source.n_kept)
                give_name(draft, path)
        except OSError as error:
            raise disk_error(path, error) from error
        return cls.open(path)

    @classmethod
    @checked
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
        steps = f"{self.source.env_steps} steps"
        return f"LearningHistories({self.env.name}: {size} x {steps}, {str(self.path)!r})"

    @property
    def seal(self) -> str:
        """The digest of all that was decided when the store was made."""
        return seal_of({name: value for name, value in self._attrs.items() if name != SEAL})

    @property
    def done(self) -> Bool[np.ndarray, "task"]:
        """Which tasks are complete."""
        return self.arrays.flags(range(len(self.tasks))) == COMPLETE

    @checked
    def is_done(self, index: Index) -> bool:
        """Whether task number `index` is complete; faster than `done` where there are thousands."""
        self._check_index(index)
        return bool(self.arrays.flags([index])[0] == COMPLETE)

    @property
    def dataset(self) -> "xarray.Dataset":      # noqa: F821 (imported when used: it takes a while)
        """Everything as an `xarray.Dataset`; nothing is read before it is used."""
        import xarray

        fields = {field.name: field for field in self.arrays.fields.values()}
        options = dict(chunks=None, consolidated=False, mask_and_scale=False)
        data = xarray.open_zarr(self._store, **options)[list(fields)]
        for name, field in fields.items():
            data[name].attrs = {"long_name": field.meaning}
        shown = {name: value for name, value in self._attrs.items() if name not in ("tasks", SEAL)}
        data.attrs = {name: str(value) for name, value in shown.items()}
        names = [str(task) for task in self.tasks]
        return data.assign_coords(task=names).set_coords("done")

    @checked
    def write(self, index: Index, log: Log) -> None:
        """Store the histories of task number `index` (each [stream, step]), its `done` flag last.
        Waits for another process that works on the same block of tasks."""
        self._check_index(index)
        self.arrays.check_in_place()
        log = as_tensors(log)
        check_log(self.env, self.source, self.n_streams, self.tasks[index], log)
        with claim(self.path, self.block_of(index), wait=True):
            self.arrays.write(index, log)

    @checked
    def discard(self, tasks: Tasks) -> None:
        """Mark `tasks` as not done, so that `collect` makes them anew (damaged ones, say)."""
        self.arrays.check_in_place()
        for index in self.indices(tasks):
            with claim(self.path, self.block_of(index), wait=True):
                self.arrays.forget(index)

    @checked
    def load(self, tasks: Tasks | None = None, n_streams: Count | None = None) -> Log:
        """The histories of `tasks` (None: of all) in memory, those of the first `n_streams` streams
        (None: of all): arrays [task, stream, step ...]."""
        indices, n_streams = self._complete(tasks), self._streams(n_streams)
        size = log_bytes(self.env, len(indices), n_streams, self.source.env_steps)
        fits_memory("number of tasks", len(indices), size, "fewer, or fewer streams")
        names = fields_of(self.env)
        return Log(**{name: self.arrays.read(name, indices, n_streams) for name in names})

    @checked
    def episode_returns(
        self, tasks: Tasks | None = None, n_streams: Count | None = None
    ) -> Shaped[Tensor, "task stream episode"]:
        """The return of every episode, with only the rewards read."""
        reward = self.arrays.read("reward", self._complete(tasks), self._streams(n_streams))
        return reward.unflatten(-1, (-1, self.env.horizon)).sum(-1)

    @checked
    def save_sample(
        self, path: str | Path, tasks: Tasks | None = None, n_streams: Count | None = None
    ) -> Path:
        """Write `tasks` and the first `n_streams` streams to one zip file, which `open` reads, and
        make its folder where there is none; returns its path."""
        log = self.load(tasks, n_streams)
        chosen = [self.tasks[index] for index in self.indices(tasks)]
        return write_sample(Path(path), self._attrs | {"tasks": chosen}, self.env, log)

    @checked
    def indices(self, tasks: Tasks | None = None) -> list[int]:
        """The places of `tasks` (None: of all) in `self.tasks`; `HistoryError` names one that is
        not there."""
        position = {task: i for i, task in enumerate(self.tasks)}
        wanted = self.tasks if tasks is None else [as_task(task) for task in tasks]
        for task in wanted:
            if task not in position:
                allowed = f"its {len(position)} .tasks"
                raise HistoryError(f"Task {task!r} is not at {self.path}; allowed: {allowed}.")
        return [position[task] for task in wanted]

    @checked
    def block_of(self, index: Index) -> int:
        """The first task of the block of task number `index`."""
        return index // self.tasks_per_block * self.tasks_per_block

    def _check_index(self, index: int) -> None:
        if index >= len(self.tasks):
            raise refuse("index", index, f"a whole number from 0 to {len(self.tasks) - 1}")

    def _complete(self, tasks: Tasks | None) -> list[int]:
        """The indices of `tasks`; `HistoryError` if one of them is not complete."""
        indices = self.indices(tasks)
        flag_of = dict(zip(indices, self.arrays.flags(indices), strict=True))
        missing = [self.tasks[index] for index in indices if flag_of[index] == MISSING]
        if missing:
            count = f"{len(missing)} of {len(indices)} tasks at {self.path}"
            cure = "call collect again, or load those that are"
            raise HistoryError(f"{count} are not collected yet ({listed(missing)}); {cure}.")
        for index in indices:
            if flag_of[index] == DAMAGED:
                raise self.arrays.damaged("done flag", index, "it is not the byte 1")
        return indices

    def _streams(self, n_streams: int | None) -> int:
        if n_streams is not None and n_streams > self.n_streams:
            allowed = f"1 to {self.n_streams}, the streams of {self.path}"
            raise HistoryError(f"n_streams is {n_streams}; allowed: {allowed}.")
        return n_streams or self.n_streams
