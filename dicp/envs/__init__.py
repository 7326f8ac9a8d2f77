"""The worlds: one batched simulator of the grids, also as Gymnasium environments, Meta-World's
tasks, lists and splits."""

import dicp.processes  # noqa: F401 (one thread)
from dicp.envs.grid import GridRules, GridState, GridWorld, cell_to_xy
from dicp.envs.tasks import Task, all_tasks, split_tasks, split_validation

__all__ = [
    "GridRules", "GridState", "GridWorld", "Task", "all_tasks", "cell_to_xy", "split_tasks",
    "split_validation",
]
