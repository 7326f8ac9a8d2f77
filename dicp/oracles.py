"""Agents that are told something: controls for the results, and perfect world models for the tests of the planners.

All of them act and plan through the same interface as a trained model (`dicp.rollout.Learner`, `dicp.planning.WorldModel`).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dicp.checks import Count, check_fields, checked, fits_memory, one_of, refuse
from dicp.config import EnvConfig, WorldConfig
from dicp.domain import domain_of
from dicp.envs import GridRules, GridState, Task
from dicp.envs.tasks import PERMUTATIONS
from dicp.models.categorical import outcomes_of
from dicp.planning import Imagined, Proposal
from dicp.policies import policy_of
from dicp.types import Tokens, Windows

__all__ = [
    "ActionExplorer", "Belief", "Explorer", "GoalExplorer", "Life", "RandomPolicy", "Simulated",
    "Simulator", "exact_belief",
]

ANY_TASK = {"darkroom": (0, 0), "darkroom_permuted": 0, "dark_key_to_door": ((0, 0), (0, 0))}    # for the rules alone


@checked
class RandomPolicy:
    """Every action is as likely as any other; numbers are standard normal and clipped, as PPO's first actions are."""

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
    """The perfect world model: knows each task's rules and goal. A planner that uses it well is optimal."""

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
    ) -> "Life":
        """batch: the agents, as many in each task."""
        if batch % len(self.tasks):
            raise refuse("batch", batch, f"a multiple of the number of tasks, {len(self.tasks)}")
        fits_memory("batch", batch, 40 * batch, "fewer agents")
        start = GridState(torch.full((batch, 1), self.rules.start), torch.zeros(batch, 1, dtype=torch.long))
        return Life(torch.arange(len(self.tasks)).repeat_interleave(batch // len(self.tasks)), start)

    def observe(self, context: "Life", tokens: Tokens) -> Float[Tensor, "batch n_actions"]:
        stage = context.state.stage + tokens.last_reward[:, None] * (not self.rules.pays_forever)
        stage = torch.where(tokens.first[:, None] == 1, 0, stage)
        context.state = GridState(tokens.observation[:, None], stage)
        return torch.zeros(len(tokens.observation), self.env.n_actions)

    def root(self, context: "Life") -> Simulated:
        return Simulated(context.task, context.state)

    def propose(
        self, state: Simulated, n: int = 1, generator: torch.Generator | None = None
    ) -> Proposal:
        return self.policy.propose(torch.zeros(*state.state.cell.shape, self.env.n_actions), n, generator)

    def _step(self, state: Simulated, action: Int[Tensor, "batch n"]) -> tuple[GridState, Tensor]:
        return self.rules.of_tasks(state.task).step(state.state, action)

    def imagine(
        self, state: Simulated, action: Tensor | None = None, *, return_to_go: bool = False,
        uncertainty: bool = False,
    ) -> Imagined:
        n_beams, n_actions = state.state.cell.shape[1], self.env.n_actions
        each = Simulated(state.task, GridState(*(x.repeat_interleave(n_actions, 1) for x in state.state)))
        reached, reward = self._step(each, torch.arange(n_actions).repeat(len(state.task), n_beams))
        fields = (x.unflatten(1, (n_beams, n_actions)) for x in (reward.float(), reached.cell))
        return Imagined.of_chances(*fields)

    def advance(self, state: Simulated, action: Tensor, reward: Tensor, next_cell: Tensor) -> Simulated:
        return Simulated(state.task, self._step(state, action)[0])

    def fork(self, state: Simulated, beam: Int[Tensor, "batch new_beam"]) -> Simulated:
        return Simulated(state.task, GridState(*(x.gather(1, beam) for x in state.state)))


@dataclass
class Life:
    """What the simulator remembers of each agent."""

    task: Int[Tensor, "batch"]
    state: GridState
    n_transitions = max_plan_depth = math.inf

    def rows(self, index: Tensor) -> "Life":
        return Life(self.task[index], GridState(*(x[index] for x in self.state)))


@dataclass
class Belief:
    """Where an agent is, how many rewards this episode has brought, and which hypotheses are still possible."""

    cell: Int[Tensor, "batch *beam"]
    stage: Int[Tensor, "batch *beam"]
    possible: Bool[Tensor, "batch *beam goal hypothesis"]
    n_transitions = max_plan_depth = math.inf

    def rows(self, index: Tensor) -> "Belief":
        return Belief(self.cell[index], self.stage[index], self.possible[index])


class Explorer(ABC):
    """Knows the rules of a world and keeps the exact belief over what is hidden, uniform over what is not ruled out.

    With the `bayes` planner it plans within an episode, not across them: a little more is possible.
    """

    can_plan = True
    has_policy = False
    name = "exact_belief"
    worlds = ("darkroom", "darkroom_permuted", "dark_key_to_door")     # that this one is for
    n_goals: int                    # parts of what is hidden that are learned of separately
    n_hypotheses: int               # for each of them

    @checked
    def __init__(self, env: EnvConfig):
        one_of("env.name", env.name, self.worlds)
        self.env, self.rules = env, GridRules.of(env, [ANY_TASK[env.name]])
        self.policy = policy_of(domain_of(env).action)

    @abstractmethod
    def learn(self, belief: Belief, action: Tensor, reward: Tensor, arrived: Tensor) -> Tensor:
        """What is possible (fields [row ...]) once `action` from `belief.cell` has led to `arrived` and paid `reward`."""

    @abstractmethod
    def imagine(
        self, state: Belief, action: Tensor | None = None, *, return_to_go: bool = False,
        uncertainty: bool = False,
    ) -> Imagined:
        """What each action leads to."""

    @checked
    def begin(
        self, batch: Count, context_length: Count | None = None,
        generator: torch.Generator | None = None,
    ) -> Belief:
        """An agent that rules nothing out, `batch` times."""
        fits_memory("batch", batch, 10 * batch * self.n_goals * self.n_hypotheses, "fewer agents")
        everything = torch.ones(batch, self.n_goals, self.n_hypotheses, dtype=torch.bool)
        return Belief(torch.full((batch,), self.rules.start), torch.zeros(batch, dtype=torch.long), everything)

    def observe(self, context: Belief, tokens: Tokens) -> Float[Tensor, "batch n_actions"]:
        acted = (tokens.arrived < self.env.n_cells).nonzero()[:, 0]
        result = tokens.last_action[acted], tokens.last_reward[acted], tokens.arrived[acted]
        context.possible[acted] = self.learn(context.rows(acted), *result)
        context.stage = torch.where(tokens.first == 1, 0, context.stage + tokens.last_reward)
        context.cell = tokens.observation
        return torch.zeros(len(tokens.observation), self.env.n_actions)

    def root(self, context: Belief) -> Belief:
        return Belief(context.cell[:, None], context.stage[:, None], context.possible[:, None])

    def propose(
        self, state: Belief, n: int = 1, generator: torch.Generator | None = None
    ) -> Proposal:
        return self.policy.propose(torch.zeros(*state.cell.shape, self.env.n_actions), n, generator)

    def advance(self, state: Belief, action: Tensor, reward: Tensor, next_cell: Tensor) -> Belief:
        flat = Belief(*(x.flatten(0, 1) for x in (state.cell, state.stage, state.possible)))
        possible = self.learn(flat, action.flatten(), reward.flatten(), next_cell.flatten())
        return Belief(next_cell, state.stage + reward, possible.view_as(state.possible))

    def fork(self, state: Belief, beam: Int[Tensor, "batch new_beam"]) -> Belief:
        row = torch.arange(len(beam))[:, None]
        return Belief(state.cell[row, beam], state.stage[row, beam], state.possible[row, beam])


@checked
class GoalExplorer(Explorer):
    """Darkroom and Dark Key-to-Door: every cell may be the goal; or the key, and every cell the door."""

    worlds = ("darkroom", "dark_key_to_door")

    def __init__(self, env: EnvConfig):
        super().__init__(env)
        self.n_goals, self.n_hypotheses = 1 if self.rules.pays_forever else 2, env.n_cells

    def learn(self, belief: Belief, action: Tensor, reward: Tensor, arrived: Tensor) -> Tensor:
        """A cell that paid is the goal, one that did not is not."""
        possible, row, goal = belief.possible.clone(), torch.arange(len(arrived)), self._goal(belief.stage)
        searching = goal < self.n_goals                       # once the door is open, nothing more is learned
        paid = row[searching & (reward > 0)]
        possible[paid, goal[paid]] = False
        row = row[searching]
        possible[row, goal[row], arrived[row]] = reward[row] > 0
        return possible

    def imagine(
        self, state: Belief, action: Tensor | None = None, *, return_to_go: bool = False,
        uncertainty: bool = False,
    ) -> Imagined:
        next_cell = self.rules.next_cell[0, state.cell]                                    # batch beam action
        goal = self._goal(state.stage)
        index = goal.clamp(max=self.n_goals - 1)[..., None, None].expand(*goal.shape, 1, self.n_hypotheses)
        possible = state.possible.gather(2, index)[:, :, 0]
        chance = possible / possible.sum(-1, keepdim=True).clamp(min=1)
        paid = chance.gather(-1, next_cell) * (goal < self.n_goals)[..., None]
        return Imagined.of_chances(paid, next_cell)

    def _goal(self, stage: Tensor) -> Tensor:
        return torch.zeros_like(stage) if self.rules.pays_forever else stage


@checked
class ActionExplorer(Explorer):
    """Darkroom-Permuted: the goal is known, each of the 120 permutations may be the true one."""

    worlds = ("darkroom_permuted",)
    n_goals, n_hypotheses = 1, len(PERMUTATIONS)

    def __init__(self, env: EnvConfig):
        super().__init__(env)
        self.next_cell = GridRules.of(env, range(self.n_hypotheses)).next_cell             # hypothesis cell action
        self.by_move = GridRules.of(replace(env, name="darkroom"), [(0, 0)]).next_cell[0]  # cell move
        self.does = F.one_hot(torch.tensor(PERMUTATIONS), env.n_actions).float()           # hypothesis action move

    def learn(self, belief: Belief, action: Tensor, reward: Tensor, arrived: Tensor) -> Tensor:
        """The permutations under which this action leads there from here."""
        return belief.possible & (self.next_cell[:, belief.cell, action] == arrived).T[:, None]

    def chances(self, state: Belief) -> Float[Tensor, "batch beam action move"]:
        """P(move | action)."""
        possible = state.possible[:, :, 0].float()
        return torch.einsum("bkh,ham->bkam", possible / possible.sum(-1, keepdim=True), self.does)

    def surprise(self, tokens: Tokens, windows: Windows) -> Float[Tensor, "batch n"]:
        """Nats of where each action of whole lives led; `tokens`: what their agents read, one more than there are steps."""
        context, rows, chance = self.begin(len(windows.action)), torch.arange(len(windows.action)), []
        for t in range(windows.action.shape[1]):
            self.observe(context, tokens.at(t))
            moves = self.chances(self.root(context))[rows, 0, windows.action[:, t]]
            leads = self.by_move[context.cell] == windows.next_observation[:, t, None]
            chance.append((moves * leads).sum(-1))
        return -torch.stack(chance, dim=1).log()

    def imagine(
        self, state: Belief, action: Tensor | None = None, *, return_to_go: bool = False,
        uncertainty: bool = False,
    ) -> Imagined:
        next_cell, probability, entropy = outcomes_of(self.chances(state), self.by_move[state.cell])
        paid = (next_cell == self.rules.goals[0, 0]).float()
        return Imagined.of_chances(paid, next_cell, None, probability, entropy)


@checked
def exact_belief(env: EnvConfig) -> Explorer:
    """The explorer of this world."""
    return ActionExplorer(env) if domain_of(env).moves_are_hidden else GoalExplorer(env)
