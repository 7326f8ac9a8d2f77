"""A world as one object: what its tokens say at first, its spaces, and what is no world."""

from dataclasses import replace

import pytest
import torch

from dicp.config import EnvConfig, MetaWorldConfig, PlanConfig
from dicp.config.env import NoisyConfig, TreasureConfig
from dicp.domain import domain_of, made, split_of
from dicp.envs import split_tasks
from dicp.oracles import RandomPolicy
from dicp.policies import policy_of
from dicp.rollout import rollout
from dicp.types import Space, Tokens, Windows

GRIDS = [EnvConfig.preset(name) for name in ("darkroom", "darkroom_permuted", "dark_key_to_door")]
ARM = MetaWorldConfig("metaworld", "push-v3")


def test_the_first_tokens_of_a_grid_by_hand():
    tokens = domain_of(EnvConfig(size=3)).first_tokens(torch.tensor([4, 4]))
    assert [field.tolist() for field in tokens] == [[4, 4], [5, 5], [0, 0], [9, 9], [1, 1]]
    assert all(field.dtype == torch.int64 for field in tokens)


def test_the_first_tokens_of_an_arm_by_hand():
    tokens = domain_of(ARM).first_tokens(torch.ones(2, 11))
    assert [tuple(field.shape) for field in tokens] == [(2, 11), (2, 4), (2,), (2, 23), (2,)]
    assert not tokens.last_action.any() and not tokens.outcome.any() and tokens.last_reward.dtype == torch.float32


def test_an_arm_is_told_where_an_action_led_and_what_it_changed():
    before, after = torch.zeros(1, 11), torch.arange(11.0)[None]
    told = domain_of(ARM).outcome(before, after, torch.tensor([3.0]), torch.tensor([1.0]))
    assert torch.equal(told, torch.cat((after, after, torch.tensor([[2.0]])), dim=-1))


@pytest.mark.parametrize("n, kept, n_bytes", [(5, torch.uint8, 1), (255, torch.uint8, 1), (256, torch.int32, 4)])
def test_a_discrete_space_is_kept_in_one_byte_where_that_is_enough(n, kept, n_bytes):
    space = Space(n)
    assert space.is_discrete and (space.dtype, space.stored_as, space.n_bytes) == (torch.int64, kept, n_bytes)
    assert space.full(3, 2).tolist() == [2, 2, 2]


def test_a_space_of_numbers():
    space = Space(shape=(4,))
    assert not space.is_discrete and space.stored_as == torch.float32 and space.n_bytes == 16
    assert space.full(2, 0).shape == (2, 4)


@pytest.mark.parametrize("env", [*GRIDS, TreasureConfig(), ARM], ids=lambda env: env.name)
def test_a_world_does_not_lie_where_its_first_user_works(env):
    made.cache_clear()
    with torch.device("meta"):
        domain = domain_of(env)
    assert domain is domain_of(env) and len(domain.split(0)[0])
    assert all(x.device.type == "cpu" for x in vars(domain).values() if isinstance(x, torch.Tensor))


@pytest.mark.parametrize("env", GRIDS, ids=lambda env: env.name)
def test_every_grid_splits_makes_and_scores_its_tasks(env):
    domain = domain_of(env)
    train, held_out = domain.split(3)
    assert (train, held_out) == split_tasks(env.name, 3) == split_of(env, 3) and not set(train) & set(held_out)
    world = domain.make(held_out[:2], 3)
    assert world.reset().shape == (2, 3) and torch.equal(domain.max_return(held_out[:2]), world.max_return)
    domain.check_tasks(held_out)
    with pytest.raises(ValueError, match="task"):
        domain.check_tasks([(-1, -1)])
    assert domain is domain_of(EnvConfig.preset(env.name))


@pytest.mark.parametrize("wrong", ["darkroom", None, [], 3])
def test_what_is_no_world_is_refused_in_one_sentence(wrong):
    with pytest.raises(ValueError, match="env is"):
        domain_of(wrong)


def test_nobody_knows_the_optimal_actions_of_an_arm():
    with pytest.raises(ValueError, match="optimal actions are not known in metaworld; allowed: a grid."):
        domain_of(ARM).optimal_actions([(0.0,) * 6])


@pytest.mark.parametrize("env, field, value", [
    *((ARM, field, value) for field, value in dict(
        draws_goal=True, rank="mode", ties="random", replan=False, weigh_paths=True, curiosity=0.1, deduplicate=True,
        needs_reward=True).items()),
    (GRIDS[0], "candidates", 5)])
def test_a_field_of_a_plan_that_a_world_does_not_read_is_refused(env, field, value):
    policy = RandomPolicy(env)
    policy.can_plan, plan = True, replace(PlanConfig.preset("paper", env.name), **{field: value})
    with pytest.raises(ValueError, match=f"plan.{field} is {value!r}; allowed: .* in {env.name}, where nothing reads it"):
        rollout(policy, env, [(0.0,) * 6] if env is ARM else [(0, 0)], 1, 1, plan)


def test_steps_and_windows_are_cut_stacked_and_joined():
    step = Tokens(*(torch.arange(2) + 10 * i for i in range(5)))
    windows = Tokens.stack([step, step.map(lambda x: x + 1), step])
    assert windows.observation.tolist() == [[0, 1, 0], [1, 2, 1]] and windows.at(1).first.tolist() == [41, 42]
    assert windows.last_steps(2).outcome.tolist() == [[31, 30], [32, 31]]
    assert torch.equal(windows.last_steps(9).outcome, windows.outcome)
    assert windows.rows(torch.tensor([1, 1])).last_action.tolist() == [[11, 12, 11]] * 2
    longer = Tokens.concat((windows, windows), dim=1)
    assert longer.first.shape == (2, 6)
    batch = Windows(windows, *[torch.arange(6).view(2, 3)] * 6)
    both = Windows.concat((batch, batch.rows(torch.tensor([0]))))
    assert both.action.tolist() == [[0, 1, 2], [3, 4, 5], [0, 1, 2]] and len(both.tokens.first) == 3
    assert batch.last_steps(1).label.tolist() == [[2], [5]] and batch.to("cpu").reward.device.type == "cpu"


@pytest.mark.parametrize("env", [*GRIDS, TreasureConfig(), NoisyConfig(), ARM], ids=lambda env: env.name)
def test_a_world_goes_on_from_a_state_as_often_as_one_likes(env):
    domain, generator = domain_of(env), torch.Generator().manual_seed(0)
    tasks = domain.split(0)[0][:2]
    world = domain.simulator(tasks, 2, 0)
    world.reset()
    policy = policy_of(domain.action)
    actions = [policy.sample(policy.uninformed().expand(4, -1), generator).unflatten(0, (2, 2)) for _ in range(4)]
    before = world.step(actions[0]).next_observation
    state = world.get_state()
    later = [[world.step(action) for action in actions[1:]] for _ in range(2) if world.set_state(state).equal(before)]
    assert len(later) == 2
    for once, again in zip(*later, strict=True):
        assert torch.equal(once.next_observation, again.next_observation)
        assert env.is_random or torch.equal(once.reward, again.reward)
    while world.t < env.horizon - 1:
        world.step(actions[0])
    last, step = world.get_state(), world.step(actions[0])
    world.set_state(last)
    assert step.done and world.step(actions[0]).done and world.t == 0         # the episode's step is kept, too
    for wrong in (state._replace(t=env.horizon), domain.simulator(tasks, 3, 0).get_state()):
        with pytest.raises(ValueError, match="state.*allowed: "):
            world.set_state(wrong)
    assert world.t == 0
