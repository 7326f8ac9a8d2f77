"""Jobs in worker processes, or in this process where one is enough or no others can be started."""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any

from dicp.checks import plain, refuse, whole
from dicp.history.opening import HistoryError
from dicp.store import one_line

Job = Callable[[], Any]


def job_count(what: str, value: object) -> int:
    """A number of processes, or -1; raise `ValueError` for anything else."""
    if plain(value) == -1 and type(plain(value)) is int:
        return -1
    try:
        return whole(what, value, 1)
    except ValueError:
        allowed = "a whole number of at least 1, or -1 for one a core"
        raise refuse(what, value, allowed) from None


JobCount = Annotated[int, job_count]


@contextmanager
def runner(n_workers: int, n_jobs: int) -> Iterator[Callable[[Sequence[Job]], Iterator]]:
    """A function that does jobs and yields what they return as it comes: in `n_workers` processes
    (-1: one a core), no more than the `n_jobs` jobs or the cores need."""
    n_workers = min(n_cores() if n_workers == -1 else n_workers, n_jobs, max(n_cores(), 2))
    with ExitStack() as stack:
        pool = None
        if n_workers > 1:
            pool = stack.enter_context(worker_pool(n_workers))
        yield one_after_the_other if pool is None else lambda jobs: in_workers(pool, jobs)


def n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def worker_pool(n_workers: int) -> Iterator["joblib.Parallel | None"]:        # noqa: F821
    """A pool of processes; None, and a line that says why, where they cannot be started: without
    shared memory, say, there are no semaphores."""
    with ExitStack() as stack:
        try:
            pool = started_pool(stack, n_workers)
        except (AssertionError, ImportError, OSError) as error:
            pool = None
            no_semaphores = isinstance(error, AssertionError)        # as joblib says it
            why = "there are no semaphores" if no_semaphores else one_line(error)
            print(f"No worker processes can be started here ({why}); going on in this process.",
                  flush=True)
        yield pool


def started_pool(stack: ExitStack, n_workers: int) -> "joblib.Parallel":       # noqa: F821
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")      # joblib's own that it does without processes
        import joblib

        config = joblib.parallel_config(backend="loky", inner_max_num_threads=1)
    stack.enter_context(config)
    # One job at a time for each worker, and none waiting: no queue outlives this process.
    pool = joblib.Parallel(
        n_workers, return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1
    )
    return stack.enter_context(pool)


def one_after_the_other(jobs: Sequence[Job]) -> Iterator:
    for job in jobs:
        yield job()


def in_workers(pool: "joblib.Parallel", jobs: Sequence[Job]) -> Iterator:      # noqa: F821
    """Closed early, it ends the workers."""
    results = pool((job, (), {}) for job in jobs)
    try:
        for result in results:               # noqa: UP028 (`yield from` would close it itself)
            yield result
    except BrokenProcessPool as error:
        cure = "what it had stored is kept: call again, with fewer n_jobs if memory was short"
        raise HistoryError(f"A worker process was ended by something else; {cure}.") from error
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # joblib's that results are not used
            results.close()
