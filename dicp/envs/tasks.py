"""Which tasks there are, and which of them are held out (paper, section 5.1 and appendix; PPO never shares across them)."""

import itertools
import random
from collections.abc import Sequence
from functools import cache

from dicp.checks import one_of
from dicp.config import ENVS, Env, EnvConfig

Cell = tuple[int, int]
Instance = tuple[float, ...]                            # of a Meta-World task: coordinates of the object and the goal
Task = Cell | int | tuple[Cell, Cell] | Instance

TRAIN_SHARE = {"darkroom": 0.90, "darkroom_permuted": 0.90, "dark_key_to_door": 0.95}
PERMUTATIONS = tuple(itertools.permutations(range(5)))


def all_tasks(env: str, size: int = 9) -> list[Task]:
    """Every task of `env` in index order: goals row-major, permutations 0..119, (key, door) with keys before doors."""
    one_of("env", env, ENVS)
    cells = list(itertools.product(range(size), repeat=2))
    if env == "darkroom":
        return cells
    if env == "darkroom_permuted":
        return list(range(len(PERMUTATIONS)))
    return list(itertools.product(cells, repeat=2))


def split_tasks(env: str, seed: int, size: int = 9) -> tuple[list[Task], list[Task]]:
    """(train, test) tasks: the list in index order, shuffled by `random.seed(seed)`, cut at 90:10 (95:5 key-to-door).

    The paper's splits; its own seed is 0 for Darkroom and 4 for the other two.
    """
    tasks = all_tasks(env, size)
    random.Random(seed).shuffle(tasks)
    n_train = round(len(tasks) * TRAIN_SHARE[env])
    return tasks[:n_train], tasks[n_train:]


def split_of(env: Env, seed: int) -> tuple[list[Task], list[Task]]:
    """(train, test) tasks of any world. Meta-World: the 50 + 50 instances of `ML1(task, seed=2 * seed)`; twice, because there
    the test instances of one seed are the train instances of the next."""
    if isinstance(env, EnvConfig):
        return split_tasks(env.name, seed, env.size)
    return tuple(map(list, _ml1_instances(env.task, 2 * seed)))


@cache
def _ml1_instances(task: str, seed: int) -> tuple[list[Instance], list[Instance]]:
    from dicp.envs.metaworld import ml1_instances  # which not every machine has

    return ml1_instances(task, seed)


def split_validation(train: Sequence[Task], n_validation: int = 8) -> tuple[list[Task], list[Task]]:
    """(train, validation): the last `n_validation` training tasks, set aside to choose hyperparameters on."""
    return list(train[:-n_validation]), list(train[-n_validation:])
