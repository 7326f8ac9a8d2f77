"""Collect learning histories in blocks of tasks, by one process or by several."""

import sys
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from dicp.checks import Seed, checked
from dicp.config import SourceConfig, WorldConfig
from dicp.envs.tasks import Task
from dicp.history.arrays import DAMAGED
from dicp.history.blocks import Algorithm, block_size, collect_blocks
from dicp.history.claims import remove_drafts, remove_locks, remove_partials
from dicp.history.histories import LearningHistories
from dicp.history.identity import Identity, difference, identity_of
from dicp.history.opening import HistoryError, holds_something, listed
from dicp.history.tasks import Tasks, as_task
from dicp.history.workers import JobCount
from dicp.processes import stoppable

__all__ = ["collect"]


@checked
def collect(
    path: str | Path,
    env: WorldConfig,
    source: SourceConfig,
    tasks: Tasks,
    seed: Seed = 0,
    algorithm: str | Algorithm | None = None,
    n_jobs: JobCount = 2,
    progress: bool = True,
    only: Tasks | None = None,
) -> LearningHistories:
    """The histories of `tasks` at `path`, made there as far as they are missing. `only`: of these
    among them (and of those that the source learns together with them); None: of all.

    `algorithm`: None is the one that `source` names ("ppo": many tasks at once; the others, through
    stable-baselines3, one task at a time); or your own function, which gets one task at a time, or
    as many as its attribute `tasks_per_block` says.
    `n_jobs`: processes side by side, at most one a core (-1: one a core). Killed at any time, a
    second call goes on where the first one was, and ends with the same bytes for any `n_jobs`; two
    calls at the same time share the work. SIGTERM ends it in order, with `SystemExit`.
    """
    path, algorithm = Path(path), source.algorithm if algorithm is None else algorithm
    with stoppable():
        remove_drafts(path)
        histories = open_or_create(path, env, source, [as_task(t) for t in tasks], seed, algorithm)
        remove_partials(path, histories.tasks_per_block)
        name_damaged(histories)
        done, size = histories.done, histories.tasks_per_block
        wanted = sorted({histories.block_of(index) for index in histories.indices(only)})
        todo = [first for first in wanted if not done[first : first + size].all()]
        label = f"{env.name} histories"
        with tqdm(desc=label, total=len(done), initial=int(done.sum()), unit="task", mininterval=5,
                  file=sys.stdout, disable=not (progress and todo)) as bar:
            collect_blocks(histories, todo, algorithm, n_jobs, bar)
        if histories.done.all():
            remove_locks(path)
    return histories


def open_or_create(
    path: Path, env: WorldConfig, source: SourceConfig, tasks: list[Task], seed: int,
    algorithm: str | Algorithm,
) -> LearningHistories:
    """The histories at `path`, new where there is nothing; `HistoryError` where they were made in
    another way."""
    identity = identity_of(algorithm)
    if not holds_something(path):
        how = seed, identity.name, block_size(env, len(tasks), algorithm), identity.code
        try:
            return LearningHistories.create(path, env, source, tasks, *how)
        except HistoryError:
            if not holds_something(path):        # else another process has just made them
                raise
    found = LearningHistories.open(path)
    if path.is_file():
        raise HistoryError(f"{path} is a sample to read; collect into a folder.")
    old, new = settings(found.env, found.source, found.seed), settings(env, source, seed)
    differ = [f"{name} is {old.get(name)!r} there, {new[name]!r} here"
              for name in new if old.get(name) != new[name]]
    stored = Identity(found.algorithm, found.algorithm_code, found.algorithm)
    differ += filter(None, [difference(stored, identity)])
    if found.tasks != tasks:
        counts = f"the {len(found.tasks)} tasks there are not, in this order, the {len(tasks)} here"
        differ.append(counts)
    if differ:
        why = f"holds other histories ({'; '.join(differ)})"
        raise HistoryError(f"{path} {why}; choose another path or delete it.")
    return found


def settings(env: WorldConfig, source: SourceConfig, seed: int) -> dict:
    """What decides, with the algorithm, what is collected; under the names of the fields."""
    configs = {"env": asdict(env), "source": asdict(source)}
    fields = {f"{part}.{name}": x for part, values in configs.items() for name, x in values.items()}
    return fields | {"seed": seed}


def name_damaged(histories: LearningHistories) -> None:
    """Say which tasks are made anew because it cannot be known whether they were complete."""
    flags = histories.arrays.flags(range(len(histories.tasks)))
    pairs = zip(histories.tasks, flags, strict=True)
    damaged = [task for task, flag in pairs if flag == DAMAGED]
    if damaged:
        what = f"the done flag of {listed(damaged)} is damaged; made anew"
        print(f"{histories.path}: {what}.", flush=True)
