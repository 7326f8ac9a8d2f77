"""What the library has to know of a world, in one object: `domain_of(env)`, made from its config.

Where worlds differ the library asks this object, or branches on its observation and action spaces.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch

from dicp.checks import Count, Seed, checked, refuse
from dicp.config import WorldConfig, registry
from dicp.config.presets import Row
from dicp.config.registry import register
from dicp.config.world import GridConfig, NumbersConfig
from dicp.domain.base import Domain
from dicp.domain.spaces import Scales
from dicp.envs.tasks import SplitSeed, Task
from dicp.types import Space, Step

__all__ = [
    "Domain", "GridConfig", "NumbersConfig", "Row", "Scales", "Space", "Step", "WorldConfig",
    "domain_of", "register", "split_of", "world_of",
]


@checked
def domain_of(env: WorldConfig) -> Domain:
    """The world that a config describes. Raises `ValueError` for anything else."""
    return made(env, registry.domain_class(env.name))


@cache
def made(env: WorldConfig, kind: type[Domain]) -> Domain:
    """The same object for the same config: on the CPU, whatever device its first user works on."""
    if not isinstance(env, kind.config_class):
        raise refuse("env", env, f"a {kind.config_class.__name__}, as {env.name!r} was registered")
    with torch.device("cpu"):
        world = kind(env)
        world.check_spaces()
    return world


@checked
def split_of(env: WorldConfig, seed: SplitSeed) -> tuple[list[Task], list[Task]]:
    """(training, held-out) tasks of any world. Raises `ValueError` for another world or seed."""
    return domain_of(env).split(seed)


@checked
def world_of(
    env: WorldConfig, tasks: Sequence[Task], n_streams: Count, seed: Seed = 0
) -> Any:
    """`n_streams` agents in each of the tasks; seed: of what is random in it. Raises `ValueError`
    for a task of another world and for more agents than the memory holds."""
    return domain_of(env).simulator(tasks, n_streams, seed)
