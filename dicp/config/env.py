"""The worlds: three grids and the tasks of Meta-World."""

from dataclasses import dataclass

from dicp.checks import one_of, whole

ENVS = ("darkroom", "darkroom_permuted", "dark_key_to_door")
ML1_TASKS = (
    "assembly-v3", "basketball-v3", "bin-picking-v3", "box-close-v3", "button-press-topdown-v3", "button-press-topdown-wall-v3",
    "button-press-v3", "button-press-wall-v3", "coffee-button-v3", "coffee-pull-v3", "coffee-push-v3", "dial-turn-v3",
    "disassemble-v3", "door-close-v3", "door-lock-v3", "door-open-v3", "door-unlock-v3", "drawer-close-v3", "drawer-open-v3",
    "faucet-close-v3", "faucet-open-v3", "hammer-v3", "hand-insert-v3", "handle-press-side-v3", "handle-press-v3",
    "handle-pull-side-v3", "handle-pull-v3", "lever-pull-v3", "peg-insert-side-v3", "peg-unplug-side-v3", "pick-out-of-hole-v3",
    "pick-place-v3", "pick-place-wall-v3", "plate-slide-back-side-v3", "plate-slide-back-v3", "plate-slide-side-v3",
    "plate-slide-v3", "push-back-v3", "push-v3", "push-wall-v3", "reach-v3", "reach-wall-v3", "shelf-place-v3", "soccer-v3",
    "stick-pull-v3", "stick-push-v3", "sweep-into-v3", "sweep-v3", "window-close-v3", "window-open-v3",
)
TWO_OBJECTS = ("hammer-v3", "stick-pull-v3", "stick-push-v3")          # of them


@dataclass(frozen=True)
class EnvConfig:
    """A grid world."""

    name: str = "darkroom"
    size: int = 9        # cells a side (paper: 9)
    horizon: int = 20    # env steps an episode (paper: 20, the other two worlds 50)

    def __post_init__(self):
        one_of("env", self.name, ENVS)
        whole("size", self.size, 2)
        whole("horizon", self.horizon, 1)

    @property
    def n_actions(self) -> int:
        return 5

    @property
    def n_cells(self) -> int:
        return self.size**2

    @classmethod
    def preset(cls, env: str) -> "EnvConfig":
        one_of("env", env, ENVS)
        return cls(env, horizon=20 if env == "darkroom" else 50)


@dataclass(frozen=True)
class MetaWorldConfig:
    """One of the fifty ML1 tasks of Meta-World. Its instances are what other worlds call tasks."""

    name: str = "metaworld"
    task: str = "reach-v3"
    horizon: int = 100   # env steps an episode (paper: 100; the library cuts episodes off at 500)

    def __post_init__(self):
        one_of("env", self.name, ("metaworld",))
        one_of("task", self.task, ML1_TASKS)
        whole("horizon", self.horizon, 1)

    @property
    def n_observed(self) -> int:
        """Numbers that an agent sees, the first of the library's 39 (`dicp.envs.metaworld.observed` names them)."""
        return 18 if self.task in TWO_OBJECTS else 11

    @property
    def d_action(self) -> int:
        return 4


Env = EnvConfig | MetaWorldConfig


def env_from_dict(values: dict) -> Env:
    """The inverse of `dataclasses.asdict`, as read from JSON."""
    return (MetaWorldConfig if values["name"] == "metaworld" else EnvConfig)(**values)
