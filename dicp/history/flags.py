"""Which tasks are complete: each that is has a file of one byte, 1, written after its histories."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import zarr
from jaxtyping import UInt8

from dicp.history.opening import disk_error, unreadable

MISSING, COMPLETE, DAMAGED = 0, 1, 2


def read_flags(
    path: Path, array: zarr.Array, indices: Sequence[int]
) -> UInt8[np.ndarray, "task"]:
    """MISSING, COMPLETE or DAMAGED for each of the tasks `indices`. Read from the files, if there
    are any: zarr takes any byte but 0 for true, and a file that says 0 for none."""
    flags = np.zeros(len(indices), np.uint8)
    is_zip = path.is_file()
    for row, index in enumerate(indices):
        flags[row] = _in_zip(path, array, index) if is_zip else _in_folder(path, index)
    return flags


def forget(path: Path, index: int) -> None:
    """Make task number `index` one that is not complete."""
    try:
        flag_file(path, index).unlink(missing_ok=True)
    except OSError as error:
        raise disk_error(path, error) from error


def flag_file(path: Path, index: int) -> Path:
    return path / "done" / "c" / str(index)


def _in_folder(path: Path, index: int) -> int:
    try:
        with suppress(FileNotFoundError):
            return COMPLETE if flag_file(path, index).read_bytes() == b"\x01" else DAMAGED
    except OSError as error:
        raise unreadable(path, error) from error
    return MISSING


def _in_zip(path: Path, array: zarr.Array, index: int) -> int:
    """A zip file has a checksum of each."""
    try:
        return int(array[index])
    except Exception as error:
        raise unreadable(path, error) from error
