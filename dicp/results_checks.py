"""What `dicp.results` refuses to make a table of."""

from collections.abc import Mapping, Sequence

import numpy as np

from dicp import tables
from dicp.checks import refuse
from dicp.tables import REQUIRED


def recorded_rollouts(what: str, value: object) -> object:
    """The rule for what `dicp.rollout.rollout` returns, or something that tells as much."""
    needed = "episode_return", "max_return", "horizon", "episode_success"
    if not all(hasattr(value, name) for name in needed):
        raise refuse(what, value, "what dicp.rollout.rollout returns")
    return value


def check_tasks(returns: np.ndarray, tasks: Sequence, max_return: np.ndarray) -> None:
    if returns.shape[0] != len(tasks) or len(max_return) != len(tasks):
        raise ValueError(
            f"returns has shape {returns.shape}, tasks and max_return have lengths {len(tasks)} "
            f"and {len(max_return)}; allowed: returns [task, rollout, episode], one entry a task "
            "in the others."
        )


def check_settings(settings: Mapping) -> None:
    tables.need_columns(settings, REQUIRED, "settings")
    for name, value in settings.items():
        if not isinstance(value, str | int | float | np.generic | None):
            raise refuse(f"settings[{name!r}]", value, "a text, a number, True, False or None")


def counts_of(shape: tuple, **counted: np.ndarray | None) -> dict[str, np.ndarray]:
    """Those counts that there are, as columns; `ValueError` for another shape than that of the
    returns."""
    found = {name: counts for name, counts in counted.items() if counts is not None}
    for name, counts in found.items():
        if counts.shape != shape:
            raise refuse(f"the shape of {name}", counts.shape, f"{shape}, that of returns")
    return {name: counts.ravel() for name, counts in found.items()}
