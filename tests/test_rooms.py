"""Dark Treasure and Noisy Darkroom: by hand, step by step against their definitions, and what decides in them."""

from dataclasses import replace

import gymnasium
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from dicp.beliefs import log_of, windows_of
from dicp.config import Config, PlanConfig
from dicp.config.env import NoisyConfig, TreasureConfig
from dicp.domain import domain_of, split_of, world_of
from dicp.evaluation import evaluate, make_env
from dicp.explorers import NoisyExplorer, TreasureExplorer, exact_belief
from dicp.imagined import Imagined
from dicp.models import TableModel
from dicp.oracles import RandomPolicy
from dicp.planning import Futures, same_place
from dicp.rollout import rollout
from dicp.testing import check_world
from dicp.types import Tokens, Windows

TREASURE = TreasureConfig(size=5, horizon=8, n_train=30, n_held_out=10)
NOISY = NoisyConfig(size=5, horizon=8)
RIGHT, LEFT, UP, DOWN, STAY = range(5)
START = 12                                          # the middle of 5 x 5: (2, 2)


def tokens(cell: int, reward: float = 0.0, outcome: int | None = None, first: int = 0) -> Tokens:
    """One agent's token."""
    return Tokens(*(torch.tensor([x]) for x in (cell, 0, reward, cell if outcome is None else outcome, first)))


def expected(model, context) -> list[float]:
    return model.imagine(model.root(context)).reward[0, 0].tolist()


@pytest.mark.parametrize("env", [TREASURE, NOISY, replace(NOISY, p_reward=1.0)], ids=str)
def test_they_keep_what_every_world_promises(env):
    check_world(env)


# ---- Dark Treasure -------------------------------------------------------------------------------


def test_a_step_on_a_treasure_gives_its_reward():
    world = world_of(TREASURE, [((3, 2), (2, 3))], 1)
    actions = [RIGHT, STAY, LEFT, UP, STAY, UP, DOWN, DOWN]
    steps = [world.step(torch.tensor([[action]])) for action in actions]
    assert [round(step.reward.item(), 1) for step in steps] == [0.3, 0.3, 0, 1, 1, 0, 1, 0]
    assert [step.next_observation.item() for step in steps] == [17, 17, 12, 13, 13, 14, 13, 12]
    assert [step.done for step in steps] == [False] * 7 + [True] and steps[-1].observation.item() == START


def test_it_agrees_with_its_definition_step_by_step():
    """A second, plain definition: lists of cells."""
    tasks, moves = split_of(TREASURE, 1)[0][:6], [(1, 0), (-1, 0), (0, 1), (0, -1), (0, 0)]
    world, generator = world_of(TREASURE, tasks, 3), torch.Generator().manual_seed(0)
    at = [[(2, 2)] * 3 for _ in tasks]
    for t in range(24):
        action = torch.randint(5, (6, 3), generator=generator)
        step = world.step(action)
        for i, (small, large) in enumerate(tasks):
            for j in range(3):
                x, y = (min(max(a + b, 0), 4) for a, b in zip(at[i][j], moves[action[i, j]], strict=True))
                reward = {tuple(small): 0.3, tuple(large): 1.0}.get((x, y), 0.0)
                assert step.next_observation[i, j] == 5 * x + y and step.reward[i, j].item() == pytest.approx(reward)
                at[i][j] = (2, 2) if (t + 1) % 8 == 0 else (x, y)


def test_the_split_draws_pairs_of_different_cells_without_repeating_one():
    env = TreasureConfig()
    train, held_out = split_of(env, 3)
    assert (len(train), len(held_out)) == (400, 40) and len({*train, *held_out}) == 440
    assert all(small != large for small, large in (*train, *held_out))
    assert split_of(env, 4)[0] != train and split_of(env, 3) == (train, held_out)
    assert len({large for _, large in train}) > 140                # of 169 cells


def test_the_highest_return_is_that_of_the_way_to_the_large_treasure():
    domain = domain_of(TREASURE)
    highest = domain.max_return([((0, 0), (2, 2)), ((0, 0), (4, 4)), ((3, 2), (4, 2))])
    assert highest.tolist() == pytest.approx([8, 5, 7.3])          # on the way there is the small one


def test_the_small_treasure_under_the_start_is_found_by_a_step_alone():
    env = gymnasium.make("dicp/DarkTreasure-v0", small=(6, 6), large=(0, 0)).unwrapped
    env.reset()
    assert [mark.reached for mark in env._marks()] == [False, False]
    env.step(STAY)
    assert [mark.reached for mark in env._marks()] == [True, False]


def test_treasure_is_solved_where_the_small_one_alone_would_not_do():
    """A room of 5 x 5, eight steps from the middle: the small treasure beside it brings 8 x 0.3, the large one in a corner
    is four steps away and brings 5."""
    domain, tasks = domain_of(TREASURE), [((2, 3), (0, 0)), ((2, 3), (4, 4))]
    returns = torch.tensor([[2.1, 2.4, 2.7], [1.0, 2.4, 5.0]])
    assert domain.solved(returns, tasks).tolist() == [[False, False, True], [False, False, True]]


def test_sums_of_rewards_that_differ_in_the_last_bit_are_one_place():
    """0.1 + 0.2 and 0.3 are no two places; 0.3 and 0.4 are."""
    sums = torch.tensor([[0.1 + 0.2, 0.3, 0.4]], dtype=torch.float32) + torch.tensor([[6e-8, 0.0, 0.0]])
    assert len(sums.unique()) == 3
    children = Futures(*[torch.zeros(1, 1, 3)] * 3, rewards=sums[:, None])
    imagined = Imagined(torch.zeros(1, 1, 3), torch.tensor([[[4, 4, 4]]]))
    one, two, three = same_place(imagined, children)[0].tolist()
    assert one == two != three
    near = torch.tensor([[0.9, 0.9 + 6e-8, 6.4]])                      # wherever bins would have their borders
    one, two, three = same_place(imagined, children._replace(rewards=near[:, None]))[0].tolist()
    assert one == two != three


def test_a_reward_above_a_likely_one_counts_by_its_gain_alone():
    """0.3 is likely; half of what is less likely is nothing, half is 1. The loss is no part of the gain."""
    chances = torch.tensor([[[[0.2, 0.6, 0.2]]]])
    said = Imagined.of_rewards(chances, domain_of(TREASURE).reward, torch.zeros(1, 1, 1))
    assert said.reward.item() == pytest.approx(0.38) and said.likely_reward.item() == pytest.approx(0.3)
    assert said.p_higher.item() == pytest.approx(0.2) and said.gain_above.item() == pytest.approx(0.2 * 0.7)


@pytest.mark.parametrize("name", ["p_higher", "gain_above"])
def test_of_what_may_be_higher_both_numbers_are_needed(name, monkeypatch):
    """Where they are read; a world model of one's own may have neither."""
    imagine = TreasureExplorer.imagine
    monkeypatch.setattr(TreasureExplorer, "imagine", lambda *a, **k: imagine(*a, **k)._replace(**{name: None}))
    how = exact_belief(TREASURE), TREASURE, split_of(TREASURE, 0)[1], 1, 1
    with pytest.raises(ValueError, match=f"what imagine gives as {name} is None; allowed: numbers, as it gives the other"):
        rollout(*how, PlanConfig.preset("bayes", TREASURE))
    neither = dict.fromkeys(("p_higher", "gain_above"))
    monkeypatch.setattr(TreasureExplorer, "imagine", lambda *a, **k: imagine(*a, **k)._replace(**neither))
    assert rollout(*how, PlanConfig.preset("bayes", TREASURE)).planned.all()


def test_the_belief_over_two_treasures_by_hand():
    model = exact_belief(TREASURE)
    assert type(model) is TreasureExplorer
    context = model.begin(1)
    model.observe(context, tokens(START, outcome=25, first=1))
    assert expected(model, context) == pytest.approx([1.3 / 25] * 5)
    model.observe(context, tokens(17))                             # right: nothing there
    assert expected(model, context) == pytest.approx([1.3 / 24] * 4 + [0])
    model.observe(context, tokens(18, 0.3))                        # up: the small one
    assert expected(model, context) == pytest.approx([1 / 23] * 3 + [0, 0.3])
    said = model.imagine(model.root(context))
    assert said.likely_reward[0, 0].tolist() == pytest.approx([0, 0, 0, 0, 0.3])
    assert said.p_higher[0, 0].tolist() == pytest.approx([1 / 23] * 3 + [0, 0])
    assert said.gain_above[0, 0].tolist() == pytest.approx([1 / 23] * 3 + [0, 0])
    model.observe(context, tokens(19, 1.0))                        # up: the large one
    assert expected(model, context) == pytest.approx([0, 0, 1, 0.3, 1])      # up is the wall: it stays
    model.observe(context, tokens(START, 1.0, outcome=19, first=1))
    assert expected(model, context) == [0] * 5


def test_a_large_treasure_alone_leaves_the_small_one_possible():
    model = exact_belief(TREASURE)
    context = model.begin(1)
    model.observe(context, tokens(START, outcome=25, first=1))
    model.observe(context, tokens(13, 1.0))
    assert expected(model, context) == pytest.approx([0.3 / 24] * 3 + [0.3 / 24, 1])


def test_with_sums_of_rewards_alone_the_small_treasure_is_never_left():
    """It was found first, and is worth more than the next cell; not more than what finding the large one allows."""
    env = replace(TREASURE, horizon=20)
    tasks = split_of(env, 0)[0][:16]
    plan = PlanConfig.preset("bayes", env)
    lasting, sums = (rollout(exact_belief(env), env, tasks, 2, 8, how, seed=0)
                     for how in (plan, replace(plan, rewards_persist=False, discount=0.97)))
    found_small = (sums.episode_return / sums.max_return[:, None, None]).amax(-1) < 0.5
    assert found_small.float().mean() > 0.2                        # and there it stays
    share = [(rollouts.episode_return / rollouts.max_return[:, None, None])[..., -1].mean() for rollouts in (lasting, sums)]
    assert share[0] > 0.95 > 0.85 > share[1]


def test_its_table_tells_four_kinds_of_cells_apart():
    """Never met: 4, 5 (small), 3, 7 (large); met in vain: 4; with the small reward: 5; with the large one: 7, twice."""
    env = replace(TREASURE, horizon=8)
    model = TableModel(env, Config.preset("dark_treasure", world_model="table").model)
    rewards = torch.tensor([[0, 0, 0.3, 0.3, 0, 1, 1, 1]])
    cells = torch.tensor([[4, 4, 5, 5, 3, 7, 7, 7]])
    first = torch.zeros_like(cells)
    first[:, 0] = 1
    before = torch.cat((torch.zeros(1, 1), rewards[:, :-1]), dim=1)
    read = Tokens(cells, cells * 0, before, cells, first)

    counts = model.count(Windows(read, cells * 0, rewards, cells, rewards, rewards, rewards))
    assert counts.tolist() == [[2, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 2]]


@pytest.mark.parametrize("task", [((0, 0), (0, 0)), ((0, 0), (0, 5)), (0, 0), 7])
def test_what_is_no_pair_of_cells_is_refused(task):
    with pytest.raises(ValueError, match=r"dark_treasure task is .*; allowed: \(\(x, y\), \(x, y\)\), two different"):
        domain_of(TREASURE).check_tasks([task])


@pytest.mark.parametrize("sentence, changes", [
    ("env.small_reward is 1; allowed", dict(small_reward=1)), ("env.small_reward is 0; allowed", dict(small_reward=0)),
    (r"env.n_train \+ env.n_held_out is 601; allowed: at most 600, the pairs of cells with size=5",
     dict(size=5, n_train=561)),
    ("env.name is 'noisy_darkroom'; allowed: 'dark_treasure'", dict(name="noisy_darkroom")),
    ("env.size is 1; allowed", dict(size=1)),
])
def test_impossible_treasure_rooms_are_refused(sentence, changes):
    with pytest.raises(ValueError, match=sentence):
        TreasureConfig(**changes)


# ---- Noisy Darkroom ------------------------------------------------------------------------------


def test_a_step_on_the_goal_gives_a_reward_as_often_as_it_should():
    world = world_of(NOISY, [(2, 2), (3, 2)], 2000, seed=5)
    here = torch.stack([world.step(torch.full((2, 2000), STAY)).reward for _ in range(8)])
    assert here[:, 0].float().mean().item() == pytest.approx(0.4, abs=0.02) and not here[:, 1].any()
    assert here[:, 0].float().std(0).mean() > 0.3                  # drawn anew at each step


def test_luck_is_drawn_from_the_seed_alone():
    def rewards(seed: int, env=NOISY) -> torch.Tensor:
        return rollout(RandomPolicy(env), env, [(2, 2)] * 2, 50, 2, seed=seed).reward

    one, two = rewards(1), rewards(2)
    torch.manual_seed(9)
    assert torch.equal(one, rewards(1)) and not torch.equal(one, two) and one.any()
    every = rewards(1, replace(NOISY, p_reward=1.0))
    assert (one <= every).all() and 0.3 < one.sum() / every.sum() < 0.5      # the same ways


def test_actions_that_are_seeded_alike_do_not_tell_of_the_luck():
    """Three actions that stay on the goal: each is as lucky as the others."""
    world = make_env(NoisyConfig(size=2, horizon=8), [(1, 1)], 3000, seed=0)
    generator = torch.Generator().manual_seed(0)
    lucky = torch.zeros(5)
    for _ in range(8):
        world.reset()
        action = (torch.rand(1, 3000, generator=generator) * 5).long()
        reward = world.step(action).reward
        lucky += torch.stack([reward[action == one].float().mean() for one in range(5)]) / 8
    assert ((lucky[[0, 2, 4]] - 0.4).abs() < 0.05).all() and not lucky[[1, 3]].any()


def test_the_highest_return_is_the_expected_one():
    domain = domain_of(NOISY)
    assert domain.max_return([(2, 2), (4, 4)]).tolist() == pytest.approx([0.4 * 8, 0.4 * 5])
    returns = torch.tensor([[[0, 1]], [[3, 0]]])
    assert domain.solved(returns, [(2, 2), (4, 4)]).tolist() == [[[False, True]], [[True, False]]]


def test_the_belief_counts_visits_by_hand():
    """A visit in vain leaves 0.6 of what was believed of a cell; a reward leaves no doubt."""
    model = exact_belief(NOISY)
    assert type(model) is NoisyExplorer
    context = model.begin(1)
    model.observe(context, tokens(START, 0, outcome=25, first=1))
    assert expected(model, context) == pytest.approx([0.4 / 25] * 5)
    model.observe(context, tokens(17, 0))
    assert expected(model, context) == pytest.approx([0.4 / 24.6] * 4 + [0.4 * 0.6 / 24.6])
    model.observe(context, tokens(17, 0))
    assert expected(model, context)[4] == pytest.approx(0.4 * 0.36 / 24.36)
    model.observe(context, tokens(18, 1))
    assert expected(model, context) == pytest.approx([0, 0, 0, 0, 0.4])
    model.observe(context, tokens(18, 0))                          # in vain once more: it is the goal all the same
    assert expected(model, context) == pytest.approx([0, 0, 0, 0, 0.4])


def test_the_belief_is_what_is_counted():
    """Among many agents that did the same, as often as it says: Bayes' rule is not needed to check Bayes' rule."""
    env = replace(NOISY, size=3, horizon=12)
    goals = [(x, y) for x in range(3) for y in range(3)]
    rollouts = rollout(RandomPolicy(env), env, goals, 600, 1, seed=0)
    windows = windows_of(rollouts, env)
    model = exact_belief(env)
    context, said = model.begin(len(windows.action)), []
    for t in range(12):
        model.observe(context, windows.tokens.at(t))
        every = model.imagine(model.root(context)).reward[:, 0]
        said.append(every.gather(1, windows.action[:, t, None])[:, 0])
    said, came = torch.stack(said, 1).flatten(), windows.reward.flatten().float()
    for low, high in ((0, 0.02), (0.02, 0.04), (0.04, 0.06), (0.06, 0.39), (0.39, 0.41)):
        here = (said >= low) & (said < high)
        assert here.sum() > 200
        sigma = (said[here].mean() * (1 - said[here].mean()) / here.sum()).sqrt()
        assert abs(came[here].mean() - said[here].mean()) < 4 * sigma


def test_in_a_noisy_room_a_return_above_the_expected_highest_is_no_error():

    table = evaluate(exact_belief(NOISY), PlanConfig.preset("bayes", NOISY), tasks=[(2, 2)], n_rollouts=20, n_episodes=6)
    assert (table["episode_return"] > table["max_return"]).any()


def test_histories_of_both_are_kept_and_read_as_they_were():
    for env, kind in ((TREASURE, torch.float32), (NOISY, torch.uint8)):
        rollouts = rollout(RandomPolicy(env), env, split_of(env, 0)[0][:3], 2, 2)
        log = log_of(rollouts)
        assert log.reward.dtype == kind and torch.equal(log.reward, rollouts.reward.to(kind))


# ---- one agent -----------------------------------------------------------------------------------


def played(env: gymnasium.Env, actions: list[int], seed: int = 0) -> list[tuple]:
    """(cell, reward, success) of each step."""
    env.reset(seed=seed)
    steps = [env.step(action) for action in actions]
    return [(tuple(step[0].tolist()), round(step[1], 1), step[4]["success"]) for step in steps]


def test_a_treasure_hunt_by_hand():
    env = gymnasium.make("dicp/DarkTreasure-v0", small=(7, 6), large=(7, 7), render_mode="rgb_array")
    found = played(env, [RIGHT, STAY, UP, LEFT])
    assert found == [((7, 6), 0.3, False), ((7, 6), 0.3, False), ((7, 7), 1, True), ((6, 7), 0, True)]
    assert env.unwrapped.max_return == pytest.approx(49.3) and env.render().shape[2] == 3
    assert env.unwrapped.episode_return == pytest.approx(1.6)


def test_a_noisy_goal_is_drawn_from_the_seed():
    env = gymnasium.make("dicp/NoisyDarkroom-v0", goal=(4, 4))
    one = played(env, [STAY] * 20, seed=1)
    assert one == played(env, [STAY] * 20, seed=1) != played(env, [STAY] * 20, seed=2)
    assert 0 < sum(reward for _, reward, _ in one) < 20


@pytest.mark.parametrize("name", ["DarkTreasure", "NoisyDarkroom"])
def test_what_is_not_given_is_drawn_and_both_keep_gymnasiums_contract(name):
    env = gymnasium.make(f"dicp/{name}-v0")
    check_env(env.unwrapped, skip_render_check=True)
    tasks = {env.reset(seed=seed) and env.unwrapped.task for seed in range(5)}
    assert len(tasks) > 1
    env = gymnasium.make(f"dicp/{name}-v0", horizon=3)
    env.reset(seed=0)
    assert [env.step(STAY)[2] for _ in range(3)] == [False, False, True]
    with pytest.raises(ValueError, match="The episode is over after 3 steps; call reset"):
        env.step(STAY)


@pytest.mark.parametrize("sentence, name, changes", [
    ("small is \\(0, 13\\); allowed: a cell", "DarkTreasure", dict(small=(0, 13))),
    ("dark_treasure task is .*two different cells", "DarkTreasure", dict(small=(0, 1), large=(0, 1))),
    ("small_reward is 2; allowed", "DarkTreasure", dict(small_reward=2)),
    ("p_reward is 0; allowed", "NoisyDarkroom", dict(p_reward=0)),
    ("goal is 3; allowed: a cell", "NoisyDarkroom", dict(goal=3)),
])
def test_impossible_rooms_for_one_agent_are_refused(sentence, name, changes):
    with pytest.raises(ValueError, match=sentence):
        gymnasium.make(f"dicp/{name}-v0", **changes)
