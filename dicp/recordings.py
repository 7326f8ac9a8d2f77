"""The recorded full runs: a table and its costs a world, and a sealed record that knows them again.

Those of the package lie in dicp/data/results; `python -m dicp.reproduce` puts the same files into
this machine's cache.
"""

import gzip
import io
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import pandas as pd

from dicp import store
from dicp.checks import checked
from dicp.store import StoreError
from dicp.tables import decode, encode, need_columns
from dicp.worlds import World, worlds

__all__ = [
    "RECORDED", "is_recorded", "recorded", "recorded_costs", "recorded_path", "recorded_worlds",
    "write_recorded",
]

RECORDED = Path(__file__).parent / "data" / "results"
COSTS = ("run", "split", "train_cpu_s", "evaluate_cpu_s", "env_steps", "part")
EXACT = {"train_cpu_s": float, "evaluate_cpu_s": float}     # read to the last bit by any pandas


@checked
def recorded(env: World) -> pd.DataFrame:
    """The full runs of a world that were recorded with `python -m dicp.reproduce`, compact.

    env: "darkroom", "metaworld-reach-v3", ... `ValueError` where nothing is recorded; `StoreError`,
    naming the file, where one is damaged.
    """
    path = recorded_path(env)
    if not is_recorded(env):
        grid, _, task = env.partition("-")
        command = f"python -m dicp.reproduce --env {grid}" + (f" --task {task}" if task else "")
        raise ValueError(f"There are no recorded results of {env!r} at {path}; recorded are: "
                         f"{', '.join(recorded_worlds()) or 'none'}. {command} makes them.")
    return _decoded(_known(path, "table", _record(RECORDED, env)), path).copy()


@lru_cache(maxsize=4)                       # a notebook asks for the same table many times
def _decoded(data: bytes, path: Path) -> pd.DataFrame:
    return decode(data, path)


@checked
def recorded_costs(env: World) -> pd.DataFrame:
    """CPU seconds of each recorded run of a world, and the name of its part, which changes with its
    settings: columns run, split, train_cpu_s, evaluate_cpu_s, env_steps, part. No rows where
    nothing is recorded."""
    path = _cost_path(RECORDED, env)
    if not is_recorded(env):
        return pd.DataFrame(columns=list(COSTS))
    data = _known(path, "costs", _record(RECORDED, env))
    try:
        costs = pd.read_csv(io.BytesIO(data), encoding="utf-8", converters=EXACT)
        need_columns(costs.columns, COSTS, "it")
    except ValueError as error:
        raise StoreError(f"{path} is no table of costs: {error}") from error
    return costs


@checked
def recorded_path(env: World) -> Path:
    """Where the recorded table of a world lies, or would lie."""
    return RECORDED / f"{env}.csv.gz"


def recorded_worlds() -> list[str]:
    """The worlds of which something is recorded."""
    return [world for world in worlds() if is_recorded(world)]


@checked
def is_recorded(env: World) -> bool:
    """Whether runs of a world are recorded; `StoreError` where a file is lost that its record
    knows."""
    record = RECORDED / f"{env}.json"
    if store.exists(record):
        written = _record(RECORDED, env)
        for kind, path in (("table", recorded_path(env)), ("costs", _cost_path(RECORDED, env))):
            if kind in written.get("before", written["sha256"]) and not store.exists(path):
                raise StoreError(f"{path} is missing, although {record.name} says that it was "
                                 "written; install dicp again, or check the file out again.")
    return store.exists(recorded_path(env))


@checked
def write_recorded(
    folder: str | Path, env: World, table: pd.DataFrame, costs: pd.DataFrame,
    finish: Callable[[], None] = lambda: None,
) -> bool:
    """Put a world's table and its costs into `folder`, and the record that knows them again.

    Returns False if all three lay there already. A kill in between leaves files that the record
    knows: the old ones or the new. finish: what has to be done before all counts as written.
    """
    need_columns(costs.columns, COSTS, "the table of costs")
    table_path, cost_path = Path(folder) / f"{env}.csv.gz", _cost_path(Path(folder), env)
    data = {"table": _same_rows(table_path, encode(table, table_path.name)),
            "costs": costs[list(COSTS)].to_csv(index=False, lineterminator="\n").encode("utf-8")}
    digests = {kind: store.digest(content) for kind, content in data.items()}
    before, settled = _there(Path(folder), env)
    if settled and before == digests:
        return False
    record = Path(folder) / f"{env}.json"
    store.write_record(record, {"world": env, "sha256": digests, "before": before})
    store.write(cost_path, data["costs"])         # first: a run counts once its rows are there, too
    store.write(table_path, data["table"])
    finish()
    store.write_record(record, {"world": env, "sha256": digests})
    return True


def _cost_path(folder: Path, env: str) -> Path:
    return folder / f"{env}_cost.csv"


def _record(folder: Path, env: str) -> dict:
    path = folder / f"{env}.json"
    values, sealed = store.read_record(path)
    if not sealed or values.get("world") != env or not isinstance(values.get("sha256"), dict):
        raise StoreError(f"{path} is damaged: it is no sealed record of the results of {env}.")
    return values


def _known(path: Path, kind: str, record: Mapping) -> bytes:
    """The bytes at `path`, if they are those of the record or, while it is written anew, those
    before it."""
    data = store.read(path)
    digests = {part[kind] for part in (record["sha256"], record.get("before", {})) if kind in part}
    if store.digest(data) not in digests:
        wanted = record["sha256"].get(kind, "nothing")
        raise StoreError(f"{path} is damaged: its SHA-256 is {store.digest(data)[:12]}..., its "
                         f"record says {wanted[:12]}....")
    return data


def _there(folder: Path, env: str) -> tuple[dict[str, str], bool]:
    """(digests of the table and costs there that the record knows, whether it is the last one)."""
    try:
        record = _record(folder, env)
    except StoreError:
        return {}, False
    digests = {}
    for kind, path in (("table", folder / f"{env}.csv.gz"), ("costs", _cost_path(folder, env))):
        with suppress(StoreError):
            digests[kind] = store.digest(_known(path, kind, record))
    return digests, "before" not in record


def _same_rows(path: Path, data: bytes) -> bytes:
    """What lies at `path` if that unpacks to the same as `data`: another zlib packs otherwise."""
    try:
        old = store.read(path)
        return old if gzip.decompress(old) == gzip.decompress(data) else data
    except (StoreError, EOFError, OSError, zlib.error):
        return data
