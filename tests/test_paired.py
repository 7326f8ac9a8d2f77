"""One model's policy beside another's world: each plays its own part, and nothing else changes."""

import pytest
import torch

from dicp.config import EnvConfig, ModelConfig, PlanConfig
from dicp.models import InContextModel, PairedModel, QueryModel, TableModel
from dicp.rollout import rollout

ENV = EnvConfig("darkroom", size=3, horizon=6)
TASKS = [(0, 0), (2, 1)]


def tiny(kind: str, seed: int = 0):
    torch.manual_seed(seed)
    sizes = dict(context_length=12, d_model=16, n_layers=1, n_heads=2, d_ff=16, d_head_hidden=8)
    config = ModelConfig(kind, **sizes)
    made = {"queries": QueryModel, "table": TableModel}.get(kind, InContextModel)(ENV, config)
    return made.eval().requires_grad_(False)


def lived(model, plan=None):
    return rollout(model, ENV, TASKS, 4, 4, plan, seed=3)


def same(one, two) -> bool:
    return torch.equal(one.action, two.action) and torch.equal(one.reward, two.reward)


@pytest.mark.parametrize("world", ["queries", "heads", "table"])
def test_without_a_plan_it_acts_as_its_policy(world):
    policy = tiny("none")
    assert same(lived(PairedModel(policy, tiny(world, 1))), lived(policy))


@pytest.mark.parametrize("world", ["queries", "heads", "table"])
def test_where_ties_are_broken_by_chance_it_plans_as_its_world_model_alone(world):
    """Also after forgetting; the policy is not asked about imagined futures."""
    world, plan = tiny(world, 1), PlanConfig.preset("bayes", "darkroom", depth=4)
    alone = lived(world, plan)
    for proposes in (False, True):
        assert same(lived(PairedModel(tiny("none"), world, proposes), plan), alone)


@pytest.mark.parametrize("planner", ["paper", "gated"])
def test_a_model_paired_with_itself_acts_as_itself(planner):
    model, plan = tiny("observational"), PlanConfig.preset(planner, "darkroom", start_after=0, depth=4)
    assert same(lived(PairedModel(model, model), plan), lived(model, plan))


def test_the_policy_breaks_the_ties_of_a_world_model_that_cannot():
    """Nothing is expected anywhere: the paper's plan then does what the policy prefers."""
    world, plan = tiny("table"), PlanConfig.preset("paper", "darkroom", ties="order", start_after=0, depth=3)
    world.chance.zero_()
    policy = tiny("none")
    assert same(lived(PairedModel(policy, world), plan), rollout(policy, ENV, TASKS, 4, 4, seed=3, greedy=True))


def test_both_know_the_same_world():
    other = QueryModel(EnvConfig("darkroom", size=4, horizon=6), tiny("queries").config)
    with pytest.raises(ValueError, match="the world of the policy"):
        PairedModel(tiny("none"), other)
