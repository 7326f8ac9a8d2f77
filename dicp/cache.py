"""Where this machine keeps what it computes."""

import os
from pathlib import Path
from typing import Annotated

from dicp import store
from dicp.checks import OneOf, checked, refuse
from dicp.store import StoreError

__all__ = ["cache_folder", "writable_cache"]

CACHED = ("", "histories", "weights", "results")     # folders of the cache


def cache_folder() -> Path:
    """Where what was computed is kept: the environment variable DICP_CACHE,
    or .cache/dicp in the home folder."""
    value = os.environ.get("DICP_CACHE")
    if value is not None and not value.strip():
        raise refuse("the environment variable DICP_CACHE", value, "a folder, or to leave it unset")
    try:
        return Path.home() / ".cache" / "dicp" if value is None else Path(value).expanduser()
    except RuntimeError as error:
        what = f"DICP_CACHE is {value!r}, and there is no such home folder"
        what = "There is no home folder" if value is None else what
        cure = "set the environment variable DICP_CACHE to a folder for what is computed"
        raise ValueError(f"{what}; {cure}.") from error


@checked
def writable_cache(part: Annotated[str, OneOf(CACHED)] = "") -> Path:
    """The same, made now if it is not there; `StoreError` unless files can be written there, in its
    folder `part`, too."""
    folder = cache_folder()
    probe = (folder / part if part and store.exists(folder / part) else folder) / ".probe"
    try:
        store.write(probe, b"")
        probe.unlink(missing_ok=True)
    except (StoreError, OSError) as error:
        why = error.__cause__.strerror if isinstance(error.__cause__, OSError) else error
        cure = "set the environment variable DICP_CACHE to a folder that can"
        raise StoreError(f"The cache {probe.parent} cannot be written ({why}); {cure}.") from error
    return folder
