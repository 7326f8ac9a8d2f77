"""The runs that this machine has made: a file a run in the cache, which a sealed record knows.

A part is done if its digest is that of its record. The record is written last; a part without one
was cut short. The runs recorded with the package count as done without being copied here.
"""

from contextlib import AbstractContextManager
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from dicp import runs, store
from dicp.cache import cache_folder
from dicp.checks import checked
from dicp.config import PlanConfig
from dicp.recordings import COSTS, EXACT, is_recorded, recorded, recorded_costs, recorded_path
from dicp.runs import SPLITS, Names, Run, Splits
from dicp.store import StoreError
from dicp.tables import COMPACT, decode, encode, need_columns, validate
from dicp.worlds import World

__all__ = ["Part", "combined", "parts_of", "read_part", "shipped", "write_part"]

Made = tuple[pd.DataFrame, dict]            # the rows of a run, and what it cost


class Part(NamedTuple):
    """One run in one split, and the file in which it is kept."""

    world: str
    run: Run
    split: int
    path: Path

    @property
    def record(self) -> Path:
        return self.path.with_suffix(".json")

    @property
    def older_cost(self) -> Path:
        """Version 0.1.0 kept the cost here, and no digest."""
        return self.path.with_suffix(".cost")

    @property
    def files_exist(self) -> bool:
        return store.exists(self.path) or store.exists(self.record)

    def __str__(self) -> str:
        return f"{self.world} {self.run.name} split {self.split}"


def results_folder() -> Path:
    return cache_folder() / "results"


@checked
def parts_of(
    world: World, names: Names | None = None, splits: Splits = SPLITS, begun: set | None = None,
) -> list[Part]:
    """The parts of a world in the order of its table: run by run, and split by split in each.

    names: of these runs alone. begun: of those alone that have one of these beginnings of a part's
    name, as "ad-0" (to know the whole name takes seconds in Meta-World).
    """
    folder = results_folder() / world
    wanted = [(run, split) for run in runs.runs_in(world) for split in splits
              if (names is None or run.name in names)
              and (begun is None or f"{run.name}-{split}" in begun)]
    return [Part(world, run, split, folder / runs.part_name(run, world, split))
            for run, split in wanted]


def begun_in(world: str, package: dict[str, Made]) -> set[str]:
    """The beginnings of the names of all parts in this machine's cache and in the package."""
    files = (path.stem for path in (results_folder() / world).glob("*-*"))
    return {name.rpartition("-")[0] for name in (*files, *(Path(part).stem for part in package))}


def lock_of(part: Part, wait: bool = False) -> AbstractContextManager[bool]:
    """The lock of the process that makes a part. Its file stays: one that waits may hold it
    next."""
    return store.lock(part.path.parent / "locks" / f"{part.path.stem}.lock", wait, str(part))


@checked
def write_part(part: Part, table: pd.DataFrame, cost: dict) -> None:
    """Keep a run: its rows, then the record that says so. `StoreError` if rows are missing."""
    why = what_is_wrong(part, table)
    if why:
        raise StoreError(f"{part.path} cannot be written: {why}.")
    digest = store.write(part.path, encode(table, part.path.name))
    _write_record(part, cost, digest)


def _write_record(part: Part, cost: dict, digest: str) -> None:
    values = {"part": part.path.name, "cost": cost, "sha256": {"table": digest}}
    store.write_record(part.record, values)


@checked
def read_part(part: Part) -> Made:
    """What `write_part` kept. `StoreError`, naming the file, where one is damaged, or there is no
    record."""
    if not part.record.exists():
        raise StoreError(f"{part.path} has no record, so it was cut short.")
    values, sealed = store.read_record(part.record)
    cost, digests = values.get("cost"), values.get("sha256")
    digest = digests.get("table") if isinstance(digests, dict) else None
    fits = sealed and values.get("part") == part.path.name
    if not fits or not _is_cost(cost, part) or not isinstance(digest, str):
        raise StoreError(f"{part.record} is damaged: it is no sealed record of {part.path.name}.")
    return decode(store.read(part.path, digest), part.path), cost


def _is_cost(cost: object, part: Part) -> bool:
    """Whether it is a cost of that run, as `dicp.reproduce.measure` returns it."""
    names = [name for name in COSTS if name != "part"]
    if not isinstance(cost, dict) or list(cost) != names:
        return False
    is_this = (cost["run"], cost["split"]) == (part.run.name, part.split)
    return is_this and all(type(cost[x]) in (int, float) and cost[x] >= 0 for x in names[2:])


def adopt(part: Part, may_write: bool = True) -> Made:
    """Give a part of version 0.1.0, which has a cost but no record, its record, if every row is
    there that the run should have; else `StoreError`."""
    data = store.read(part.path)
    table = decode(data, part.path)
    why = what_is_wrong(part, table) or ("" if data.endswith(b"\n") else "its last line is cut")
    if why:
        raise StoreError(f"{part.path} is damaged: {why}.")
    cost = _older_cost(part)
    if may_write:
        _write_record(part, cost, store.digest(data))
        part.older_cost.unlink(missing_ok=True)
    return table, cost


def _older_cost(part: Part) -> dict:
    try:
        costs = pd.read_csv(part.older_cost, encoding="utf-8", converters=EXACT)
        (cost,) = costs.to_dict("records")
        return {name: cost[name] for name in COSTS if name != "part"}
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{part.older_cost} is no whole table of costs.") from error


def what_is_wrong(part: Part, table: pd.DataFrame) -> str:
    """Why the table cannot be that of the run: "" if it has a row for each task and episode that it
    should have."""
    need_columns(table.columns, ("run", "n_rollouts"), "the result table")
    where = part.run, part.world, part.split
    tasks = [str(task) for task in runs.sizes_of(*where)[0]]
    wanted = pd.MultiIndex.from_product([tasks, runs.episodes_of(*where)])
    rows = pd.MultiIndex.from_frame(table[["task", "episode"]])
    if set(table["run"]) != {part.run.name} or set(table["split"]) != {part.split}:
        return f"it holds another run than {part.run.name} split {part.split}"
    if len(missing := wanted.difference(rows)):
        task, episode = missing[0]
        return (f"it lacks {len(missing)} of {len(wanted)} rows, the first is task {task}, "
                f"episode {episode}")
    if len(rows) != len(wanted):
        return f"it has {len(rows)} rows instead of {len(wanted)}"
    if (table["n_rollouts"] != runs.n_rollouts_of(*where)).any():
        return f"its rows are no means over {runs.n_rollouts_of(*where)} rollouts"
    return ""


@checked
def shipped(world: World) -> dict[str, Made]:
    """The runs of a world that are recorded with the package, by the name of their part. What a run
    does not use has no column."""
    if not is_recorded(world):
        return {}
    rows = dict(tuple(recorded(world).groupby(["run", "split"], sort=False)))
    made = {}
    for cost in recorded_costs(world).to_dict("records"):
        part, table = cost.pop("part"), rows.get((cost["run"], cost["split"]))
        if table is not None:
            unused = [name for name in table if name not in COMPACT and table[name].isna().all()]
            made[part] = table.drop(columns=unused), cost
    return made


def find(part: Part, package: dict[str, Made], may_write: bool = True) -> Made | None:
    """A run that is done: this machine's part, else the package's, else None.

    The caller holds the part's lock, or (`may_write` False) nothing is written. `StoreError`,
    naming the file, where this machine's part is damaged and the package has none.
    """
    name, has_record = part.path.name, part.record.exists()
    if not part.files_exist or (name in package and not has_record):       # a copy of version 0.1.0
        return package.get(name)
    try:
        if has_record or not part.older_cost.exists():
            return read_part(part)
        return adopt(part, may_write)
    except StoreError as error:
        if name not in package:
            raise
        print(f"{error} The run that is recorded with the package counts.", flush=True)
        if may_write:
            part.path.unlink(missing_ok=True)
            part.record.unlink(missing_ok=True)
        return package[name]


@checked
def combined(world: World) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """(table, costs) of every run of a world that is done, here or in the package, and of the
    package's retired ones, which come last; None if there is none. What another process is making,
    or what is damaged, is left out; the latter is named."""
    package, found = shipped(world), {}
    for part in parts_of(world, begun=begun_in(world, package)):
        made = _find_unless_busy(part, package)
        if made is not None:
            why = what_is_wrong(part, made[0])
            if why:
                raise StoreError(f"{recorded_path(world)}, {part}: {why}; it cannot be recorded.")
            found[part.path.name] = made
    found |= {
        name: made for name, made in package.items() if runs.is_retired(made[1]["run"], world)
    }
    if not found:
        return None
    table = pd.concat([table for table, _ in found.values()], ignore_index=True)
    costs = pd.DataFrame([{**cost, "part": name} for name, (_, cost) in found.items()])
    return complete(validate(table)), costs


def _find_unless_busy(part: Part, package: dict[str, Made]) -> Made | None:
    if not part.files_exist:
        return package.get(part.path.name)
    with lock_of(part) as mine:
        if not mine:
            return package.get(part.path.name)
        try:
            return find(part, package)
        except StoreError as error:
            print(f"{error} It is left out.", flush=True)
            return None


def complete(table: pd.DataFrame) -> pd.DataFrame:
    """A planner's setting that is younger than a part has its default there. Settings of a plan
    stand in their own order, whichever part came first."""
    plans = table["planner"] != "none"
    settings = [f for f in fields(PlanConfig) if f.name in table]
    younger = {
        f.name: table[f.name].where(~plans | table[f.name].notna(), f.default) for f in settings
    }
    names = [name for name in younger if name != "planner"]
    first = min((table.columns.get_loc(name) for name in names), default=0)
    before = list(table.columns[:first])
    after = [name for name in table.columns[first:] if name not in names]
    return table.assign(**younger)[[*before, *names, *after]]
