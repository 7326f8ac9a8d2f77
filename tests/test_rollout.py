"""Acting in context: a batch is its agents one by one, a rollout obeys the rules, and nothing learns but the context."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dicp import results
from dicp.artifacts import load_or_train
from dicp.config import Config, EnvConfig, ModelConfig, PlanConfig
from dicp.envs import GridWorld
from dicp.explorers import GoalExplorer, exact_belief
from dicp.models import Model, new_model
from dicp.oracles import RandomPolicy, Simulator
from dicp.rollout import rollout
from dicp.types import Tokens

ENV = EnvConfig()
TASKS = [(4, 3), (4, 4), (0, 8)]
GATED = PlanConfig.preset("gated", beam_width=4, depth=3, ties="logp")          # by a rule, not by chance


def model_of(kind: str = "observational", env: EnvConfig = ENV, context_length: int = 20) -> Model:
    """Untrained, with weights large enough that what is in the context matters."""
    torch.manual_seed(0)
    model = new_model(env, ModelConfig(world_model=kind, context_length=context_length, n_layers=2)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    return model


def same(rollouts, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(rollouts[:5], other[:5], strict=True))


@pytest.mark.parametrize("kind, plan", [
    ("none", None), ("observational", GATED),
    ("queries", PlanConfig.preset("bayes", beam_width=4, depth=3, ties="order")),
])
def test_a_batch_is_its_agents_one_by_one(kind, plan):
    """Greedy, so that no random number is shared; planned rows come and go."""
    shipped = kind == "queries"                                   # untrained, it stays where it is
    model = load_or_train(Config.preset(world_model=kind)).model if shipped else model_of(kind)
    together = rollout(model, ENV, TASKS, 2, 3, plan, greedy=True)
    assert torch.equal(together.action[:, 0], together.action[:, 1])
    assert len(together.action[:, 0].unique(dim=0)) > 1           # the first reward tells the agents apart
    assert plan is None or together.planned.any()
    for i, task in enumerate(TASKS):
        alone = rollout(model, ENV, [task], 1, 3, plan, greedy=True)
        assert all(torch.equal(a[0, 0], b[i, 0]) for a, b in zip(alone[:5], together[:5], strict=True))


@pytest.mark.parametrize("env, tasks", [
    (ENV, TASKS), (EnvConfig("darkroom_permuted", horizon=25), [0, 77]),
    (EnvConfig("dark_key_to_door", horizon=10), [((4, 5), (5, 5)), ((4, 4), (4, 4))]),
])
def test_a_life_obeys_the_rules(env, tasks):
    """Its actions, played again in the world, give the same rollout."""
    rollouts, world = rollout(RandomPolicy(env), env, tasks, 8, 3), GridWorld(env, tasks, 8)
    cell = world.reset()
    for t in range(3 * env.horizon):
        outcome = world.step(rollouts.action[..., t])
        assert torch.equal(rollouts.observation[..., t], cell)
        assert torch.equal(rollouts.next_observation[..., t], outcome.next_observation)
        assert torch.equal(rollouts.reward[..., t], outcome.reward)
        cell = outcome.observation
    assert torch.equal(rollouts.max_return, world.max_return) and rollouts.horizon == env.horizon
    assert torch.equal(rollouts.episode_return[..., 1], rollouts.reward[..., env.horizon : 2 * env.horizon].sum(-1))
    assert (rollouts.episode_return <= rollouts.max_return[:, None, None]).all() and not rollouts.planned.any()


def test_a_longer_life_begins_as_a_shorter_one():
    """Nothing that comes later changes an earlier step, with and without a planner."""
    model = model_of()
    for plan in (None, GATED, replace(GATED, planner="bayes", replan=False)):
        short, long = (rollout(model, ENV, TASKS, 2, n, plan, seed=3) for n in (3, 5))
        assert all(torch.equal(a, b[..., : a.shape[-1]]) for a, b in zip(short[:5], long[:5], strict=True))


def test_the_seed_decides_everything():
    first, again, other = (rollout(model_of(), ENV, TASKS, 2, 2, GATED, seed=seed) for seed in (1, 1, 2))
    assert same(first, again) and not same(first, other)
    assert not torch.equal(first.action[:, 0], first.action[:, 1])           # two rollouts of a task differ


@pytest.mark.parametrize("kind", ["none", "observational", "queries"])
def test_a_rollout_changes_no_weight(kind):
    model = model_of(kind)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rollouts = rollout(model, ENV, TASKS, 2, 3, None if kind == "none" else GATED)
    assert rollouts.reward.any()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_planned_action_is_the_plans():
    """A planner that always plans from the first step leaves no action to chance."""
    rollouts = [rollout(model_of(), ENV, TASKS, 2, 2, replace(GATED, needs_reward=False), seed=seed) for seed in (1, 2)]
    assert rollouts[0].planned.all() and same(*rollouts)


def test_actions_are_sampled_from_the_policy():
    """The first action, of 4,000 agents: as often as the policy head says."""
    short = replace(ENV, horizon=1)
    model = model_of("none", short)
    first = rollout(model, short, [(0, 0)], 4000, 1)
    birth = Tokens(*(torch.tensor([x]) for x in (40, 5, 0, 81, 1)))
    share = first.action.flatten().bincount(minlength=5) / 4000
    torch.testing.assert_close(share, model.observe(model.begin(1), birth).softmax(-1)[0], atol=0.03, rtol=0)


def test_a_shorter_context_forgets():
    """With a context of one episode, until the second begins, and only until then."""
    model = model_of("none", context_length=40)
    whole, short = (rollout(model, ENV, TASKS, 2, 2, greedy=True, context_length=n) for n in (40, 20))
    assert torch.equal(whole.action[..., :20], short.action[..., :20]) and not torch.equal(whole.action, short.action)


def test_a_large_room_is_recorded_as_it_is():
    """Cells of a room of more than 256 have numbers that do not fit into one byte."""
    env, task = EnvConfig(size=30, horizon=10), (0, 15)
    rollouts, world = rollout(RandomPolicy(env), env, [task], 4, 1), GridWorld(env, [task], 4)
    world.reset()
    for t in range(10):
        outcome = world.step(rollouts.action[..., t])
        assert torch.equal(rollouts.next_observation[..., t], outcome.next_observation)
    assert (rollouts.next_observation > 256).any()


def with_infinite_prompt(model: Model) -> Model:
    model.register_buffer("prompt", torch.tensor([1.0, torch.inf]))
    return model


def with_nan(model: Model) -> Model:
    with torch.no_grad():
        model.policy_head.bias[2] = torch.nan
    return model


def in_training(model: Model) -> Model:
    return new_model(ENV, replace(model.config, dropout=0.1)).train()


OTHER, TWO = replace(ENV, size=8), [(4, 3), (0, 8)]


@pytest.mark.parametrize("sentence, call", [
    ("context_length is 21; allowed: multiples of the horizon 20 up to 20",
     lambda model: rollout(model, ENV, TASKS, 1, 1, context_length=21)),
    ("n_rollouts is 0; allowed: a whole number of at least 1",
     lambda model: rollout(model, ENV, TASKS, 0, 1)),
    ("n_rollouts is True; allowed", lambda model: rollout(model, ENV, TASKS, True, 1)),
    ("n_episodes is 0; allowed: a whole number of at least 1",
     lambda model: rollout(model, ENV, TASKS, 1, 0)),
    ("n_episodes is 1.5; allowed: a whole number",
     lambda model: rollout(model, ENV, TASKS, 1, 1.5)),
    ("seed is -1; allowed", lambda model: rollout(model, ENV, TASKS, 1, 1, seed=-1)),
    ("greedy is 1; allowed: True or False",
     lambda model: rollout(model, ENV, TASKS, 1, 1, greedy=1)),
    ("record is None; allowed: True or False",
     lambda model: rollout(model, ENV, TASKS, 1, 1, record=None)),
    (r"task is \(9, 0\); allowed: a goal", lambda model: rollout(model, ENV, [(9, 0)], 1, 1)),
    (r"tasks is \[\]; allowed: at least one task", lambda model: rollout(model, ENV, [], 1, 1)),
    ("tasks is 'all'; allowed: a sequence", lambda model: rollout(model, ENV, "all", 1, 1)),
    ("plan is 'bayes'; allowed: a PlanConfig, as PlanConfig.preset",
     lambda model: rollout(model, ENV, TASKS, 1, 1, "bayes")),
    ("plan is <class 'int'>; allowed: a PlanConfig, as PlanConfig.preset.*what makes a planner",
     lambda model: rollout(model, ENV, TASKS, 1, 1, int)),
    ("plan is .*lambda.*; allowed: a PlanConfig, as PlanConfig.preset",
     lambda model: rollout(model, ENV, TASKS, 1, 1, lambda model: None)),
    ("planner is 'gated', but this agent has no world model",
     lambda model: rollout(model, ENV, TASKS, 1, 1, GATED)),
    ("plan is None; allowed: a PlanConfig, because this QueryModel has no policy",
     lambda model: rollout(model_of("queries"), ENV, TASKS, 1, 1)),
    ("plan is None; allowed: a PlanConfig, because this Simulator",
     lambda model: rollout(Simulator(ENV, TWO), ENV, TWO, 1, 1)),
    ("number of tasks is 3; allowed: 2",
     lambda model: rollout(Simulator(ENV, TWO), ENV, TASKS, 1, 1, GATED)),
    (r"env is EnvConfig\(.*size=8.*; allowed: EnvConfig\(.*size=9",
     lambda model: rollout(model, OTHER, TASKS, 1, 1)),
    (r"env is EnvConfig\(.*horizon=10.*; allowed: EnvConfig\(.*horizon=20",
     lambda model: rollout(model, replace(ENV, horizon=10), TASKS, 1, 1)),
    ("env is .*; allowed: .*darkroom",
     lambda model: rollout(model, EnvConfig("darkroom_permuted"), [0], 1, 1)),
    ("env is .*; allowed: .*, the world of this model",
     lambda model: rollout(GoalExplorer(OTHER), ENV, TASKS, 1, 1, GATED)),
    ("env is 'darkroom'; allowed: a world's config, as EnvConfig",
     lambda model: rollout(model, "darkroom", TASKS, 1, 1)),
    ("training is True; allowed: False, because dropout is 0.1",
     lambda model: rollout(in_training(model), ENV, TASKS, 1, 1)),
    ("model.policy_head.bias is .*nan.*; allowed: finite",
     lambda model: rollout(with_nan(model), ENV, TASKS, 1, 1)),
    ("model.prompt is .*inf.*; allowed: finite",
     lambda model: rollout(with_infinite_prompt(model), ENV, TASKS, 1, 1)),
    ("model is None; allowed: a Learner, which has begin, can_plan, observe",
     lambda _: rollout(None, ENV, TASKS, 1, 1)),
    ("model is <class .*; allowed: a Learner", lambda _: rollout(RandomPolicy, ENV, TASKS, 1, 1)),
    ("agents x env steps is .*; allowed: fewer .*GiB",
     lambda model: rollout(model, ENV, TASKS, 2**40, 1)),
    ("agents x env steps is .*; allowed: fewer .*GiB",
     lambda model: rollout(model, ENV, TASKS, 1, 2**40)),
])
def test_impossible_rollouts_are_refused(sentence, call):
    with pytest.raises(ValueError, match=sentence) as refusal:
        call(model_of("none"))
    assert "\n" not in str(refusal.value)


def test_training_mode_without_dropout_and_numpys_numbers_are_welcome():
    model = model_of("none").train()
    plain = rollout(model, ENV, TASKS, 2, 1, seed=2)
    assert same(plain, rollout(model, ENV, TASKS, np.int64(2), np.uint8(1), seed=np.int64(2)))


def test_a_plan_that_counts_on_a_cell_that_has_not_paid_is_deluded():
    """By hand: who is told the goal counts on it before it has paid; then it has. The exact belief never does, before the
    last cell but one is ruled out; and what it was paid for an age ago is not in a short context."""
    env, plan = EnvConfig("darkroom", size=3, horizon=6), PlanConfig.preset("bayes", "darkroom")
    rollouts = rollout(Simulator(env, [(0, 0)]), env, [(0, 0)], 1, 2, plan)
    assert rollouts.made[0, 0].tolist() == [True, *[False] * 5] * 2
    assert rollouts.deluded[0, 0].nonzero().flatten().tolist() == [0]
    rollouts = rollout(exact_belief(env), env, [(0, 0)], 8, 4, plan)
    assert rollouts.made.any(-1).all() and not (rollouts.deluded & ~rollouts.made).any()
    n_met = F.one_hot(rollouts.next_observation[0], 9).amax(1).sum(-1)
    assert not rollouts.deluded[0][n_met < 8].any()


def test_made_and_deluded_plans_are_counted_in_the_results():
    env, plan, tasks = EnvConfig("darkroom", size=3, horizon=6), PlanConfig.preset("bayes", "darkroom"), [(0, 0), (2, 2)]
    config = Config(env, model=ModelConfig(context_length=12))
    rollouts = rollout(Simulator(env, tasks), env, tasks, 3, 2, plan)
    table = results.compact(results.from_rollouts(rollouts, config, tasks, plan, method="simulator", world_model="none"))
    assert table["plans"].tolist() == [1, 1, 1, 1]
    assert table.sort_values(["episode", "task"])["deluded"].tolist() == [1, 1, 0, 0]
    assert "plans" not in results.from_rollouts(rollout(RandomPolicy(env), env, tasks, 2, 2), config, tasks)
