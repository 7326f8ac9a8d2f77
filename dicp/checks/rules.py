"""Rules as part of a type: `Annotated[int, Whole(1, 9)]`, or what a plain type says by itself
(`rule_of`)."""

import os
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, Union, get_args, get_origin

import numpy as np

from dicp.checks.values import MOST, Number, OneOf, Rule, Whole, path, refuse, switch, text

MOST_ITEMS = 10**7  # of a sequence that is looked at one by one


@dataclass(frozen=True)
class Each:
    """A sequence of values that each keep a rule; as a tuple. n: how many (None: any number of at
    least `least`)."""

    rule: Rule
    n: int | None = None
    least: int = 0

    def __call__(self, what: str, value: object) -> tuple:
        _check_length(what, sequence(what, value), self.n, self.least)
        return tuple(self.rule(f"{what}[{i}]", x) for i, x in enumerate(value))


def rule_of(hint: Any) -> Rule:
    """What a type says of its values. A type that says nothing that can be checked (`Any`, a type
    variable, a protocol that is not `runtime_checkable`, a forward reference) allows everything:
    the rule is `anything`."""
    origin = get_origin(hint)
    if origin is Annotated:
        return next((x for x in get_args(hint)[1:] if callable(x)), rule_of(get_args(hint)[0]))
    if origin in (Union, types.UnionType):
        return _any_of(get_args(hint))
    if origin is Literal:
        return OneOf(get_args(hint))
    if _is_simple(hint):
        return SIMPLE[hint]
    if hasattr(hint, "array_type") and hasattr(hint, "dim_str"):
        return _array(hint)
    if hasattr(hint, "__supertype__"):
        return rule_of(hint.__supertype__)
    return _rule_of_class(origin or hint, get_args(hint))


def _rule_of_class(kind: Any, items: tuple) -> Rule:
    if kind in (Sequence, list, tuple):
        return _sequence_of(kind, items)
    if kind in (Iterable, Collection):
        return several_of(kind)
    if kind is Callable:
        return _callable
    if not isinstance(kind, type) or kind in (object, Any):
        return anything
    if issubclass(kind, os.PathLike):
        return path
    if not getattr(kind, "_is_protocol", False):
        return _instance(kind)
    return _protocol(kind) if getattr(kind, "_is_runtime_protocol", False) else anything


def anything(what: str, value: object) -> object:
    """The rule that allows every value."""
    return value


def _nothing(what: str, value: object) -> None:
    if value is not None:
        raise refuse(what, value, "None")


SIMPLE: dict[Any, Rule] = {
    bool: switch,
    int: Whole(-MOST - 1),
    float: Number(),
    str: text,
    type(None): _nothing,
    None: _nothing,
    os.PathLike: path,
}


def _is_simple(hint: Any) -> bool:
    return isinstance(hint, type | None) and hint in SIMPLE


def _any_of(hints: tuple) -> Rule:
    """A value that keeps one of several rules; None is tried first and named last."""
    if any(isinstance(hint, type) and issubclass(hint, os.PathLike) for hint in hints):
        hints = tuple(hint for hint in hints if hint is not str)  # a path may be a text, too
    rules = [rule_of(hint) for hint in sorted(hints, key=lambda hint: hint is not type(None))]

    def check(what: str, value: object) -> Any:
        allowed, hints = {}, []
        for rule in rules:
            try:
                return rule(what, value)
            except ValueError as error:
                sentence, meant, name = str(error).partition(" Did you mean ")
                allowed[sentence.partition("; allowed: ")[2].rstrip(".")] = rule is not _nothing
                hints.append(meant + name)
        names = sorted(allowed, key=lambda name: not allowed[name])
        raise ValueError(str(refuse(what, value, ", or ".join(names))) + max(hints)) from None

    return check


def sequence(what: str, value: object) -> Any:
    """`value` if it is a sequence, an array, a tensor or a series; else raise `ValueError`."""
    several = isinstance(value, Sequence) or getattr(value, "ndim", 0) > 0
    if isinstance(value, str | bytes | Mapping) or not several:
        raise refuse(what, value, "a sequence")
    return value


def _check_length(what: str, value: Any, n: int | None, least: int = 0) -> None:
    try:
        length = len(value)
    except OverflowError:  # range(2**63)
        length = MOST
    if n is not None and length != n:
        raise refuse(what, value, f"a sequence of {n}")
    if length < least:
        raise refuse(what, value, f"a sequence of at least {least}")
    if length > MOST_ITEMS:
        raise refuse(what, value, f"a sequence of at most {MOST_ITEMS}")


def _sequence_of(kind: type, items: tuple) -> Rule:
    """A sequence, left as it is but for NumPy's numbers in a list or a tuple; its items are looked
    at where their type is a simple one."""
    fixed = kind is tuple and items and items[-1] is not Ellipsis
    simple = all(
        _is_simple(item) or get_origin(item) in (Annotated, Literal)
        for item in items
        if item is not Ellipsis
    )
    rules = [rule_of(item) for item in items if item is not Ellipsis]

    def check(what: str, value: object) -> object:
        value = sequence(what, value)
        if fixed:
            _check_length(what, value, len(items))
        if not items or not simple or not isinstance(value, list | tuple | range | np.ndarray):
            return value
        looked_at = (value[0], value[-1]) if isinstance(value, range) and value else value
        kept = [rules[i if fixed else 0](f"{what}[{i}]", x) for i, x in enumerate(looked_at)]
        return type(value)(kept) if type(value) in (list, tuple) else value

    return check


def several_of(kind: type) -> Rule:
    """The rule of `Iterable` or `Collection`: no text, and no array without dimensions, which calls
    itself one."""
    def check(what: str, value: object) -> Any:
        several = isinstance(value, kind) and not isinstance(value, str | bytes)
        if not several or getattr(value, "ndim", 1) == 0:
            raise refuse(what, value, "a sequence or a set")
        return value

    return check


def _callable(what: str, value: object) -> object:
    if not callable(value):
        raise refuse(what, value, "a function")
    return value


def _named(kind: type) -> str:
    return f"{'an' if kind.__name__[0] in 'AEIOUaeiou' else 'a'} {kind.__name__}"


def _instance(kind: type) -> Rule:
    """Of a class, which may say in `said_as` what its objects are called."""

    def check(what: str, value: object) -> object:
        if not isinstance(value, kind):
            raise refuse(what, value, getattr(kind, "said_as", _named(kind)))
        return value

    return check


def _protocol(kind: type) -> Rule:
    """Whatever has the protocol's methods and properties, also where it hands them on from another
    object."""
    bases = [
        base
        for base in kind.__mro__
        if getattr(base, "_is_protocol", False) and base is not Protocol
    ]
    members = {
        name for base in bases for name in (*vars(base), *vars(base).get("__annotations__", ()))
    }
    members = sorted(name for name in members if not name.startswith("_") or name == "__call__")

    def check(what: str, value: object) -> object:
        if isinstance(value, type) or not all(hasattr(value, name) for name in members):
            raise refuse(what, value, f"{_named(kind)}, which has {', '.join(members)}")
        return value

    return check


def _array(hint: Any) -> Rule:
    """jaxtyping's arrays: the class, the kind of numbers and the shape, whatever a letter has stood
    for before."""
    kind = hint.array_type
    kind = kind if isinstance(kind, type) and kind is not Any else object
    numbers = hint.__name__.partition("[")[0]
    allowed = f"a {kind.__name__} of {numbers} numbers and of shape [{hint.dim_str}]"

    def check(what: str, value: object) -> object:
        from jaxtyping import jaxtyped

        fits = isinstance(value, kind)
        # a shape that depends on other arguments raises: it is the function's own business
        with suppress(Exception), jaxtyped("context"):
            fits = fits and isinstance(value, hint)
        if not fits:
            raise refuse(what, value, allowed)
        return value

    return check
