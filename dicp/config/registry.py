"""Which worlds there are: a name, and the `Domain` that stands behind it.

Ours are known from the start, by where their classes lie, so that a grid imports no simulator of an
arm. Others come by `register`, or from an installed distribution that names its class in the entry
points `dicp.domains`:

    [project.entry-points."dicp.domains"]
    walls = "my_worlds:WallsDomain"
"""

import hashlib
import inspect
import re
import sys
import warnings
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from multiprocessing import parent_process
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any

from dicp.checks import checked, one_of, refuse, shown
from dicp.config.presets import GRIDS, Row
from dicp.config.world import WorldConfig

__all__ = ["WorldName", "config_class", "domain_class", "names", "register"]

GROUP = "dicp.domains"
FORM = re.compile(r"[a-z][a-z0-9_]*")                # a name is part of file names and of commands
GRID = "dicp.config.env:EnvConfig", "dicp.domain.grids:GridDomain"
ARM = "dicp.config.env:MetaWorldConfig", "dicp.domain.arm:ArmDomain"
# name: where its config and its domain lie
OURS = dict.fromkeys(GRIDS, GRID) | {
    "dark_treasure": ("dicp.config.env:TreasureConfig", "dicp.domain.treasure:TreasureDomain"),
    "noisy_darkroom": ("dicp.config.env:NoisyConfig", "dicp.domain.noisy:NoisyDomain"),
    "metaworld": ARM,
}
IN_PRESETS = (*GRIDS, "metaworld")                   # their rows lie in `dicp.config.presets`
REGISTERED: dict[str, type] = {}


def names() -> tuple[str, ...]:
    """Every world's: ours, those that were registered, those of installed distributions."""
    return (*OURS, *REGISTERED, *(name for name in _installed() if name not in REGISTERED))


def world_name(what: str, value: object) -> str:
    """The rule: one of `names`."""
    return one_of(what, value, names())


WorldName = Annotated[str, world_name]


@checked
def register(name: str, domain: type) -> None:
    """Make a world known under `name`: as `Config.preset(name)`, on the command line, in notebooks.

    domain: a subclass of `dicp.domain.Domain`, whose `config_class` says what its config is. A
    class that is defined anew, as a notebook's cell does that is run again, takes the old one's
    place. Raises `ValueError` for a name that is taken or of another form than `my_world_2`, and
    for a class that lacks something.
    """
    if not FORM.fullmatch(name):
        raise refuse("name", name, "lower-case letters, digits and _, as in 'my_world_2'")
    is_free = name not in OURS and name not in _installed()
    if not is_free or not _is_same(REGISTERED.get(name, domain), domain):
        taken = ", ".join(repr(other) for other in names())
        raise refuse("name", name, f"one that is not taken; there are {taken}")
    check_domain(domain)
    REGISTERED[name] = domain


def _is_same(old: type, new: type) -> bool:
    """Whether one class is the other, perhaps defined anew."""
    return (old.__module__, old.__qualname__) == (new.__module__, new.__qualname__)


def check_domain(domain: Any) -> None:
    """Raise `ValueError` unless it is a class that can be a world's."""
    if not isinstance(domain, type) or not hasattr(domain, "check_class"):
        raise refuse("domain", domain, "a subclass of dicp.domain.Domain")
    domain.check_class()


def registered(name: str) -> tuple[str, type] | None:
    """What another process has to know to use that world (`take_over`)."""
    return (name, REGISTERED[name]) if name in REGISTERED else None


def take_over(world: tuple[str, type] | None) -> None:
    """Know a world that the process that started this one has registered."""
    if world:
        REGISTERED[world[0]] = world[1]


def rows(name: str) -> tuple[Row, ...]:
    """The presets that a world brings along, after those that follow from its horizon."""
    if name in IN_PRESETS:
        return ()
    config = config_class(name)
    return (*rows_of_horizon(config().horizon), *config.rows, *domain_class(name).presets)


def rows_of_horizon(n: int) -> tuple[Row, ...]:
    """Whole episodes: 50 of a stream, an update after each, 4 in a context."""
    chunk = next(chunk for chunk in range(min(n, 10), 0, -1) if n % chunk == 0)
    source, model = {"env_steps": 50 * n, "n_steps": n}, {"context_length": 4 * n, "chunk": chunk}
    planner = Row({"planner": "paper"}, plan={"start_after": 4 * n})
    return (Row({}, source=source, model=model), planner)


def code_of(name: str) -> str | None:
    """A digest of the text that makes a world of somebody else what it is, so that what was
    computed before a change is not taken for what would be after it: of its module, or, in a
    notebook, of what its class mentions."""
    if name in OURS:
        return None
    domain = domain_class(name)
    file = getattr(sys.modules.get(domain.__module__), "__file__", None)
    if file:
        text = Path(file).read_text(encoding="utf-8")
    else:
        text = "\n".join(_texts(domain, {}).values())
    return hashlib.sha1(text.encode()).hexdigest()[:10]


def _texts(thing: Any, found: dict[str, str]) -> dict[str, str]:
    """What a class or a function of a notebook says, with what it mentions, by name."""
    name = getattr(thing, "__qualname__", "")
    if name in found:
        return found
    try:
        found[name] = inspect.getsource(thing)
    except (OSError, TypeError):
        found[name] = name
    members = vars(thing).values() if isinstance(thing, type) else [thing]
    for function in members:
        for mentioned in getattr(getattr(function, "__code__", None), "co_names", ()):
            value = function.__globals__.get(mentioned)
            if getattr(value, "__module__", None) == thing.__module__:
                _texts(value, found)
            elif value is not None and not hasattr(value, "__module__"):
                found[mentioned] = repr(value)
    return found


def config_class(name: str) -> type[WorldConfig]:
    """Of the world of that name; `ValueError` where there is none,
    or where it cannot be imported."""
    if name in OURS:
        return _ours(OURS[name][0])
    return domain_class(name).config_class


def domain_class(name: str) -> type:
    """The same of its domain."""
    if name in OURS:
        return _ours(OURS[name][1])
    world_name("env", name)
    return REGISTERED[name] if name in REGISTERED else _imported(name)


@cache
def _ours(place: str) -> type:
    return resolve_name(place)


@cache
def _installed() -> dict[str, EntryPoint]:
    """Worlds of other distributions; nothing of them is imported before it is asked for. Whose name
    cannot be used is said once, not by every process that this one starts."""
    found, is_worker = {}, parent_process() is not None
    for point in entry_points(group=GROUP):
        if point.name in OURS or not FORM.fullmatch(point.name):
            said = f"The world {point.name!r} of {_source_of(point)} is not used"
            reason = "its name is taken, or of another form than 'my_world_2'"
            if not is_worker:
                warnings.warn(f"{said}: {reason}.", stacklevel=3)
        else:
            found[point.name] = point
    return found


def _imported(name: str) -> type:
    point = _installed()[name]
    try:
        domain = point.load()
        check_domain(domain)
    except Exception as error:
        others = ", ".join(repr(other) for other in names() if other != name)
        said = f"The world {name!r} of {_source_of(point)} cannot be used"
        reason = f"{type(error).__name__}: {shown(str(error))}"
        raise ValueError(f"{said} ({reason}); allowed: {others}.") from error
    REGISTERED[name] = domain
    return domain


def _source_of(point: EntryPoint) -> str:
    return f"{point.dist.name} ({point.value})" if point.dist else point.value
