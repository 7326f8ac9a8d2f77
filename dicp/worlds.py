"""The names of the worlds: as in commands, in files of results, in tables."""

from difflib import get_close_matches
from typing import Annotated

from dicp.checks import refuse
from dicp.config import ML1_TASKS, registry

__all__ = ["World", "worlds"]

ML1 = tuple(f"metaworld-{task}" for task in ML1_TASKS)


def worlds() -> tuple[str, ...]:
    """All of them: the grids, the tasks of Meta-World as in "metaworld-reach-v3", and those that
    were registered."""
    return (*(name for name in registry.names() if name != "metaworld"), *ML1)


def _world(what: str, value: object) -> str:
    """The rule: one of `worlds`. The sentence is short, and suggests the nearest name."""
    known = worlds()
    if isinstance(value, str) and value in known:
        return str(value)
    others = ", ".join(repr(name) for name in known if name not in ML1)
    near = get_close_matches(str(value), known, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise refuse(what, value, f"{others}, or a task of Meta-World as in 'metaworld-reach-v3'{hint}")


World = Annotated[str, _world]
