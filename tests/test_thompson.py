"""One goal at a time, drawn in proportion to the belief: by hand, and with agents that know."""

import pytest
import torch

from dicp.config import EnvConfig, PlanConfig
from dicp.envs import cell_to_xy
from dicp.explorers import exact_belief
from dicp.oracles import Simulator
from dicp.planner import Clock
from dicp.rollout import rollout
from dicp.thompson import GoalSampler

ENV = EnvConfig("darkroom", size=3, horizon=6)
PLAN = PlanConfig.preset("thompson", "darkroom")


def distance(rollouts, goals) -> torch.Tensor:
    """Steps from each cell that was reached to the task's goal: [task rollout step]."""
    xy = torch.tensor(goals)[:, None, None]
    return (cell_to_xy(rollouts.next_observation, ENV.size) - xy).abs().sum(-1)


def test_who_knows_the_goal_walks_there_and_stays():
    goals = [(0, 0), (2, 1)]
    rollouts = rollout(Simulator(ENV, goals), ENV, goals, 3, 2, PLAN, seed=0)
    assert torch.equal(rollouts.episode_return, rollouts.max_return[:, None, None].expand(-1, 3, 2))
    assert rollouts.planned.all()


def test_an_empty_context_draws_every_cell_equally_often():
    sampler = GoalSampler(exact_belief(ENV), PLAN, 9000, torch.Generator().manual_seed(0))
    context = sampler.model.begin(9000)
    sampler.act(context, torch.full((9000,), 4), Clock(0, 0, ENV.horizon))
    counts = torch.bincount(sampler.goal, minlength=9).float()
    assert ((counts - 1000).abs() < 5 * 1000**0.5).all()


def test_the_goal_is_kept_until_the_episode_ends_and_what_is_ruled_out_is_not_drawn_again():
    goals = [(0, 0)]
    rollouts = rollout(exact_belief(ENV), ENV, goals, 64, 4, PLAN, seed=0)
    reached = rollouts.next_observation[0].unflatten(1, (4, 6))                       # rollout episode step
    stays = (reached[..., 1:] == reached[..., :-1]).long()
    assert (stays.diff(dim=-1) >= 0).all()                                        # once there, it stays
    ends = reached[..., -1]
    for one, two in zip(ends[:, :-1].T, ends[:, 1:].T, strict=True):
        assert ((one != two) | (one == 0)).all()                                  # a goal in vain is not drawn again
    found = (rollouts.episode_return[0] > 0).long()
    assert (found.diff(dim=-1) >= 0).all() and found[:, -1].any()                 # once found, always


@pytest.mark.parametrize("env", ["darkroom_permuted", "dark_key_to_door", "metaworld"])
def test_it_is_darkrooms_alone(env):
    with pytest.raises(ValueError, match="thompson"):
        PlanConfig.preset("thompson", env)
