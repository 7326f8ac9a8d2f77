"""Act in context: an agent acts for many episodes in a task that it never saw,
and its weights never change."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from dicp.checks import Count, Seed, checked, refuse, rule_of
from dicp.config import PlanConfig, WorldConfig
from dicp.domain import Domain, domain_of
from dicp.envs import Task
from dicp.planner import Clock, Hopes, OwnPlanner, Planner
from dicp.policies import Policy, policy_of
from dicp.rollout_checks import a_plan, check_rollout
from dicp.thompson import GoalSampler
from dicp.types import Step, Tokens

__all__ = ["Learner", "Rollouts", "rollout"]


@runtime_checkable
class Learner(Protocol):
    """What a rollout asks of an agent.

    One that `can_plan` is a `WorldModel`, too, starting from `root(context)`; its context says of
    how many transitions it remembers the outcome (`n_transitions`), how many env steps can be
    imagined from here (`max_plan_depth`), and gives some of its agents (`rows(index)`). A model
    that draws numbers takes them from `generator`. One that has an `env` acts in that world alone;
    one that says `has_policy = False` acts by a plan alone.
    """

    @property
    def can_plan(self) -> bool: ...

    def begin(
        self, batch: int, context_length: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Any: ...

    def observe(self, context: Any, tokens: Tokens) -> Float[Tensor, "batch n_parameters"]: ...


class Rollouts(NamedTuple):
    """What happened, in order. The agent sees `observation`, acts, gets `reward`, and sees
    `next_observation` come of it (before any reset)."""

    # None where a rollout was not recorded whole
    observation: Shaped[Tensor, "task rollout step ..."] | None
    action: Shaped[Tensor, "task rollout step ..."] | None
    reward: Shaped[Tensor, "task rollout step"]
    next_observation: Shaped[Tensor, "task rollout step ..."] | None
    planned: Bool[Tensor, "task rollout step"]    # the action came from a plan, not from the policy
    max_return: Shaped[Tensor, "task"]
    horizon: int
    # Meta-World: the task's criterion is met
    success: Bool[Tensor, "task rollout step"] | None = None
    # grids: a plan was made at this step
    made: Bool[Tensor, "task rollout step"] | None = None
    # and it counts on a cell that gave no reward (`Hopes`)
    deluded: Bool[Tensor, "task rollout step"] | None = None

    @property
    def episode_return(self) -> Shaped[Tensor, "task rollout episode"]:
        return self.reward.unflatten(-1, (-1, self.horizon)).sum(-1)

    @property
    def episode_success(self) -> Bool[Tensor, "task rollout episode"] | None:
        """Whether an episode met the criterion at any step (Meta-World's official definition)."""
        if self.success is None:
            return None
        return self.success.unflatten(-1, (-1, self.horizon)).any(-1)


@checked
@torch.no_grad()
def rollout(
    model: Learner, env: WorldConfig, tasks: Sequence[Task], n_rollouts: Count = 32,
    n_episodes: Count = 50, plan: Annotated[PlanConfig | Callable | None, a_plan] = None,
    seed: Seed = 0, greedy: bool = False, context_length: Count | None = None, record: bool = True,
) -> Rollouts:
    """`n_rollouts` rollouts of `n_episodes` in each task, all at once; every rollout starts from an
    empty context, which holds at most `context_length` transitions (None: as many as the model was
    trained with): the last whole episodes.

    Without a plan the action is sampled from the policy (`greedy` takes the most likely one: it
    never explores). A plan may also be what makes a planner, from (model, number of agents,
    generator): `dicp.planner.OwnPlanner`. `record` False keeps rewards and successes alone. Raises
    `ValueError`, before anything is computed, for a model of another world, one in training mode
    whose dropout is on or with weights that are not finite, for tasks that are not of the world,
    and for what does not fit the memory.
    """
    check_rollout(model, env, tasks, n_rollouts, n_episodes, plan, context_length, record)
    domain, generator = domain_of(env), torch.Generator().manual_seed(seed)
    policy, shape = policy_of(domain.action), (len(tasks), n_rollouts)
    world = domain.simulator(tasks, n_rollouts, seed)
    context = model.begin(batch := len(tasks) * n_rollouts, context_length, generator)
    planner = None if plan is None else planner_of(model, plan, batch, generator)
    hopes = hopes_of(domain, planner, batch)
    tokens, steps = domain.first_tokens(world.reset().flatten(0, 1)), []
    for env_step in range(n_episodes * env.horizon):
        action = policy.sample(parameters_of(model, context, tokens, policy), generator, greedy)
        told = {"planned": torch.zeros(batch, dtype=torch.bool)}
        if planner is not None:
            clock = Clock(env_step, world.t, env.horizon - world.t)
            action, told["planned"] = planned_actions(planner, context, tokens, clock, action)
        if hopes is not None:
            told |= {"made": planner.due, "deluded": hopes.are_vain(planner, context.n_transitions)}
        step = world.step(action.unflatten(0, shape))
        domain.reward.check(f"the reward at env step {env_step}", step.reward)
        after = _next_tokens(domain, tokens, action, step)
        _notice(planner, hopes, env_step, after.last_reward, step.next_observation.flatten(0, 1))
        steps.append(_kept(domain, tokens.observation, action, step, record) | told)
        tokens = after
    parts = _put_together(domain, steps, shape)
    return Rollouts(**parts, max_return=domain.max_return(tasks), horizon=env.horizon)


def parameters_of(
    model: Learner, context: Any, tokens: Tokens, policy: Policy
) -> Float[Tensor, "batch n_parameters"]:
    """What the agent says; `ValueError` unless the policy can be read off it."""
    parameters, shape = model.observe(context, tokens), (len(tokens.first), policy.n_parameters)
    fits = isinstance(parameters, Tensor) and parameters.shape == shape
    if not fits or not parameters.is_floating_point() or not parameters.isfinite().all():
        raise refuse("what observe gives", parameters, f"finite floats of the shape {shape}")
    return parameters


def planned_actions(
    planner: OwnPlanner, context: Any, tokens: Tokens, clock: Clock, action: Tensor
) -> tuple[Tensor, Bool[Tensor, "batch"]]:
    """(the planner's actions where it has some, else `action`; where it has); `ValueError` unless
    the planner gives an action for each agent, or none, and whether to take it."""
    said = planner.act(context, tokens.observation, clock)
    fits = isinstance(said, tuple) and len(said) == 2 and isinstance(said[1], Tensor)
    fits = fits and (said[1].dtype, len(said[1])) == (torch.bool, len(action))
    if fits and said[0] is not None:
        form = action.shape, action.dtype
        fits = isinstance(said[0], Tensor) and (said[0].shape, said[0].dtype) == form
    if not fits:
        kind = f"{tuple(action.shape)} of {action.dtype}"
        raise refuse("what act gives", said, f"(actions, whether to take each): {kind}, and bools")
    return _where(said[1], said[0], action), said[1]


def planner_of(
    model: Learner, plan: PlanConfig | Callable, batch: int, generator: torch.Generator
) -> OwnPlanner:
    """Who carries out such a plan."""
    if not isinstance(plan, PlanConfig):
        return rule_of(OwnPlanner)("what plan makes", plan(model, batch, generator))
    kind = GoalSampler if plan.draws_goal else Planner
    return kind(model, plan, batch, generator)


def hopes_of(domain: Domain, planner: OwnPlanner | None, batch: int) -> Hopes | None:
    """What watches its plans, where observations can be counted."""
    counts = isinstance(planner, Planner) and domain.observation.is_discrete
    return Hopes(batch, domain.observation.n) if counts else None


def _where(planned: Bool[Tensor, "batch"], proposed: Tensor | None, action: Tensor) -> Tensor:
    """The proposed actions where there is a plan, else those of the policy."""
    if proposed is None:
        return action
    return torch.where(planned.view(-1, *[1] * (action.ndim - 1)), proposed, action)


def _next_tokens(domain: Domain, before: Tokens, action: Tensor, step: Step) -> Tokens:
    """What agents read after a step."""
    reward, next_observation = step.reward.flatten(), step.next_observation.flatten(0, 1)
    outcome = domain.outcome(before.observation, next_observation, reward, before.reward_before)
    first = torch.full((len(reward),), int(step.done))
    return Tokens(step.observation.flatten(0, 1), action, reward, outcome, first)


def _notice(
    planner: OwnPlanner | None, hopes: Hopes | None, env_step: int, reward: Tensor,
    next_observation: Tensor,
) -> None:
    """Tell the planner, and what watches its plans, what came of a step."""
    if planner is not None:
        planner.notice(reward, next_observation)
    if hopes is not None:
        hopes.notice(env_step, reward, next_observation)


def _kept(
    domain: Domain, observation: Tensor, action: Tensor, step: Step, record: bool
) -> dict[str, Tensor]:
    """What is kept of a step. record: whole, not rewards and successes alone."""
    fields = {"reward": step.reward.flatten().to(domain.reward.stored_as)}
    if step.success is not None:
        fields["success"] = step.success.flatten()
    if not record:
        return fields
    both = {"observation": observation, "next_observation": step.next_observation.flatten(0, 1)}
    fields |= {name: x.to(domain.observation.stored_as) for name, x in both.items()}
    return fields | {"action": action.to(domain.action.stored_as)}


def _put_together(
    domain: Domain, steps: list[dict[str, Tensor]], shape: tuple[int, int]
) -> dict[str, Tensor | None]:
    """The fields of a rollout, as agents read them; None for what was not recorded."""
    names = "observation", "action", "next_observation", "success", "made", "deluded"
    parts = dict.fromkeys(names)
    spaces = {"observation": domain.observation, "next_observation": domain.observation,
              "action": domain.action, "reward": domain.reward}
    for name in steps[0]:
        part = torch.stack([step[name] for step in steps], dim=1).unflatten(0, shape)
        parts[name] = part.to(spaces[name].dtype) if name in spaces else part
    return parts
