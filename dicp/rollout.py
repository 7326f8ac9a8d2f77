"""Act in context: an agent lives many episodes of a task that it never saw, and its weights never change."""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from dicp.checks import Count, Seed, checked
from dicp.config import Env, PlanConfig
from dicp.domain import Domain, domain_of
from dicp.envs import Task
from dicp.models.gaussian import Gaussian
from dicp.planning import Plan, beam_search, sampled_search
from dicp.rollout_checks import a_plan, check_rollout
from dicp.thompson import GoalSampler
from dicp.types import Step, Tokens

__all__ = ["Learner", "Life", "rollout"]

NEVER = -10**9           # an env step


@runtime_checkable
class Learner(Protocol):
    """What a rollout asks of an agent. One that `can_plan` is a `WorldModel`, too, starting from `root(context)`; its
    context says of how many transitions it remembers the outcome (`n_transitions`), and may say how many steps can be
    imagined from here (`imaginable`). A model that draws numbers takes them from `generator`. One
    that has an `env` acts in that world alone; one that says `has_policy = False` acts by a plan
    alone."""

    @property
    def can_plan(self) -> bool: ...

    def begin(self, batch: int, context_length: int | None = None, generator: torch.Generator | None = None) -> Any: ...

    def observe(self, context: Any, tokens: Tokens) -> Float[Tensor, "batch n_parameters"]: ...


class Life(NamedTuple):
    """What happened, in order. The agent sees `observation`, acts, earns `reward`, and sees `next_observation`
    come of it (before any reset)."""

    observation: Shaped[Tensor, "task rollout step ..."] | None      # None where a life was not recorded whole
    action: Shaped[Tensor, "task rollout step ..."] | None
    reward: Shaped[Tensor, "task rollout step"]
    next_observation: Shaped[Tensor, "task rollout step ..."] | None
    planned: Bool[Tensor, "task rollout step"]      # the action came from a plan, not from the policy
    max_return: Shaped[Tensor, "task"]
    horizon: int
    success: Bool[Tensor, "task rollout step"] | None = None         # Meta-World: the task's criterion is met
    made: Bool[Tensor, "task rollout step"] | None = None            # grids: a plan was made at this step
    deluded: Bool[Tensor, "task rollout step"] | None = None         # and it counts on a cell that has not paid (`Planner`)

    @property
    def episode_return(self) -> Shaped[Tensor, "task rollout episode"]:
        return self.reward.unflatten(-1, (-1, self.horizon)).sum(-1)

    @property
    def episode_success(self) -> Bool[Tensor, "task rollout episode"] | None:
        """Whether an episode met the criterion at any step (Meta-World's official definition)."""
        return None if self.success is None else self.success.unflatten(-1, (-1, self.horizon)).any(-1)


class Planner:
    """Carries each agent's plan from step to step, and makes new ones when they are due.

    `made`: whose plan is of this env step. `deluded`: whose new plan holds a step with P(reward) of at least 0.5 onto a cell
    that has paid nothing in the context.
    """

    def __init__(self, model: Learner, config: PlanConfig, batch: int, generator: torch.Generator | None = None):
        self.model, self.config, self.generator = model, config, generator
        self.plan: Plan | None = None
        self.age = torch.full((batch,), config.depth)          # steps of the plan already taken; >= its length: none left
        self.last_reward = torch.full((batch,), NEVER)         # env step of the latest reward
        self.paid_at = torch.full((batch, model.env.n_cells), NEVER)           # the same, of each cell
        self.made = self.deluded = torch.zeros(batch, dtype=torch.bool)

    def notice(self, env_step: int, reward: Tensor, next_cell: Tensor, done: bool) -> None:
        """Compare reality with what was imagined for this step; a plan does not outlive its episode (or IDT's chunk)."""
        self.last_reward[reward > 0] = env_step
        self.paid_at[reward > 0, next_cell[reward > 0]] = env_step
        if self.plan is not None:
            at = self.age.clamp(max=self.plan.action.shape[1] - 1)[:, None]
            as_imagined = (self.plan.next_observation.gather(1, at) == next_cell[:, None]) & (
                self.plan.reward.gather(1, at) == reward[:, None]
            )
            self.age = torch.where(as_imagined[:, 0] & (not done), self.age + 1, self.config.depth)

    def act(self, context: Any, env_step: int, steps_left: int) -> tuple[Tensor, Tensor]:
        """(action, whether it comes from a plan) of each agent at this env step."""
        wanted = torch.full_like(self.age, env_step >= self.config.start_after, dtype=torch.bool)
        rewarded = env_step - self.last_reward <= context.n_transitions            # a reward is in the context
        if self.config.needs_reward:
            wanted &= rewarded
        length = 0 if self.plan is None else self.plan.action.shape[1]
        steps_left = min(steps_left, getattr(context, "imaginable", steps_left))
        due = wanted if self.config.replan else wanted & (self.age >= length)
        self.made, self.deluded = due, torch.zeros_like(due)
        if due.any():
            rows = due.nonzero()[:, 0]
            state = self.model.root(context if len(rows) == len(due) else context.rows(rows))
            new = beam_search(self.model, state, self.config, steps_left, self.generator, ~rewarded[rows])
            self._store(rows, new)
            paid_at = self.paid_at[rows]
            remembered = (paid_at > NEVER) & (env_step - paid_at <= context.n_transitions)
            hoped = (new.reward > 0) & ~remembered.gather(1, new.next_observation)
            self.deluded[rows] = hoped.any(1)
        if self.plan is None:
            return torch.zeros_like(self.age), wanted
        at = self.age.clamp(max=self.plan.action.shape[1] - 1)[:, None]
        return self.plan.action.gather(1, at)[:, 0], wanted

    def _store(self, rows: Tensor, new: Plan) -> None:
        batch, length = len(self.age), new.action.shape[1]
        if self.plan is None or self.plan.action.shape[1] < length:
            wide = [torch.zeros(batch, length, dtype=x.dtype, device=x.device) for x in new[:3]]
            old, self.plan = self.plan, Plan(*wide, torch.zeros(batch, device=new.score.device))
            if old is not None:
                for x, y in zip(self.plan[:3], old[:3], strict=True):
                    x[:, : y.shape[1]] = y
        for mine, theirs in zip(self.plan[:3], new[:3], strict=True):
            mine[rows, :length] = theirs
        self.plan.score[rows], self.age[rows] = new.score, 0


class SamplingPlanner:
    """Plans anew at every step, where actions are numbers."""

    def __init__(self, model: Learner, config: PlanConfig, batch: int, generator: torch.Generator | None = None):
        self.model, self.config, self.batch, self.generator = model, config, batch, generator

    def notice(self, *_) -> None:
        """Reality is in the context; no plan outlives a step."""

    def act(self, context: Any, env_step: int, steps_left: int) -> tuple[Tensor | None, Tensor]:
        """(action, whether it comes from a plan) of each agent at this env step."""
        horizon = self.model.env.horizon
        due = env_step >= self.config.start_after and horizon - steps_left >= self.config.start_after_step
        action = None
        if due:
            steps_left = min(steps_left, getattr(context, "imaginable", steps_left))
            action = sampled_search(self.model, self.model.root(context), self.config, steps_left, self.generator).action[:, 0]
        return action, torch.full((self.batch,), due)


def sample(domain: Domain, parameters: Tensor, generator: torch.Generator, greedy: bool) -> Tensor:
    """An action of each agent, drawn from its policy or (`greedy`) the most likely one."""
    if domain.action.is_discrete:
        noise = 0.0 if greedy else -torch.empty_like(parameters).exponential_(generator=generator).log()
        return (parameters + noise).argmax(-1)
    policy = Gaussian.of(parameters)
    noise = torch.zeros_like(policy.mean) if greedy else torch.randn(policy.mean.shape, generator=generator)
    return (policy.mean + policy.log_std.exp() * noise).clamp(-1, 1)


@checked
@torch.no_grad()
def rollout(
    model: Learner, env: Env, tasks: Sequence[Task], n_rollouts: Count = 32, n_episodes: Count = 50,
    plan: Annotated[PlanConfig | None, a_plan] = None, seed: Seed = 0, greedy: bool = False,
    context_length: Count | None = None, record: bool = True,
) -> Life:
    """`n_rollouts` lives of `n_episodes` in each task, all at once; every life starts from an empty context, which holds
    at most `context_length` transitions (None: as many as the model was trained with): the last whole episodes.

    Without a plan the action is sampled from the policy (`greedy` takes the most likely one: it never explores). `record`
    False keeps rewards and successes alone, for lives of a hundred thousand steps. Raises
    `ValueError`, before anything is computed, for a model of another world, one whose dropout is on
    (training mode) or with weights that are not finite, for tasks that are not of the world, and
    for what does not fit the memory.
    """
    check_rollout(model, env, tasks, n_rollouts, n_episodes, plan, context_length, record)
    domain, generator = domain_of(env), torch.Generator().manual_seed(seed)
    world, shape = domain.make(tasks, n_rollouts), (len(tasks), n_rollouts)
    context = model.begin(len(tasks) * n_rollouts, context_length, generator)
    planner = plan and planner_kind(domain, plan)(model, plan, len(tasks) * n_rollouts, generator)
    tokens, steps = domain.first_tokens(world.reset().flatten(0, 1)), []
    for env_step in range(n_episodes * env.horizon):
        action = sample(domain, model.observe(context, tokens), generator, greedy)
        planned = torch.zeros(len(action), dtype=torch.bool)
        if planner:
            proposed, planned = planner.act(context, env_step, env.horizon - world.t)
            action = _where(planned, proposed, action)
        last = getattr(context, "imaginable", 2) == 1   # nothing can be planned beyond this step
        step = world.step(action.unflatten(0, shape))
        after = _next_tokens(domain, tokens, action, step)
        if planner:
            next_observation = step.next_observation.flatten(0, 1)
            planner.notice(env_step, after.last_reward, next_observation, step.done or last)
        steps.append(_kept(domain, tokens.observation, action, step, record) | {"planned": planned})
        if isinstance(planner, Planner):
            steps[-1] |= {"made": planner.made, "deluded": planner.deluded}
        tokens = after
    return Life(**_put_together(domain, steps, shape), max_return=domain.max_return(tasks), horizon=env.horizon)


def planner_kind(domain: Domain, plan: PlanConfig) -> type:
    """Who carries out such a plan."""
    if not domain.action.is_discrete:
        return SamplingPlanner
    return GoalSampler if plan.draws_goal else Planner


def _where(planned: Bool[Tensor, "batch"], proposed: Tensor | None, action: Tensor) -> Tensor:
    """The proposed actions where there is a plan, else those of the policy."""
    if proposed is None:
        return action
    return torch.where(planned.view(-1, *[1] * (action.ndim - 1)), proposed, action)


def _next_tokens(domain: Domain, before: Tokens, action: Tensor, step: Step) -> Tokens:
    """What agents read after a step."""
    reward, next_observation = step.reward.flatten(), step.next_observation.flatten(0, 1)
    arrived = domain.outcome(before.observation, next_observation, reward, before.reward_before)
    first = torch.full((len(reward),), int(step.done))
    return Tokens(step.observation.flatten(0, 1), action, reward, arrived, first)


def _kept(
    domain: Domain, observation: Tensor, action: Tensor, step: Step, record: bool
) -> dict[str, Tensor]:
    """What is kept of a step. record: whole, not rewards and successes alone."""
    kept = {"reward": step.reward.flatten().to(domain.reward.stored_as)}
    if step.success is not None:
        kept["success"] = step.success.flatten()
    if not record:
        return kept
    both = {"observation": observation, "next_observation": step.next_observation.flatten(0, 1)}
    kept |= {name: x.to(domain.observation.stored_as) for name, x in both.items()}
    return kept | {"action": action.to(domain.action.stored_as)}


def _put_together(
    domain: Domain, steps: list[dict[str, Tensor]], shape: tuple[int, int]
) -> dict[str, Tensor | None]:
    """The fields of a life, as agents read them; None for what was not recorded."""
    parts = dict.fromkeys(("observation", "action", "next_observation", "success", "made", "deluded"))
    spaces = {"observation": domain.observation, "next_observation": domain.observation,
              "action": domain.action, "reward": domain.reward}
    for name in steps[0]:
        part = torch.stack([step[name] for step in steps], dim=1).unflatten(0, shape)
        parts[name] = part.to(spaces[name].dtype) if name in spaces else part
    return parts
