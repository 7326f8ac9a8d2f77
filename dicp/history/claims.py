"""Who works on what: locks on blocks of tasks, and what killed processes left behind.

The lock on a block is a file in a folder beside the store. The kernel drops it when the process
that holds it ends, however it ends, so that the block can be taken by another.
"""

import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from dicp import store

try:
    import fcntl
except ImportError:      # Windows: there, a folder in use cannot be removed
    fcntl = None

PARTIAL = re.compile(r".+\.[0-9a-f]{32}\.partial")      # a chunk that zarr was writing


def locks_folder(path: Path) -> Path:
    path = path.resolve()
    return path.with_name(f"{path.name}.locks")


@contextmanager
def claim(path: Path, first: int, wait: bool = False) -> Iterator[bool]:
    """Hold the lock on the block of the histories at `path` that begins with task number `first`:
    yields True. Where another process holds it: wait, or (with `wait` False) yield False."""
    lock = locks_folder(path) / str(first)
    with ExitStack() as stack:
        for attempt in range(3):
            try:
                mine = stack.enter_context(store.lock(lock, wait, f"{path}, block {first}"))
                break
            except store.StoreError:
                if attempt == 2 or not _is_new(lock.parent):
                    raise
        yield mine


def _is_new(folder: Path) -> bool:
    """Whether it may be made again: another process has just removed it."""
    return not folder.exists()


def remove_locks(path: Path) -> None:
    """Remove the folder of locks, unless a process holds one of them."""
    folder = locks_folder(path)
    if not folder.is_dir():
        return
    with ExitStack() as stack, suppress(OSError, ValueError):
        files = list(folder.iterdir())
        for file in files:
            if not file.name.isdecimal() or not stack.enter_context(store.lock(file, wait=False)):
                return
        for file in files:
            file.unlink()
        folder.rmdir()


# ---- leftovers ----------------------------------------------------------------------------------


@contextmanager
def draft_folder(path: Path) -> Iterator[Path]:
    """A new folder beside `path`, for what is not complete; removed unless it was renamed. As long
    as this process lives, nobody else takes it for a leftover."""
    store.make_folder(path.parent)
    while True:
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        draft.mkdir()
        with suppress(BlockingIOError, FileNotFoundError):      # taken for a leftover in between
            descriptor = _locked(draft)
            break
    try:
        yield draft
    finally:
        if descriptor is not None:
            os.close(descriptor)
        shutil.rmtree(draft, ignore_errors=True)


def give_name(draft: Path, path: Path) -> None:
    """Rename the folder `draft` once all that is in it is on the disk: it appears at `path` whole
    or not at all. An empty folder there is replaced."""
    for file in filter(Path.is_file, draft.rglob("*")):
        store.sync(file, draft)
    with suppress(FileNotFoundError):
        path.rmdir()
    os.rename(draft, path)
    store.sync(path / "zarr.json", path.parent)


def remove_drafts(path: Path) -> None:
    """Remove the drafts of a store at `path` whose makers were killed."""
    for draft in path.parent.glob(f".{store.glob_escape(path.name)}.*.tmp"):
        with suppress(OSError):      # its maker lives, or somebody else removes it
            descriptor = _locked(draft)
            if descriptor is not None:
                shutil.rmtree(draft, ignore_errors=True)
                os.close(descriptor)


def remove_partials(path: Path, block_size: int) -> None:
    """Remove the chunks that killed processes left half written in the store at `path`. A block on
    which another process works is left alone."""
    leftovers = {}
    for folder, _, names in os.walk(path):
        for name in filter(PARTIAL.fullmatch, names):
            file = Path(folder, name)
            index = _task_number(file.relative_to(path))
            leftovers.setdefault(index // block_size * block_size, []).append(file)
    for first, files in leftovers.items():
        with claim(path, first) as mine:
            for file in files if mine else ():
                file.unlink(missing_ok=True)


def _task_number(file: Path) -> int:
    """Of a chunk, as in cell/c/12/0/0 or done/c/12; 0 for what belongs to no task."""
    number = file.parts[2].partition(".")[0] if len(file.parts) > 2 else ""
    return int(number) if number.isdecimal() else 0


def _locked(folder: Path) -> int | None:
    """A descriptor that holds the lock on the folder; None where there are no such locks.
    `BlockingIOError` where another process holds it."""
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder.stat()
    except (BlockingIOError, FileNotFoundError):
        os.close(descriptor)
        raise
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
