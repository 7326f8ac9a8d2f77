"""Looking at Meta-World: goals, the simulator where an agent is, and pictures where this machine can draw them."""

import builtins
import os
import re
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from dicp.envs import metaworld_import
from dicp.envs.metaworld import MetaWorld, MetaWorldMissing, ml1_instances
from dicp.envs.metaworld_camera import Camera, CameraMissing
from dicp.envs.metaworld_library import libraries

try:
    libraries()                     # not metaworld itself: MuJoCo is imported without drawing
except MetaWorldMissing as missing:
    pytest.skip(str(missing), allow_module_level=True)


def world(name: str = "reach-v3", n_instances: int = 2) -> MetaWorld:
    return MetaWorld(name, train_instances(name)[:n_instances], n_streams=2)


@cache
def train_instances(name: str) -> list:
    return ml1_instances(name)[0]


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


def test_a_picture_may_be_larger_than_mujocos_frame_buffer(camera):
    size = camera.world.show()[0].vis.global_
    before = size.offheight, size.offwidth
    camera.__exit__()
    with Camera(camera.world, 720, 1280) as large:
        picture = large.picture()
    assert picture.shape == (720, 1280, 3) and picture[-50:, -50:].std() > 1 and picture.std() > 10
    assert (size.offheight, size.offwidth) == before == (480, 640)


def test_another_failure_is_not_called_a_missing_library(camera, monkeypatch):
    def fail(*_):
        raise MemoryError("out of\nmemory")

    monkeypatch.setattr(libraries()[1], "Renderer", fail)
    with pytest.raises(CameraMissing, match=r"^Pictures cannot be drawn here \(.*out of memory\): [^\n]*$"):
        Camera(camera.world)


def test_what_there_is_to_draw_with_is_tried_in_order(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY", "PYOPENGL_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(metaworld_import, "find_library", lambda name: None)
    assert metaworld_import.ways() == ["egl"]
    monkeypatch.setenv("DISPLAY", ":0")
    assert metaworld_import.ways() == ["glfw", "egl"]
    monkeypatch.setattr(metaworld_import, "find_library", lambda name: f"lib{name}.so")
    assert metaworld_import.ways() == ["osmesa"]
    monkeypatch.setenv("MUJOCO_GL", " EGL")
    assert metaworld_import.ways() == ["egl"]


def test_without_anything_to_draw_with_one_sentence_says_what_to_do(monkeypatch):
    def fail(way):
        raise OSError("no\ndisplay")

    for name in ("MUJOCO_GL", "PYOPENGL_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(metaworld_import, "find_library", lambda name: None)
    monkeypatch.setattr(metaworld_import, "context_class", fail)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(CameraMissing, match=r"^Pictures cannot be drawn here \(no system library EGL\): install OSMesa "
                                            r"\(Debian: apt-get install libosmesa6\) and start Python anew\.$"):
        Camera(world())


SETTINGS = [                                # what somebody may have set for another project, and a picture's answer
    ({"MUJOCO_GL": "osmesa"}, "a picture|MUJOCO_GL is 'osmesa'; no system library OSMesa"),
    ({"MUJOCO_GL": "nonsense"}, "MUJOCO_GL is 'nonsense'; allowed for MUJOCO_GL: osmesa, egl, glfw"),
    ({"MUJOCO_GL": "egl", "PYOPENGL_PLATFORM": "glx"}, "MUJOCO_GL is 'egl' and PYOPENGL_PLATFORM is 'glx'"),
    ({"MUJOCO_GL": "disable"}, "MUJOCO_GL is 'disable'; drawing is switched off"),
    ({"MUJOCO_GL": "glfw"}, "a picture|MUJOCO_GL is 'glfw'; glfw: no display"),
    ({}, "a picture|no system library EGL"),
]


@pytest.mark.parametrize("setting, answer", SETTINGS)
def test_no_setting_for_drawing_stops_the_physics(setting, answer):
    code = """if True:
        import os
        before = dict(os.environ)
        from dicp.envs.metaworld import MetaWorld
        world = MetaWorld("reach-v3", [(0.0, 0.6, 0.02, 0.05, 0.85, 0.2)])
        print(world.step([[[1, 0, 0, 0]]]).reward.item())
        from dicp.envs.metaworld_camera import Camera, CameraMissing
        try:
            with Camera(world) as camera:
                print("a picture", camera.picture().shape)
        except CameraMissing as missing:
            print(missing)
        assert dict(os.environ) == before, "a variable was changed"
    """
    names = ("MUJOCO_GL", "PYOPENGL_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    run = subprocess.run([sys.executable, "-c", code], env=environment | setting, capture_output=True, encoding="utf-8")
    assert run.returncode == 0, run.stderr
    reward, drawn = run.stdout.splitlines()
    assert 1 < float(reward) < 2 and re.search(answer, drawn)


@pytest.mark.parametrize("error, sentence", [
    (ModuleNotFoundError("No module named 'mujoco'", name="mujoco"), r"No module named 'mujoco'\): pip install metaworld==3"),
    (ModuleNotFoundError("No module named 'imageio'", name="imageio"), r"No module named 'imageio'\)\.$"),
    (OSError("libmujoco.so:\nno such file"), r"\(OSError: libmujoco.so: no such file\)\.$"),
])
def test_what_keeps_meta_world_from_being_imported_is_said(monkeypatch, error, sentence):
    def fail(name, *rest):
        if name == "metaworld":
            raise error
        return imported(name, *rest)

    imported = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(MetaWorldMissing, match=f"^Meta-World cannot be imported .*{sentence}"):
        libraries()


def test_unknown_agents_and_views_are_refused():
    with pytest.raises(ValueError, match="task is 2; allowed: a whole number from 0 to 1"):
        world().show(2)
    with pytest.raises(ValueError, match="width is 4097; allowed: a whole number from 1 to 4096"):
        Camera(world(), width=4097)
    with pytest.raises(ValueError, match="view is 'front'; allowed: 'close', 'corner2'"):
        Camera(world(), view="front")
