"""Meta-World and MuJoCo, imported when they are needed, and what MuJoCo draws with.

MuJoCo settles how to draw when it is imported, as the variable MUJOCO_GL says, and its import fails
where that cannot be had. Physics needs no pictures: here MuJoCo is imported without drawing,
whatever the variable says, and the way to draw is chosen at the first picture.
"""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ctypes.util import find_library
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["CameraMissing", "MetaWorldMissing", "libraries"]

NEVER = ("disable", "disabled", "off", "false", "0")                # MuJoCo's words
ANY = ("", "enable", "enabled", "on", "true", "1")
WAYS = dict(osmesa="osmesa", egl="egl", glfw="glfw", glx="glfw", wgl="glfw", cgl="cgl")
SYSTEM_LIBRARIES = {"osmesa": "OSMesa", "egl": "EGL"}               # they draw without a display


class MetaWorldMissing(ImportError):
    """Meta-World cannot be imported, for one because it is not installed."""


class CameraMissing(ImportError):
    """Nothing can be drawn on this machine."""


def libraries() -> tuple[ModuleType, ModuleType]:
    """(metaworld, mujoco), imported only when needed; or `MetaWorldMissing`, which says why."""
    drawing_comes_later = "mujoco" not in sys.modules
    try:
        with variable("MUJOCO_GL", "disable" if drawing_comes_later else None):
            import metaworld
            import mujoco
    except Exception as error:
        name = error.name if isinstance(error, ModuleNotFoundError) else None
        advice = ": pip install metaworld==3.1.1" if name in ("metaworld", "mujoco") else "."
        cause = f"{type(error).__name__}: {one_line(error)}"
        raise MetaWorldMissing(f"Meta-World cannot be imported ({cause}){advice}") from error
    if drawing_comes_later:
        mujoco.GLContext = mujoco.gl_context.GLContext = new_context
    return metaworld, mujoco


def new_context(width: int, height: int) -> Any:
    """What MuJoCo draws a picture of that many pixels into, in one of the ways that `ways` lists;
    or `CameraMissing`, which says why there is none."""
    causes = []
    for way in ways():
        try:
            return context_class(way)(width, height)
        except Exception as error:                          # each way fails with errors of its own
            library = SYSTEM_LIBRARIES.get(way)
            absent = library and not find_library(library)
            causes.append(f"no system library {library}" if absent else f"{way}: {one_line(error)}")
    raise cannot_draw("; ".join(causes))


def ways() -> list[str]:
    """In which ways pictures may be drawn, the best first: the one that MUJOCO_GL names; else in
    software where OSMesa is, on the display if there is one, and by EGL, which needs none.
    `CameraMissing` where MUJOCO_GL allows none."""
    asked = os.environ.get("MUJOCO_GL", "").lower().strip()
    if asked in NEVER:
        raise cannot_draw("drawing is switched off")
    if asked not in (*ANY, *WAYS):
        raise cannot_draw(f"allowed for MUJOCO_GL: {', '.join(WAYS)}")
    if sys.platform == "darwin":
        return ["cgl"]
    if asked in WAYS or sys.platform != "linux":
        return [WAYS.get(asked, "glfw")]
    software = os.environ.get("PYOPENGL_PLATFORM", "").lower()
    if software in SYSTEM_LIBRARIES:
        return [software]
    if find_library("OSMesa"):
        return ["osmesa"]
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return ["glfw", "egl"] if display else ["egl"]


def context_class(way: str) -> type:
    """MuJoCo's class for one way to draw. The libraries of that way are loaded here."""
    platform = os.environ.get("PYOPENGL_PLATFORM")
    if way in SYSTEM_LIBRARIES:
        if platform and platform.lower() != way:
            raise OSError("PYOPENGL_PLATFORM says otherwise")
        with suppress(ImportError):         # PyTorch's for GPUs, which has an LLVM of its own,
            import triton  # noqa: F401     # crashes where it is loaded after Mesa and Mesa's LLVM
    elif way == "glfw":
        import glfw

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if not glfw.init():
                raise OSError("no display")
    with variable("PYOPENGL_PLATFORM", platform):           # MuJoCo sets it
        return import_module(f"mujoco.{way}").GLContext


def cannot_draw(cause: str) -> CameraMissing:
    """The error to raise; its sentence says which variables ask for what cannot be had."""
    names = [name for name in ("MUJOCO_GL", "PYOPENGL_PLATFORM") if os.environ.get(name)]
    values = " and ".join(f"{name} is {os.environ[name]!r}" for name in names)
    advice = f"unset {' and '.join(names)}"
    if not names:
        advice = "install OSMesa (Debian: apt-get install libosmesa6)"
    cause = f"{values}; {cause}" if names else cause
    sentence = f"Pictures cannot be drawn here ({cause}): {advice} and start Python anew."
    return CameraMissing(sentence)


def one_line(error: Exception) -> str:
    """The message of an error, short."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."


@contextmanager
def variable(name: str, value: str | None) -> Iterator[None]:
    """The environment variable with that value (None: as it is); in the end as it was."""
    before = os.environ.get(name)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before
