"""Meta-World: rewards solved by hand, then every task compared with the library itself:
observations and successes to the last bit, rewards to within 1e-12.

Where metaworld is not installed, only what needs it is skipped.
"""

import pickle
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dicp.envs.metaworld import ML1_TASKS, MetaWorld, MetaWorldMissing, ml1_instances, observed
from dicp.envs.metaworld_checks import known_actions
from dicp.envs.metaworld_library import hstack, norm, quaternion, quick_caging
from dicp.envs.metaworld_rewards import REWARDS, Scene, both, clear_of, near, pick_place, reach

VARIED = ["reach-v3", "peg-insert-side-v3",         # batched; the second also moves a body of the model
          "bin-picking-v3", "door-open-v3"]         # not batched; the first has a memory, the second moves a body
LONG = ("bin-picking-v3", "pick-out-of-hole-v3", "stick-pull-v3")     # experts seldom solve these within 100 steps


@pytest.fixture(scope="module")
def metaworld():
    return pytest.importorskip("metaworld")


def draw(env, n_instances, seed=7):
    """Instances drawn as ML1 draws its own, on `env`."""
    before = np.random.get_state()
    np.random.seed(seed)
    env._set_task_called, env._freeze_rand_vec, drawn = True, False, []
    for _ in range(n_instances):
        env.reset()
        drawn.append(tuple(env._last_rand_vec.tolist()))
    np.random.set_state(before)
    return drawn


@pytest.fixture(scope="module")
def instances(metaworld):
    """Three instances of each of the tasks that tests below use again and again."""
    return {name: draw(metaworld.env_dict.ALL_V3_ENVIRONMENTS[name](), 3) for name in VARIED}


def play(world, actions):
    """`actions` are step task stream 4; returns all steps' fields, stacked."""
    steps = [world.step(action) for action in actions]
    return [np.stack(field) for field in zip(*(step[:4] for step in steps), strict=True)]


def uniform(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1.2, 1.2, (*shape, 4))


# ---- by hand

def scene(gripper=(0, 0, 0), obj=(0, 0, 0), opening=1.0, start=None, sites=None):
    """A scene of one row; the pads are beside the gripper, at y + 30 mm and y - 30 mm."""
    x, y, z = gripper
    places = {"leftpad": (x, y + 0.03, z), "rightpad": (x, y - 0.03, z), "rightEndEffector": (x, y - 0.01, z),
              "leftEndEffector": (x, y + 0.01, z), **(sites or {})}
    observation = np.zeros((1, 39))
    observation[0, 3:7] = opening, *obj
    look = lambda name: np.array([places[name]], float)                                    # noqa: E731
    return Scene(look, look, lambda name: np.array([start[name]], float), observation, np.zeros((1, 4)))


@pytest.mark.parametrize("distance, reward, success", [
    (0.00, 10, True),                             # within 50 mm: all of it
    (0.04, 10, True),
    (0.25, 10 / (1 + 1.5**2), False),             # half of the margin, 0.4, outside
    (0.45, 10 * 0.1, False),                      # the margin outside: by definition 0.1
])
def test_reach_pays_for_nearness_of_the_gripper(distance, reward, success):
    start = {"_target_pos": (0, 0.9, 0.2), "hand_init_pos": (0, 0.5, 0.2)}                 # 0.4 apart
    rewards, successes = reach(scene(gripper=(0, 0.9 - distance, 0.2), start=start))
    assert rewards[0] == pytest.approx(reward, abs=1e-12) and successes[0] == success


@pytest.mark.parametrize("distance, full, success", [(0.04, True, True), (0.06, False, True), (0.08, False, False)])
def test_pick_place_counts_a_success_further_away_than_it_pays_in_full(distance, full, success):
    start = {"_target_pos": (0, 0.8, 0.2), "obj_init_pos": (0, 0.6, 0.02), "init_tcp": (0, 0.6, 0.2)}
    here = (0, 0.8 - distance, 0.2)
    rewards, successes = pick_place(scene(gripper=here, obj=here, start=start))
    assert (rewards[0] == 10) == full and successes[0] == success
    assert rewards[0] > 1 + 5 * 0.9               # held and lifted


def test_a_point_in_the_middle_of_a_box_counts_an_eighth():
    sites = {"bottom_right_corner_collision_box_1": (1, 0, 0), "top_left_corner_collision_box_1": (0, 1, 2)}
    boxed = scene(sites=sites)
    assert clear_of(boxed, 1, np.array([[0.5, 0.5, 1]])) == 1 / 8
    assert clear_of(boxed, 1, np.array([[0.5, 0.5, 2.1]])) == 1


def test_a_quaternion_of_each_kind():
    for matrix, expected in [(np.eye(3), (0, 0, 0, 1)), (np.diag([1.0, -1, -1]), (1, 0, 0, 0)),
                             (np.diag([-1.0, 1, -1]), (0, 1, 0, 0)), (np.diag([-1.0, -1, 1]), (0, 0, 1, 0))]:
        assert quaternion(matrix).tolist() == list(expected)
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])                               # about z
    np.testing.assert_allclose(quaternion(quarter), (0, 0, 0.5**0.5, 0.5**0.5))


# ---- the library, all 50 tasks

def act(kind, policy, env, observation, rng):
    """A random action, an expert's, or an expert's with noise; experts see the goal."""
    if kind == "random":
        return rng.uniform(-1.2, 1.2, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        action = np.asarray(policy.get_action(np.concatenate([observation[:36], env._target_pos])), np.float64)
    return action + rng.normal(0, 0.5, 4) * (kind == "noisy")


@pytest.mark.parametrize("name", ML1_TASKS)
def test_steps_as_the_library_and_scores_within_1e_12(metaworld, name):
    from metaworld.policies import ENV_POLICY_MAP
    kinds, n_episodes = ("random", "expert", "noisy"), 2 if name in REWARDS else 1
    horizon = 250 if name in LONG else 100
    cls, policy, rng = metaworld.env_dict.ALL_V3_ENVIRONMENTS[name], ENV_POLICY_MAP[name](), np.random.default_rng(0)
    env = cls()
    instances = draw(env, 2)
    world = MetaWorld(name, instances, len(kinds), horizon)
    shape = (n_episodes, horizon, len(instances), len(kinds))
    firsts = np.empty((n_episodes, *shape[2:], 39))
    actions, observations, rewards, successes = (np.empty((*shape, *size)) for size in [(4,), (39,), (), ()])
    for task, instance in enumerate(instances):
        data = {"rand_vec": np.array(instance), "env_cls": cls, "partially_observable": True}
        env.set_task(metaworld.Task(name, pickle.dumps(data)))
        for stream, kind in enumerate(kinds):
            for episode in range(n_episodes):
                observation, _ = env.reset()
                firsts[episode, task, stream] = observation
                for t in range(horizon):
                    at, action = (episode, t, task, stream), act(kind, policy, env, observation, rng)
                    observation, reward, _, _, info = env.step(action)
                    actions[at], observations[at], rewards[at], successes[at] = action, observation, reward, info["success"]
    assert np.array_equal(world.reset(), firsts[0])
    for episode in range(n_episodes):
        for t in range(horizon):
            step = world.step(actions[episode, t])
            assert np.array_equal(step.next_observation, observations[episode, t])
            np.testing.assert_allclose(step.reward, rewards[episode, t], rtol=0, atol=1e-12)
            assert np.array_equal(step.success, successes[episode, t])
            assert step.done == (t == horizon - 1)
            assert np.array_equal(step.observation, firsts[0] if step.done else step.next_observation)
    assert successes.any()
    seen = [index for index, _ in observed(name)]
    unseen = np.delete(np.arange(39), seen + [18 + index for index in seen])
    assert not observations[..., unseen].any()                                  # the goal, the second object
    assert len(seen) == 11 or observations[..., 11:14].all(), "a second object"


@pytest.mark.parametrize("name", REWARDS)
def test_batched_rewards_agree_wherever_object_and_hand_are(metaworld, name):
    """Both put where no policy brings them: the object at the hand or the goal, the peg's head also into the box's walls."""
    env, rng, n_rows = metaworld.env_dict.ALL_V3_ENVIRONMENTS[name](), np.random.default_rng(0), 80
    instance, actions, expected = draw(env, 1)[0], uniform(1, n_rows), []
    env._freeze_rand_vec = True
    world = MetaWorld(name, [instance], n_rows)
    state = world.get_state()
    from_goal = [(0.1, 0, 0), (0.2, 0, -0.08), (0.2, 0, 0.045)] if name.startswith("peg") else [(0, 0, 0)] * 3
    for row, physics in enumerate(state.physics):
        env.reset()
        places = [env.tcp_center, *(env._target_pos + offset for offset in from_goal)]
        env.data.qpos[9:12] = places[row % 4] + rng.normal(0, 0.03, 3)
        env.data.qpos[:7] += rng.normal(0, 0.5, 7) * (row % 5 == 0)             # the arm's joints
        physics[1:17] = env.data.qpos                                           # the first number is the time
        expected.append(env.step(actions[0, row]))
    world.set_state(state)
    step = world.step(actions)
    assert np.array_equal(step.next_observation[0], [theirs[0] for theirs in expected])
    np.testing.assert_allclose(step.reward[0], [theirs[1] for theirs in expected], rtol=0, atol=1e-12)
    assert np.array_equal(step.success[0], [theirs[4]["success"] for theirs in expected])
    assert step.success.any() != (name == "reach-v3"), "the hand is never at the goal, the object is"


def test_the_tasks_are_those_of_the_library(metaworld):
    assert sorted(metaworld.ML1.ENV_NAMES) == list(ML1_TASKS)


def test_quick_parts_equal_the_libraries(metaworld):
    from metaworld.utils import reward_utils
    rotation = pytest.importorskip("scipy.spatial.transform").Rotation
    rng = np.random.default_rng(0)
    for _ in range(300):
        matrix = rotation.from_quat(rng.normal(size=4)).as_matrix()
        assert np.array_equal(quaternion(matrix), rotation.from_matrix(matrix).as_quat())
        x, margin, a, b = rng.uniform(0, 1, 4)
        expected = reward_utils.tolerance(x, (0.2, 0.4), margin, "long_tail")
        assert near(np.array([x]), 0.2, 0.4, np.array([margin]))[0] == pytest.approx(expected, abs=1e-15)
        assert both(np.array([a]), np.array([b]))[0] == reward_utils.hamacher_product(a, b)
        corner, other, point = rng.uniform(-1, 1, (3, 3))
        sites = {"bottom_right_corner_collision_box_1": corner, "top_left_corner_collision_box_1": other}
        share = clear_of(scene(sites=sites), 1, point[None])[0]
        assert share == pytest.approx(reward_utils.rect_prism_tolerance(point, zero=corner, one=other), abs=1e-15)


@pytest.mark.parametrize("x", [np.array([3.0, 4.0]), np.arange(3), np.ones((2, 3)), [3.0, 4.0]])
def test_quick_numbers_equal_numpys(x):
    assert norm(x) == np.linalg.norm(x) and norm(np.ones((2, 3)), axis=1).tolist() == [3**0.5] * 2
    for parts in ((x, x), (x, x[:1]) if np.ndim(x) == 1 else (x, x[:, :1]), (np.float64(1), np.float64(2)), (1.0, [2.0])):
        assert np.array_equal(hstack(parts), np.hstack(parts))


@pytest.mark.parametrize("density", [{}, {"high_density": True}, {"medium_density": True}])
def test_quick_caging_equals_the_librarys(metaworld, density):
    """At the object, where a millimetre decides; the gripper opens, closes, and closes as hard as it can."""
    from metaworld.sawyer_xyz_env import SawyerXYZEnv
    from metaworld.utils import reward_utils
    rng, caged = np.random.default_rng(0), []
    for _ in range(500):
        first, tcp, obj = rng.normal((0, 0.6, 0.1), 0.01, (3, 3))
        left, right = (SimpleNamespace(xpos=tcp + rng.normal((0, y, 0), 0.01)) for y in (0.02, -0.02))
        pads = {"leftpad": left, "rightpad": right}
        env = SimpleNamespace(obj_init_pos=first, tcp_center=tcp, init_tcp=first + (0, 0.1, 0.2),
                              data=SimpleNamespace(body=pads.get), get_body_com=lambda name: pads[name].xpos)   # noqa: B023
        action, sizes = rng.uniform(-1, 2, 4), dict(obj_radius=0.015, pad_success_thresh=0.03, object_reach_radius=0.01,
                                                    xz_thresh=0.01, desired_gripper_effort=rng.choice([0.8, 1.0]))
        expected = SawyerXYZEnv._gripper_caging_reward(env, action, obj, **sizes, **density)
        assert quick_caging(reward_utils)(env, action, obj, **sizes, **density) == pytest.approx(expected, abs=1e-14)
        caged.append(expected)
    assert len({round(value, 3) for value in caged}) > 20


def test_instances_are_those_of_ml1(metaworld):
    before = np.random.get_state()[1].copy()
    train, test = ml1_instances("push-v3", 3)
    assert len(set(train)) == len(set(test)) == 50 and not set(train) & set(test)
    expected = metaworld.ML1("push-v3", seed=3).test_tasks[7]
    assert test[7] == tuple(pickle.loads(expected.data)["rand_vec"])
    assert all(type(number) is float for number in train[0])
    assert np.array_equal(np.random.get_state()[1], before), "numpy's own generator is left alone"


# ---- the world

@pytest.mark.parametrize("name", VARIED)
def test_a_restored_state_continues_bit_for_bit(instances, name):
    actions, world = uniform(30, 2, 2), MetaWorld(name, instances[name][:2], 2, horizon=20)
    play(world, actions[:7])
    state = pickle.loads(pickle.dumps(world.get_state()))
    expected = play(world, actions[7:])
    again = MetaWorld(name, instances[name][:2], 2, horizon=20)
    play(again, actions[:3])
    assert np.array_equal(again.set_state(state), state.observation.reshape(2, 2, 39)) and again.t == 7
    for ours, theirs in zip(play(again, actions[7:]), expected, strict=True):
        assert np.array_equal(ours, theirs)
    assert len(pickle.dumps(state)) < 1000 * len(state.physics)


@pytest.mark.parametrize("name", VARIED)
def test_neither_the_order_of_instances_nor_that_of_streams_matters(instances, name):
    order, actions = [2, 0, 1], uniform(50, 3, 3)
    straight = play(MetaWorld(name, instances[name], 3, horizon=25), actions)
    turned = play(MetaWorld(name, [instances[name][i] for i in order], 3, horizon=25), actions[:, order][:, :, order])
    alone = play(MetaWorld(name, instances[name][1:2], 1, horizon=25), actions[:, 1:2, 2:])
    for ours, theirs, only in zip(turned, straight, alone, strict=True):
        assert np.array_equal(ours, theirs[:, order][:, :, order])
        assert np.array_equal(only, theirs[:, 1:2, 2:])


def test_the_last_observation_of_an_episode_is_not_the_first_of_the_next(instances):
    world = MetaWorld("reach-v3", instances["reach-v3"][:2], horizon=5)
    first, actions = world.reset(), uniform(5, 2, 1)
    steps = [world.step(action) for action in actions]
    assert [step.done for step in steps] == [False] * 4 + [True] and world.t == 0
    assert np.array_equal(steps[-1].observation, first)
    assert (steps[-1].next_observation[..., :3] != first[..., :3]).all()
    assert np.array_equal(steps[-2].observation, steps[-2].next_observation)


def test_what_a_step_returned_may_be_overwritten(instances):
    worlds = [MetaWorld("reach-v3", instances["reach-v3"][:1]) for _ in range(2)]
    for action in uniform(3, 1, 1):
        steps = [world.step(action) for world in worlds]
        assert np.array_equal(steps[0].next_observation, steps[1].next_observation)
        steps[0].next_observation[:], steps[0].observation[:] = 0, 0


def test_float32_actions_are_computed_in_float64(instances):
    actions = uniform(10, 1, 1).astype(np.float32)
    single, double = (play(MetaWorld("reach-v3", instances["reach-v3"][:1]), kind) for kind in (actions, actions.astype(float)))
    assert all(np.array_equal(a, b) for a, b in zip(single, double, strict=True))


def test_observed_names_what_is_kept():
    assert observed("reach-v3")[:5] == [(0, "hand x"), (1, "hand y"), (2, "hand z"), (3, "gripper opening"), (4, "object x")]
    assert observed("push-v3")[-1] == (10, "object q3") and observed("hammer-v3")[-1] == (17, "second object q3")
    assert [name for name in ML1_TASKS if len(observed(name)) == 18] == ["hammer-v3", "stick-pull-v3", "stick-push-v3"]


# ---- what is refused

@pytest.mark.parametrize("ask", [observed, ml1_instances, lambda name: MetaWorld(name, [(0.0,)])])
def test_an_unknown_task_is_named_with_the_nearest_known(ask):
    with pytest.raises(ValueError, match=r"name is 'pick-plaice-v3'; allowed: 'assembly-v3', .* mean 'pick-place-v3'\?"):
        ask("pick-plaice-v3")


@pytest.mark.parametrize("change, message", [
    ({"instances": [(0.1, 0.2)]}, r"instance of reach-v3 is \(0.1, 0.2\); allowed: 6 finite numbers"),
    ({"instances": [(0.0, 0.6, 0.02, 0.0, 0.7, 0.2)]}, "allowed: a goal further from the object"),     # would draw for ever
    ({"instances": [(0.1, 0.6, 0.02, 0.0, 0.7, np.nan)]}, "allowed: 6 finite numbers"),
    ({"instances": [(1e308, 0.6, 0.02, 0.0, 0.8, 0.2)]}, "allowed: 6 finite numbers from -10 to 10"),
    ({"instances": []}, "allowed: at least one"),
    ({"n_streams": 2**40}, r"n_streams is 1099511627776; allowed: a smaller whole number.* GiB of memory"),
    ({"n_streams": 0}, "n_streams is 0; allowed: a whole number of at least 1"),
    ({"horizon": 0}, "horizon is 0; allowed: a whole number of at least 1"),
])
def test_a_world_that_cannot_be_is_refused(instances, change, message):
    with pytest.raises(ValueError, match=message):
        MetaWorld(**{"name": "reach-v3", "instances": instances["reach-v3"][:1], **change})


@pytest.mark.parametrize("change, message", [
    ({(0, 0, 0): np.nan}, "action holds nan; allowed: finite numbers from -1e"),
    ({(1, 0, 3): -np.inf}, "action holds -inf; allowed: finite numbers"),
    ({(1, 0, 3): 1e308}, "action holds 1e.308; allowed: finite numbers"),
])
def test_an_action_that_is_not_finite_moves_nothing(instances, change, message):
    world, action = MetaWorld("reach-v3", instances["reach-v3"][:2]), np.zeros((2, 1, 4))
    before = world.get_state()
    for place, value in change.items():
        action[place] = value
    with pytest.raises(ValueError, match=message):
        world.step(action)
    after = world.get_state()
    assert np.array_equal(after.physics, before.physics) and after.t == before.t
    from dicp.config import MetaWorldConfig
    from dicp.envs.worlds import SeenMetaWorld
    with pytest.raises(ValueError, match="action holds"):
        seen = SeenMetaWorld(MetaWorldConfig(), instances["reach-v3"][:2], 1)
        seen.step(torch.from_numpy(action))


@pytest.mark.parametrize("action, message", [
    (np.zeros((1, 1, 4)), r"the shape of action is \(1, 1, 4\); allowed: \(2, 1, 4\) \(task, stream, 4\)"),
    (np.zeros((2, 1, 4), bool), r"the dtype of action is dtype\(.bool.\); allowed: one of real numbers"),
    (np.zeros((2, 1, 4), complex), r"the dtype of action is dtype\(.complex128.\); allowed: one of real"),
    ([[[0, 0, 0, 0]], [[0]]], "action is .*; allowed: numbers in the shape"),
])
def test_an_action_of_another_form_is_refused(action, message):
    with pytest.raises(ValueError, match=message):
        known_actions(action, (2, 1, 4))


@pytest.mark.parametrize("change, message", [
    ({"t": 100}, "state.t is 100; allowed: a whole number from 0 to 99"),
    ({"physics": np.zeros((1, 3))}, r"state.physics is .*; allowed: finite numbers of float64 in the shape \(1, "),
    ({"observation": np.full((1, 39), np.nan)}, "state.observation is .*; allowed: finite numbers"),
    ({"attributes": []}, r"state.attributes is \[\]; allowed: a list of 1 dictionaries"),
])
def test_a_state_that_cannot_be_is_refused(instances, change, message):
    world = MetaWorld("reach-v3", instances["reach-v3"][:1])
    with pytest.raises(ValueError, match=message):
        world.set_state(world.get_state()._replace(**change))


def test_a_state_of_another_world_is_refused(instances):
    first, second = (MetaWorld("reach-v3", [instance]) for instance in instances["reach-v3"][:2])
    with pytest.raises(ValueError, match="state.of is"):
        second.set_state(first.get_state())


def test_without_the_library_one_sentence_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "metaworld", None)
    for ask in (lambda: ml1_instances("reach-v3"), lambda: MetaWorld("reach-v3", [(0.0,) * 6])):
        with pytest.raises(MetaWorldMissing, match="pip install metaworld"):
            ask()
    assert observed("reach-v3")
