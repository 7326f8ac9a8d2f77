"""The worlds: solved by hand, then compared with a second, plain definition that shares no code with the first."""

import itertools
import random
import subprocess
import sys
import warnings
from functools import cache

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import dicp  # noqa: F401 (registers the worlds)
from dicp.config import EnvConfig
from dicp.envs import GridRules, GridState, GridWorld, all_tasks, cell_to_xy, split_tasks, split_validation

CONFIGS = {
    "darkroom": EnvConfig("darkroom", horizon=20),
    "darkroom_permuted": EnvConfig("darkroom_permuted", horizon=50),
    "dark_key_to_door": EnvConfig("dark_key_to_door", horizon=50),
}
RIGHT, LEFT, UP, DOWN, STAY = range(5)


def make(env, task, **kwargs):
    if env == "darkroom":
        return gymnasium.make("dicp/Darkroom-v0", goal=task, **kwargs)
    if env == "darkroom_permuted":
        return gymnasium.make("dicp/DarkroomPermuted-v0", permutation=task, **kwargs)
    key, door = task if task else (None, None)
    return gymnasium.make("dicp/DarkKeyToDoor-v0", key=key, door=door, **kwargs)


def play(env, actions):
    """The cells, rewards and successes of one episode's first actions."""
    env.reset(seed=0)
    steps = [env.step(action) for action in actions]
    return [tuple(s[0].tolist()) for s in steps], [s[1] for s in steps], [s[4]["success"] for s in steps]


# ---- by hand

def test_a_wall_stops_the_agent():
    cells, rewards, _ = play(make("darkroom", (0, 0)), [RIGHT] * 5 + [UP])
    assert cells == [(5, 4), (6, 4), (7, 4), (8, 4), (8, 4), (8, 5)]
    assert rewards == [0] * 6


def test_each_step_on_the_goal_pays():
    cells, rewards, success = play(make("darkroom", (5, 3)), [RIGHT, DOWN, STAY, STAY, LEFT, RIGHT])
    assert cells == [(5, 4), (5, 3), (5, 3), (5, 3), (4, 3), (5, 3)]
    assert rewards == [0, 1, 1, 1, 0, 1]
    assert success == [False, True, True, True, True, True]        # for the rest of this episode


def test_success_is_of_this_episode_only():
    env = make("darkroom", (4, 4))
    assert play(env, [STAY] * 20)[2][-1]
    assert env.reset()[1] == {"success": False}


def test_the_goal_may_be_where_the_episode_begins():
    env = make("darkroom", (4, 4))
    assert play(env, [STAY] * 20)[1] == [1] * 20
    assert env.unwrapped.max_return == 20


def test_the_door_pays_only_after_the_key_and_each_once():
    actions = [UP, DOWN, DOWN, STAY, UP, UP, UP, DOWN]             # the door is passed before the key is found
    cells, rewards, success = play(make("dark_key_to_door", ((4, 3), (4, 5))), actions)
    assert cells == [(4, 5), (4, 4), (4, 3), (4, 3), (4, 4), (4, 5), (4, 6), (4, 5)]
    assert rewards == [0, 0, 1, 0, 0, 1, 0, 0]
    assert success == [False] * 5 + [True] * 3


def test_key_and_door_in_one_cell_take_two_steps():
    env = make("dark_key_to_door", ((4, 4), (4, 4)))
    assert play(env, [STAY] * 4)[1] == [1, 1, 0, 0]
    assert env.unwrapped.max_return == 2
    assert make("dark_key_to_door", ((4, 4), (4, 4)), horizon=1).unwrapped.max_return == 1


def test_action_a_executes_move_number_a_of_the_permutation():
    index = 17
    permutation = list(itertools.permutations(range(5)))[index]
    assert permutation == (0, 3, 4, 2, 1)
    cells, _, _ = play(make("darkroom_permuted", index), [0, 3, 3, 1, 4, 2])
    assert cells == [(1, 0), (1, 1), (1, 2), (1, 1), (0, 1), (0, 1)]     # +x, +y, +y, -y, -x, stay


def test_corner_to_corner_leaves_35_of_50():
    env = make("darkroom_permuted", 0)
    assert env.reset()[0].tolist() == [0, 0]
    assert env.unwrapped.max_return == 35
    assert sum(play(env, [RIGHT] * 8 + [UP] * 8 + [STAY] * 34)[1]) == 35


def test_the_horizon_terminates():
    env = make("darkroom", (0, 0))
    env.reset()
    ends = [env.step(STAY)[2:4] for _ in range(20)]
    assert ends == [(False, False)] * 19 + [(True, False)]


def test_highest_possible_return_of_the_papers_first_split():
    _, test = split_tasks("darkroom", seed=0)
    assert GridWorld(CONFIGS["darkroom"], test).max_return.float().mean() == 17.25


@pytest.mark.parametrize("seed", [0, 1, 4, 123])
def test_splits_are_the_papers(seed):
    cells = [(x, y) for x in range(9) for y in range(9)]
    tasks = {
        "darkroom": (cells, 73),
        "darkroom_permuted": (list(range(120)), 108),
        "dark_key_to_door": ([(key, door) for key in cells for door in cells], 6233),
    }
    for env, (expected, n_train) in tasks.items():
        assert all_tasks(env) == expected
        random.seed(seed)
        random.shuffle(expected)
        assert split_tasks(env, seed) == (expected[:n_train], expected[n_train:])


def test_validation_tasks_come_out_of_the_training_tasks():
    train, test = split_tasks("darkroom", 0)
    fewer, validation = split_validation(train)
    assert fewer + validation == train and len(validation) == 8 and not set(validation) & set(test)


# ---- against a second definition

class PlainWorld:
    """One agent, written from the paper's description."""

    def __init__(self, env, task, size=9):
        self.env, self.task, self.size = env, task, size
        self.moves = [(1, 0), (-1, 0), (0, 1), (0, -1), (0, 0)]
        if env == "darkroom_permuted":
            self.moves = [self.moves[i] for i in list(itertools.permutations(range(5)))[task]]

    def start(self):
        return ((0, 0) if self.env == "darkroom_permuted" else (self.size // 2, self.size // 2)), 0

    def step(self, state, action):
        """(state, reward); a state is (cell, rewards collected so far), the latter for key-to-door only."""
        (x, y), collected = state
        dx, dy = self.moves[action]
        cell = min(max(x + dx, 0), self.size - 1), min(max(y + dy, 0), self.size - 1)
        if self.env == "dark_key_to_door":
            reward = int(collected < 2 and cell == self.task[collected])
            return (cell, collected + reward), reward
        goal = self.task if self.env == "darkroom" else (self.size - 1, self.size - 1)
        return (cell, 0), int(cell == goal)

    def best_return(self, horizon):
        @cache
        def best(state, left):
            outcomes = [self.step(state, action) for action in range(5)] if left else []
            return max((reward + best(after, left - 1) for after, reward in outcomes), default=0)
        return best(self.start(), horizon)


SMALL_WORLDS = {(env, size): all_tasks(env, size) for env in CONFIGS for size in (2, 3, 4, 9)}
worlds = st.sampled_from(list(SMALL_WORLDS)).flatmap(
    lambda key: st.tuples(st.just(key), st.sampled_from(SMALL_WORLDS[key]))
)
pairs_of_actions = st.tuples(st.integers(0, 4), st.integers(0, 4))


@settings(max_examples=60, deadline=None)
@given(worlds, st.integers(1, 12), st.lists(pairs_of_actions, min_size=25, max_size=40))
def test_three_ways_to_step_agree_with_the_plain_world(world_task, horizon, actions):
    (env, size), task = world_task
    tasks = [all_tasks(env, size)[0], task]                               # two tasks, two streams
    world = GridWorld(EnvConfig(env, size, horizon), tasks, n_streams=2)
    gym_env = make(env, task, size=size, horizon=horizon)                 # the second task, first stream
    gym_env.reset(seed=0)
    rules_state = world.state
    plain = [[PlainWorld(env, task, size)] * 2 for task in tasks]
    states = [[world.start() for world in row] for row in plain]
    for t, (first, second) in enumerate(actions, start=1):
        taken = torch.tensor([[second, first], [first, second]])
        step = world.step(taken)
        rules_state, rules_reward = world.rules.step(rules_state, taken)
        outcomes = [[plain[i][j].step(states[i][j], int(taken[i, j])) for j in range(2)] for i in range(2)]
        states = [[state for state, _ in row] for row in outcomes]
        reached = [[list(state[0]) for state in row] for row in states]
        rewards = [[reward for _, reward in row] for row in outcomes]
        obs, reward, terminated, truncated, _ = gym_env.step(first)
        assert cell_to_xy(step.next_observation, size).tolist() == reached       # the true outcome, also at the end
        assert cell_to_xy(rules_state.cell, size).tolist() == reached
        assert step.reward.tolist() == rules_reward.tolist() == rewards
        assert obs.tolist() == reached[1][0] and reward == rewards[1][0] and not truncated
        assert step.done == terminated == (t % horizon == 0)
        if step.done:
            states = [[world.start() for world in row] for row in plain]
            rules_state, _ = world.state, gym_env.reset()
        assert cell_to_xy(step.observation, size).tolist() == [[list(state[0]) for state in row] for row in states]


def some_tasks(env):
    tasks = all_tasks(env)
    if env != "dark_key_to_door":
        return tasks
    same = [(cell, cell) for cell in all_tasks("darkroom")]
    return random.Random(0).sample(tasks, 400) + same


@pytest.mark.parametrize("push_walls", [False, True])
@pytest.mark.parametrize("longer_leg_first", [False, True])
@pytest.mark.parametrize("env", CONFIGS)
def test_optimal_actions_earn_the_highest_possible_return(env, longer_leg_first, push_walls):
    world = GridWorld(CONFIGS[env], some_tasks(env), n_streams=1)
    earned = 0
    for _ in range(CONFIGS[env].horizon):
        earned = earned + world.step(world.rules.optimal_action(world.state, longer_leg_first, push_walls)).reward
    assert earned[:, 0].tolist() == world.max_return.tolist()


def test_the_way_along_the_longer_leg_first_by_hand():
    """From the centre, (4, 4), to (2, 0): two steps along y, then x and y in turn, x where the legs are equal."""
    world, cells = GridWorld(EnvConfig(), [(2, 0)], n_streams=1), []
    for _ in range(6):
        cells.append(divmod(int(world.step(world.rules.optimal_action(world.state, longer_leg_first=True)).observation), 9))
    assert cells == [(4, 3), (4, 2), (3, 2), (3, 1), (2, 1), (2, 0)]


@pytest.mark.parametrize("env", CONFIGS)
@pytest.mark.parametrize(("size", "horizon"), [(9, None), (2, 3), (3, 3), (5, 4), (4, 7)])
def test_highest_possible_return_is_what_an_exhaustive_search_finds(env, size, horizon):
    horizon = horizon or CONFIGS[env].horizon
    tasks = random.Random(1).sample(all_tasks(env, size), 4)
    tasks += [(tasks[0][0], tasks[0][0])] if env == "dark_key_to_door" else []
    world = GridWorld(EnvConfig(env, size, horizon), tasks)
    assert world.max_return.tolist() == [PlainWorld(env, task, size).best_return(horizon) for task in tasks]


@pytest.mark.parametrize("env", CONFIGS)
def test_gymnasium_optimal_action_reaches_max_return(env):
    for task in random.Random(2).sample(all_tasks(env), 5):
        world = make(env, task)
        world.reset(seed=0)
        total, over = 0, False
        while not over:
            _, reward, over, _, info = world.step(world.unwrapped.optimal_action())
            total += reward
        assert total == world.unwrapped.max_return and info["success"]


# ---- Gymnasium's side

@pytest.mark.parametrize("env", CONFIGS)
@pytest.mark.parametrize("fixed", [True, False])
def test_both_environment_checkers_are_silent(env, fixed):
    task = all_tasks(env)[17] if fixed else None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        world = make(env, task, render_mode="rgb_array")
        check_env(world.unwrapped)
        check_env_sb3(world, warn=True, skip_render_check=False)


@pytest.mark.parametrize("env", CONFIGS)
def test_a_task_that_is_not_given_is_drawn_at_every_reset(env):
    world = make(env, None)

    def drawn(seed):
        world.reset(seed=seed)
        tasks = [world.unwrapped.task for _ in range(20) if world.reset()]
        assert set(tasks) <= set(all_tasks(env))
        return tasks

    assert drawn(0) == drawn(0) != drawn(1)
    assert len(set(drawn(0))) > 10
    fixed = make(env, all_tasks(env)[5])
    assert all(fixed.unwrapped.task == all_tasks(env)[5] for _ in range(3) if fixed.reset())


def test_the_key_may_be_given_and_the_door_drawn():
    world = gymnasium.make("dicp/DarkKeyToDoor-v0", key=[1, 2])
    tasks = [world.unwrapped.task for seed in range(20) if world.reset(seed=seed)]
    assert {key for key, _ in tasks} == {(1, 2)} and len({door for _, door in tasks}) > 5


@pytest.mark.parametrize("goal", [(2, 7), [2, 7], np.array([2, 7]), np.array([2, 7], dtype=np.uint8)])
def test_a_cell_may_be_a_tuple_a_list_or_an_array(goal):
    assert gymnasium.make("dicp/Darkroom-v0", goal=goal).unwrapped.task == (2, 7)


def test_observations_are_not_shared_between_steps():
    env = make("darkroom", (0, 0))
    first, _ = env.reset()
    env.step(RIGHT)
    assert first.tolist() == [4, 4] and first.dtype == np.int32 and env.observation_space.contains(first)


REFUSED = [
    ("make('dicp/Darkroom-v0', goal=(9, 0))", "goal is (9, 0); allowed: a cell (x, y) with x and y whole numbers "
                                              "from 0 to 8."),
    ("make('dicp/Darkroom-v0', goal=(0, -1))", "goal is (0, -1); allowed: a cell"),
    ("make('dicp/Darkroom-v0', goal=(1.0, 2.0))", "goal is (1.0, 2.0); allowed: a cell"),
    ("make('dicp/Darkroom-v0', goal=(True, 2))", "goal is (True, 2); allowed: a cell"),
    ("make('dicp/Darkroom-v0', goal=(1, 2, 3))", "goal is (1, 2, 3); allowed: a cell"),
    ("make('dicp/Darkroom-v0', goal=5)", "goal is 5; allowed: a cell"),
    ("make('dicp/Darkroom-v0', goal='34')", "goal is '34'; allowed: a cell"),
    ("make('dicp/Darkroom-v0', goal=(4, 4), size=3)", "goal is (4, 4); allowed: a cell (x, y) with x and y "
                                                      "whole numbers from 0 to 2."),
    ("make('dicp/Darkroom-v0', size=0)", "size is 0; allowed: a whole number of at least 2."),
    ("make('dicp/Darkroom-v0', size=9.5)", "size is 9.5; allowed: a whole number of at least 2."),
    ("make('dicp/Darkroom-v0', horizon=0)", "horizon is 0; allowed: a whole number of at least 1."),
    ("make('dicp/Darkroom-v0', render_mode='ansi')",
     "render_mode is 'ansi'; allowed: 'rgb_array', or None."),
    ("make('dicp/DarkroomPermuted-v0', permutation=120)", "permutation is 120; allowed: a whole number from "
                                                          "0 to 119, or None."),
    ("make('dicp/DarkroomPermuted-v0', permutation=1.0)", "permutation is 1.0; allowed: a whole number from "
                                                          "0 to 119, or None."),
    ("make('dicp/DarkKeyToDoor-v0', key=(9, 9), door=(0, 0))", "key is (9, 9); allowed: a cell"),
    ("make('dicp/DarkKeyToDoor-v0', door=numpy.array([0, 9]))", "door is [0, 9]; allowed: a cell"),
    ("make('dicp/Darkroom-v0').step(0)", "step() was called before the first episode; call reset() first."),
    ("make('dicp/Darkroom-v0', render_mode='rgb_array').render()", "render() was called before the first"),
    ("make('dicp/Darkroom-v0').unwrapped.optimal_action()", "optimal_action() was called before the first"),
    ("make('dicp/Darkroom-v0').unwrapped.max_return", "The task is None until it is drawn; call reset() first."),
    ("running.step(7)", "action (+x, -x, +y, -y, stay) is 7; allowed: a whole number from 0 to 4."),
    ("running.step(-1)", "action (+x, -x, +y, -y, stay) is -1; allowed"),
    ("running.step(1.0)", "action (+x, -x, +y, -y, stay) is 1.0; allowed"),
    ("running.step(None)", "action (+x, -x, +y, -y, stay) is None; allowed"),
    ("[running.step(0) for _ in range(21)]", "The episode is over after 20 steps; call reset() first."),
    ("GridWorld(EnvConfig('darkroom_permuted'), [(4, 4)])", "darkroom_permuted task is (4, 4); allowed: a "
                                                            "permutation index from 0 to 119."),
    ("GridWorld(EnvConfig(), [(1.5, 2)])", "darkroom task is (1.5, 2); allowed: a goal (x, y)"),
    ("GridWorld(EnvConfig(), [(9, 0)])", "darkroom task is (9, 0); allowed: a goal (x, y)"),
    ("GridWorld(EnvConfig(), [3])", "darkroom task is 3; allowed: a goal (x, y)"),
    ("GridWorld(EnvConfig('dark_key_to_door'), [(1, 2)])", "dark_key_to_door task is (1, 2); allowed: ((key"),
    ("GridWorld(EnvConfig(), [(True, 2)])", "darkroom task is (True, 2); allowed: a goal (x, y)"),
    ("world.step(torch.tensor([[0, -1]]))", "action holds -1; allowed: whole numbers from 0 to 4."),
    ("world.step(torch.tensor([[5, 0]]))", "action holds 5; allowed: whole numbers from 0 to 4."),
    ("world.rules.step(world.state, torch.tensor([[0, -1]]))", "action holds -1; allowed"),
    ("world.rules.of_tasks(torch.tensor([-1]))", "index holds -1; allowed: whole numbers from 0 to 0."),
    ("world.step(numpy.array([[0, 255]], numpy.uint8))", "action holds 255; allowed"),
    ("world.step(torch.tensor([[0.0, 1.0]]))", "the dtype of action is torch.float32; allowed: an integer one"),
    ("world.step(torch.tensor([[False, True]]))", "the dtype of action is torch.bool; allowed: an integer one"),
    ("world.step(torch.tensor([0, 1]))", "the shape of action is (2,); allowed: (1, 2) (task, stream)."),
    ("world.step([[0, 1]])", "action is [[0, 1]]; allowed: a tensor of the shape (1, 2) with whole numbers"),
]


@pytest.fixture(scope="module")
def answers():
    """What a user reads after each call, in a process of its own: the tests' type checks would answer first."""
    code = """if True:
        import sys, warnings, numpy, torch, dicp
        from dicp.config import EnvConfig
        from dicp.envs import GridWorld
        from gymnasium import make
        warnings.simplefilter("ignore")
        running, world = make("dicp/Darkroom-v0"), GridWorld(EnvConfig(), [(0, 3)], n_streams=2)
        for call in sys.argv[1:]:
            try:
                running.reset()
                eval(call)
                print("accepted")
            except ValueError as error:
                print(error)
        running.reset()
        running.step(numpy.int64(0))            # still alive
    """
    run = subprocess.run([sys.executable, "-c", code, *(call for call, _ in REFUSED)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return dict(zip((call for call, _ in REFUSED), run.stdout.splitlines(), strict=True))      # one line each


@pytest.mark.parametrize(("call", "sentence"), REFUSED)
def test_bad_input_is_refused_in_one_sentence(answers, call, sentence):
    assert answers[call].startswith(sentence) and answers[call].endswith(".")


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64", "uint64"])
def test_actions_of_any_integer_dtype_do_the_same(dtype):
    """A table that is indexed with uint8, as histories are loaded, takes them for True and False."""
    worlds = [GridWorld(CONFIGS["darkroom"], [(0, 3), (4, 4)], n_streams=5) for _ in range(3)]
    action = np.tile(np.arange(5, dtype=dtype), (2, 1))
    given = torch.from_numpy(action.astype(np.int64)), torch.from_numpy(action), action
    for _ in range(3):
        steps = [world.step(x) for world, x in zip(worlds, given, strict=True)]
        for other in steps[1:]:
            assert all(torch.equal(x, y) for x, y in zip(steps[0][:3], other[:3], strict=True))


# ---- pictures

@pytest.mark.parametrize("env", CONFIGS)
@pytest.mark.parametrize("size", [2, 9, 25])
def test_render_gives_a_picture_that_changes_with_the_agent(env, size):
    world = make(env, all_tasks(env, size)[3], size=size, render_mode="rgb_array")
    world.reset(seed=0)
    before = world.render()
    assert before.dtype == np.uint8 and before.ndim == 3 and before.shape[2] == 3
    assert 450 <= before.shape[1] <= 520 and 450 <= before.shape[0] <= 520
    for action in [0, 1, 2, 3, 4]:
        world.step(action)
    assert (world.render() != before).any()


def test_the_agent_is_drawn_where_it_is():
    world = make("darkroom", (0, 0), render_mode="rgb_array")
    world.reset()
    pictures = [world.render()] + [world.render() for action in (RIGHT, UP) if world.step(action)]
    blue = [np.argwhere((picture == (0, 0x72, 0xB2)).all(-1)).mean(0) for picture in pictures]
    cell = 432 / 9
    assert np.allclose(blue[1] - blue[0], (0, cell), atol=1) and np.allclose(blue[2] - blue[1], (-cell, 0), atol=1)


def test_no_picture_without_a_render_mode():
    env = make("darkroom", (0, 0))
    env.reset()
    assert env.render() is None


def test_importing_the_package_is_light_and_registers_the_worlds():
    code = "import sys, dicp, gymnasium; assert 'torch' not in sys.modules; gymnasium.spec('dicp/DarkKeyToDoor-v0')"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_who_pushes_walls_on_the_goal_by_hand():
    """In the corner either of two pushes stays; beside one wall only one does; in the middle there is nothing to push."""
    rules = GridRules.of(EnvConfig(), [(8, 8), (0, 4), (4, 4)])
    cell = torch.tensor([[80], [4], [40]])
    state = GridState(cell, torch.zeros_like(cell))
    assert rules.optimal_action(state).flatten().tolist() == [4, 4, 4]
    assert rules.optimal_action(state, push_walls=True).flatten().tolist() == [0, 1, 4]
