"""The paper's grids one agent at a time, as Gymnasium environments:
`GridRules` behind the usual reset and step.

`import dicp` registers them:
`gymnasium.make("dicp/Darkroom-v0", goal=(7, 2), render_mode="rgb_array")`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any

import gymnasium
import numpy as np
import torch

from dicp.checks import Count, OneOf, Seed, Whole, checked, plain, refuse, whole
from dicp.config import EnvConfig
from dicp.config.world import GridConfig
from dicp.envs.draw import Mark, draw_grid
from dicp.envs.grid import GridRules, GridState
from dicp.envs.grid_checks import check_size
from dicp.envs.tasks import PERMUTATIONS, Cell, Size, Task, is_cell

__all__ = ["ACTIONS", "DarkKeyToDoor", "Darkroom", "DarkroomPermuted", "GridEnv"]

RenderMode = Annotated[str, OneOf(("rgb_array",))] | None
Index = Annotated[int, Whole(0, len(PERMUTATIONS) - 1)]
ACTIONS = ("+x", "-x", "+y", "-y", "stay")


def later(what: str, value: Any) -> Any:
    """The rule of a cell, which `check_cell` looks at once the size is known."""
    if not isinstance(value, Sequence | np.ndarray) or isinstance(value, str) or not np.ndim(value):
        raise refuse(what, value, "a cell (x, y)")
    return value


Place = Annotated[Sequence[int] | np.ndarray, later]        # how a user may write a cell


def check_cell(what: str, value: Any, size: int) -> Cell:
    """`value` (tuple, list or array) as a cell (x, y); raise `ValueError` unless it lies
    on the grid."""
    if not is_cell(value, size):
        given = value.tolist() if isinstance(value, np.ndarray) else value
        raise refuse(what, given, f"a cell (x, y) with x and y whole numbers from 0 to {size - 1}")
    x, y = value
    return plain(x), plain(y)


class CellEnv(gymnasium.Env, ABC):
    """What all worlds of cells share. The observation is the cell (x, y);
    the horizon terminates the episode.

    A task that is not given is drawn anew at every reset. Every info holds `success`. Beyond
    Gymnasium: `task`, `max_return`.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 8}

    def __init__(self, config: GridConfig, render_mode: str | None):
        self.config, self.render_mode = config, render_mode
        self.observation_space = gymnasium.spaces.Box(
            0, config.size - 1, shape=(2,), dtype=np.int32
        )
        self.action_space = gymnasium.spaces.Discrete(len(ACTIONS))
        self.trail: list[Cell] = []         # cells of this episode, from the start on
        self.episode_return = 0
        self._now: tuple[Task, Any] | None = None      # the task, and what steps it

    @abstractmethod
    def draw_task(self) -> Task:
        """The task that was asked for; what was left open is drawn from `np_random`."""

    @abstractmethod
    def _rules_of(self, task: Task) -> Any:
        """What steps it."""

    @abstractmethod
    def _begin(self) -> int:
        """The first cell of a new episode."""

    @abstractmethod
    def _move(self, action: int) -> tuple[int, float]:
        """(cell, reward) of a step."""

    @property
    @abstractmethod
    def max_return(self) -> float:
        """The highest possible return of an episode of this task."""

    @property
    @abstractmethod
    def is_success(self) -> bool:
        """Whether this episode has been one."""

    @abstractmethod
    def _marks(self) -> list[Mark]:
        """What is drawn on the grid."""

    def _set_task(self, task: Task) -> None:
        if self._now is None or task != self._now[0]:
            self._now = task, self._rules_of(task)

    def _known(self) -> tuple[Task, Any]:
        if self._now is None:
            raise ValueError("The task is None until it is drawn; call reset() first.")
        return self._now

    @property
    def task(self) -> Task:
        """The task of this episode."""
        return self._known()[0]

    @checked
    def reset(
        self, *, seed: Seed | None = None, options: dict | None = None
    ) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._set_task(self.draw_task())
        self.episode_return, self.trail = 0, []
        return self._observe(self._begin())

    def step(self, action: int | np.integer) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._check_started("step()")
        if len(self.trail) > self.config.horizon:
            raise ValueError(
                f"The episode is over after {self.config.horizon} steps; call reset() first."
            )
        action = whole(f"action ({', '.join(ACTIONS)})", action, 0, len(ACTIONS) - 1)
        cell, reward = self._move(action)
        self.episode_return += reward
        obs, info = self._observe(cell)
        return obs, float(reward), len(self.trail) > self.config.horizon, False, info

    def _observe(self, cell: int) -> tuple[np.ndarray, dict]:
        self.trail.append(divmod(cell, self.config.size))
        return np.array(self.trail[-1], dtype=np.int32), {"success": self.is_success}

    def _check_started(self, what: str) -> None:
        if not self.trail:
            raise ValueError(f"{what} was called before the first episode; call reset() first.")

    def render(self) -> np.ndarray | None:
        """The grid as an image, about 480 pixels wide; None without `render_mode="rgb_array"`."""
        if self.render_mode is None:
            return None
        self._check_started("render()")
        left = f"step {len(self.trail) - 1} of {self.config.horizon}"
        right = f"return {self.episode_return:.4g} of {self.max_return:.4g}"
        return draw_grid(self.config.size, self.trail, self._marks(), left, right)


class GridEnv(CellEnv):
    """What the paper's three grids share. `success`: the agent has been on the goal in this
    episode, or has opened the door with the key. Beyond Gymnasium there is
    `optimal_action()`, too."""

    world: str                  # name of the world in `EnvConfig`
    n_goals = 1                 # reward that makes an episode a success

    @checked
    def __init__(self, size: Size, horizon: Count, render_mode: RenderMode):
        config = EnvConfig(self.world, size, horizon)
        check_size(config, 1)
        super().__init__(config, render_mode)

    def _rules_of(self, task: Task) -> GridRules:
        return GridRules.of(self.config, [task])

    @property
    def rules(self) -> GridRules:
        return self._known()[1]

    @property
    def max_return(self) -> int:
        """The highest possible return of an episode of this task."""
        return int(self.rules.max_return(self.config.horizon))

    @property
    def is_success(self) -> bool:
        return self.episode_return >= self.n_goals

    def optimal_action(self) -> int:
        """A first action of a shortest way to the next reward, from the present cell."""
        self._check_started("optimal_action()")
        return int(self.rules.optimal_action(self._state))

    def _begin(self) -> int:
        self._state = GridState(torch.tensor([[self.rules.start]]), torch.tensor([[0]]))
        return self.rules.start

    def _move(self, action: int) -> tuple[int, int]:
        self._state, reward = self.rules.advance(self._state, torch.tensor([[action]]))
        return int(self._state.cell), int(reward)

    def _marks(self) -> list[Mark]:
        top = self.config.size - 1
        goal = (top, top) if self.world == "darkroom_permuted" else self.task
        return [Mark("goal", goal, self.episode_return > 0)]


class Darkroom(GridEnv):
    """Find a hidden goal from the centre; every step on it gives 1."""

    world = "darkroom"

    @checked
    def __init__(
        self,
        goal: Place | None = None,
        size: Size = 9,
        horizon: Count = 20,
        render_mode: RenderMode = None,
    ):
        super().__init__(size, horizon, render_mode)
        self.goal = None if goal is None else check_cell("goal", goal, size)
        if self.goal is not None:
            self._set_task(self.goal)

    def draw_task(self) -> Task:
        return self.goal or draw_cell(self)


class DarkroomPermuted(GridEnv):
    """Cross to the opposite corner with shuffled actions: action `a` executes
    the move `permutation[a]`.

    `permutation` is an index in the order of `itertools.permutations(range(5))`.
    """

    world = "darkroom_permuted"

    @checked
    def __init__(
        self,
        permutation: Index | None = None,
        size: Size = 9,
        horizon: Count = 50,
        render_mode: RenderMode = None,
    ):
        super().__init__(size, horizon, render_mode)
        self.permutation = permutation
        if self.permutation is not None:
            self._set_task(self.permutation)

    def draw_task(self) -> Task:
        if self.permutation is not None:
            return self.permutation
        return int(self.np_random.integers(len(PERMUTATIONS)))


class DarkKeyToDoor(GridEnv):
    """Find a hidden key from the centre, then a hidden door; each gives 1, once,
    the door only with the key."""

    world, n_goals = "dark_key_to_door", 2

    @checked
    def __init__(
        self,
        key: Place | None = None,
        door: Place | None = None,
        size: Size = 9,
        horizon: Count = 50,
        render_mode: RenderMode = None,
    ):
        super().__init__(size, horizon, render_mode)
        self.key = None if key is None else check_cell("key", key, size)
        self.door = None if door is None else check_cell("door", door, size)
        if self.key is not None and self.door is not None:
            self._set_task((self.key, self.door))

    def draw_task(self) -> Task:
        return self.key or draw_cell(self), self.door or draw_cell(self)

    def _marks(self) -> list[Mark]:
        key, door = self.task
        return [
            Mark("door", door, self.episode_return > 1), Mark("key", key, self.episode_return > 0),
        ]


def draw_cell(env: CellEnv) -> Cell:
    x, y = env.np_random.integers(env.config.size, size=2).tolist()
    return x, y
