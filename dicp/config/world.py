"""What the config of any world is."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from dicp.checks import Whole, check_fields
from dicp.config.presets import Row

Horizon = Annotated[int, Whole(1, 10**6)]    # a rollout of one such episode takes hours
Names = ClassVar[tuple[str, ...]]


class WorldConfig:
    """The config of a world: a frozen dataclass of this kind, with at least these two fields and a
    default for each. Every field is checked as its type says (`dicp.checks`)."""

    name: str
    horizon: int                             # env steps an episode

    task: ClassVar[str | None] = None        # which of several kinds, where a world has them
    said_as: ClassVar[str] = (
        "a world's config, as EnvConfig('darkroom') or MetaWorldConfig(task='push-v3')"
    )
    # what can be trained, planned and collected there; "dpt" needs `Domain.optimal_actions`
    imitators: Names = ("ad", "idt")
    world_models: Names = ("none", "observational")
    planners: Names = ("none", "paper", "gated", "bayes")
    sources: Names = ("ppo", "sb3", "trpo", "a2c")
    rows: ClassVar[Sequence[Row]] = ()       # of presets
    n_cells: ClassVar[int] = 0               # observations that a wide plan should keep apart
    is_random: ClassVar[bool] = False        # a step draws: `Domain.make` takes a generator, too

    def __post_init__(self):
        check_fields(self, "env")


class NumbersConfig(WorldConfig):
    """The same of a world whose observations and actions are numbers."""

    planners = ("none", "paper")
    sources = (*WorldConfig.sources, "sac")
    rows = (Row({"planner": "paper"}, plan={"rank": "mean", "ties": "order"}),)


class GridConfig(WorldConfig):
    """The same of a room of `size` x `size` cells, in which an action is one of five moves."""

    said_as = "a grid's config, as EnvConfig('darkroom')"
    size: int

    @property
    def n_actions(self) -> int:
        """+x, -x, +y, -y, stay."""
        return 5

    @property
    def n_cells(self) -> int:
        return self.size**2
