"""What worlds in a room of cells have in common."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from dicp.config.world import GridConfig
from dicp.domain.base import MEANINGS, Domain
from dicp.envs.grid import centre_of, moves_in
from dicp.envs.tasks import Task
from dicp.types import Log, Space

CELL_MEANINGS = MEANINGS | {
    "observation": "where the agent is before the action: x * size + y",
    "action": "+x, -x, +y, -y, stay",
    "terminal_observation": "where the last action of the episode led",
}


def check_walk(
    config: GridConfig, task: Task, log: Log, leads_to: Int[Tensor, "cell action"], start: int
) -> None:
    """Raise `ValueError` unless each action of the log leads where it must, and each episode begins
    at `start` (mostly a cell after the reset was taken for the terminal one)."""
    wrong = leads_to[log.observation.int(), log.action.int()] != log.next_observation
    wrong[:, :: config.horizon] |= log.observation[:, :: config.horizon] != start
    if wrong.any():
        stream, step = wrong.nonzero()[0].tolist()
        where = f"{config.name}, task {task}, stream {stream}, step {step}"
        allowed = "true moves, terminal observations before the reset"
        raise ValueError(f"The log of {where} breaks the rules; allowed: {allowed}.")


class RoomDomain(Domain):
    """A room of cells in which an action is one of five moves."""

    config: GridConfig
    controls = ("random", "source", "exact_belief")
    meanings: Mapping[str, str] = CELL_MEANINGS

    def __init__(self, config: GridConfig):
        super().__init__(config)
        self.observation = Space(config.n_cells, coordinates_below=(config.size, config.size))
        self.action = Space(config.n_actions)

    @cached_property
    def leads_to(self) -> Tensor:
        """Of the moves."""
        return moves_in(self.config.size)[None]


class TabularRoomDomain(RoomDomain):
    """One in which each episode begins in the middle and every move is possible everywhere."""

    def __init__(self, config: GridConfig):
        super().__init__(config)
        self.start = centre_of(config.size)

    def max_return(self, tasks: Sequence[Task]) -> Shaped[Tensor, "task"]:
        return self.make(tasks, 1).max_return

    def check_moves(self, task: Task, log: Log) -> None:
        """Each action must lead where the walls let it, and each episode begin in the middle."""
        super().check_moves(task, log)
        check_walk(self.config, task, log, self.leads_to[0], self.start)

    def rewards_at(self, tasks: Sequence[Task]) -> Shaped[Tensor, "task cell"]:
        """The reward for a step to each cell: none."""
        return torch.zeros(len(tasks), self.config.n_cells, dtype=self.reward.dtype)
