"""Which tasks there are, and which of them are held out (paper, section 5.1 and appendix; PPO never
shares across them)."""

import itertools
import random
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from dicp.checks import Count, OneOf, Seed, Whole, checked, fits_memory, refuse
from dicp.config import ENVS, EnvConfig

__all__ = [
    "PERMUTATIONS", "Cell", "Instance", "Task", "all_tasks", "check_tasks", "split_tasks",
    "split_validation",
]

Cell = tuple[int, int]
Instance = tuple[float, ...]         # of a Meta-World task: coordinates of the object and the goal
Task = Cell | int | tuple[Cell, Cell] | Instance
EnvName = Annotated[str, OneOf(ENVS)]
Size = Annotated[int, Whole(2)]                         # cells a side

TRAIN_SHARE = {"darkroom": 0.90, "darkroom_permuted": 0.90, "dark_key_to_door": 0.95}
PERMUTATIONS = tuple(itertools.permutations(range(5)))
MOST_TASKS = 10**7                                      # in one list
TASK_BYTES = 128                                        # of each of them; its cells are shared
MOST_ML1_SEED = 2**32 - 2                               # NumPy's are below 2**32, ML1 takes two
SplitSeed = Annotated[int, Whole(0, MOST_ML1_SEED // 2)]


def is_whole(value: Any, below: int) -> bool:
    """Whether `value` is a whole number from 0 to `below` - 1, Python's or NumPy's, not a bool."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return whole and bool(0 <= value < below)


def is_cell(value: Any, size: int) -> bool:
    """Whether `value` is a tuple, a list or an array of two whole numbers from 0 to `size` - 1."""
    several = isinstance(value, tuple | list) or (isinstance(value, np.ndarray) and value.ndim == 1)
    return several and len(value) == 2 and is_whole(value[0], size) and is_whole(value[1], size)


def is_key_and_door(value: Any, size: int) -> bool:
    """Whether `value` holds two cells."""
    several = isinstance(value, tuple | list) or (isinstance(value, np.ndarray) and value.ndim == 2)
    return several and len(value) == 2 and is_cell(value[0], size) and is_cell(value[1], size)


def is_task(config: EnvConfig, value: Any) -> bool:
    """Whether `value` has the form of a task of that world. The tasks are not listed for it."""
    if config.name == "darkroom":
        return is_cell(value, config.size)
    if config.name == "darkroom_permuted":
        return is_whole(value, len(PERMUTATIONS))
    return is_key_and_door(value, config.size)


def a_goal(size: int) -> str:
    """What a task is where a goal is hidden."""
    return f"a goal (x, y) with x and y whole numbers from 0 to {size - 1}"


@checked
def check_tasks(config: EnvConfig, tasks: Sequence[Task]) -> None:
    """Raise `ValueError`, naming the task, unless each is one of the tasks of the world."""
    for task in tasks:
        if not is_task(config, task):
            top = config.size - 1
            allowed = {
                "darkroom": a_goal(config.size),
                "darkroom_permuted": f"a permutation index from 0 to {len(PERMUTATIONS) - 1}",
                "dark_key_to_door": "((key x, key y), (door x, door y)), "
                                    f"whole numbers from 0 to {top}",
            }[config.name]
            raise refuse(f"{config.name} task", task, allowed)


@checked
def all_tasks(env: EnvName, size: Size = 9) -> list[Task]:
    """Every task of `env` in index order: goals row-major, permutations 0..119, (key, door) with
    keys before doors.

    size: cells a side. Raises `ValueError` for an unknown world or a size with more than ten
    million tasks.
    """
    if env == "darkroom_permuted":
        return list(range(len(PERMUTATIONS)))
    most = int(MOST_TASKS ** (1 / 2 if env == "darkroom" else 1 / 4))
    allowed = f"a whole number from 2 to {most} for all tasks of {env} in one list"
    if size > most:
        raise refuse("size", size, allowed)
    n_tasks = size**2 if env == "darkroom" else size**4
    fits_memory("size", size, n_tasks * TASK_BYTES, allowed)
    cells = list(itertools.product(range(size), repeat=2))
    return cells if env == "darkroom" else list(itertools.product(cells, repeat=2))


@checked
def split_tasks(env: EnvName, seed: Seed, size: Size = 9) -> tuple[list[Task], list[Task]]:
    """(train, test) tasks: the list in index order, shuffled by `random.seed(seed)`, cut at 90:10
    (95:5 key-to-door).

    The paper's splits; its own seed is 0 for Darkroom and 4 for the other two. Raises `ValueError`
    as `all_tasks`.
    """
    tasks = all_tasks(env, size)
    random.Random(seed).shuffle(tasks)
    n_train = round(len(tasks) * TRAIN_SHARE[env])
    return tasks[:n_train], tasks[n_train:]


@checked
def split_validation(
    train: Sequence[Task], n_validation: Count = 8
) -> tuple[list[Task], list[Task]]:
    """(train, validation): the last `n_validation` training tasks, set aside to choose
    hyperparameters on. Raises `ValueError` unless some are left to train on."""
    if n_validation >= len(train):
        raise refuse("n_validation", n_validation, f"fewer than the {len(train)} training tasks")
    return list(train[:-n_validation]), list(train[-n_validation:])
