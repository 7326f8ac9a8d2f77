"""Pictures of Meta-World. They need no screen, but a system library: OSMesa or EGL."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from jaxtyping import UInt8
from numpy import ndarray

from dicp.checks import Index, OneOf, Whole, checked, fits_memory
from dicp.envs.metaworld import MetaWorld
from dicp.envs.metaworld_import import CameraMissing, cannot_draw, libraries, new_context, one_line

__all__ = ["VIEWS", "Camera", "CameraMissing"]

# close: ours, on hand and goal; the others are the library's
VIEWS = ("close", "corner2", "corner", "corner3", "topview")
Pixels = Annotated[int, Whole(1, 4096)]
PIXEL_BYTES = 96            # of a picture while it is drawn, smoothed fourfold


class Camera:
    """Looks at one agent of a world; the world does not notice. Close it before you open another:

        with Camera(world) as camera:
            picture = camera.picture()

    height, width: in pixels, up to 4096. Raises `CameraMissing` where MuJoCo finds nothing to draw
    with, `ValueError` for an unknown view or a size that cannot be.
    """

    @checked
    def __init__(
        self,
        world: MetaWorld,
        height: Pixels = 240,
        width: Pixels = 320,
        view: Annotated[str, OneOf(VIEWS)] = "close",
    ):
        fits_memory("height", height, height * width * PIXEL_BYTES, "fewer pixels")
        _, mujoco = libraries()
        self.world, self.view = world, mujoco.MjvCamera() if view == "close" else view
        if view == "close":
            self.view.azimuth, self.view.elevation = -60, -30           # degrees
            self.view.distance, self.view.lookat[:] = 1.2, (0, 0.7, 0.1)            # metres
        model, _ = world.show()
        context = new_context(width, height)
        with drawing_into(context, mujoco, model, height, width):
            try:
                self._renderer = mujoco.Renderer(model, height, width)
            except Exception as error:              # each way to draw fails with its own errors
                context.free()
                raise cannot_draw(one_line(error)) from error

    @checked
    def picture(self, task: Index = 0, stream: Index = 0) -> UInt8[ndarray, "height width 3"]:
        """That agent, where it is now. Raises `ValueError` for one that is not in the world."""
        _, data = self.world.show(task, stream)
        self._renderer.update_scene(data, camera=self.view)
        picture = self._renderer.render()
        upside_down = isinstance(self.view, str)                # as the library's cameras hang
        return picture[::-1] if upside_down else picture

    def __enter__(self) -> "Camera":
        return self

    def __exit__(self, *_) -> None:
        self._renderer.close()


@contextmanager
def drawing_into(context: Any, mujoco: Any, model: Any, height: int, width: int) -> Iterator[None]:
    """A renderer that is made inside draws into `context`, up to that many pixels (MuJoCo's own
    bound is 640 x 480). The model is left as it was."""
    kind, size = getattr(mujoco.gl_context, "GLContext", new_context), model.vis.global_
    before = size.offheight, size.offwidth
    mujoco.gl_context.GLContext = lambda *_: context
    size.offheight, size.offwidth = max(before[0], height), max(before[1], width)
    try:
        yield
    finally:
        mujoco.gl_context.GLContext = kind
        size.offheight, size.offwidth = before
