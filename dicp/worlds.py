"""The names of the worlds: the three grids, and Meta-World's tasks as in "metaworld-reach-v3"."""

from difflib import get_close_matches
from typing import Annotated

from dicp.checks import refuse
from dicp.config import ENVS, ML1_TASKS

__all__ = ["WORLDS", "World"]

WORLDS = (*ENVS, *(f"metaworld-{task}" for task in ML1_TASKS))


def _world(what: str, value: object) -> str:
    """The rule: one of `WORLDS`. The sentence is short, and suggests the nearest name."""
    if isinstance(value, str) and value in WORLDS:
        return str(value)
    grids = ", ".join(repr(env) for env in ENVS)
    near = get_close_matches(str(value), WORLDS, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise refuse(what, value, f"{grids}, or a task of Meta-World as in 'metaworld-reach-v3'{hint}")


World = Annotated[str, _world]
