"""The worlds: the paper's three grids, two of ours, and the tasks of Meta-World."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

from dicp.checks import Number, OneOf, Whole, checked, nearest, one_of, refuse, shown
from dicp.config import registry
from dicp.config.presets import ALONE, GRIDS, PRESETS, sum_of
from dicp.config.wire import GONE, with_new_names
from dicp.config.world import GridConfig, Horizon, NumbersConfig, WorldConfig

ENVS = GRIDS
ML1_TASKS = (
    "assembly-v3", "basketball-v3", "bin-picking-v3", "box-close-v3", "button-press-topdown-v3",
    "button-press-topdown-wall-v3", "button-press-v3", "button-press-wall-v3", "coffee-button-v3",
    "coffee-pull-v3", "coffee-push-v3", "dial-turn-v3", "disassemble-v3", "door-close-v3",
    "door-lock-v3", "door-open-v3", "door-unlock-v3", "drawer-close-v3", "drawer-open-v3",
    "faucet-close-v3", "faucet-open-v3", "hammer-v3", "hand-insert-v3", "handle-press-side-v3",
    "handle-press-v3", "handle-pull-side-v3", "handle-pull-v3", "lever-pull-v3",
    "peg-insert-side-v3", "peg-unplug-side-v3", "pick-out-of-hole-v3", "pick-place-v3",
    "pick-place-wall-v3", "plate-slide-back-side-v3", "plate-slide-back-v3", "plate-slide-side-v3",
    "plate-slide-v3", "push-back-v3", "push-v3", "push-wall-v3", "reach-v3", "reach-wall-v3",
    "shelf-place-v3", "soccer-v3", "stick-pull-v3", "stick-push-v3", "sweep-into-v3", "sweep-v3",
    "window-close-v3", "window-open-v3",
)
TWO_OBJECTS = ("hammer-v3", "stick-pull-v3", "stick-push-v3")          # of them

Side = Annotated[int, Whole(2, 1000)]        # the table of a million cells takes 40 MB


@dataclass(frozen=True)
class EnvConfig(GridConfig):
    """One of the paper's three grids."""

    said_as = "an EnvConfig"
    imitators = ("ad", "dpt", "idt")
    world_models = (*WorldConfig.world_models, *ALONE)

    name: Annotated[str, OneOf(ENVS)] = "darkroom"
    size: Side = 9                           # cells a side (paper: 9)
    # env steps an episode (paper: 20, the other two worlds 50)
    horizon: Horizon = 20

    @property
    def planners(self) -> tuple[str, ...]:
        """To draw a goal, every cell must be able to be it, and nothing else be hidden."""
        return (*WorldConfig.planners, *(("thompson",) if self.name == "darkroom" else ()))

    @classmethod
    @checked
    def preset(cls, env: Annotated[str, OneOf(ENVS)]) -> "EnvConfig":
        """The paper's room and horizon. Raises `ValueError` for another world."""
        return cls(env, **sum_of(PRESETS, "env", {"env": env}))


@dataclass(frozen=True)
class TreasureConfig(GridConfig):
    """Dark Treasure: a small treasure and a large one are hidden, and every step on one
    gives its reward. Whether to leave the small one and search on depends on where the large
    one may still be."""

    said_as = "a TreasureConfig"
    world_models = (*WorldConfig.world_models, *ALONE)

    name: Annotated[str, OneOf(("dark_treasure",))] = "dark_treasure"
    size: Side = 13                          # cells a side
    horizon: Horizon = 50                    # env steps an episode
    # the large one's is 1
    small_reward: Annotated[float, Number(0, 1, above=True, below=True)] = 0.3
    # of all pairs of cells the split draws so many
    n_train: Annotated[int, Whole(1, 10**6)] = 400
    n_held_out: Annotated[int, Whole(1, 10**6)] = 40

    def __post_init__(self):
        super().__post_init__()
        n_pairs, n_tasks = self.n_cells * (self.n_cells - 1), self.n_train + self.n_held_out
        if n_tasks > n_pairs:
            pairs = f"at most {n_pairs}, the pairs of cells with size={self.size}"
            raise refuse("env.n_train + env.n_held_out", n_tasks, pairs)


@dataclass(frozen=True)
class NoisyConfig(GridConfig):
    """Noisy Darkroom: a step on the hidden goal gives a reward only sometimes, so that one without
    is weak evidence, and visits have to be counted."""

    said_as = "a NoisyConfig"
    world_models = (*WorldConfig.world_models, *ALONE)
    is_random = True

    name: Annotated[str, OneOf(("noisy_darkroom",))] = "noisy_darkroom"
    size: Side = 9                           # cells a side
    horizon: Horizon = 20                    # env steps an episode
    p_reward: Annotated[float, Number(0, 1, above=True)] = 0.4      # of a step on the goal


@dataclass(frozen=True)
class MetaWorldConfig(NumbersConfig):
    """One of the fifty ML1 tasks of Meta-World. Its instances are what other worlds call tasks."""

    said_as = "a MetaWorldConfig"

    name: Annotated[str, OneOf(("metaworld",))] = "metaworld"
    task: Annotated[str, OneOf(ML1_TASKS)] = "reach-v3"
    # env steps an episode (paper: 100; the library cuts episodes off at 500)
    horizon: Horizon = 100

    @property
    def n_observed(self) -> int:
        """Numbers that an agent sees, the first of the library's 39
        (`dicp.envs.metaworld.observed` names them)."""
        return 18 if self.task in TWO_OBJECTS else 11

    @property
    def d_action(self) -> int:
        return 4


def named(env: str, task: str | None = None, profile: str = "fast") -> WorldConfig:
    """The world of that name as the presets have it;
    `ValueError` for a task where there are none."""
    kind = registry.config_class(env)
    changes = sum_of((*PRESETS, *registry.rows(env)), "env", {"env": env, "profile": profile})
    if task is not None:
        if "task" not in [field.name for field in fields(kind)]:
            raise ValueError(f"task is {task!r}; allowed: none in {env}, only in metaworld.")
        changes["task"] = task
    return kind(name=env, **changes)


@checked
def env_from_dict(values: Mapping) -> WorldConfig:
    """The inverse of `dataclasses.asdict`, as read from JSON. Raises `ValueError`, naming the key
    or the value."""
    if "name" not in values:
        raise ValueError(f"env has the fields {shown(list(values))}; allowed: 'name' among them.")
    one_of("env", values["name"], registry.names())
    return from_dict(registry.config_class(values["name"]), values, "env")


def from_dict(kind: type, values: Any, part: str) -> Any:
    """A config from the dict of its fields. One that is missing has its default, as in what was
    written before there was such a field; one that is gone is left out, and an old name is read as
    the new one."""
    if not isinstance(values, Mapping):
        raise refuse(part, values, "a dict of its fields")
    values = {name: value for name, value in values.items() if name not in GONE}
    values = with_new_names(values) if part == "model" else values
    check_keys(part, values, [field.name for field in fields(kind)])
    return kind(**{name: without_lists(value) for name, value in values.items()})


def without_lists(value: Any) -> Any:
    """JSON has no tuples."""
    return tuple(map(without_lists, value)) if isinstance(value, list) else value


def check_keys(part: str, values: Mapping, known: list[str]) -> None:
    """Raise `ValueError` for the first key that is not known, with the nearest name."""
    for name in values:
        if name not in known:
            allowed = f"{', '.join(known)}.{nearest(name, known)}"
            raise ValueError(f"{part} has the field {str(name)[:80]!r}; allowed: {allowed}")
