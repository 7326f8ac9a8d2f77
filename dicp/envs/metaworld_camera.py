"""Pictures of Meta-World, drawn in software: they need no screen, but the system library OSMesa."""

import os
import sys

from jaxtyping import UInt8
from numpy import ndarray

from dicp.checks import one_of
from dicp.envs.metaworld import MetaWorld
from dicp.envs.metaworld_library import libraries

VIEWS = ("close", "corner2", "corner", "corner3", "topview")   # close: ours, on hand and goal; the others are the library's


class CameraMissing(ImportError):
    """Nothing can be drawn on this machine."""


class Camera:
    """Looks at one agent of a world; the world does not notice. Close it before you open another:

        with Camera(world) as camera:
            picture = camera.picture()

    Raises `CameraMissing` where MuJoCo finds nothing to draw with, `ValueError` for an unknown view.
    """

    def __init__(self, world: MetaWorld, height: int = 240, width: int = 320, view: str = "close"):
        one_of("view", view, VIEWS)
        _, mujoco = libraries()
        self.world, self.view = world, mujoco.MjvCamera() if view == "close" else view
        if view == "close":
            self.view.azimuth, self.view.elevation, self.view.distance = -60, -30, 1.2           # degrees, metres
            self.view.lookat[:] = 0, 0.7, 0.1
        model, _ = world.show()
        try:
            if sys.platform == "linux" and not (os.environ.get("MUJOCO_GL") or os.environ.get("DISPLAY")):
                raise OSError("no display")
            self._renderer = mujoco.Renderer(model, height, width)
        except Exception as error:                              # each kind of display fails with errors of its own
            raise CameraMissing(
                f"Pictures cannot be drawn here ({error}): install OSMesa (Debian: apt-get install libosmesa6) and start "
                "Python anew."
            ) from error

    def picture(self, task: int = 0, stream: int = 0) -> UInt8[ndarray, "height width 3"]:
        """That agent, where it is now."""
        _, data = self.world.show(task, stream)
        self._renderer.update_scene(data, camera=self.view)
        picture = self._renderer.render()
        return picture[::-1] if isinstance(self.view, str) else picture             # the library's cameras hang upside down

    def __enter__(self) -> "Camera":
        return self

    def __exit__(self, *_) -> None:
        self._renderer.close()
