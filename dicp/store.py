"""Files that are whole or not there: one atomic writer, records that say what was written, locks
that end with a process."""

import errno
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

try:
    import fcntl
except ImportError:          # Windows: there, a file that is open cannot be removed
    fcntl = None

SEAL = "seal"


class StoreError(ValueError):
    """A file that cannot be written or used. The message names it."""


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def write(path: str | Path, data: bytes) -> str:
    """Put `data` at `path`, whole or not at all; returns their digest.

    They are written beside it under a name that nobody else uses, brought to the disk, and renamed.
    A crash, a full disk or another writer leaves the old file or a whole new one. Devices, pipes,
    links and folders are refused (`StoreError`).
    """
    path = Path(path)
    draft = None
    try:
        make_folder(path.parent)
        refuse_special(path)
        remove_leftovers(path)
        draft, file = _new_draft(path)
        with file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if fcntl:    # still locked: nobody takes it for a leftover
                os.replace(draft, path)
        if not fcntl:
            os.replace(draft, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise StoreError(_why(path, error)) from error
    finally:
        if draft is not None:
            with suppress(OSError):
                draft.unlink()
    return digest(data)


def write_text(path: str | Path, text: str) -> str:
    """The same for a text, as UTF-8."""
    return write(path, text.encode("utf-8"))


def read(path: str | Path, sha256: str | None = None) -> bytes:
    """The bytes at `path`; `StoreError` if it is no plain file or (given its digest)
    not what was written."""
    path = Path(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise StoreError(f"{path} is {kind_of(path.stat().st_mode)}; allowed: a plain file.")
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}.") from error
    if sha256 is not None and digest(data) != sha256:
        raise StoreError(
            f"{path} is damaged: its SHA-256 is {digest(data)[:12]}..., "
            f"its record says {sha256[:12]}...."
        )
    return data


def write_record(path: str | Path, values: dict) -> str:
    """Write `values` as JSON with a seal, the digest of all the others: a flipped bit does not go
    unnoticed. Returns the file's digest."""
    values = json.loads(json.dumps(values, allow_nan=False))
    sealed = values | {SEAL: seal_of(values)}
    return write_text(path, json.dumps(sealed, indent=1, ensure_ascii=False) + "\n")


def read_record(path: str | Path) -> tuple[dict, bool]:
    """(what `write_record` wrote, whether it has a seal: older files have none).
    `StoreError` if it is damaged."""
    try:
        values = json.loads(read(path).decode("utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it holds no record")
    except StoreError:
        raise
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} is damaged: {error}.") from error
    seal = values.pop(SEAL, None)
    if seal is not None and seal != seal_of(values):
        raise StoreError(f"{path} is damaged: its seal does not fit its content.")
    return values, seal is not None


def seal_of(values: dict) -> str:
    return digest(json.dumps(values, sort_keys=True).encode("utf-8"))


@contextmanager
def lock(path: str | Path, wait: bool = True, what: str = "") -> Iterator[bool]:
    """Hold the lock file at `path`: yields True. The kernel drops it when this process ends,
    however it ends. Where another process holds it: wait (and say so, as "`what`: ..."), or with
    `wait` False yield False."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        refuse_special(path)    # filelock 3.16 empties what a link leads to
        held = FileLock(path)
        is_mine = _acquire(held, wait, what or path.name)
    except (OSError, NotImplementedError) as error:      # the latter: no locks on this file system
        raise StoreError(_why(path, error)) from error
    try:
        yield is_mine
    finally:
        held.release()


def _acquire(held: FileLock, wait: bool, what: str) -> bool:
    try:
        held.acquire(timeout=0.5 if wait else 0)
    except Timeout:
        if wait:
            print(f"{what}: another process is at it; waiting for it.", flush=True)
            held.acquire(poll_interval=0.5)
        return wait
    return True


def exists(path: str | Path) -> bool:
    """Whether there is something at `path`; `StoreError`, naming it, where that cannot be seen."""
    try:
        return Path(path).exists()
    except OSError as error:
        raise StoreError(f"{path} cannot be looked at, {error.strerror or error}; correct the path "
                         "or its permissions.") from error


def remove_leftovers(path: Path) -> None:
    """Remove the drafts of `path` that killed writers left behind;
    a living one holds a lock on its own."""
    for draft in path.parent.glob(f".{glob_escape(path.name)}.*.tmp"):
        _remove_leftover(draft)


def sweep(folder: Path) -> None:
    """Remove every draft in `folder` that a killed writer left behind."""
    with suppress(OSError):                              # a folder that may not be looked at
        for draft in folder.glob(".*.tmp"):
            _remove_leftover(draft)


def glob_escape(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _remove_leftover(draft: Path) -> None:
    with suppress(OSError):
        if not stat.S_ISREG(draft.lstat().st_mode):
            return
        if fcntl:
            with open(draft, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                draft.unlink()
        else:
            draft.unlink()


def _new_draft(path: Path):
    """(a name beside `path` that is new, the file open for writing and locked)."""
    while True:
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        # O_EXCL: through no link
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(draft, flags, 0o666), "wb")
        if not fcntl:
            return draft, file
        with suppress(OSError):    # a file system without locks: nothing is swept there either
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file.fileno()).st_nlink:    # nobody took it for a leftover before it was locked
            return draft, file
        file.close()


def refuse_special(path: Path) -> None:
    """Raise `StoreError` unless `path` is a plain file or nothing yet."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise StoreError(f"{path} is {kind_of(mode)}; allowed: a plain file, or nothing there yet.")


def kind_of(mode: int) -> str:
    kinds = {
        stat.S_ISDIR: "a folder", stat.S_ISLNK: "a link", stat.S_ISFIFO: "a pipe",
        stat.S_ISSOCK: "a socket",
    }
    return next((name for test, name in kinds.items() if test(mode)), "a device")


def make_folder(path: Path) -> None:
    """A folder and those above it, as far as they are not there;
    their names are brought to the disk."""
    try:
        path.mkdir()
    except FileNotFoundError:
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    _sync_folder(path.parent)


def sync(path: Path, top: Path) -> None:
    """Bring a file that another library wrote to the disk, and its name,
    and those of the folders up to `top`."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
    for folder in path.parents[: len(path.relative_to(top).parts)]:
        _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):                              # Windows cannot open folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def one_line(error: Exception) -> str:
    """The reason, short."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


def _why(path: Path, error: OSError | NotImplementedError) -> str:
    why = getattr(error, "strerror", None) or error
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        why = "the disk is full: make room and call again"
    return f"{path} cannot be written, {why}; what was there before is kept."
