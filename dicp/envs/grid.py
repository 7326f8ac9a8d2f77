"""Darkroom, Darkroom-Permuted and Dark Key-to-Door as one batched simulator:
every task and every stream in one step.

A world is a table of moves and a list of goals. A cell is stored as one integer, `x * size + y`;
`cell_to_xy` decodes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Int, Integer
from numpy import ndarray
from torch import Tensor

from dicp.checks import Count, check_fields, checked, fits_memory, refuse, whole
from dicp.config import EnvConfig
from dicp.envs.grid_checks import check_size, is_integer, whole_numbers
from dicp.envs.tasks import PERMUTATIONS, Task, check_tasks
from dicp.types import Step

__all__ = ["MOVES", "STAY", "GridMoment", "GridRules", "GridState", "GridWorld", "cell_to_xy"]

MOVES = torch.tensor([[1, 0], [-1, 0], [0, 1], [0, -1], [0, 0]])   # +x, -x, +y, -y, stay
STAY = 4
AGENT_BYTES = 8 * 2 * 8                 # of an agent in a world, with what a step makes

Rows = Integer[Tensor, "task stream"] | Integer[ndarray, "task stream"]     # as a user may write it


class GridState(NamedTuple):
    """Where each agent is (`cell`) and how many goals of a sequence it has passed
    (`stage`; key-to-door only)."""

    cell: Int[Tensor, "task stream"]
    stage: Int[Tensor, "task stream"]


@checked
def cell_to_xy(cell: Integer[Tensor, "*batch"], size: Count = 9) -> Integer[Tensor, "*batch 2"]:
    """(x, y) of each cell of a grid with `size` cells a side. Raises `ValueError` unless `cell`
    is a tensor of integers."""
    if not is_integer(cell):
        raise refuse("the dtype of cell", cell.dtype, "an integer one")
    return xy_of(cell, size)


def xy_of(cell: Integer[Tensor, "*batch"], size: int) -> Integer[Tensor, "*batch 2"]:
    return torch.stack((cell // size, cell % size), dim=-1)


def moves_in(size: int) -> Int[Tensor, "cell move"]:
    """Where each of the five moves leads from each cell of a room; against a wall, nowhere else."""
    cell = torch.arange(size**2, device=MOVES.device)
    moved = (xy_of(cell, size)[:, None] + MOVES).clamp(0, size - 1)
    return moved[..., 0] * size + moved[..., 1]


def centre_of(size: int) -> int:
    """The cell in the middle of a room."""
    return (size // 2) * size + size // 2


def check_action(action: Rows, shape: Sequence[int]) -> Int[Tensor, "task stream"]:
    """`action` in int64; raise `ValueError` unless it holds whole numbers from 0 to 4 in that
    shape."""
    return whole_numbers("action", action, tuple(shape), len(MOVES) - 1)


@dataclass(frozen=True)
class GridRules:
    """The rules of a batch of tasks as tables: pure functions of (state, action), no clock,
    no hidden state."""

    start: int                                        # cell where every episode begins
    next_cell: Int[Tensor, "variant cell action"]     # one variant, or one a task (Permuted)
    # the cell that gives the reward at each stage; -1 where none does any more
    goals: Int[Tensor, "task stage"]
    # every step on the goal gives it (else once, then the next stage)
    pays_forever: bool
    size: int

    def __post_init__(self):
        check_fields(self, "rules")
        n_cells, n_tasks = self.size**2, len(self.goals)
        table, allowed = tuple(self.next_cell.shape), (n_cells, len(MOVES))
        if table not in ((1, *allowed), (n_tasks, *allowed)):
            raise refuse("the shape of rules.next_cell", table, f"(1 or {n_tasks}, *{allowed})")
        if self.goals.ndim != 2 or not is_integer(self.goals) or not is_integer(self.next_cell):
            raise refuse("rules.goals", self.goals, "whole numbers, (task, stage)")
        whole("rules.start", self.start, 0, n_cells - 1)

    @classmethod
    @checked
    def of(cls, config: EnvConfig, tasks: Sequence[Task]) -> "GridRules":
        """The tables of these tasks. Raises `ValueError` for no tasks, for one that is not of this
        world and for a grid whose tables do not fit into the memory."""
        if not len(tasks):
            raise refuse("tasks", tasks, f"at least one task of {config.name}")
        check_tasks(config, tasks)
        check_size(config, len(tasks))
        size, corner = config.size, config.n_cells - 1
        centre, table = centre_of(size), moves_in(size)[None]              # variant=1 cell action
        if config.name == "darkroom":
            return cls(centre, table, torch.tensor([[x * size + y] for x, y in tasks]), True, size)
        if config.name == "darkroom_permuted":
            permuted = torch.cat([table[:, :, list(PERMUTATIONS[index])] for index in tasks])
            return cls(0, permuted, torch.full((len(tasks), 1), corner), True, size)
        goals = [[kx * size + ky, dx * size + dy, -1] for (kx, ky), (dx, dy) in tasks]
        return cls(centre, table, torch.tensor(goals), False, size)

    def of_tasks(self, index: Integer[Tensor, "row"]) -> "GridRules":
        """The same rules with one row for each given task number (a task may come several times).
        Raises `ValueError` for a number that is not from 0 to the last task."""
        n_rows = len(index) if getattr(index, "ndim", 0) == 1 else 1
        index = whole_numbers("index", index, (n_rows,), len(self.goals) - 1)
        variants = self.next_cell if len(self.next_cell) == 1 else self.next_cell[index]
        return replace(self, next_cell=variants, goals=self.goals[index])

    def step(self, state: GridState, action: Rows) -> tuple[GridState, Int[Tensor, "task stream"]]:
        """(next state, reward). Moves into a wall leave the agent where it is. Raises `ValueError`
        unless `action` holds whole numbers from 0 to 4, of any integer dtype, in the shape of the
        state."""
        state = self._known(state)
        return self.advance(state, check_action(action, state.cell.shape))

    def advance(
        self, state: GridState, action: Int[Tensor, "task stream"]
    ) -> tuple[GridState, Int[Tensor, "task stream"]]:
        """`step` without its checks, for a state and actions that have been looked at."""
        variant = torch.arange(len(self.next_cell))[:, None]
        cell = self.next_cell[variant, state.cell, action]
        hit = cell == self.goals.gather(1, state.stage)
        return GridState(cell, state.stage if self.pays_forever else state.stage + hit), hit.long()

    def _known(self, state: GridState, n_streams: int | None = None) -> GridState:
        """The state in int64; `ValueError` unless it is one of these tasks', in so many streams
        (None: in any number)."""
        if not isinstance(state, GridState):
            raise refuse("state", state, "a GridState")
        if n_streams is None:
            n_streams = state.cell.shape[1] if getattr(state.cell, "ndim", 0) == 2 else 1
        shape = len(self.goals), n_streams
        top_cell, top_stage = self.next_cell.shape[1] - 1, self.goals.shape[1] - 1
        cell = whole_numbers("state.cell", state.cell, shape, top_cell)
        stage = whole_numbers("state.stage", state.stage, shape, top_stage)
        return GridState(cell, stage)

    @checked
    def optimal_action(
        self, state: GridState, longer_leg_first: bool = False, push_walls: bool = False
    ) -> Int[Tensor, "task stream"]:
        """A shortest way to the next goal: first along x, then along y, or along the
        longer leg first (x if they are equal). On the goal, and when all are reached: stay, or
        (`push_walls`) push against a wall where there is one."""
        state = self._known(state)
        variant = torch.arange(len(self.next_cell))[:, None]
        reached = xy_of(self.next_cell[variant, state.cell], self.size)   # task stream action 2
        goal = self.goals.gather(1, state.stage)
        target = xy_of(torch.where(goal < 0, state.cell, goal), self.size)
        distance = (reached - target[:, :, None]).abs().sum(-1)
        stays = (reached == xy_of(state.cell, self.size)[:, :, None]).all(-1)
        moves = self._moves(state.cell, variant)
        legs = (xy_of(state.cell, self.size) - target).abs()
        y_first = (legs[..., 1] > legs[..., 0])[..., None] & longer_leg_first
        # what comes last of two that stay
        idle = moves.eq(STAY) if push_walls else stays & ~moves.eq(STAY)
        return (4 * distance + 2 * idle + (moves.ge(2) != y_first)).argmin(-1)

    def _moves(self, cell: Tensor, variant: Tensor) -> Int[Tensor, "task stream action"]:
        """Which of the five moves each action executes
        (not its own number in Darkroom-Permuted)."""
        inner = self.size + 1    # cell (1, 1): no wall near
        step = xy_of(self.next_cell[variant[:, 0], inner], self.size) - 1      # variant action 2
        which = (step[:, :, None] == MOVES).all(-1).long().argmax(-1)    # variant action
        return which[:, None].expand(len(cell), cell.shape[1], -1)

    @checked
    def max_return(self, horizon: Count) -> Int[Tensor, "task"]:
        """The highest possible return of one episode from the start, for each task."""
        at = xy_of(torch.tensor(self.start), self.size)
        if self.pays_forever:
            distance = (xy_of(self.goals[:, 0], self.size) - at).abs().sum(-1)
            return (horizon - (distance.clamp(min=1) - 1)).clamp(min=0)
        first, second = xy_of(self.goals[:, 0], self.size), xy_of(self.goals[:, 1], self.size)
        to_key = (first - at).abs().sum(-1).clamp(min=1)
        to_door = to_key + (second - first).abs().sum(-1).clamp(min=1)
        return (to_key <= horizon).long() + (to_door <= horizon).long()


class GridMoment(NamedTuple):
    """What `GridWorld.set_state` needs: where every agent is, the step of the episode."""

    state: GridState
    t: int


class GridWorld:
    """`n_streams` agents in each of `tasks`, stepped together; episodes of fixed length start again
    by themselves.

    Raises `ValueError` for a task that is not of this world and for more agents than the memory
    holds.
    """

    @checked
    def __init__(self, config: EnvConfig, tasks: Sequence[Task], n_streams: Count = 1):
        n_bytes = n_streams * len(tasks) * AGENT_BYTES
        fits_memory("n_streams", n_streams, n_bytes, "a smaller whole number, of at least 1")
        self.config, self.tasks, self.n_streams = config, list(tasks), n_streams
        self.rules = GridRules.of(config, self.tasks)
        self.max_return = self.rules.max_return(config.horizon)
        self.reset()

    def reset(self) -> Int[Tensor, "task stream"]:
        """Begin a new episode everywhere; returns the start cells."""
        shape = (len(self.tasks), self.n_streams)
        self.state = GridState(
            torch.full(shape, self.rules.start), torch.zeros(shape, dtype=torch.long)
        )
        self.t = 0
        return self.state.cell

    def step(self, action: Rows) -> Step:
        """Take one action everywhere. Raises `ValueError` unless `action` holds whole numbers from
        0 to 4, of any integer dtype."""
        action = check_action(action, self.state.cell.shape)
        self.state, reward = self.rules.advance(self.state, action)
        next_cell, self.t = self.state.cell, self.t + 1
        done = self.t == self.config.horizon
        cell = self.reset() if done else next_cell
        return Step(reward, next_cell, cell, done)

    def get_state(self) -> GridMoment:
        """Everything that `set_state` needs."""
        return GridMoment(self.state, self.t)

    @checked
    def set_state(self, state: GridMoment) -> Int[Tensor, "task stream"]:
        """Go on from there, as often as one likes; returns the cells. Raises `ValueError` unless it
        is a state of this world, or of one of as many tasks and streams."""
        known = self.rules._known(state.state, self.n_streams)
        whole("state.t", state.t, 0, self.config.horizon - 1)
        self.state, self.t = known, state.t
        return self.state.cell
