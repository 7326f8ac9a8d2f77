"""What follows from a world's spaces alone."""

from typing import Any, NamedTuple

from dicp.checks import refuse
from dicp.config import PlanConfig
from dicp.config.presets import Row
from dicp.types import Space

# where actions are numbers the likeliest reward is the expected one, candidates have no order, and
# reality never is exactly what was imagined
UNREAD_OF_NUMBERS = {
    "rank": "mean", "ties": "order", "replan": True, "weigh_paths": False, "curiosity": 0.0,
    "deduplicate": False, "needs_reward": False, "draws_goal": False,
}


# for the presets of such a world
PLAN_OF_NUMBERS = Row({"planner": "paper"}, plan={"rank": "mean", "ties": "order"})


class Scales(NamedTuple):
    """Fixed constants by which numbers are divided inside a model, the same for every task, so that
    nothing has to be estimated and a context may begin anywhere. One a number of the observation:"""

    centre: tuple[float, ...]
    scale: tuple[float, ...]
    change: tuple[float, ...]           # of a large change in a step
    reward: float                       # the most that a step pays
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


def check_spaces(world: Any) -> None:
    """Raise `ValueError` unless observations and actions of a world are both one of a few, or both
    numbers in a row, and its rewards of a kind that can be learned with them."""
    who, kinds = type(world).__name__, [world.observation.is_discrete, world.action.is_discrete]
    if kinds[0] != kinds[1]:
        seen, done = ("one of a few" if kind else "numbers" for kind in kinds)
        said = f"{who} has observations that are {seen} and actions that are {done}"
        raise ValueError(f"{said}; allowed: both one of a few, or both numbers.")
    check = check_few if kinds[0] else check_numbers
    check(who, world)


def check_few(who: str, world: Any) -> None:
    """The same where they are one of a few."""
    for name in ("observation", "action", "reward"):
        space = getattr(world, name)
        if not space.is_discrete or space.n < 1 or space.shape:
            raise refuse(f"{who}.{name}", tuple(space), "Space(n), one of n of at least 1")
    n = 1
    for factor in world.observation.factors:
        n *= factor
    if n != world.observation.n:
        allowed = f"bounds whose product is {world.observation.n}"
        raise refuse(f"{who}.observation.coordinates_below", world.observation.factors, allowed)
    values = world.reward.values
    if values and (len(values) != world.reward.n or list(values) != sorted(set(values))):
        raise refuse(f"{who}.reward.values", values, f"{world.reward.n} numbers in rising order")


def check_numbers(who: str, world: Any) -> None:
    """The same where they are numbers."""
    for name in ("observation", "action"):
        space = getattr(world, name)
        if len(space.shape) != 1 or space.shape[0] < 1:
            raise refuse(f"{who}.{name}.shape", space.shape, "(n,), so many numbers in a row")
    low, high = world.action.bounds
    if not -float("inf") < low < high < float("inf"):
        raise refuse(f"{who}.action's bounds", (low, high), "two finite numbers, in rising order")
    if world.reward.is_discrete or world.reward.shape:
        raise refuse(f"{who}.reward", tuple(world.reward), "Space(), one number")
