"""Contract tests of a world: what the library counts on, tried on yours.

    from dicp.testing import check_world

    check_world(MyConfig())          # AssertionError with a sentence where a promise is broken

The project's own worlds pass the same tests.
"""

import json
from dataclasses import asdict, replace

import torch
from torch import Tensor

from dicp.checks import Seed, checked
from dicp.config import (
    Config,
    ModelConfig,
    PlanConfig,
    SourceConfig,
    TrainConfig,
    WorldConfig,
    env_from_dict,
)
from dicp.domain import Domain, domain_of
from dicp.history.logs import check_log
from dicp.history.tasks import as_task
from dicp.losses import losses
from dicp.models import new_model
from dicp.policies import policy_of
from dicp.rollout import rollout
from dicp.source.ppo import train_ppo
from dicp.types import Space, Step
from dicp.windows import WindowSampler

__all__ = ["check_config", "check_learning", "check_simulator", "check_tasks", "check_world"]

N_TASKS, N_STREAMS = 2, 3


@checked
def check_world(env: WorldConfig, seed: Seed = 0) -> None:
    """All of them. Raises `AssertionError`; `ValueError` for what the library itself refuses."""
    check_config(env)
    check_tasks(env, seed)
    check_simulator(env, seed)
    check_learning(env, seed)


def need(fits: bool, sentence: str) -> None:
    if not fits:
        raise AssertionError(sentence)


@checked
def check_config(env: WorldConfig) -> None:
    """The config is a value: equal configs are one world, and JSON keeps it."""
    world = domain_of(env)
    same = env_from_dict(json.loads(json.dumps(asdict(env))))
    need(same == env, f"{env} is not what its own fields make: {same}")
    need(
        domain_of(same) is world,
        f"{env} makes another world each time; its fields must be hashable",
    )
    longer = replace(env, horizon=env.horizon + 1)
    need(longer != env, f"{type(env).__name__} compares equal with another horizon")
    for target in env.imitators:                       # each has settings that fit this horizon
        Config.preset(env.name, target=target, task=env.task)
    observation = world.observation.full(4, 0)
    tokens = world.first_tokens(observation)
    need(len(tokens.outcome) == 4, "first_tokens does not give a token for each agent")


@checked
def check_tasks(env: WorldConfig, seed: Seed = 0) -> None:
    """The split is one: the same for the same seed, nothing on both sides."""
    world = domain_of(env)
    parts = world.split(seed)
    need(len(parts) == 2, f"split gives {len(parts)} lists, not training and held-out tasks")
    train, held_out = map(list, parts)
    need(bool(train) and bool(held_out), "split gives no training or no held-out tasks")
    again = tuple(map(list, world.split(seed)))
    need((train, held_out) == again, "split differs from call to call")
    for task in (*train[:100], *held_out[:100]):
        need(as_task(task) == task, f"task {task} is not what storing and reading it gives")
    both = set(train) & set(held_out)
    need(not both, f"{len(both)} tasks are for training and held out, too")
    world.check_tasks([*train, *held_out])
    source = SourceConfig.preset(env.name)
    missing = set(world.training_tasks(source, seed)) - set(world.source_tasks(source, seed))
    need(not missing, f"{len(missing)} training tasks have no learning histories")
    most = world.max_return(train[:N_TASKS])
    shape = (len(train[:N_TASKS]),)
    need(tuple(most.shape) == shape, f"max_return has shape {tuple(most.shape)}, not {shape}")
    cure = "add a constant to every reward, so that some return is above 0"
    need(bool((most > 0).all()), f"max_return is {most.tolist()}; tables are shares of it: {cure}")


@checked
def check_simulator(env: WorldConfig, seed: Seed = 0) -> None:
    """Shapes, kinds, bounds; episodes of the horizon's length that begin by themselves; the same
    actions give the same, for one agent as for many."""
    world = domain_of(env)
    tasks = world.split(seed)[0][:N_TASKS]
    simulator, n_steps = world.simulator(tasks, N_STREAMS, seed), 2 * env.horizon
    generator = torch.Generator().manual_seed(seed)
    start = simulator.reset()
    shape = len(tasks), N_STREAMS
    check_values("reset()", start, world.observation, shape)
    kept = start.clone()
    before, returns, took = start, torch.zeros(len(tasks), N_STREAMS), []
    for t in range(n_steps):
        need(simulator.t == t % env.horizon, f"t is {simulator.t} after {t} steps")
        action = some_action(world, shape, generator)
        step = simulator.step(action)
        check_step(world, step, t, before, shape)
        returns = step.reward + (0 if t % env.horizon == 0 else returns)
        most = highest_return(world, tasks)
        is_lower = bool((returns <= most * 1.0001).all())
        need(is_lower, f"a return of {returns.max():g} is above max_return")
        before = step.observation
        took.append((action, Step(*(copied(x) for x in step))))
    need(
        torch.equal(start, kept),
        "a step changes the tensor that reset() gave; give a new one each time",
    )
    if env.is_random:
        check_seed(world, tasks, seed, took)
    else:
        check_repeats(world, tasks, took)


def highest_return(world: Domain, tasks: list) -> Tensor:
    """What no episode can beat; in a random world, by luck, the expected highest can be beaten."""
    if world.config.is_random:
        return torch.full((len(tasks), 1), world.max_reward * world.config.horizon)
    return world.max_return(tasks)[:, None]


def copied(value: object) -> object:
    return value.clone() if isinstance(value, Tensor) else value


def check_repeats(world: Domain, tasks: list, took: list[tuple[Tensor, Step]]) -> None:
    """Whether one agent in one task meets what the first of many met: a world is not random, unless
    its config says so (`is_random`)."""
    alone = world.make(tasks[:1], 1)
    check_values("reset()", alone.reset(), world.observation, (1, 1))
    first = [(action[:1, :1], step) for action, step in took]
    need_same(alone, first, 1, "for one agent alone than among others")


def check_seed(world: Domain, tasks: list, seed: int, took: list[tuple[Tensor, Step]]) -> None:
    """Whether a random world does the same again with the same seed, and takes all its random
    numbers from the generator that it is given."""
    again = world.simulator(tasks, N_STREAMS, seed)
    again.reset()
    torch.rand(1)                                       # of the generator that everybody shares
    need_same(again, took, None, "with the same seed the second time")
    generator = torch.Generator().manual_seed(seed)
    before, drawn = generator.get_state(), world.make(tasks, N_STREAMS, generator)
    drawn.reset()
    for action, _ in took:
        drawn.step(action)
    unused = torch.equal(before, generator.get_state())
    need(not unused, "is_random is True, but no number is drawn from the generator of make")


def need_same(
    simulator: object, took: list[tuple[Tensor, Step]], first: int | None, when: str
) -> None:
    """Whether the same actions lead to the same; first: of so many tasks and streams alone."""
    for t, (action, step) in enumerate(took):
        again = simulator.step(action)
        for name in ("reward", "next_observation", "observation"):
            one, other = getattr(again, name), getattr(step, name)[:first, :first]
            same = torch.allclose(one.double(), other.double(), atol=1e-5)
            need(same, f"the {name} of step {t} is another {when}")


def check_step(
    world: Domain, step: Step, t: int, before: Tensor, shape: tuple[int, int]
) -> None:
    """One step: what it says, and whether the episode ends when it must."""
    horizon = world.config.horizon
    last = (t + 1) % horizon == 0
    need(step.done == last, f"done is {step.done} at step {t} of episodes of {horizon}")
    for name in ("observation", "next_observation"):
        check_values(name, getattr(step, name), world.observation, shape)
    check_values("reward", step.reward, world.reward, shape)
    told = step.success is not None
    need(
        told == world.says_success,
        f"says_success is {world.says_success}, success is {step.success}",
    )
    same = torch.equal(step.observation, step.next_observation)
    need(last or same, f"at step {t}, within an episode, observation differs from next_observation")
    after = world.outcome(before, step.next_observation, step.reward, torch.zeros_like(step.reward))
    need(after.shape[:2] == step.reward.shape, f"outcome has shape {tuple(after.shape)}")


def check_values(what: str, values: Tensor, space: Space, shape: tuple[int, int]) -> None:
    """Whether they are of a space, for each task and stream."""
    wanted = *shape, *space.shape
    need(tuple(values.shape) == wanted, f"{what} has shape {tuple(values.shape)}, not {wanted}")
    need(values.dtype == space.dtype, f"{what} is {values.dtype}, not {space.dtype}")
    low, high = space.bounds
    fits = bool(values.isfinite().all() and low <= values.min() and values.max() <= high)
    need(fits, f"{what} holds values from {values.min()} to {values.max()}, not {low} to {high}")
    is_one = not space.values or bool(torch.isin(values, space.table()).all())
    need(is_one, f"{what} holds {values.unique().tolist()}, not only {space.values}")


def some_action(world: Domain, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """What a policy draws that knows nothing."""
    policy = policy_of(world.action)
    parameters = policy.uninformed().expand(shape[0] * shape[1], -1)
    return policy.sample(parameters, generator).unflatten(0, shape)


@checked
def check_learning(env: WorldConfig, seed: Seed = 0) -> None:
    """The source learns in it, what it did can be stored, and a model reads it, acts and plans."""
    world = domain_of(env)
    tasks = world.split(seed)[0][:N_TASKS]
    source = small_source(env)
    log = train_ppo(env, tasks, source, seed)
    for row, task in enumerate(tasks):
        one = log.map(lambda values, row=row: values[row])
        check_log(env, source, source.n_kept, task, one)
    for kind in env.world_models:
        config = ModelConfig(kind, context_length=2 * env.horizon, chunk=1)
        torch.manual_seed(seed)
        model = new_model(env, config).eval()
        check_model(env, model, WindowSampler(env, log), tasks, seed)


def small_source(env: WorldConfig) -> SourceConfig:
    """PPO for two short episodes of a few streams."""
    steps = 2 * env.horizon
    return replace(
        SourceConfig.preset(env.name), n_streams=2, keep_streams=2, env_steps=steps, n_steps=steps,
        batch_size=steps, n_epochs=1,
    )


def check_model(env: WorldConfig, model, sampler: WindowSampler, tasks: list, seed: int) -> None:
    """Whether its losses are finite, and whether it acts as the world allows."""
    generator = torch.Generator().manual_seed(seed)
    if model.config.world_model == "table":
        counts = model.count(sampler.history(2, 2, 1, generator))
        n_steps = 2 * 2 * env.horizon
        need(int(counts.sum()) == n_steps, f"a table counts {counts.sum()} of {n_steps} steps")
        model.chance.copy_(counts / counts.sum(-1, keepdim=True).clamp(min=1))
    else:
        train = TrainConfig(batch_size=2, max_stride=1)
        for name, loss in losses(model, sampler, train, generator).items():
            need(bool(loss.isfinite()), f"the {name} loss of a new model is {loss}")
    plans = [None] if getattr(model, "has_policy", True) else []
    if model.can_plan:
        plan = PlanConfig.preset("paper", env.name, env.task)
        plans.append(replace(plan, depth=2, start_after=0, start_after_step=0))
    for plan in plans:
        rollouts = rollout(model, env, tasks, 1, 1, plan, seed)
        need(bool(rollouts.reward.isfinite().all()), "a reward is not finite")
