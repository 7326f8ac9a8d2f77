"""The three grids."""

from collections.abc import Sequence

import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor

from dicp.config import EnvConfig, SourceConfig
from dicp.domain.base import Evaluation
from dicp.domain.rooms import CELL_MEANINGS, RoomDomain, check_walk
from dicp.envs.grid import GridRules, GridState, GridWorld
from dicp.envs.tasks import Task, all_tasks, check_tasks, split_tasks
from dicp.types import Log

# The first tasks of the split's random order (Key-to-Door has 328 held-out ones). Planners
# that plan anew at every step get fewer in the two larger worlds, where they cost an hour a
# split otherwise.
EVALUATIONS = {
    "darkroom": Evaluation(sizes=(8, 32), replanned=(8, 32), alone=(8, 8)),
    "darkroom_permuted": Evaluation(sizes=(12, 16), replanned=(12, 8), alone=(12, 4)),
    "dark_key_to_door": Evaluation(sizes=(16, 8), replanned=(8, 8), alone=(16, 2)),
}


class GridDomain(RoomDomain):
    """The three grids: an observation is a cell, a reward 0 or 1."""

    config_class = EnvConfig
    config: EnvConfig
    meanings = CELL_MEANINGS | {"reward": "0 or 1, for this action"}
    stored_names = {"observation": "cell", "terminal_observation": "terminal_cell"}

    def __init__(self, config: EnvConfig):
        super().__init__(config)
        self.moves_are_hidden = config.name == "darkroom_permuted"
        self.rewards_once = config.name == "dark_key_to_door"

    @property
    def evaluation(self) -> Evaluation:
        return EVALUATIONS[self.config.name]

    def split(self, seed: int) -> tuple[list[Task], list[Task]]:
        return split_tasks(self.config.name, seed, self.config.size)

    def source_tasks(self, source: SourceConfig, seed: int) -> list[Task]:
        """All tasks of the world: they serve every split."""
        return all_tasks(self.config.name, self.config.size)

    def make(self, tasks: Sequence[Task], n_streams: int) -> GridWorld:
        return GridWorld(self.config, tasks, n_streams)

    def max_return(self, tasks: Sequence[Task]) -> Shaped[Tensor, "task"]:
        return GridRules.of(self.config, tasks).max_return(self.config.horizon)

    def solved(
        self, returns: Shaped[Tensor, "task *rest"], tasks: Sequence[Task]
    ) -> Shaped[Tensor, "task *rest"]:
        """Once the goal is reached; in Key-to-Door, the door opened."""
        return returns >= (2 if self.rewards_once else 1)

    def check_tasks(self, tasks: Sequence[Task]) -> None:
        check_tasks(self.config, tasks)

    def check_moves(self, task: Task, log: Log) -> None:
        """Each action must lead where the rules say."""
        rules = GridRules.of(self.config, [task])
        check_walk(self.config, task, log, rules.next_cell[0], rules.start)

    def optimal_actions(
        self, tasks: Sequence[Task], push_walls: bool = False
    ) -> UInt8[Tensor, "task stage cell"]:
        """Of the shortest ways the one along the longer leg first: it turns early, so a walk soon
        shows two of its actions, not one. `push_walls`: on a goal by the wall push against it. That
        is as good as to stay, and where it is hidden which action stays (Darkroom-Permuted), the
        way there has shown which one pushes."""
        rules = GridRules.of(self.config, tasks)
        cell = torch.arange(self.config.n_cells).expand(len(rules.goals), -1)
        stages = (torch.full_like(cell, stage) for stage in range(rules.goals.shape[1]))
        how = dict(longer_leg_first=True, push_walls=push_walls)
        actions = [rules.optimal_action(GridState(cell, stage), **how) for stage in stages]
        return torch.stack(actions, dim=1).to(torch.uint8)
