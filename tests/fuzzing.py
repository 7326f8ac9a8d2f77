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
import pandas as pd
from torch import nn

import dicp
from dicp.checks import OneOf
from examples import BY_TYPE, example, of_function, of_type

# Modules that offer nothing to a user: the rules themselves, and what the public functions are
# built on.
INTERNAL = (
    "dicp.checks", "dicp.config.presets", "dicp.config.registry",      # tests/test_registry.py
    "dicp.domain.base", "dicp.domain.spaces", "dicp.imagined", "dicp.planner", "dicp.policies", "dicp.processes",
    "dicp.results_checks", "dicp.rollout_checks",
    "dicp.selection", "dicp.source.continuous", "dicp.source.discrete", "dicp.source.record",
    "dicp.store", "dicp.thompson",
)
# Arguments that may be anything at all: fields of a plan and columns of a table, which are looked at
# one by one, and what a reader answers.
OPEN = {
    ("PlanConfig.preset", "changes"),
    ("expect", "answer"),
    ("expect_number", "answer"),
    ("from_rollouts", "settings"),
    ("from_source", "settings"),
    ("planned", "changes"),
}

# Methods that a rollout, a planner or a training calls, never a user: what goes in was checked at
# their door. A `step` looks at its action itself.
INNER = {
    "advance", "at", "begin", "begin_again", "blank", "chances", "check", "concat", "coordinates", "count", "draw", "drawn",
    "embed_imagined", "forgetful", "fork", "forward", "full", "imagine", "index", "joined", "kinds", "last_steps",
    "learn", "load_state_dict", "map", "next_logits", "note", "notes", "numbers", "observe", "of_tasks",
    "predict", "propose", "query", "read", "root", "rows", "stack", "stage_after",
    "stages", "step", "surprise",
    "to", "update",
}

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
    owner: type | None = None

    @property
    def key(self) -> str:
        """The package and the name, as in "results.build"."""
        return f"{self.function.__module__.split('.')[1]}.{self.name}"


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
        if is_in(module.__name__, INTERNAL):
            continue
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            home = getattr(thing, "__module__", None) or ""
            ours = inspect.isfunction(thing) or inspect.isclass(thing)
            if (
                ours
                and home.startswith("dicp.")
                and id(thing) not in seen
                and not is_in(home, INTERNAL)
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
            if arguments_of(thing):
                found.append(Public(name, thing, hasattr(thing, "check")))
            continue
        if not holds_data_alone(thing):
            found.append(Public(name, thing.__init__, hasattr(thing.__init__, "check"), thing))
        methods = (
            (method, getattr(thing, method)) for method in vars(thing) if method != "__init__"
        )
        found += [
            Public(f"{name}.{method}", f, True, thing)
            for method, f in methods
            if callable(f) and hasattr(f, "check") and arguments_of(f)
        ]
    return found


def unchecked_methods() -> dict[str, str]:
    """{name: name with its class} of every public method with arguments that is not `@checked`."""
    found = {}
    for name, thing in offered():
        for method in vars(thing) if inspect.isclass(thing) else ():
            f = getattr(thing, method)
            ours = inspect.isfunction(f) or inspect.ismethod(f)
            if ours and not method.startswith("_") and not hasattr(f, "check") and arguments_of(f):
                found[method] = f"{name}.{method}"
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
def _valid(one: Public) -> dict[str, Any]:
    own, hints = of_function(one.key), hints_of(one.function)
    needed = {
        name: p
        for name, p in arguments_of(one.function).items()
        if p.default is p.empty
        and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        and name not in own
    }
    return {name: example(name, hints[name], one.name) for name in needed} | own


def valid_arguments(one: Public) -> dict[str, Any]:
    """What a function needs, as it is allowed."""
    return dict(_valid(one))


def is_bound(one: Public) -> bool:
    """A class method: its class is given."""
    return inspect.ismethod(one.function)


def has_self(one: Public) -> bool:
    first = next(iter(inspect.signature(inspect.unwrap(one.function)).parameters), None)
    return first in ("self", "cls") and not is_bound(one)


def split_arguments(one: Public, changes: dict[str, Any]) -> tuple[list, dict[str, Any]]:
    """Those of `*paths`, and those that have a name."""
    named, several = valid_arguments(one) | changes, []
    for name, parameter in arguments_of(one.function).items():
        if parameter.kind is parameter.VAR_POSITIONAL and name in named:
            several.append(named.pop(name))
    return several, named


def check(one: Public, **changes: Any) -> inspect.BoundArguments:
    """What the decorator makes of the arguments; the function itself is not called."""
    owner = (one.function.__self__,) if is_bound(one) else (None,) if has_self(one) else ()
    several, named = split_arguments(one, changes)
    return one.function.check(*owner, *several, **named)


def can_be_called(one: Public) -> bool:
    """Also a method, where there is an example of what it is a method of."""
    return not has_self(one) or one.function.__name__ == "__init__" or one.owner in BY_TYPE


def call(one: Public, **changes: Any) -> Any:
    """The function itself."""
    several, named = split_arguments(one, changes)
    if not has_self(one):
        return one.function(*several, **named)
    if one.function.__name__ == "__init__":
        return one.owner(**named)
    return one.function(of_type(one.owner), **named)


def tables_in(one: Public) -> list[str]:
    """The arguments that are data frames, or several by name."""
    arguments = valid_arguments(one)
    return [
        name
        for name, value in arguments.items()
        if isinstance(value, pd.DataFrame)
        or (
            isinstance(value, dict)
            and value
            and all(isinstance(x, pd.DataFrame) for x in value.values())
        )
    ]
