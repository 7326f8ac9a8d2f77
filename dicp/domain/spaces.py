"""What follows from a world's spaces alone."""

from dataclasses import fields
from math import inf, isfinite, prod
from typing import Any, NamedTuple

from dicp.checks import Each, Number, Whole, refuse, whole
from dicp.config import ModelConfig, PlanConfig, SourceConfig, TrainConfig
from dicp.config.env import check_keys
from dicp.config.presets import Row
from dicp.config.world import NumbersConfig
from dicp.types import Space

# where actions are numbers the likeliest reward is the expected one, candidates have no order, and
# reality never is exactly what was imagined
UNREAD_OF_NUMBERS = {
    "rank": "mean", "ties": "order", "replan": True, "weigh_paths": False, "curiosity": 0.0,
    "deduplicate": False, "needs_reward": False, "draws_goal": False, "rewards_persist": False,
}


class Scales(NamedTuple):
    """Fixed constants by which numbers are divided inside a model, the same for every task,
    so that nothing has to be estimated and a context may begin anywhere. One a number of
    the observation:"""

    centre: tuple[float, ...]
    scale: tuple[float, ...]
    change: tuple[float, ...]           # of a large change in a step
    reward: float                       # the most that a step gives
    reward_change: float                # of a usual change from one step to the next

    @classmethod
    def of(cls, observation: Space, max_reward: float) -> "Scales":
        """Half of the range, and a twentieth of it as a large change in a step."""
        low, high = observation.bounds
        n = observation.shape[0] if observation.shape else 1
        half = (high - low) / 2
        reward = max(abs(max_reward), 1e-6)
        return cls(((low + high) / 2,) * n, (half,) * n, (half / 10,) * n, reward, reward / 10)


def unread_fields(action: Space) -> dict[str, Any]:
    """The fields of a plan that nothing reads, each with the only value that it may have."""
    if action.is_discrete:
        return {"candidates": PlanConfig.candidates}        # all actions are tried
    return UNREAD_OF_NUMBERS


def check_task(what: str, task: object) -> None:
    """Raise `ValueError` unless it is a whole number, or a tuple of numbers or of such tuples."""
    parts = [task]
    while parts:
        part = parts.pop()
        if isinstance(part, tuple) and part:
            parts.extend(part)
        elif type(part) is not int and (part is task or type(part) is not float):
            raise refuse(what, task, "a whole number, or a tuple of numbers or of such tuples")


def column(value: object) -> object:
    """A field of a config as a column of a table."""
    return value if isinstance(value, str | int | float) else str(value)


PARTS = {
    "source": SourceConfig, "model": ModelConfig, "train": TrainConfig, "plan": PlanConfig,
}
ASKED = ("env", "task", "profile", "world_model", "target", "planner", "algorithm")


def check_rows(what: str, rows: Any) -> None:
    """Raise `ValueError` unless they are rows of presets with known fields."""
    is_list = isinstance(rows, list | tuple) and not isinstance(rows, Row)
    if not is_list or not all(isinstance(row, Row) for row in rows):
        raise refuse(what, rows, "a list of dicp.domain.Row")
    for row in rows:
        check_keys(f"{what}: when", row.when, list(ASKED))
        for part, kind in PARTS.items():
            known = [field.name for field in fields(kind)]
            check_keys(f"{what}: {part}", getattr(row, part), known)


def check_spaces(world: Any) -> None:
    """Raise `ValueError` unless observations and actions of a world are both one of a few, or both
    numbers in a row, and its rewards of a kind that can be learned with them."""
    who = type(world).__name__
    for name in ("observation", "action", "reward"):
        check_space(f"{who}.{name}", getattr(world, name, None))
    kinds = [world.observation.is_discrete, world.action.is_discrete]
    if kinds[0] != kinds[1]:
        seen, done = ("one of a few" if kind else "numbers" for kind in kinds)
        said = f"{who} has observations that are {seen} and actions that are {done}"
        raise ValueError(f"{said}; allowed: both one of a few, or both numbers.")
    check = check_few if kinds[0] else check_numbers
    check(who, world)


def check_space(what: str, space: Any) -> None:
    """Raise `ValueError` unless it is a space whose fields are what they must be."""
    if not isinstance(space, Space):
        raise refuse(what, space, "a dicp.domain.Space")
    if space.n is not None:
        whole(f"{what}.n", space.n, 1)
    for name in ("shape", "coordinates_below"):
        Each(Whole(1))(f"{what}.{name}", getattr(space, name))
    Each(Number())(f"{what}.values", space.values)
    for name in ("low", "high"):
        bound = getattr(space, name)
        if type(bound) not in (int, float) or bound != bound:
            raise refuse(f"{what}.{name}", bound, "a number, or an infinite one")
    if not space.low <= space.high:
        bounds = space.low, space.high
        raise refuse(f"{what}'s low and high", bounds, "two numbers in rising order")


def check_few(who: str, world: Any) -> None:
    """The same where they are one of a few."""
    for name in ("observation", "action", "reward"):
        space = getattr(world, name)
        if not space.is_discrete or space.shape:
            raise refuse(f"{who}.{name}", tuple(space), "Space(n), one of n of at least 1")
    if prod(world.observation.factors) != world.observation.n:
        allowed = f"bounds whose product is {world.observation.n}"
        raise refuse(f"{who}.observation.coordinates_below", world.observation.factors, allowed)
    values = world.reward.values
    n_apart = len(world.reward.table().unique())                           # as floats of 32 bits
    rises = list(values) == sorted(values) and n_apart == len(values) == world.reward.n
    if values and not rises:
        raise refuse(f"{who}.reward.values", values, f"{world.reward.n} numbers in rising order")


def check_numbers(who: str, world: Any) -> None:
    """The same where they are numbers."""
    for name in ("observation", "action"):
        space = getattr(world, name)
        if len(space.shape) != 1:
            raise refuse(f"{who}.{name}.shape", space.shape, "(n,), so many numbers in a row")
    if world.action.bounds != (-1, 1):
        allowed = "(-1, 1): a policy begins there; let `step` scale them"
        raise refuse(f"{who}.action's bounds", world.action.bounds, allowed)
    if world.reward.is_discrete or world.reward.shape:
        raise refuse(f"{who}.reward", tuple(world.reward), "Space(), one number")
    if not isinstance(world.config, NumbersConfig):
        allowed = "a subclass of dicp.domain.NumbersConfig, where actions are numbers"
        raise refuse(f"{who}.config_class", type(world.config), allowed)
    check_scales(who, world)


def check_scales(who: str, world: Any) -> None:
    """Raise `ValueError` unless there is a finite one, above 0, for each number."""
    scales, n = world.scales, world.observation.shape[0]
    for name in ("centre", "scale", "change"):
        values = getattr(scales, name)
        least = -inf if name == "centre" else 0
        if len(values) != n or not all(isfinite(x) and x > least for x in values):
            allowed = f"{n} finite numbers: give the observation low and high, or override `scales`"
            raise refuse(f"{who}.scales.{name}", values, allowed)
    for name in ("reward", "reward_change"):
        if not isfinite(getattr(scales, name)) or getattr(scales, name) <= 0:
            allowed = "a finite number: give the reward a high, or a max_reward"
            raise refuse(f"{who}.scales.{name}", getattr(scales, name), allowed)
