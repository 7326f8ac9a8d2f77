"""Collect learning histories in parallel: blocks of tasks, each with its own seed, whoever computes it and whenever."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed, parallel_config
from tqdm import tqdm

from dicp.checks import at_least, one_of
from dicp.config import Env, EnvConfig, SourceConfig
from dicp.envs.tasks import Task
from dicp.history.histories import LearningHistories
from dicp.history.layout import HistoryError, Tasks, as_task
from dicp.history.logs import Log
from dicp.source import TASKS_PER_BLOCK, train_continuous_ppo, train_ppo

INSTANCES_PER_BLOCK = 5             # of Meta-World, learnt at once: eight CPU-minutes
Algorithm = Callable[[Env, Sequence[Task], SourceConfig, int], Log]     # (env, tasks, source, seed)


def collect(
    path: str | Path,
    env: Env,
    source: SourceConfig,
    tasks: Tasks,
    seed: int = 0,
    algorithm: str | Algorithm = "ppo",
    n_jobs: int = 2,
    progress: bool = True,
    only: Tasks | None = None,
) -> LearningHistories:
    """The histories of `tasks` at `path`, made there as far as they are missing. `only`: of these among them (and of those that
    the source learns together with them); None: of all.

    `algorithm`: "ppo" (many tasks at once), "sb3" (stable-baselines3, one task at a time) or your own function, which
    gets one task at a time, or as many as its attribute `tasks_per_block` says. Killed at any time, a second call goes
    on where the first one was, and ends with the same bytes for any `n_jobs`.
    """
    if not callable(algorithm):
        one_of("algorithm", algorithm, ("ppo", "sb3"))
    at_least("seed", seed, 0)
    if not isinstance(seed, int):
        raise ValueError(f"seed is {seed!r}; allowed: a whole number of at least 0.")
    histories = open_or_create(Path(path), env, source, [as_task(task) for task in tasks], seed, algorithm)
    done, size = histories.done, histories.tasks_per_block
    wanted = {index // size * size for index in histories.indices(only)}
    todo = [first for first in sorted(wanted) if not done[first : first + size].all()]
    jobs = (delayed(collect_block)(histories.path, first, algorithm) for first in todo)
    label = f"{env.name} histories"
    with tqdm(desc=label, total=len(done), initial=int(done.sum()), unit="task", file=sys.stdout, mininterval=5,
              disable=not (progress and todo)) as bar:
        with parallel_config(backend="loky", inner_max_num_threads=1):
            for n_tasks in Parallel(n_jobs=n_jobs, return_as="generator_unordered")(jobs):
                bar.update(n_tasks)
    return histories


def open_or_create(
    path: Path, env: Env, source: SourceConfig, tasks: list[Task], seed: int, algorithm: str | Algorithm
) -> LearningHistories:
    """The histories at `path`, new where there is nothing; `HistoryError` where they were made in another way."""
    algorithm_name = algorithm if isinstance(algorithm, str) else getattr(algorithm, "__name__", repr(algorithm))
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        per_block = block_size(env, len(tasks), algorithm)
        return LearningHistories.create(path, env, source, tasks, seed, algorithm_name, per_block)
    there = LearningHistories.open(path)
    if path.is_file():
        raise HistoryError(f"{path} is a sample to read; collect into a folder.")
    old = describe(there.env, there.source, there.seed, there.algorithm)
    new = describe(env, source, seed, algorithm_name)
    differ = [f"{name} is {old[name]!r} there, {new[name]!r} here" for name in new if old[name] != new[name]]
    if there.tasks != tasks:
        differ.append(f"the {len(there.tasks)} tasks there are not, in this order, the {len(tasks)} here")
    if differ:
        raise HistoryError(f"{path} holds other histories ({'; '.join(differ)}); choose another path or delete it.")
    return there


def describe(env: Env, source: SourceConfig, seed: int, algorithm: str) -> dict:
    """Everything that decides what is collected, under the names of its fields."""
    configs = {"env": asdict(env), "source": asdict(source)}
    fields = {f"{part}.{name}": value for part, values in configs.items() for name, value in values.items()}
    return fields | {"seed": seed, "algorithm": algorithm}


def block_size(env: Env, n_tasks: int, algorithm: str | Algorithm) -> int:
    """How many tasks the source learns at once. Fixed by the number of tasks alone, so that the bytes never depend on
    the machine; a multiple of four blocks, so that two or four cores end together."""
    if algorithm != "ppo":
        return getattr(algorithm, "tasks_per_block", 1)
    if not isinstance(env, EnvConfig):
        return INSTANCES_PER_BLOCK
    n_blocks = 4 * -(-n_tasks // (4 * TASKS_PER_BLOCK))
    return -(-n_tasks // n_blocks)


def block_seed(seed: int, first: int) -> int:
    """The seed of the block that begins with task number `first`."""
    return int(np.random.SeedSequence((seed, first)).generate_state(1)[0])


def collect_block(path: Path, first: int, algorithm: str | Algorithm) -> int:
    """Run the source on one block and write what is missing of it; returns how many tasks that were."""
    histories = LearningHistories.open(path)
    tasks = histories.tasks[first : first + histories.tasks_per_block]
    with one_thread():
        run = algorithm if callable(algorithm) else ALGORITHMS[algorithm]
        log = run(histories.env, tasks, histories.source, block_seed(histories.seed, first))
    if len(log[0]) != len(tasks):
        raise ValueError(f"{histories.algorithm} returned {len(log[0])} tasks; allowed: the {len(tasks)} asked for.")
    missing = [i for i in range(len(tasks)) if not histories.is_done(first + i)]
    for i in missing:
        histories.write(first + i, type(log)(*(values[i, : histories.n_streams] for values in log)))
    return len(missing)


def run_ppo(env: Env, tasks: Sequence[Task], source: SourceConfig, seed: int) -> Log:
    if isinstance(env, EnvConfig):
        return train_ppo(env, tasks, source, seed)
    from dicp.envs.metaworld import MetaWorld  # which not every machine has

    world = MetaWorld(env.task, tasks, source.n_streams, env.horizon)
    return train_continuous_ppo(world, range(env.n_observed), source, seed)


def run_sb3(env: Env, tasks: Sequence[Task], source: SourceConfig, seed: int) -> Log:
    from dicp.source.sb3 import train_sb3

    logs = [train_sb3(env, task, source, seed) for task in tasks]
    return type(logs[0])(*(torch.cat(values) for values in zip(*logs, strict=True)))


ALGORITHMS = {"ppo": run_ppo, "sb3": run_sb3}


@contextmanager
def one_thread() -> Iterator[None]:
    """Blocks run side by side; more threads in each would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
