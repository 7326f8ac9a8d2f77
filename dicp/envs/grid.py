"""Darkroom, Darkroom-Permuted and Dark Key-to-Door as one batched simulator: every task and every stream in one step.

A world is a table of moves and a list of goals. A cell is stored as one integer, `x * size + y`; `cell_to_xy` decodes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from dicp.checks import at_least
from dicp.config import EnvConfig
from dicp.envs.tasks import PERMUTATIONS, Task, all_tasks

MOVES = torch.tensor([[1, 0], [-1, 0], [0, 1], [0, -1], [0, 0]])   # +x, -x, +y, -y, stay
STAY = 4


class GridState(NamedTuple):
    """Where each agent is (`cell`) and how many goals of a sequence it has passed (`stage`; key-to-door only)."""

    cell: Int[Tensor, "task stream"]
    stage: Int[Tensor, "task stream"]


class GridStep(NamedTuple):
    """One transition of every agent. `next_observation` is the true outcome; `observation` is what the agent sees
    next (a start cell after the last step of an episode)."""

    reward: Int[Tensor, "task stream"]
    next_observation: Int[Tensor, "task stream"]
    observation: Int[Tensor, "task stream"]
    done: bool


def cell_to_xy(cell: Int[Tensor, "*batch"], size: int = 9) -> Int[Tensor, "*batch 2"]:
    return torch.stack((cell // size, cell % size), dim=-1)


def check_tasks(config: EnvConfig, tasks: Sequence[Task]) -> None:
    """Raise `ValueError`, naming the task, unless each is one of the tasks of the world."""
    known = set(all_tasks(config.name, config.size))
    for task in tasks:
        if task not in known:
            top = config.size - 1
            allowed = {
                "darkroom": f"a goal (x, y) with x and y whole numbers from 0 to {top}",
                "darkroom_permuted": f"a permutation index from 0 to {len(PERMUTATIONS) - 1}",
                "dark_key_to_door": f"((key x, key y), (door x, door y)), whole numbers from 0 to {top}",
            }[config.name]
            raise ValueError(f"{config.name} task is {task!r}; allowed: {allowed}.")


@dataclass(frozen=True)
class GridRules:
    """The rules of a batch of tasks as tables: pure functions of (state, action), no clock, no hidden state."""

    start: int                                        # cell where every episode begins
    next_cell: Int[Tensor, "variant cell action"]     # one variant, or one a task (Permuted)
    goals: Int[Tensor, "task stage"]                  # the cell that pays at each stage; -1 where nothing pays any more
    pays_forever: bool                                # every step on the goal pays (else once, then the next stage)
    size: int

    @classmethod
    def of(cls, config: EnvConfig, tasks: Sequence[Task]) -> "GridRules":
        check_tasks(config, tasks)
        size, corner = config.size, config.n_cells - 1
        centre = (size // 2) * size + size // 2
        xy = cell_to_xy(torch.arange(config.n_cells), size)
        moved = (xy[:, None] + MOVES).clamp(0, size - 1)
        table = (moved[..., 0] * size + moved[..., 1])[None]              # variant=1 cell action
        if config.name == "darkroom":
            return cls(centre, table, torch.tensor([[x * size + y] for x, y in tasks]), True, size)
        if config.name == "darkroom_permuted":
            permuted = torch.cat([table[:, :, list(PERMUTATIONS[index])] for index in tasks])
            return cls(0, permuted, torch.full((len(tasks), 1), corner), True, size)
        goals = [[kx * size + ky, dx * size + dy, -1] for (kx, ky), (dx, dy) in tasks]
        return cls(centre, table, torch.tensor(goals), False, size)

    def of_tasks(self, index: Int[Tensor, "row"]) -> "GridRules":
        """The same rules with one row for each given task number (a task may come several times)."""
        variants = self.next_cell if len(self.next_cell) == 1 else self.next_cell[index]
        return replace(self, next_cell=variants, goals=self.goals[index])

    def step(
        self, state: GridState, action: Int[Tensor, "task stream"]
    ) -> tuple[GridState, Int[Tensor, "task stream"]]:
        """(next state, reward). Moves into a wall leave the agent where it is."""
        variant = torch.arange(len(self.next_cell))[:, None]
        cell = self.next_cell[variant, state.cell, action]
        hit = cell == self.goals.gather(1, state.stage)
        return GridState(cell, state.stage if self.pays_forever else state.stage + hit), hit.long()

    def optimal_action(
        self, state: GridState, longer_leg_first: bool = False, push_walls: bool = False
    ) -> Int[Tensor, "task stream"]:
        """A shortest way to the cell that pays next: first along x, then along y, or along the longer leg first (x if they are
        equal). On the goal, and when all is paid: stay, or (`push_walls`) push against a wall where there is one."""
        variant = torch.arange(len(self.next_cell))[:, None]
        reached = cell_to_xy(self.next_cell[variant, state.cell], self.size)              # task stream action 2
        goal = self.goals.gather(1, state.stage)
        target = cell_to_xy(torch.where(goal < 0, state.cell, goal), self.size)
        distance = (reached - target[:, :, None]).abs().sum(-1)
        stays = (reached == cell_to_xy(state.cell, self.size)[:, :, None]).all(-1)
        moves = self._moves(state.cell, variant)
        legs = (cell_to_xy(state.cell, self.size) - target).abs()
        y_first = (legs[..., 1] > legs[..., 0])[..., None] & longer_leg_first
        idle = moves.eq(STAY) if push_walls else stays & ~moves.eq(STAY)                   # what comes last of two that stay
        return (4 * distance + 2 * idle + (moves.ge(2) != y_first)).argmin(-1)

    def _moves(self, cell: Tensor, variant: Tensor) -> Int[Tensor, "task stream action"]:
        """Which of the five moves each action executes (not its own number in Darkroom-Permuted)."""
        inner = self.size + 1                                                              # cell (1, 1): no wall near
        step = cell_to_xy(self.next_cell[variant[:, 0], inner], self.size) - 1             # variant action 2
        which = (step[:, :, None] == MOVES).all(-1).long().argmax(-1)                      # variant action
        return which[:, None].expand(len(cell), cell.shape[1], -1)

    def max_return(self, horizon: int) -> Int[Tensor, "task"]:
        """The highest possible return of one episode from the start, for each task."""
        at = cell_to_xy(torch.tensor(self.start), self.size)
        if self.pays_forever:
            distance = (cell_to_xy(self.goals[:, 0], self.size) - at).abs().sum(-1)
            return (horizon + 1 - distance.clamp(min=1)).clamp(min=0)
        first, second = cell_to_xy(self.goals[:, 0], self.size), cell_to_xy(self.goals[:, 1], self.size)
        to_key = (first - at).abs().sum(-1).clamp(min=1)
        to_door = to_key + (second - first).abs().sum(-1).clamp(min=1)
        return (to_key <= horizon).long() + (to_door <= horizon).long()


class GridWorld:
    """`n_streams` agents in each of `tasks`, stepped together; episodes of fixed length start again by themselves."""

    def __init__(self, config: EnvConfig, tasks: Sequence[Task], n_streams: int = 1):
        at_least("n_streams", n_streams, 1)
        self.config, self.tasks, self.n_streams = config, list(tasks), n_streams
        self.rules = GridRules.of(config, self.tasks)
        self.max_return = self.rules.max_return(config.horizon)
        self.reset()

    def reset(self) -> Int[Tensor, "task stream"]:
        """Begin a new episode everywhere; returns the start cells."""
        shape = (len(self.tasks), self.n_streams)
        self.state = GridState(torch.full(shape, self.rules.start), torch.zeros(shape, dtype=torch.long))
        self.t = 0
        return self.state.cell

    def step(self, action: Int[Tensor, "task stream"]) -> GridStep:
        """Take one action everywhere."""
        self.state, reward = self.rules.step(self.state, action)
        next_cell, self.t = self.state.cell, self.t + 1
        done = self.t == self.config.horizon
        cell = self.reset() if done else next_cell
        return GridStep(reward, next_cell, cell, done)
