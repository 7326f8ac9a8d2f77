"""The arrays of a store, read and written one task at a time; a few histories in one zip file.

Each task that is complete has a file of one byte, 1, in the array `done`, written after its
histories.
"""

import io
import stat
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
import zarr
from jaxtyping import Shaped, UInt8
from torch import Tensor
from zarr.storage import MemoryStore

from dicp import store
from dicp.config import WorldConfig
from dicp.envs.tasks import Task
from dicp.history.layout import (
    DONE,
    EMPTY,
    check_array,
    fields_of,
    new_arrays,
    shape_of,
)
from dicp.history.opening import HistoryError, disk_error, unreadable
from dicp.store import one_line
from dicp.types import Log

MISSING, COMPLETE, DAMAGED = 0, 1, 2


class HistoryArrays:
    """What a store holds of each task. Damage is found when it is read, and laid to a task."""

    def __init__(
        self, path: Path, group: zarr.Group, env: WorldConfig, tasks: Sequence[Task], env_steps: int
    ):
        """`ValueError` unless the arrays are those of `env`."""
        self.path, self.env, self.tasks, self.env_steps = path, env, tasks, env_steps
        self.fields = fields_of(env) | DONE
        self._arrays = {name: group[field.name] for name, field in self.fields.items()}
        self.n_streams = self._arrays["reward"].shape[1]
        for name, array in self._arrays.items():
            check_array(array, self.fields[name], self.shape(name))
        self._made_as = self._record()

    def shape(self, name: str) -> tuple[int, ...]:
        """[task, stream, step ...] of the array `name`."""
        sizes = len(self.tasks), self.n_streams, self.env_steps
        return shape_of(self.env, self.fields[name], *sizes)

    def flags(self, indices: Iterable[int]) -> UInt8[np.ndarray, "task"]:
        """MISSING, COMPLETE or DAMAGED for each task."""
        flag = self._flag_in_zip if self.path.is_file() else self._flag_in_folder
        return np.array([flag(index) for index in indices], np.uint8)

    def forget(self, index: int) -> None:
        """Make task number `index` one that is not complete."""
        self.check_in_place()
        try:
            self._flag_file(index).unlink(missing_ok=True)
        except OSError as error:
            raise disk_error(self.path, error) from error

    def write(self, index: int, log: Log) -> None:
        """Store a log [stream, step ...] that was checked, the `done` flag last."""
        self.check_in_place()
        try:
            for name, values in log.items():
                self._arrays[name][index] = values.numpy()
                store.sync(self._chunk(name, index), self.path)
            self._arrays["done"][index] = True
            store.sync(self._flag_file(index), self.path)
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
            if not self._is_plain(name, index):             # a pipe or a device would never end
                raise self.damaged(name, index, "no plain file")
            try:
                values[row] = self._arrays[name][index, :n_streams]
            except Exception as error:
                why, values[row] = one_line(error), EMPTY[dtype]
            if not self.fields[name].possible(values[row]):
                raise self.damaged(name, index, why)
        return torch.from_numpy(values)

    def _is_plain(self, name: str, index: int) -> bool:
        """Whether its chunk is a file like any other, in a zip file, or not there."""
        try:
            return stat.S_ISREG(self._chunk(name, index).stat().st_mode)
        except OSError:
            return True

    def damaged(self, what: str, index: int, why: str) -> HistoryError:
        """The error to raise."""
        task = self.tasks[index]
        again = f"discard([{task}]) and collect again make it anew"
        cure = "get a new copy" if self.path.is_file() else again
        field = self.fields.get(what)
        what = what if field is None else field.name
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
            return store.digest((self.path / "zarr.json").read_bytes())
        except OSError:
            return None

    def _chunk(self, name: str, index: int) -> Path:
        """All there is of a task in the array `name`."""
        inner = ["0"] * (self._arrays[name].ndim - 1)
        return self.path.joinpath(self.fields[name].name, "c", str(index), *inner)

    def _flag_file(self, index: int) -> Path:
        return self.path / "done" / "c" / str(index)

    def _flag_in_folder(self, index: int) -> int:
        """Read from the file: zarr takes any byte but 0 for true, and a file that says 0 for none.
        """
        try:
            with suppress(FileNotFoundError):
                status = self._flag_file(index).stat()      # a pipe or a device would never end
                if not stat.S_ISREG(status.st_mode) or status.st_size != 1:
                    return DAMAGED
                return COMPLETE if self._flag_file(index).read_bytes() == b"\x01" else DAMAGED
        except OSError as error:
            raise unreadable(self.path, error) from error
        return MISSING

    def _flag_in_zip(self, index: int) -> int:
        """A zip file has a checksum of each."""
        try:
            return int(self._arrays["done"][index])
        except Exception as error:
            raise unreadable(self.path, error) from error


def write_sample(path: Path, attrs: dict, env: WorldConfig, log: Log) -> Path:
    """Write complete histories [task, stream, step ...] to a zip file at `path`, whole or not at
    all: the same histories give the same bytes. `HistoryError` if that cannot be done."""
    members = {}
    arrays = new_arrays(MemoryStore(members), attrs, env, log.reward.shape[1])
    for name, values in log.items():
        arrays[name][:] = values.numpy()
    arrays["done"][:] = True
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name in sorted(members):
            file.writestr(zipfile.ZipInfo(name), members[name].to_bytes())       # dated 1980, all
    try:
        store.write(path, packed.getvalue())
    except store.StoreError as error:
        raise HistoryError(str(error)) from error
    return path
