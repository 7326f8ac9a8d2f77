"""The tasks of learning histories: their form, and whether their histories can be stored."""

import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np

from dicp.checks import fits_memory, plain, refuse
from dicp.config import SourceConfig, WorldConfig
from dicp.domain import domain_of
from dicp.envs.tasks import Task
from dicp.history.layout import log_bytes
from dicp.history.opening import HistoryError

DEEPEST = 3                          # ((x, y), (x, y)) is two deep


def _tasks(what: str, value: object) -> object:
    """The rule for several tasks, each also as a list or an array (`as_task`)."""
    several = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str | bytes)
    if not several or np.ndim(value) == 0 and isinstance(value, np.ndarray):
        raise refuse(what, value, "a sequence of tasks")
    return value


Tasks = Annotated[Sequence | np.ndarray, _tasks]


def as_task(value: object, depth: int = 0) -> Task | float:
    """A task as JSON, NumPy or a user writes it, in the form of the task lists: numbers and tuples
    of them. `ValueError` for anything else."""
    value = plain(value)
    if isinstance(value, list | tuple | np.ndarray) and len(value) and depth < DEEPEST:
        return tuple(as_task(part, depth + 1) for part in value)
    if type(value) is int or (depth and type(value) is float and math.isfinite(value)):
        return value
    raise refuse("task", value, "a whole number, or a list or tuple of finite numbers")


def check_storable(
    env: WorldConfig, source: SourceConfig, tasks: Sequence[Task], tasks_per_block: int
) -> None:
    """Raise `ValueError` unless histories of `tasks` fit into the arrays, and those of a block into
    memory."""
    domain_of(env).check_tasks(tasks)
    n_different = len(set(tasks))
    if not tasks or n_different < len(tasks):
        count = f"tasks holds {len(tasks)}, {n_different} of them different"
        raise HistoryError(f"{count}; allowed: some, each once.")
    if source.env_steps % env.horizon:
        allowed = f"a multiple of the horizon {env.horizon}"
        raise HistoryError(f"source.env_steps is {source.env_steps}; allowed: {allowed}.")
    n_together = min(tasks_per_block, len(tasks))
    size = log_bytes(env, n_together, source.n_streams, source.env_steps)
    fewer = f"fewer, for {n_together} tasks together and {source.n_streams} streams each"
    fits_memory("source.env_steps", source.env_steps, size, fewer)
