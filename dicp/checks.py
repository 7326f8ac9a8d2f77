"""One way to refuse bad input: a sentence that names the argument and its value, and lists what is allowed.

Rules are written where a value is declared, as `Annotated` types: a field `updates: Count`, an argument `n_rollouts: Count`.
`check_fields` applies those of a config's fields, the decorator `checked` those of a function's arguments. Both hand on plain
Python values, so that a NumPy integer makes the same configuration, and the same file name, as a Python one.
"""

import inspect
import math
import os
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from functools import cache, wraps
from typing import Annotated, Any, Literal, Protocol, Union, get_args, get_origin, get_type_hints, runtime_checkable

import numpy as np

MOST = 2**63 - 1         # what PyTorch and NumPy can count
PER_CENT_OF_MEMORY = 90  # what one request may ask for


def shown(value: object) -> str:
    """The value in a sentence: short, on one line."""
    if isinstance(value, np.generic):
        value = value.item()
    if hasattr(value, "shape") and hasattr(value, "dtype") and math.prod(value.shape) > 8:
        return f"{type(value).__name__} {tuple(value.shape)} of {value.dtype}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def refuse(what: str, value: object, allowed: str) -> ValueError:
    """The error to raise: `raise refuse("size", 1, "a whole number of at least 2")`."""
    return ValueError(f"{what} is {shown(value)}; allowed: {allowed}.")


def one_of(what: str, value: object, allowed: Iterable) -> Any:
    """`value` as it stands among `allowed`; raise `ValueError` unless it is there; suggests the nearest name."""
    allowed = list(allowed)
    for name in allowed:
        if type(value) in (type(name), np.str_) and value == name or _same_number(value, name):
            return name
    near = get_close_matches(str(value), [str(a) for a in allowed], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{what} is {shown(value)}; allowed: {', '.join(repr(a) for a in allowed)}.{hint}")


def _same_number(value: object, other: object) -> bool:
    """Whether a NumPy number is this Python one; True is not 1."""
    return isinstance(value, np.integer | np.floating) and type(value.item()) is type(other) and value.item() == other


def plain(value: object) -> object:
    """A NumPy scalar, or an array of no dimension, as a Python value; anything else as it is."""
    scalar = isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0)
    return value.item() if scalar else value


def whole(what: str, value: object, low: int = 0, high: int | None = None) -> int:
    """`value` as a Python integer; raise `ValueError` unless it is a whole number from `low` to `high` (None: to 2**63 - 1)."""
    number, most = plain(value), MOST if high is None else high
    if type(number) is not int or not low <= number <= most:
        span = f"of at least {low}" if high is None else f"from {low} to {high}"
        if high is None and type(number) is int and number > most:
            span = f"from {low} to 2**63 - 1"
        raise refuse(what, value, f"a whole number {span}")
    return number


def number(
    what: str, value: object, low: float = -math.inf, high: float = math.inf, above: bool = False, below: bool = False
) -> float:
    """`value` as a Python float; raise `ValueError` unless it is finite and from `low` to `high`. above, below: not the
    bound itself."""
    x = plain(value)
    real = type(x) is float or (type(x) is int and abs(x) <= MOST)
    fits = real and math.isfinite(x) and (low < x if above else low <= x) and (x < high if below else x <= high)
    if not fits:
        left, right = ("(" if above else "["), (")" if below else "]")
        span = f"a number in {left}{low:g}, {high:g}{right}"
        if high == math.inf:
            span = "a finite number" if low == -math.inf else f"a finite number {'above' if above else 'of at least'} {low:g}"
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


def path(what: str, value: object) -> object:
    """`value` if it can be a path; else raise `ValueError`."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value) or "\0" in str(value):
        raise refuse(what, value, "a path, as a text or a pathlib.Path")
    return value


def at_least(what: str, value: object, minimum: float) -> float:
    """Raise `ValueError` unless `value` is a finite number of at least `minimum`."""
    return number(what, value, minimum)


def fits_memory(what: str, value: object, n_bytes: float, allowed: str) -> None:
    """Raise `ValueError` if what `value` asks for would not fit into this machine's memory."""
    most = memory() * PER_CENT_OF_MEMORY / 100
    if n_bytes > most:
        raise refuse(what, value, f"{allowed} (this needs {n_bytes / 2**30:.1f} GiB of memory, the machine has "
                                  f"{most / 2**30:.1f} for it)")


def memory() -> float:
    """Bytes of this machine; of its container where that has less. Infinite where nobody tells."""
    sizes = []
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="utf-8") as file:
            sizes.append(int(file.read()))
    except (OSError, ValueError):
        pass
    return min(sizes, default=math.inf)


# ---- rules, as part of a type -------------------------------------------------------------------------------------------


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

    low: float = -math.inf
    high: float = math.inf
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


@dataclass(frozen=True)
class Each:
    """A sequence of values that each keep a rule; as a tuple. n: how many (None: any number)."""

    rule: Rule
    n: int | None = None

    def __call__(self, what: str, value: object) -> tuple:
        if not isinstance(value, list | tuple | range | np.ndarray) or (self.n is not None and len(value) != self.n):
            raise refuse(what, value, "a sequence" if self.n is None else f"a sequence of {self.n}")
        return tuple(self.rule(f"{what}[{i}]", x) for i, x in enumerate(value))


Count = Annotated[int, Whole(1)]
Index = Annotated[int, Whole(0)]
Seed = Annotated[int, Whole(0)]
Share = Annotated[float, Number(0, 1)]
NotNegative = Annotated[float, Number(0)]
Positive = Annotated[float, Number(0, above=True)]


def rule_of(hint: Any) -> Rule:
    """What a type says of its values. A type that says nothing that can be checked (a protocol, `Any`) allows everything."""
    origin = get_origin(hint)
    if origin is Annotated:
        return next((x for x in get_args(hint)[1:] if callable(x)), rule_of(get_args(hint)[0]))
    if origin in (Union, types.UnionType):
        return _any_of(get_args(hint))
    if origin is Literal:
        return OneOf(get_args(hint))
    simple = {bool: switch, int: Whole(-MOST - 1), float: Number(), str: text, type(None): _nothing, os.PathLike: path}
    if hint in simple:
        return simple[hint]
    kind = getattr(hint, "array_type", None) or origin or hint                      # jaxtyping's, a generic's, or a class
    if kind in (Sequence, list, tuple, Iterable):
        return _sequence
    if kind is Callable:
        return _callable
    if isinstance(kind, type) and issubclass(kind, os.PathLike):
        return path
    if not isinstance(kind, type) or kind is object or (getattr(kind, "_is_protocol", False) and not _can_be_asked(kind)):
        return _anything
    return _instance(kind)


def _can_be_asked(protocol: type) -> bool:
    return getattr(protocol, "_is_runtime_protocol", False)


def _any_of(hints: tuple) -> Rule:
    """A value that keeps one of several rules; the sentence of the first that is not about None."""
    if str in hints and any(isinstance(hint, type) and issubclass(hint, os.PathLike) for hint in hints):
        hints = tuple(hint for hint in hints if hint is not str)
    rules = [rule_of(hint) for hint in sorted(hints, key=lambda hint: hint is not type(None))]

    def check(what: str, value: object) -> Any:
        errors = []
        for rule in rules:
            try:
                return rule(what, value)
            except ValueError as error:
                errors.append(error)
        allowed = dict.fromkeys(str(error).partition("; allowed: ")[2].rstrip(".") for error in errors[::-1])
        raise refuse(what, value, ", or ".join(allowed)) from None

    return check


def _nothing(what: str, value: object) -> None:
    if value is not None:
        raise refuse(what, value, "None")


def _sequence(what: str, value: object) -> object:
    several = isinstance(value, Sequence) or getattr(value, "ndim", 0) > 0             # also an array, a tensor, a series
    if isinstance(value, str | bytes | Mapping) or not several:
        raise refuse(what, value, "a sequence")
    return value


def _callable(what: str, value: object) -> object:
    if not callable(value):
        raise refuse(what, value, "a function")
    return value


def _anything(what: str, value: object) -> object:
    return value


def _instance(kind: type) -> Rule:
    def check(what: str, value: object) -> object:
        if not isinstance(value, kind):
            raise refuse(what, value, f"a {kind.__name__}")
        return value

    return check


# ---- their use ----------------------------------------------------------------------------------------------------------


def check_fields(config: Any, part: str) -> None:
    """Check every field of a frozen dataclass as its type says, in `__post_init__`, and keep the plain value. part: what
    its sentences call it, as in "train.seed"."""
    rules = _rules(type(config))
    for field in fields(config):
        value = rules[field.name](f"{part}.{field.name}", getattr(config, field.name))
        object.__setattr__(config, field.name, value)


@cache
def _rules(of: Any) -> dict[str, Rule]:
    return {name: rule_of(hint) for name, hint in get_type_hints(of, include_extras=True).items()}


def checked(function: Callable) -> Callable:
    """The function with its arguments checked as its signature says; of a class, its `__init__`."""
    if isinstance(function, type):
        if is_dataclass(function) or "__init__" not in vars(function):
            raise TypeError(f"{function.__name__} has no __init__ of its own to check")
        function.__init__ = checked(function.__init__)
        return function
    signature = inspect.signature(function)

    @wraps(function)
    def call(*args, **kwargs):
        given = signature.bind(*args, **kwargs)
        rules = _rules(function)
        for name, value in given.arguments.items():
            if name in rules:
                given.arguments[name] = _argument(signature.parameters[name].kind, rules[name], name, value)
        return function(*given.args, **given.kwargs)

    call.is_checked = True
    return call


def _argument(kind: Any, rule: Rule, name: str, value: Any) -> Any:
    if kind is inspect.Parameter.VAR_POSITIONAL:
        return tuple(rule(name, x) for x in value)
    if kind is inspect.Parameter.VAR_KEYWORD:
        return {key: rule(key, x) for key, x in value.items()}
    return rule(name, value)
