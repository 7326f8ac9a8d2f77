"""What may be given to a Meta-World world: actions of all agents, and a state to go on from."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dicp.checks import refuse

MOST_ACTION = 1e10                      # MuJoCo ignores a larger command


def known_actions(action: Any, shape: tuple[int, int, int]) -> Float64[ndarray, "row 4"]:
    """`action` [task stream 4] with one row for each agent; raise `ValueError` unless it has that
    shape and holds finite numbers. A copy."""
    try:
        given = np.asarray(action)
    except (TypeError, ValueError, RuntimeError):                   # ragged lists, other devices
        raise refuse("action", action, f"numbers in the shape {shape} (task, stream, 4)") from None
    if given.shape != shape:
        raise refuse("the shape of action", given.shape, f"{shape} (task, stream, 4)")
    if given.dtype.kind not in "fiu":
        raise refuse("the dtype of action", given.dtype, "one of real numbers, as float64")
    numbers = given.astype(np.float64).ravel()
    with np.errstate(over="ignore"):
        length = numbers.dot(numbers)
    if length < MOST_ACTION**2:                                     # the quick answer; nan has none
        return numbers.reshape(-1, 4)
    bad = ~(abs(numbers) <= MOST_ACTION)
    if bad.any():
        allowed = f"finite numbers from -{MOST_ACTION:g} to {MOST_ACTION:g}"
        raise ValueError(f"action holds {numbers[bad][0]}; allowed: {allowed}.")
    return numbers.reshape(-1, 4)


def check_numbers(what: str, value: Any, like: ndarray) -> None:
    """Raise `ValueError` unless `value` holds finite numbers in the shape and dtype of `like`."""
    alike = isinstance(value, ndarray) and (value.shape, value.dtype) == (like.shape, like.dtype)
    if not alike or not np.isfinite(value).all():
        raise refuse(what, value, f"finite numbers of {like.dtype} in the shape {like.shape}")


def check_rows(what: str, value: Any, n_rows: int) -> None:
    """Raise `ValueError` unless `value` is a list of that many dictionaries."""
    rows = value if isinstance(value, list) else []
    if len(rows) != n_rows or not all(isinstance(row, dict) for row in rows):
        raise refuse(what, value, f"a list of {n_rows} dictionaries")
