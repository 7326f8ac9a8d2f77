"""One value at a time: hand on the plain Python value that is meant, or refuse with a sentence."""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Protocol, runtime_checkable

import numpy as np

MOST = 2**63 - 1  # what PyTorch and NumPy can count


def shown(value: object) -> str:
    """The value in a sentence: short, on one line."""
    if isinstance(value, np.generic):
        value = value.item()
    if hasattr(value, "shape") and hasattr(value, "dtype") and math.prod(value.shape) > 8:
        return f"{type(value).__name__} {tuple(value.shape)} of {value.dtype}"
    if isinstance(value, list | tuple | dict | set) and len(value) > 20:
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, str | bytes) and len(value) > 200:
        value = value[:200]
    try:
        text = " ".join(repr(value).split())
    except Exception:  # somebody else's class: its repr is not ours to rely on
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def refuse(what: str, value: object, allowed: str) -> ValueError:
    """The error to raise: `raise refuse("size", 1, "a whole number of at least 2")`."""
    return ValueError(f"{what} is {shown(value)}; allowed: {allowed}.")


def nearest(name: object, names: Iterable[object]) -> str:
    """ " Did you mean ...?" with the name most like this one; "" where none is alike."""
    is_name = isinstance(name, str) and len(name) < 100
    near = get_close_matches(name, [str(other) for other in names], n=1) if is_name else []
    return f" Did you mean {near[0]!r}?" if near else ""


def one_of(what: str, value: object, allowed: Iterable) -> Any:
    """`value` as it stands among `allowed`; raise `ValueError` unless it is there; suggests the
    nearest name."""
    allowed = list(allowed)
    given = plain(value)
    for name in allowed:
        if (
            type(given) in (type(name), np.str_) and given == name
        ):  # so True is not 1, and 1 is not True
            return name
    names = ", ".join(repr(name) for name in allowed)
    raise ValueError(f"{what} is {shown(value)}; allowed: {names}.{nearest(value, allowed)}")


def plain(value: object) -> object:
    """A NumPy scalar, or an array of no dimension, as a Python value; anything else as it is."""
    scalar = isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0)
    return value.item() if scalar else value


def whole(what: str, value: object, low: int = 0, high: int | None = None) -> int:
    """`value` as a Python integer; raise `ValueError` unless it is a whole number from `low` to
    `high` (None: to 2**63 - 1)."""
    number = plain(value)
    most = MOST if high is None else high
    if type(number) is not int or not low <= number <= most:
        span = f"of at least {low}" if high is None else f"from {low} to {high}"
        if high is None and type(number) is int and number > most:
            span = f"from {low} to 2**63 - 1"
        raise refuse(what, value, f"a whole number {span}")
    return number


def number(
    what: str,
    value: object,
    low: float = -math.inf,
    high: float = math.inf,
    above: bool = False,
    below: bool = False,
) -> float:
    """`value` as a Python float; raise `ValueError` unless it is finite and from `low` to `high`.
    above, below: not the bound itself."""
    x = plain(value)
    real = type(x) is float or (type(x) is int and abs(x) <= MOST)
    fits = (
        real
        and math.isfinite(x)
        and (low < x if above else low <= x)
        and (x < high if below else x <= high)
    )
    if not fits:
        left, right = ("(" if above else "["), (")" if below else "]")
        span = f"a number in {left}{low:g}, {high:g}{right}"
        if high == math.inf:
            least = f"a finite number {'above' if above else 'of at least'} {low:g}"
            span = "a finite number" if low == -math.inf else least
        raise refuse(what, value, span)
    return float(x)


def switch(what: str, value: object) -> bool:
    """`value` as a Python bool; raise `ValueError` unless it is True or False."""
    if type(plain(value)) is not bool:
        raise refuse(what, value, "True or False")
    return plain(value)


def text(what: str, value: object) -> str:
    """`value` if it is a text that is not empty; else raise `ValueError`."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise refuse(what, value, "a text that is not empty")
    return str(value)


def words(what: str, value: object) -> str:
    """`value` if it is a text, also an empty one; else raise `ValueError`."""
    if not isinstance(value, str):
        raise refuse(what, value, "a text")
    return value


def path(what: str, value: object) -> object:
    """`value` if it can be a path; else raise `ValueError`."""
    fits = isinstance(value, str | os.PathLike) and os.fspath(value) and "\0" not in str(value)
    if not fits:
        raise refuse(what, value, "a path, as a text or a pathlib.Path")
    return value


def at_least(what: str, value: object, minimum: float) -> float:
    """Raise `ValueError` unless `value` is a finite number of at least `minimum`."""
    return number(what, value, minimum)


# ---- as part of a type ----


@runtime_checkable
class Rule(Protocol):
    """Turns a value into the plain one that is meant, or raises `ValueError` with a sentence."""

    def __call__(self, what: str, value: object) -> Any: ...


@dataclass(frozen=True)
class Whole:
    """A whole number from `low` to `high` (None: as large as can be counted)."""

    low: int = 0
    high: int | None = None

    def __call__(self, what: str, value: object) -> int:
        return whole(what, value, self.low, self.high)


@dataclass(frozen=True)
class Number:
    """A finite number from `low` to `high`; above, below: not the bound itself."""

    low: float = -float("inf")
    high: float = float("inf")
    above: bool = False
    below: bool = False

    def __call__(self, what: str, value: object) -> float:
        return number(what, value, self.low, self.high, self.above, self.below)


@dataclass(frozen=True)
class OneOf:
    """One of a few values."""

    allowed: tuple

    def __call__(self, what: str, value: object) -> Any:
        return one_of(what, value, self.allowed)


Count = Annotated[int, Whole(1)]
Index = Annotated[int, Whole(0)]
Seed = Annotated[int, Whole(0)]
Words = Annotated[str, words]
Share = Annotated[float, Number(0, 1)]
NotNegative = Annotated[float, Number(0)]
Positive = Annotated[float, Number(0, above=True)]
