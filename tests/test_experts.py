"""Meta-World's scripted experts as controls: what they are told, that they remember nothing, and what they reach."""

import numpy as np
import pytest
import torch

from dicp import experts, results
from dicp.config import MetaWorldConfig
from dicp.domain import split_of, world_of
from dicp.evaluation import evaluate
from dicp.rollout import rollout
from dicp.types import Tokens

pytest.importorskip("metaworld")
REACH, PUSH = MetaWorldConfig(task="reach-v3"), MetaWorldConfig(task="push-v3")
FAR = [(0.0, 0.6, 0.02, x, 0.85, 0.2) for x in (-0.1, 0.1)]        # of reach: where the hand begins, and the goal


def test_the_informed_one_knows_each_goal_and_the_blind_one_the_mean_of_others():
    assert experts.informed_expert(REACH, FAR).goals.tolist() == [[-0.1, 0.85, 0.2], [0.1, 0.85, 0.2]]
    blind = experts.blind_expert(REACH, FAR[:1] * 3, FAR)
    assert torch.allclose(blind.goals, torch.tensor([[0.0, 0.85, 0.2]] * 3).double())


def test_its_actions_are_the_librarys_and_depend_on_what_is_seen_now_alone():
    from metaworld.policies.sawyer_push_v3_policy import SawyerPushV3Policy
    tasks = split_of(PUSH, 0)[1][:2]
    expert = experts.informed_expert(PUSH, tasks)
    observation = world_of(PUSH, tasks, 2).reset().flatten(0, 1)
    told = expert.begin(4)
    assert torch.equal(told, expert.goals[[0, 0, 1, 1]])
    seen = [Tokens(observation, *(torch.full((4,), x) for x in others)) for others in ([0.0] * 4, [1.0] * 4)]
    action, log_std = expert.observe(told, seen[0]).chunk(2, -1)
    assert torch.equal(action, expert.observe(told, seen[1])[:, :4]) and (log_std == -10).all()
    whole = np.zeros(39)
    whole[:11], whole[36:] = observation[3], expert.goals[1]
    theirs = np.clip(SawyerPushV3Policy().get_action(whole), -1, 1)
    np.testing.assert_allclose(action[3], theirs, atol=1e-6)


def test_who_is_told_the_goal_reaches_it_and_every_episode_is_the_same():
    rollouts = rollout(experts.informed_expert(REACH, FAR), REACH, FAR, 1, 2, greedy=True)
    assert rollouts.episode_success.all()
    assert torch.equal(rollouts.reward[..., :100], rollouts.reward[..., 100:])
    blind = experts.blind_expert(REACH, FAR, FAR)                   # goes between the two
    assert not rollout(blind, REACH, FAR, 1, 1, greedy=True).episode_success.any()


def test_bad_input_gets_one_sentence():
    with pytest.raises(ValueError, match="^goals is .*; allowed: one for each of the 2 tasks"):
        experts.ScriptedExpert(REACH, FAR, torch.zeros(1, 3))
    with pytest.raises(ValueError, match="^batch is 3; allowed: a multiple of the number of tasks, 2"):
        experts.informed_expert(REACH, FAR).begin(3)
    with pytest.raises(ValueError, match="^the number of tasks is 1; allowed: 2"):
        rollout(experts.informed_expert(REACH, FAR), REACH, FAR[:1], 1, 1)


def test_they_are_recorded_under_their_names():
    for expert in (experts.informed_expert(REACH, FAR), experts.blind_expert(REACH, FAR, FAR)):
        table = evaluate(expert, env=REACH, tasks=FAR, n_rollouts=1, n_episodes=1, greedy=True)
        assert set(table["method"]) == {expert.name} <= set(results.CONTROLS)
