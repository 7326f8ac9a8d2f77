"""The table that learns nothing but counts, by hand."""

from dataclasses import replace

import pytest
import torch

from dicp.beliefs import remember, tokens_of, windows_of
from dicp.config import Config, EnvConfig, ModelConfig, PlanConfig
from dicp.config.env import TreasureConfig
from dicp.envs.tasks import PERMUTATIONS
from dicp.explorers import exact_belief
from dicp.models import TableModel
from dicp.oracles import RandomPolicy
from dicp.rollout import rollout
from dicp.types import Tokens, Windows


def table(name: str, n_episodes: int = 2, size: int = 3, horizon: int = 6) -> TableModel:
    env = EnvConfig(name, size=size, horizon=horizon)
    return TableModel(env, ModelConfig("table", context_length=n_episodes * horizon))


def window(name: str, cells: list[int], rewards: list[int], horizon: int) -> Windows:
    """One window of an agent that stays where it is put (its actions play no part in the counts)."""
    reward, outcome = torch.tensor([rewards]), torch.tensor([cells])
    first = torch.zeros_like(reward)
    first[:, ::horizon] = 1
    before = torch.cat((torch.zeros_like(reward[:, :1]), reward[:, :-1]), dim=1)
    tokens = Tokens(outcome, outcome * 0, before, outcome, first)
    return Windows(tokens, outcome * 0, reward, outcome, reward, reward, reward)


def counted(model: TableModel, windows: Windows) -> tuple[torch.Tensor, torch.Tensor]:
    """(steps with a reward, all steps) of each kind."""
    counts = model.count(windows)
    return counts[:, 1], counts.sum(1)


def give(model: TableModel, p_reward: torch.Tensor) -> None:
    model.chance.copy_(torch.stack((1 - p_reward, p_reward), dim=1))


def test_darkroom_counts_three_kinds():
    """Never met: 4, 5 (paid) and 3; met in vain: 4; met with a reward: 5, twice."""
    model = table("darkroom")
    paid, n = counted(model, window("darkroom", [4, 4, 5, 5, 3, 5], [0, 0, 1, 1, 0, 1], 6))
    assert paid.tolist() == [1, 0, 2] and n.tolist() == [3, 1, 2]


def test_key_to_door_counts_by_the_rewards_so_far():
    """Without the key: 4 in vain, 5 is the key (found, then known). With it: 4 is new again, then met in vain; 6 pays."""
    model = table("dark_key_to_door", horizon=3)
    paid, n = counted(model, window("dark_key_to_door", [4, 5, 4, 5, 4, 6], [0, 1, 0, 1, 0, 1], 3))
    assert paid.unflatten(0, (3, 3)).tolist() == [[1, 0, 1], [1, 0, 0], [0, 0, 0]]
    assert n.unflatten(0, (3, 3)).tolist() == [[2, 0, 1], [2, 1, 0], [0, 0, 0]]


def test_permuted_counts_by_cell():
    model = table("darkroom_permuted")
    paid, n = counted(model, window("darkroom_permuted", [4, 8, 8, 4, 4, 8], [0, 1, 1, 0, 0, 1], 6))
    assert paid.nonzero().flatten().tolist() == [8] and n[8] == 3 and n[4] == 3


def test_one_number_may_be_changed_by_hand():
    """Of cells never met, at every stage and for every reward; nothing else, and no share above one."""
    env, config = EnvConfig("dark_key_to_door", size=3, horizon=6), ModelConfig("table", context_length=12)
    counts = torch.tensor([[3, 1], [4, 0], [0, 2]] * 3)
    for factor, wanted in ((1.0, 0.25), (0.01, 0.0025), (4.0, 1.0)):
        model = TableModel(env, replace(config, new_cells=factor))
        model.learn(counts.double())
        assert torch.allclose(model.chance[:, 1], torch.tensor([wanted, 0.0, 1.0] * 3))
        assert torch.allclose(model.chance.sum(1), torch.ones(9))
    with pytest.raises(ValueError, match="model.new_cells is 4.1; allowed: at most 4 here"):
        TableModel(env, replace(config, new_cells=4.1)).learn(counts.double())
    table = Config.preset(world_model="table")
    assert replace(table, model=replace(table.model, new_cells=2.0)).key != table.key
    whole = Config.preset(world_model="queries")
    with pytest.raises(ValueError, match="model.new_cells is 2.0; allowed: 1.0, with world_model 'queries'"):
        replace(whole, model=replace(whole.model, new_cells=2.0))
    rich = TableModel(TreasureConfig(size=3, horizon=6, n_train=4, n_held_out=2), replace(config, new_cells=2.0))
    rich.learn(torch.tensor([[6.0, 1, 1]] + [[1.0, 0, 0]] * 3))
    assert torch.allclose(rich.chance[0], torch.tensor([0.5, 0.25, 0.25]))
    with pytest.raises(ValueError, match="model.new_cells is 2.0; allowed: 1.0 in darkroom_permuted"):
        TableModel(EnvConfig("darkroom_permuted"), replace(config, new_cells=2.0))


@pytest.mark.parametrize("name", ["darkroom", "dark_key_to_door"])
def test_acting_asks_for_what_was_counted(name):
    """Also after forgetting: at each step the context gives each cell the kind that a window of the same steps gives it."""
    model = table(name, n_episodes=2)
    env, horizon = model.env, model.env.horizon
    give(model, torch.arange(len(model.chance)) / 10)
    tasks = [(1, 1), (2, 1)] if name == "darkroom" else [((1, 1), (1, 2)), ((1, 2), (1, 1))]
    rollouts = rollout(RandomPolicy(env), env, tasks, 8, 4, seed=1)
    read, windows = tokens_of(rollouts, env), windows_of(rollouts, env)
    context = model.begin(16)
    for t in range(4 * horizon):
        model.observe(context, Tokens(*(x[:, t] for x in read)))
        start = max(0, (t // horizon - 1) * horizon)                     # two episodes are remembered
        said = model.imagine(model.root(context))
        held = Tokens(*(x[:, start : t + 1] for x in windows.tokens))
        for action in range(5):
            outcome = said.next_observation[:, 0, action]
            cell = torch.cat((windows.next_observation[:, start:t], outcome[:, None]), dim=1)
            reward = torch.cat((windows.reward[:, start:t], outcome[:, None] * 0), 1)
            asked = Windows(held, cell, reward, *(cell,) * 4)
            assert torch.equal(said.reward[:, 0, action], model.chance[model.kinds(asked)[:, -1], 1])


def test_an_action_that_moved_the_agent_is_known_and_the_others_share_the_rest():
    model = table("darkroom_permuted", size=5, horizon=12)
    env, task = model.env, 77
    rollouts = rollout(RandomPolicy(env), env, [task], 32, 1, seed=0)
    read = tokens_of(rollouts, env)
    context = remember(model, Tokens(*(x[:, :7] for x in read)))
    does = context.noted.does[:, 0]
    known = does >= 0
    truth = torch.tensor(PERMUTATIONS[task])
    assert torch.equal(does[known], truth.expand_as(does)[known]) and known.any() and not known.all()
    said = model.imagine(model.root(context), uncertainty=True)
    assert torch.allclose(said.probability[:, 0][known], torch.tensor(1.0))
    apart = (model.by_move.sort(-1).values.diff() > 0).all(-1)                  # no wall near: five moves, five cells
    asked = apart[read.observation[:, 6]][:, None] & ~known
    left = (~known).sum(1, keepdim=True).expand_as(known)
    assert asked.any() and torch.allclose(said.probability[:, 0][asked], 1 / left[asked])


def test_with_the_right_numbers_it_finds_what_the_exact_belief_finds():
    """Three numbers and a wide plan are enough in Darkroom: this is the control."""
    env = EnvConfig("darkroom", size=5, horizon=8)
    model = TableModel(env, ModelConfig("table", context_length=32))
    give(model, torch.tensor([0.04, 0.0, 1.0]))
    plan = PlanConfig.preset("bayes", "darkroom")
    goals = [(0, 0), (4, 1), (2, 4)]
    mine, theirs = (rollout(agent, env, goals, 8, 6, plan, 0).episode_return.float().mean((0, 1))
                    for agent in (model, exact_belief(env)))
    assert mine[-1] > 0.9 * theirs[-1] and mine.mean() > 0.9 * theirs.mean()
