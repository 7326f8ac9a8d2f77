"""Agents that are told something: controls for the results, and perfect world models for the tests of the planners.

All of them act and plan through the same interface as a trained model (`dicp.rollout.Learner`, `dicp.planning.WorldModel`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dicp.config import EnvConfig
from dicp.envs import GridRules, GridState, Task
from dicp.planning import Imagined
from dicp.windows import Tokens


class RandomPolicy:
    """Every action is as likely as any other, always."""

    can_plan = False

    def __init__(self, env: EnvConfig):
        self.env = env

    def begin(self, batch: int, context_length: int | None = None) -> None:
        return None

    def observe(self, context: None, tokens: Tokens) -> Float[Tensor, "batch n_actions"]:
        return torch.zeros(len(tokens.cell), self.env.n_actions)

    def root(self, context: None) -> None:
        raise ValueError("The random policy has no world model; allowed: no plan.")


class Simulated(NamedTuple):
    """Imagined futures in the true rules; rows are agents, `task` says which task each is in."""

    task: Int[Tensor, "batch"]
    state: GridState


@dataclass
class Simulator:
    """The perfect world model: knows each task's rules and goal. A planner that uses it well is optimal."""

    env: EnvConfig
    tasks: Sequence[Task]
    can_plan = True

    def __post_init__(self):
        self.rules = GridRules.of(self.env, self.tasks)

    def begin(self, batch: int, context_length: int | None = None) -> "Life":
        start = GridState(torch.full((batch, 1), self.rules.start), torch.zeros(batch, 1, dtype=torch.long))
        return Life(torch.arange(len(self.tasks)).repeat_interleave(batch // len(self.tasks)), start)

    def observe(self, context: "Life", tokens: Tokens) -> Float[Tensor, "batch n_actions"]:
        stage = context.state.stage + tokens.last_reward[:, None] * (not self.rules.pays_forever)
        stage = torch.where(tokens.first[:, None] == 1, 0, stage)
        context.state = GridState(tokens.cell[:, None], stage)
        return torch.zeros(len(tokens.cell), self.env.n_actions)

    def root(self, context: "Life") -> Simulated:
        return Simulated(context.task, context.state)

    def propose(self, state: Simulated) -> Float[Tensor, "batch beam action"]:
        return torch.zeros(*state.state.cell.shape, self.env.n_actions)

    def _step(self, state: Simulated, action: Int[Tensor, "batch n"]) -> tuple[GridState, Tensor]:
        return self.rules.of_tasks(state.task).step(state.state, action)

    def imagine(self, state: Simulated, return_to_go: bool = False) -> Imagined:
        n_beams, n_actions = state.state.cell.shape[1], self.env.n_actions
        each = Simulated(state.task, GridState(*(x.repeat_interleave(n_actions, 1) for x in state.state)))
        reached, reward = self._step(each, torch.arange(n_actions).repeat(len(state.task), n_beams))
        return Imagined(*(x.unflatten(1, (n_beams, n_actions)) for x in (reward.float(), reached.cell)))

    def advance(self, state: Simulated, action: Tensor, reward: Tensor, next_cell: Tensor) -> Simulated:
        return Simulated(state.task, self._step(state, action)[0])

    def fork(self, state: Simulated, beam: Int[Tensor, "batch new_beam"]) -> Simulated:
        return Simulated(state.task, GridState(*(x.gather(1, beam) for x in state.state)))


@dataclass
class Life:
    """What the simulator remembers of each agent."""

    task: Int[Tensor, "batch"]
    state: GridState
    context_length = math.inf

    def rows(self, index: Tensor) -> "Life":
        return Life(self.task[index], GridState(*(x[index] for x in self.state)))


@dataclass
class Belief:
    """Where an agent is, and which cells may still hold the goal (one, once it is found)."""

    cell: Int[Tensor, "batch *beam"]
    possible: Bool[Tensor, "batch *beam cell"]
    context_length = math.inf

    def rows(self, index: Tensor) -> "Belief":
        return Belief(self.cell[index], self.possible[index])


class BayesExplorer:
    """Knows the rules of Darkroom, not the goal: the exact belief over goals, uniform over the cells not yet ruled out.

    With the `bayes` planner it is the ceiling for anybody who starts without the goal.
    """

    can_plan = True

    def __init__(self, env: EnvConfig):
        if env.name != "darkroom":
            raise ValueError(f"BayesExplorer's env is {env.name!r}; allowed: 'darkroom', where the goal alone is hidden.")
        self.env, self.rules = env, GridRules.of(env, [(0, 0)])

    def begin(self, batch: int, context_length: int | None = None) -> Belief:
        return Belief(torch.full((batch,), self.rules.start), torch.ones(batch, self.env.n_cells, dtype=torch.bool))

    def observe(self, context: Belief, tokens: Tokens) -> Float[Tensor, "batch n_actions"]:
        known = (tokens.arrived < self.env.n_cells).nonzero()[:, 0]
        self._learn(context.possible, known, tokens.arrived, tokens.last_reward)
        context.cell = tokens.cell
        return torch.zeros(len(tokens.cell), self.env.n_actions)

    @staticmethod
    def _learn(possible: Tensor, rows: Tensor, arrived: Tensor, reward: Tensor) -> None:
        """Bayes' rule, in place: a cell that paid is the goal, one that did not is not."""
        paid = rows[reward[rows] > 0]
        possible[paid] = False
        possible[rows, arrived[rows]] = reward[rows] > 0

    def root(self, context: Belief) -> Belief:
        return Belief(context.cell[:, None], context.possible[:, None])

    def propose(self, state: Belief) -> Float[Tensor, "batch beam action"]:
        return torch.zeros(*state.cell.shape, self.env.n_actions)

    def imagine(self, state: Belief, return_to_go: bool = False) -> Imagined:
        next_cell = self.rules.next_cell[0, state.cell]                                   # batch beam action
        chance = state.possible / state.possible.sum(-1, keepdim=True).clamp(min=1)
        return Imagined(chance.gather(-1, next_cell), next_cell)

    def advance(self, state: Belief, action: Tensor, reward: Tensor, next_cell: Tensor) -> Belief:
        possible = state.possible.flatten(0, 1).clone()
        self._learn(possible, torch.arange(len(possible)), next_cell.flatten(), reward.flatten())
        return Belief(next_cell, possible.view_as(state.possible))

    def fork(self, state: Belief, beam: Int[Tensor, "batch new_beam"]) -> Belief:
        index = beam[..., None].expand(-1, -1, self.env.n_cells)
        return Belief(state.cell.gather(1, beam), state.possible.gather(1, index))
