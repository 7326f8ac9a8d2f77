"""The arrays of a store, read and written one task at a time."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
import zarr
from jaxtyping import Shaped
from torch import Tensor

from dicp.config import Env
from dicp.envs.tasks import Task
from dicp.history.flags import forget, read_flags
from dicp.history.layout import DONE, EMPTY, check_array, fields_of, possible, shape_of
from dicp.history.logs import Log
from dicp.history.opening import HistoryError, disk_error, one_line
from dicp.store import digest


class HistoryArrays:
    """What a store holds of each task. Damage is found when it is read, and laid to a task."""

    def __init__(
        self, path: Path, group: zarr.Group, env: Env, tasks: Sequence[Task], env_steps: int
    ):
        """`ValueError` unless the arrays are those of `env`."""
        self.path, self.env, self.tasks, self.env_steps = path, env, tasks, env_steps
        self.fields = fields_of(env) | DONE
        self._arrays = {name: group[name] for name in self.fields}
        self.n_streams = self._arrays["reward"].shape[1]
        for name, array in self._arrays.items():
            check_array(array, name, self.fields[name], self.shape(name))
        self._made_as = self._record()

    def shape(self, name: str) -> tuple[int, ...]:
        """[task, stream, step ...] of the array `name`."""
        sizes = len(self.tasks), self.n_streams, self.env_steps
        return shape_of(self.env, self.fields[name], *sizes)

    def flags(self, indices: Iterable[int]) -> np.ndarray:
        """MISSING, COMPLETE or DAMAGED for each task (`dicp.history.flags`)."""
        return read_flags(self.path, self._arrays["done"], list(indices))

    def forget(self, index: int) -> None:
        """Make task number `index` one that is not complete."""
        self.check_in_place()
        forget(self.path, index)

    def write(self, index: int, log: Log) -> None:
        """Store a log [stream, step ...] that was checked, the `done` flag last."""
        self.check_in_place()
        try:
            for name, values in log._asdict().items():
                self._arrays[name][index] = values.numpy()
            self._arrays["done"][index] = True
        except OSError as error:
            raise disk_error(self.path, error) from error

    def read(
        self, name: str, indices: Sequence[int], n_streams: int
    ) -> Shaped[Tensor, "task stream ..."]:
        """The first streams of some tasks, one chunk after the other; `HistoryError` names the task
        whose chunk is damaged."""
        dtype = self.fields[name].dtype
        values = np.empty((len(indices), n_streams, *self.shape(name)[2:]), dtype)
        for row, index in enumerate(indices):
            why = "missing or overwritten"
            try:
                values[row] = self._arrays[name][index, :n_streams]
            except Exception as error:
                why, values[row] = one_line(error), EMPTY[dtype]
            if not possible(values[row], name, self.env):
                raise self.damaged(name, index, why)
        return torch.from_numpy(values)

    def damaged(self, what: str, index: int, why: str) -> HistoryError:
        """The error to raise."""
        task = self.tasks[index]
        again = f"discard([{task}]) and collect again make it anew"
        cure = "get a new copy" if self.path.is_file() else again
        return HistoryError(f"The {what} of task {task} in {self.path} is damaged ({why}); {cure}.")

    def check_in_place(self) -> None:
        """Raise `HistoryError` if the folder is a sample, or not the one that was opened."""
        if self.path.is_file():
            cure = "write to a folder made by LearningHistories.create"
            raise HistoryError(f"{self.path} is read only; {cure}.")
        if self._made_as is None or self._record() != self._made_as:
            why = "was deleted or replaced while it was in use"
            raise HistoryError(f"{self.path} {why}; nothing more is written there.")

    def _record(self) -> str | None:
        """What tells the store from others that are made at the same path later: the digest of its
        attributes. None: it is not there, or a sample."""
        try:
            return digest((self.path / "zarr.json").read_bytes())
        except OSError:
            return None
