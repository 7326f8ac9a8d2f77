"""What the library has to know of a world, in one object: `domain_of(env)`, made from its config.

Where worlds differ the library asks this object, or branches on its observation and action spaces.
"""

from collections.abc import Sequence
from functools import cache

from dicp.checks import Count, checked
from dicp.config import Env, EnvConfig, MetaWorldConfig
from dicp.domain.arm import ArmDomain
from dicp.domain.base import Domain
from dicp.domain.grids import GridDomain
from dicp.envs.grid import GridWorld
from dicp.envs.tasks import SplitSeed, Task
from dicp.envs.worlds import SeenMetaWorld

__all__ = ["domain_of", "split_of", "world_of"]

DOMAINS: dict[type, type[Domain]] = {EnvConfig: GridDomain, MetaWorldConfig: ArmDomain}


@checked
def domain_of(env: Env) -> Domain:
    """The world that a config describes. Raises `ValueError` for anything else."""
    return made(env)


@cache
def made(env: Env) -> Domain:
    """The same object for the same config."""
    kind = next(kind for config, kind in DOMAINS.items() if isinstance(env, config))
    return kind(env)


@checked
def split_of(env: Env, seed: SplitSeed) -> tuple[list[Task], list[Task]]:
    """(training, held-out) tasks of any world. Raises `ValueError` for another world or seed."""
    return made(env).split(seed)


@checked
def world_of(env: Env, tasks: Sequence[Task], n_streams: Count) -> GridWorld | SeenMetaWorld:
    """`n_streams` agents in each of the tasks. Raises `ValueError` for a task of another world and
    for more agents than the memory holds."""
    return made(env).make(tasks, n_streams)
