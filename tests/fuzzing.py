"""What the package offers, found by looking at it."""

import dataclasses
import importlib
import inspect
import pkgutil
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import numpy as np
from examples import example
from torch import nn

import dicp
from dicp.checks import OneOf

# Modules whose public functions are not `checked` yet: to be emptied.
TODO = ()
# Modules that offer nothing to a user: the rules themselves, and what the public functions are
# built on.
INTERNAL = ("dicp.checks", "dicp.processes", "dicp.rollout_checks", "dicp.store")
# Arguments that may be anything at all, by the name of their function: the fields of a plan are
# looked at one by one.
OPEN = {("PlanConfig.preset", "changes")}

PLAIN = (float("nan"), float("inf"), -float("inf"), -1, 0, 2**63, 1e308, True, "0", None, [])
NUMPY = (
    np.int64(3),
    np.uint8(1),
    np.float32(0.5),
    np.float64("nan"),
    np.bool_(True),
    np.str_("0"),
    np.array(2),
    np.int64(-1),
)


class Public(NamedTuple):
    """A function, a method or an `__init__` that users call."""

    name: str
    function: Callable
    is_checked: bool


def is_in(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


@cache
def modules() -> list[types.ModuleType]:
    found = pkgutil.walk_packages(dicp.__path__, "dicp.")
    return [
        importlib.import_module(info.name) for info in found if not info.name.endswith("__main__")
    ]


def offered() -> Iterator[tuple[str, Any]]:
    """(name, function or class of ours) of everything in an `__all__`, once each."""
    seen = set()
    for module in modules():
        if is_in(module.__name__, (*TODO, *INTERNAL)):
            continue
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            home = getattr(thing, "__module__", None) or ""
            ours = inspect.isfunction(thing) or inspect.isclass(thing)
            if (
                ours
                and home.startswith("dicp.")
                and id(thing) not in seen
                and not is_in(home, (*TODO, *INTERNAL))
            ):
                seen.add(id(thing))
                yield name, thing


def holds_data_alone(kind: type) -> bool:
    """Classes whose arguments are not looked at: named tuples, protocols, errors, dataclasses that
    hold a result, modules of PyTorch's (`new_model` makes them), and what has no `__init__` of
    ours. The configurations have a test of their own."""
    made_by_others = getattr(kind.__init__, "__module__", "").partition(".")[0] != "dicp"
    return (
        issubclass(kind, tuple | BaseException | nn.Module)
        or getattr(kind, "_is_protocol", False)
        or dataclasses.is_dataclass(kind)
        or made_by_others
    )


@cache
def public() -> list[Public]:
    """Every public function, `__init__` and checked method of the modules that are not on the list
    above."""
    found = []
    for name, thing in offered():
        if inspect.isfunction(thing):
            found.append(Public(name, thing, hasattr(thing, "check")))
            continue
        if not holds_data_alone(thing):
            found.append(Public(name, thing.__init__, hasattr(thing.__init__, "check")))
        methods = (
            (method, getattr(thing, method)) for method in vars(thing) if method != "__init__"
        )
        found += [
            Public(f"{name}.{method}", f, True)
            for method, f in methods
            if callable(f) and hasattr(f, "check")
        ]
    return found


def arguments_of(function: Callable) -> dict[str, inspect.Parameter]:
    """Those that a user gives."""
    parameters = inspect.signature(function).parameters
    return {name: p for name, p in parameters.items() if name not in ("self", "cls")}


def hints_of(function: Callable) -> dict[str, Any]:
    return get_type_hints(inspect.unwrap(function), include_extras=True)


def hints_of_class(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def leaves(hint: Any) -> set:
    """The plain types that an annotation allows, without its rules."""
    origin = get_origin(hint)
    if origin is Annotated:
        rule = next((x for x in get_args(hint)[1:] if isinstance(x, OneOf)), None)
        return {type(x) for x in rule.allowed} if rule else leaves(get_args(hint)[0])
    if origin in (Union, types.UnionType):
        return set().union(*(leaves(part) for part in get_args(hint)))
    if origin is Literal:
        return {type(x) for x in get_args(hint)}
    return {origin or hint}


def may_be(hint: Any, value: Any) -> bool:
    """Whether an annotation allows a value of this type; an upper bound of what a rule may let
    pass, judged without it."""
    allowed = leaves(hint)
    if isinstance(value, bool):
        return bool in allowed
    if isinstance(value, int | float):
        return np.isfinite(value) and bool(
            allowed & {float, *([int] if isinstance(value, int) else [])}
        )
    if isinstance(value, str):
        return str in allowed or any(
            isinstance(kind, type) and hasattr(kind, "__fspath__") for kind in allowed
        )
    if isinstance(value, list):
        return bool(allowed & {list, tuple, Sequence, Iterable, Collection})
    return type(None) in allowed


@cache
def _valid(function: Callable) -> dict[str, Any]:
    hints = hints_of(function)
    needed = {
        name: p
        for name, p in arguments_of(function).items()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }
    return {name: example(name, hints[name], function.__qualname__) for name in needed}


def valid_arguments(function: Callable) -> dict[str, Any]:
    """What a function needs, as it is allowed."""
    return dict(_valid(function))


def check(one: Public, **changes: Any) -> inspect.BoundArguments:
    """What the decorator makes of the arguments; the function itself is not called."""
    first = next(iter(inspect.signature(inspect.unwrap(one.function)).parameters), None)
    bound = inspect.ismethod(one.function)
    owner = (None,) if first in ("self", "cls") and not bound else ()
    if bound:  # a class method: its function is checked, the class is given
        owner = (one.function.__self__,)
    return one.function.check(*owner, **(valid_arguments(one.function) | changes))
