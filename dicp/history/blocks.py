"""Blocks of tasks, computed by this process or by workers, shared with other processes that collect
the same histories."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from dicp.checks import refuse, whole
from dicp.config import SOURCES, SourceConfig, WorldConfig, registry
from dicp.domain import domain_of
from dicp.envs.tasks import Task
from dicp.history.claims import claim
from dicp.history.histories import LearningHistories
from dicp.history.logs import as_tensors, check_log
from dicp.history.opening import HistoryError
from dicp.history.workers import runner
from dicp.processes import end_with_parent, one_thread
from dicp.source.ppo import agents_of, train_ppo
from dicp.types import Log

POLL_SECONDS = 1.0                  # between two looks at what another process computes
# (env, tasks, source, seed)
Algorithm = Callable[[WorldConfig, Sequence[Task], SourceConfig, int], Log]


def block_size(env: WorldConfig, n_tasks: int, algorithm: str | Algorithm) -> int:
    """How many tasks the source learns at once. Fixed by the world and the number of tasks alone,
    so that the bytes never depend on the machine."""
    if algorithm != "ppo":
        return whole("algorithm.tasks_per_block", getattr(algorithm, "tasks_per_block", 1), 1)
    return agents_of(domain_of(env)).block_size(n_tasks)


def block_seed(seed: int, first: int) -> int:
    """The seed of the block that begins with task number `first`."""
    return int(np.random.SeedSequence((seed, first)).generate_state(1)[0])


@dataclass(frozen=True)
class Job:
    """One block of the histories at `path`; what a worker gets."""

    path: Path
    seal: str                       # of the histories: others at the same path are not touched
    first: int                      # number of its first task
    algorithm: str | Algorithm
    parent: int                     # the process that collects
    world: tuple[str, type] | None = None    # of one that somebody else registered: name, domain

    def __call__(self) -> tuple[int, bool]:
        """(`first`, whether the block is complete now). It is not where another process computes
        it."""
        if os.getpid() != self.parent:
            end_with_parent(self.parent)
            registry.take_over(self.world)
        histories = LearningHistories.open(self.path)
        if histories.seal != self.seal:
            raise HistoryError(f"{self.path} was replaced by other histories; collect elsewhere.")
        with claim(self.path, self.first) as mine:
            if mine:
                compute_block(histories, self.first, self.algorithm)
        return self.first, mine


def collect_blocks(
    histories: LearningHistories, firsts: Sequence[int], algorithm: str | Algorithm, n_jobs: int,
    bar: tqdm,
) -> None:
    """Return when the blocks that begin with the tasks number `firsts` are complete, each computed
    here or by another process that collects."""
    rest = algorithm, os.getpid(), registry.registered(histories.env.name)
    jobs = {first: Job(histories.path, histories.seal, first, *rest) for first in firsts}
    n_missing = {first: len(missing_in(histories, first)) for first in jobs}
    told = False
    with runner(n_jobs, len(jobs)) as run:
        while jobs:
            with closing(run(list(jobs.values()))) as results:
                for first, is_complete in results:
                    if is_complete:
                        del jobs[first]
                        bar.update(n_missing[first])
            if jobs and not told:
                told = True
                print(f"{histories.path}: another process collects, too; waiting for its part.",
                      flush=True)
            if jobs:
                time.sleep(POLL_SECONDS)
            for first in [first for first in jobs if not missing_in(histories, first)]:
                del jobs[first]
                bar.update(n_missing[first])


def missing_in(histories: LearningHistories, first: int) -> list[int]:
    """The tasks of a block that are not complete."""
    stop = min(first + histories.tasks_per_block, len(histories.tasks))
    return [index for index in range(first, stop) if not histories.is_done(index)]


# ---- one block ----------------------------------------------------------------------------------


def compute_block(histories: LearningHistories, first: int, algorithm: str | Algorithm) -> None:
    """Run the source on one block and write what is missing of it. The caller holds its lock."""
    missing = missing_in(histories, first)
    if not missing:
        return
    tasks = histories.tasks[first : first + histories.tasks_per_block]
    run = algorithm if callable(algorithm) else ALGORITHMS[algorithm]
    with one_thread():
        log = run(histories.env, tasks, histories.source, block_seed(histories.seed, first))
    log = of_tasks(log, histories, tasks)
    for index in missing:
        one = log.map(lambda values, row=index - first: values[row, : histories.n_streams])
        check_log(histories.env, histories.source, histories.n_streams, histories.tasks[index], one)
        histories.arrays.write(index, one)


def of_tasks(log: object, histories: LearningHistories, tasks: Sequence[Task]) -> Log:
    """What an algorithm returned, as a log of tensors; `ValueError` unless it is one of `tasks`."""
    if not isinstance(log, Log):
        raise refuse(f"What {histories.algorithm} returned", log, "a dicp.types.Log")
    log = as_tensors(log)
    if not all(isinstance(x, torch.Tensor) and x.ndim >= 3 for _, x in log.items()):
        parts = [getattr(x, "shape", type(x).__name__) for x in log]
        allowed = "arrays [task, stream, step ...]"
        raise refuse(f"What {histories.algorithm} returned", parts, allowed)
    n_tasks = len(log.reward)
    if any(len(values) != len(tasks) for _, values in log.items()):
        allowed = f"the {len(tasks)} asked for"
        raise ValueError(f"{histories.algorithm} returned {n_tasks} tasks; allowed: {allowed}.")
    return log


def run_sb3(
    algorithm: str, env: WorldConfig, tasks: Sequence[Task], source: SourceConfig, seed: int
) -> Log:
    from dicp.source.algorithms import MAKERS
    from dicp.source.sb3 import train_sb3

    return Log.concat([train_sb3(env, task, source, seed, MAKERS[algorithm]) for task in tasks])


ALGORITHMS = {name: partial(run_sb3, name) for name in SOURCES} | {"ppo": train_ppo}
