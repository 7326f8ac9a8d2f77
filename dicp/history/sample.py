"""A few histories in one zip file, to be shipped and looked at."""

import io
import zipfile
from pathlib import Path

from zarr.storage import MemoryStore

from dicp import store
from dicp.config import Env
from dicp.history.layout import new_arrays
from dicp.history.logs import Log
from dicp.history.opening import HistoryError


def write_sample(path: Path, attrs: dict, env: Env, log: Log) -> Path:
    """Write complete histories [task, stream, step ...] to a zip file at `path`, whole or not at
    all: the same histories give the same bytes. `HistoryError` if that cannot be done."""
    members = {}
    arrays = new_arrays(MemoryStore(members), attrs, env, log.reward.shape[1])
    for name, values in log._asdict().items():
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
