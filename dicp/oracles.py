"""An agent that is told nothing, and one that is told all: a control for the results, and a perfect
world model for the tests of the planners.

Both act and plan through the same interface as a trained model (`dicp.rollout.Learner`,
`dicp.planning.WorldModel`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dicp.checks import Count, check_fields, checked, fits_memory, refuse
from dicp.config import EnvConfig, WorldConfig
from dicp.domain import domain_of
from dicp.envs import GridRules, GridState, Task
from dicp.planning import Imagined, Proposal
from dicp.policies import policy_of
from dicp.types import Tokens

__all__ = ["SimulatedContext", "RandomPolicy", "Simulated", "Simulator"]


@checked
class RandomPolicy:
    """Every action is as likely as any other; numbers are standard normal and clipped, as PPO's
    first actions are."""

    can_plan = False
    name = "random"                 # in tables

    def __init__(self, env: WorldConfig):
        self.env, self.parameters = env, policy_of(domain_of(env).action).uninformed()

    @checked
    def begin(
        self, batch: Count, context_length: Count | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        return None

    def observe(self, context: None, tokens: Tokens) -> Float[Tensor, "batch n_parameters"]:
        return self.parameters.expand(len(tokens.observation), -1)

    def root(self, context: None) -> None:
        raise ValueError("The random policy has no world model; allowed: no plan.")


class Simulated(NamedTuple):
    """Imagined futures in the true rules; rows are agents, `task` says which task each is in."""

    task: Int[Tensor, "batch"]
    state: GridState


@dataclass
class Simulator:
    """The perfect world model: knows each task's rules and goal.
    A planner that uses it well is optimal."""

    env: EnvConfig
    tasks: Sequence[Task]
    can_plan = True
    has_policy = False
    name = "simulator"

    def __post_init__(self):
        check_fields(self, "")
        if len(self.tasks) == 0:
            raise refuse("tasks", self.tasks, "at least one task")
        self.rules = GridRules.of(self.env, self.tasks)
        self.policy = policy_of(domain_of(self.env).action)

    @checked
    def begin(
        self, batch: Count, context_length: Count | None = None,
        generator: torch.Generator | None = None,
    ) -> "SimulatedContext":
        """batch: the agents, as many in each task."""
        if batch % len(self.tasks):
            raise refuse("batch", batch, f"a multiple of the number of tasks, {len(self.tasks)}")
        fits_memory("batch", batch, 40 * batch, "fewer agents")
        cell = torch.full((batch, 1), self.rules.start)
        start = GridState(cell, torch.zeros(batch, 1, dtype=torch.long))
        task = torch.arange(len(self.tasks))
        return SimulatedContext(task.repeat_interleave(batch // len(self.tasks)), start)

    def observe(
        self, context: "SimulatedContext", tokens: Tokens
    ) -> Float[Tensor, "batch n_actions"]:
        stage = context.state.stage + tokens.last_reward[:, None] * (not self.rules.pays_forever)
        stage = torch.where(tokens.first[:, None] == 1, 0, stage)
        context.state = GridState(tokens.observation[:, None], stage)
        return torch.zeros(len(tokens.observation), self.env.n_actions)

    def root(self, context: "SimulatedContext") -> Simulated:
        return Simulated(context.task, context.state)

    def propose(
        self, state: Simulated, n: int = 1, generator: torch.Generator | None = None
    ) -> Proposal:
        alike = torch.zeros(*state.state.cell.shape, self.env.n_actions)
        return self.policy.propose(alike, n, generator)

    def _step(self, state: Simulated, action: Int[Tensor, "batch n"]) -> tuple[GridState, Tensor]:
        return self.rules.of_tasks(state.task).step(state.state, action)

    def imagine(
        self, state: Simulated, action: Tensor | None = None, *, return_to_go: bool = False,
        uncertainty: bool = False,
    ) -> Imagined:
        n_beams, n_actions = state.state.cell.shape[1], self.env.n_actions
        each = GridState(*(x.repeat_interleave(n_actions, 1) for x in state.state))
        action = torch.arange(n_actions).repeat(len(state.task), n_beams)
        reached, reward = self._step(Simulated(state.task, each), action)
        fields = (x.unflatten(1, (n_beams, n_actions)) for x in (reward.float(), reached.cell))
        return Imagined.of_chances(*fields)

    def advance(
        self, state: Simulated, action: Tensor, reward: Tensor, next_cell: Tensor
    ) -> Simulated:
        return Simulated(state.task, self._step(state, action)[0])

    def fork(self, state: Simulated, beam: Int[Tensor, "batch new_beam"]) -> Simulated:
        return Simulated(state.task, GridState(*(x.gather(1, beam) for x in state.state)))


@dataclass
class SimulatedContext:
    """What the simulator remembers of each agent."""

    task: Int[Tensor, "batch"]
    state: GridState
    n_transitions = max_plan_depth = math.inf

    def rows(self, index: Tensor) -> "SimulatedContext":
        return SimulatedContext(self.task[index], GridState(*(x[index] for x in self.state)))
