"""Looking at Meta-World: goals, the simulator where an agent is, and pictures where this machine can draw them."""

import sys

import numpy as np
import pytest

from dicp.envs.metaworld import MetaWorld, MetaWorldMissing, ml1_instances
from dicp.envs.metaworld_camera import Camera, CameraMissing
from dicp.envs.metaworld_library import libraries

try:
    libraries()                     # not metaworld itself: how MuJoCo draws is settled when it is imported
except MetaWorldMissing as missing:
    pytest.skip(str(missing), allow_module_level=True)


def world(name: str = "reach-v3", n_instances: int = 2) -> MetaWorld:
    return MetaWorld(name, ml1_instances(name)[0][:n_instances], n_streams=2)


@pytest.fixture
def camera():
    try:
        with Camera(world(), height=120, width=160) as camera:
            yield camera
    except CameraMissing as missing:
        pytest.skip(str(missing))


def test_goals_are_those_of_the_instances():
    reach, sweep = world(), world("sweep-v3")
    assert np.array_equal(reach.goal, np.array(reach.instances)[:, 3:])
    assert np.array_equal(sweep.goal[:, 1], np.array(sweep.instances)[:, 1])         # as far back as the object: not hidden


def test_the_simulator_shows_the_agent_that_was_asked_for():
    here = world()
    for action in np.random.default_rng(0).uniform(-1, 1, (5, 2, 2, 4)):
        seen = here.step(action).next_observation
    for task in range(2):
        for stream in range(2):
            _, data = here.show(task, stream)
            assert np.allclose(data.body("hand").xpos, seen[task, stream, :3], atol=1e-12)


def test_to_look_changes_nothing():
    watched, alone = world(), world()
    for action in np.random.default_rng(0).uniform(-1, 1, (5, 2, 2, 4)):
        watched.show(1, 0)
        for one, other in zip(watched.step(action)[:4], alone.step(action)[:4], strict=True):
            assert np.array_equal(one, other)


def test_pictures_differ_where_agents_do(camera):
    def difference(one, other):
        return np.abs(one.astype(int) - other).mean()

    first = camera.picture()
    assert first.shape == (120, 160, 3) and first.dtype == np.uint8 and first.std() > 10
    assert difference(first, camera.picture(0, 1)) == 0                              # two streams of one instance
    camera.world.step(np.ones((2, 2, 4)))
    camera.world.step(np.ones((2, 2, 4)))
    assert difference(first, camera.picture()) > 0.1


def test_one_camera_after_the_other(camera):
    first = camera.picture(1)
    camera.__exit__()
    with Camera(world("push-v3"), 120, 160) as second:
        assert second.picture().std() > 10
    with Camera(world(), 120, 160) as again:
        assert np.array_equal(again.picture(1), first)


@pytest.mark.usefixtures("camera")
def test_up_is_up():
    """The hand hangs above the table's middle: its blue finger is in the upper half of any picture."""
    for view in ("close", "corner3"):
        with Camera(world(), 200, 240, view) as camera:
            red, green, blue = np.moveaxis(camera.picture().astype(int), -1, 0)
        rows, _ = ((blue > 180) & (green > 180) & (red < 120)).nonzero()
        assert len(rows) > 3 and rows.mean() < 90


def test_without_a_display_one_sentence_says_what_to_do(monkeypatch):
    for name in ("MUJOCO_GL", "DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(CameraMissing, match="cannot be drawn here.*no display.*apt-get install libosmesa6"):
        Camera(world())


def test_unknown_agents_and_views_are_refused():
    with pytest.raises(ValueError, match="task is 2; allowed: 0, 1"):
        world().show(2)
    with pytest.raises(ValueError, match="view is 'front'; allowed: 'close', 'corner2'"):
        Camera(world(), view="front")
