"""Act in context: an agent lives many episodes of a task that it never saw, and its weights never change."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dicp.config import EnvConfig, PlanConfig
from dicp.envs import GridWorld, Task
from dicp.errors import at_least
from dicp.planning import Plan, beam_search
from dicp.windows import Tokens


@runtime_checkable
class Learner(Protocol):
    """What a rollout asks of an agent. One that `can_plan` is a `WorldModel`, too, starting from `root(context)`; its
    context says of how many transitions it remembers the outcome (`n_transitions`), and may say how many steps can be
    imagined from here (`imaginable`). A model that draws numbers takes them from `generator`."""

    @property
    def can_plan(self) -> bool: ...

    def begin(self, batch: int, context_length: int | None = None, generator: torch.Generator | None = None) -> Any: ...

    def observe(self, context: Any, tokens: Tokens) -> Float[Tensor, "batch n_actions"]: ...

    def root(self, context: Any) -> Any: ...


class Life(NamedTuple):
    """What happened, in order. The agent sees `observation`, acts, earns `reward`, and sees `next_observation`
    come of it (before any reset)."""

    observation: Int[Tensor, "task rollout step"]
    action: Int[Tensor, "task rollout step"]
    reward: Int[Tensor, "task rollout step"]
    next_observation: Int[Tensor, "task rollout step"]
    planned: Bool[Tensor, "task rollout step"]      # the action came from a plan, not from the policy
    max_return: Int[Tensor, "task"]
    horizon: int

    @property
    def episode_return(self) -> Int[Tensor, "task rollout episode"]:
        return self.reward.unflatten(-1, (-1, self.horizon)).sum(-1)


class Planner:
    """Carries each agent's plan from step to step, and makes new ones when they are due."""

    def __init__(self, model: Learner, config: PlanConfig, batch: int, generator: torch.Generator | None = None):
        self.model, self.config, self.generator = model, config, generator
        self.plan: Plan | None = None
        self.age = torch.full((batch,), config.depth)          # steps of the plan already taken; >= its length: none left
        self.last_reward = torch.full((batch,), -10**9)        # env step of the latest reward

    def notice(self, env_step: int, reward: Tensor, next_cell: Tensor, done: bool) -> None:
        """Compare reality with what was imagined for this step; a plan does not outlive its episode (or IDT's chunk)."""
        self.last_reward[reward > 0] = env_step
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
        if due.any():
            rows = due.nonzero()[:, 0]
            state = self.model.root(context if len(rows) == len(due) else context.rows(rows))
            new = beam_search(self.model, state, self.config, steps_left, self.generator, ~rewarded[rows])
            self._store(rows, new)
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


@torch.no_grad()
def rollout(
    model: Learner,
    env: EnvConfig,
    tasks: Sequence[Task],
    n_rollouts: int = 32,
    n_episodes: int = 50,
    plan: PlanConfig | None = None,
    seed: int = 0,
    greedy: bool = False,
    context_length: int | None = None,
) -> Life:
    """`n_rollouts` lives of `n_episodes` in each task, all at once; every life starts from an empty context, which holds
    at most `context_length` transitions (None: as many as the model was trained with): the last whole episodes.

    Without a plan the action is sampled from the policy (`greedy` takes the most likely one: it never explores).
    """
    for name, value in (("n_rollouts", n_rollouts), ("n_episodes", n_episodes)):
        at_least(name, value, 1)
    if plan and not model.can_plan:
        raise ValueError(f"planner is {plan.planner!r}, but this agent has no world model; allowed: no plan.")
    world, generator = GridWorld(env, tasks, n_rollouts), torch.Generator().manual_seed(seed)
    shape, batch = (len(world.tasks), n_rollouts), len(world.tasks) * n_rollouts
    context = model.begin(batch, context_length, generator)
    planner = plan and Planner(model, plan, batch, generator)
    cell = world.reset().flatten()
    tokens = Tokens(cell, *(torch.full_like(cell, x) for x in (env.n_actions, 0, env.n_cells, 1)))
    steps = []
    for env_step in range(n_episodes * env.horizon):
        logits = model.observe(context, tokens)
        noise = 0.0 if greedy else -torch.empty_like(logits).exponential_(generator=generator).log()
        action, planned = (logits + noise).argmax(-1), torch.zeros(batch, dtype=torch.bool)
        if planner:
            proposed, planned = planner.act(context, env_step, env.horizon - world.t)
            action = torch.where(planned, proposed, action)
        last = getattr(context, "imaginable", 2) == 1                  # nothing can be planned beyond this step
        outcome = world.step(action.view(shape))
        reward, next_cell = outcome.reward.flatten(), outcome.next_observation.flatten()
        if planner:
            planner.notice(env_step, reward, next_cell, outcome.done or last)
        steps.append(torch.stack((tokens.observation, action, reward, next_cell, planned.long())).to(torch.uint8))
        tokens = Tokens(outcome.observation.flatten(), action, reward, next_cell, torch.full_like(action, outcome.done))
    record = torch.stack(steps, dim=-1).view(5, *shape, -1)
    return Life(*record[:4].long(), record[4].bool(), world.max_return, env.horizon)
