"""Plans carried from step to step of an episode, and what they count on."""

from dataclasses import replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from dicp.config import PlanConfig
from dicp.planning import Plan, WorldModel, search

__all__ = ["Clock", "Hopes", "OwnPlanner", "Planner"]

NEVER = -10**9           # an env step


class Clock(NamedTuple):
    """Where in its rollout every agent is."""

    env_step: int
    episode_step: int
    steps_left: int          # of the episode, this one included


@runtime_checkable
class OwnPlanner(Protocol):
    """What a rollout asks of a planner."""

    def act(
        self, context: Any, observation: Tensor, clock: Clock
    ) -> tuple[Tensor | None, Bool[Tensor, "batch"]]:
        """(action, whether to take it instead of the policy's) of each agent at this env step."""

    def notice(self, reward: Tensor, next_observation: Tensor) -> None:
        """What came of it."""


class Planner:
    """Carries each agent's plan from step to step, and makes new ones when they are due."""

    def __init__(
        self, model: WorldModel, config: PlanConfig, batch: int,
        generator: torch.Generator | None = None,
    ):
        self.model, self.config, self.generator = model, config, generator
        self.plan: Plan | None = None
        self.age = torch.full((batch,), config.depth)      # steps taken of the plan
        self.last_reward = torch.full((batch,), NEVER)     # env step of the latest reward
        self.env_step, self.is_last = 0, False             # the last step that can be imagined
        self.due = torch.zeros(batch, dtype=torch.bool)    # whose plan is of this env step
        self.new: Plan | None = None                       # their plans

    def act(
        self, context: Any, observation: Tensor, clock: Clock
    ) -> tuple[Tensor | None, Bool[Tensor, "batch"]]:
        """(action, whether it comes from a plan) of each agent at this env step."""
        config, self.env_step, self.new = self.config, clock.env_step, None
        steps_left = min(clock.steps_left, context.max_plan_depth)
        self.is_last = steps_left == 1
        begun = clock.env_step >= config.start_after
        begun = begun and clock.episode_step >= config.start_after_step
        wanted = torch.full_like(self.age, begun, dtype=torch.bool)
        # a reward is in the context
        rewarded = clock.env_step - self.last_reward <= context.n_transitions
        if config.needs_reward:
            wanted = wanted & rewarded
        length = 0 if self.plan is None else self.plan.action.shape[1]
        self.due = wanted if config.replan else wanted & (self.age >= length)
        if self.due.any():
            rows = self.due.nonzero()[:, 0]
            mine = context if len(rows) == len(self.due) else context.rows(rows)
            root, curious = self.model.root(mine), ~rewarded[rows]
            if context.max_plan_depth < config.depth:
                config = replace(config, depth=int(context.max_plan_depth))
            self.new = search(self.model, root, config, clock.steps_left, self.generator, curious)
            self._store(rows, self.new)
        return (None if self.plan is None else self._now(self.plan.action)), wanted

    def notice(self, reward: Tensor, next_observation: Tensor) -> None:
        """Compare reality with what was imagined for this step; a plan does not outlive its episode
        (or IDT's chunk)."""
        self.last_reward[reward > 0] = self.env_step
        if self.plan is None:
            return
        expected = self._now(self.plan.next_observation), self._now(self.plan.reward)
        equal = (a == b for a, b in zip(expected, (next_observation, reward), strict=True))
        same = [one.flatten(1).all(1) if one.ndim > 1 else one for one in equal]
        goes_on = same[0] & same[1] & (not self.is_last)
        self.age = torch.where(goes_on, self.age + 1, self.config.depth)

    def _now(self, field: Shaped[Tensor, "batch depth ..."]) -> Shaped[Tensor, "batch ..."]:
        """What each agent's plan says of this step."""
        step = self.age.clamp(max=field.shape[1] - 1)
        return field[torch.arange(len(step)), step]

    def _store(self, rows: Int[Tensor, "row"], new: Plan) -> None:
        """The new plans in place of the old ones of these agents,
        which may be shorter or longer."""
        if self.plan is None or self.plan.action.shape[1] < new.action.shape[1]:
            self.plan = lengthened(self.plan, new, len(self.age))
        for mine, theirs in zip(self.plan, new, strict=True):
            if mine.ndim == 1:
                mine[rows] = theirs
            else:
                mine[rows, : theirs.shape[1]] = theirs
        self.age[rows] = 0


def lengthened(old: Plan | None, new: Plan, batch: int) -> Plan:
    """Room for plans as long as `new` of `batch` agents, with the old ones in it."""
    wide = Plan(*(x.new_zeros(batch, *x.shape[1:]) for x in new))
    if old is not None:
        for x, y in zip(wide, old, strict=True):
            if y.ndim == 1:
                x.copy_(y)
            else:
                x[:, : y.shape[1]] = y
    return wide


class Hopes:
    """Which new plans count on an observation that has brought no reward in the context: they hold
    a step onto it with P(reward) of at least 0.5. For worlds with so many observations."""

    def __init__(self, batch: int, n_observations: int):
        self.rewarded_at = torch.full((batch, n_observations), NEVER)      # env step of the latest

    def are_vain(
        self, planner: Planner, n_transitions: float
    ) -> Bool[Tensor, "batch"]:
        """Of the plans that `planner` has made at this env step; n_transitions: in the context."""
        vain = torch.zeros_like(planner.due)
        if planner.new is not None:
            at = self.rewarded_at[planner.due]
            known = (at > NEVER) & (planner.env_step - at <= n_transitions)
            plan = planner.new
            hoped = (plan.reward > 0) & ~known.gather(1, plan.next_observation)
            vain[planner.due] = hoped.any(1)
        return vain

    def notice(self, env_step: int, reward: Tensor, next_observation: Tensor) -> None:
        """The rewards of the agents, and where."""
        paid = reward > 0
        self.rewarded_at[paid, next_observation[paid]] = env_step
