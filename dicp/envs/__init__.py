"""The worlds: one batched simulator, its task lists and splits, and the same worlds as Gymnasium environments."""

from dicp.envs.grid import GridRules, GridState, GridStep, GridWorld, cell_to_xy
from dicp.envs.tasks import Task, all_tasks, split_tasks, split_validation

__all__ = [
    "GridRules", "GridState", "GridStep", "GridWorld", "Task", "all_tasks", "cell_to_xy", "split_tasks",
    "split_validation",
]
