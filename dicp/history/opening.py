"""How the store at a path is found and opened, and what is said where that cannot be done."""

import errno
import zipfile
from collections.abc import Sequence
from pathlib import Path

import zarr
from zarr.storage import LocalStore, ZipStore

from dicp.history.layout import FORMAT, VERSION
from dicp.store import one_line


class HistoryError(ValueError):
    """Learning histories that cannot be used. The message says what is wrong and what to do."""


def holds_something(path: Path) -> bool:
    """Whether there is a file or a folder with something in it at `path`."""
    try:
        return path.exists() and not (path.is_dir() and not any(path.iterdir()))
    except OSError as error:
        why = f"cannot be looked at ({one_line(error)})"
        raise HistoryError(f"{path} {why}; correct the path or its permissions.") from error


def open_group(path: Path) -> zarr.Group:
    """The group at `path`; `HistoryError` unless it is there, is ours and of this version."""
    check_there(path)
    try:
        if path.is_file():
            group = zarr.open_group(ZipStore(path, mode="r"), mode="r", zarr_format=3)
        else:
            group = zarr.open_group(LocalStore(path), mode="r+", zarr_format=3)
    except Exception as error:
        raise unreadable(path, error) from error
    if group.attrs.get("format") != FORMAT:
        why = "is a zarr store, but not learning histories of dicp"
        raise HistoryError(f"{path} {why}; correct the path.")
    if (version := group.attrs.get("version")) != VERSION:
        why = f"has format version {version}; this dicp reads version {VERSION}"
        raise HistoryError(f"{path} {why}: update dicp.")
    return group


def check_there(path: Path) -> None:
    """Raise `HistoryError` unless something like a store is at `path`."""
    if not holds_something(path) and not path.is_dir():
        where = f"There are no learning histories at {path}"
        raise HistoryError(f"{where}; correct the path, or collect them there.")
    if path.is_file() and not zipfile.is_zipfile(path):
        why = "is a file, but not a whole .zarr.zip of learning histories"
        raise HistoryError(f"{path} {why}; get a new copy of it.")
    if path.is_dir() and not (path / "zarr.json").exists():
        why = "is a folder without learning histories (no zarr.json in it)"
        raise HistoryError(f"{path} {why}; correct the path.")


def listed(tasks: Sequence) -> str:
    """The first few of them."""
    return ", ".join(map(str, tasks[:5])) + (", ..." if len(tasks) > 5 else "")


def unreadable(path: Path, error: Exception) -> HistoryError:
    why = f"is damaged or not learning histories ({one_line(error)})"
    return HistoryError(f"{path} {why}; delete it and collect anew.")


def disk_error(path: Path, error: OSError) -> HistoryError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        cure = "make room and call again: the tasks already stored are kept"
        return HistoryError(f"The disk is full at {path}; {cure}.")
    cure = "correct the path or its permissions"
    return HistoryError(f"{path} cannot be written ({one_line(error)}); {cure}.")
