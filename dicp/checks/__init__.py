"""One way to refuse bad input: a sentence that names the argument and its value, and lists what is
allowed.

Rules are written where a value is declared, as `Annotated` types: a field `updates: Count`, an
argument `n_rollouts: Count`.
`check_fields` applies those of a config's fields, the decorator `checked` those of a function's
arguments. Both hand on plain Python values, so that a NumPy integer makes the same configuration,
and the same file name, as a Python one.
"""

import inspect
import math
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cache, wraps
from typing import Any, get_type_hints

from dicp.checks.rules import Each, anything, rule_of, sequence, several_of
from dicp.checks.values import (
    MOST,
    Count,
    Index,
    NotNegative,
    Number,
    OneOf,
    Positive,
    Rule,
    Seed,
    Share,
    Whole,
    Words,
    at_least,
    nearest,
    number,
    one_of,
    path,
    plain,
    refuse,
    shown,
    switch,
    text,
    whole,
    words,
)

__all__ = [
    "MOST",
    "Count",
    "Each",
    "Index",
    "NotNegative",
    "Number",
    "OneOf",
    "Positive",
    "Rule",
    "Seed",
    "Share",
    "Whole",
    "Words",
    "anything",
    "at_least",
    "check_fields",
    "checked",
    "fits_memory",
    "memory",
    "nearest",
    "number",
    "one_of",
    "path",
    "plain",
    "refuse",
    "rule_of",
    "rules_of",
    "sequence",
    "several_of",
    "shown",
    "switch",
    "text",
    "whole",
    "words",
]

PER_CENT_OF_MEMORY = 90  # what one request may ask for
# cgroup 2, 1
CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def fits_memory(what: str, value: object, n_bytes: float, allowed: str) -> None:
    """Raise `ValueError` if what `value` asks for would not fit into this machine's memory."""
    most = memory() * PER_CENT_OF_MEMORY / 100
    if n_bytes > most:
        asked, available = f"{n_bytes / 2**30:,.1f} GiB", f"{most / 2**30:,.1f}"
        needs = f"this needs {asked} of memory, the machine has {available} for it"
        raise refuse(what, value, f"{allowed} ({needs})")


def memory() -> float:
    """Bytes of this machine; of its container where that has less. Infinite where nobody tells."""
    sizes = []
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for limit in CONTAINER_LIMITS:
        with suppress(OSError, ValueError), open(limit, encoding="utf-8") as file:
            sizes.append(int(file.read()))
    return min(sizes, default=math.inf)


def check_fields(config: Any, part: str) -> None:
    """Check every field of a frozen dataclass as its type says, in `__post_init__`, and keep the
    plain value. part: what its sentences call it, as in "train.seed"; "" for none."""
    rules = rules_of(type(config))
    prefix = f"{part}." if part else ""
    for field in fields(config):
        value = rules[field.name](f"{prefix}{field.name}", getattr(config, field.name))
        object.__setattr__(config, field.name, value)


@cache
def rules_of(of: Any) -> dict[str, Rule]:
    """The rule of every annotated argument of a function, or field of a class. A name in an
    annotation that cannot be found costs that argument its rule, and no other's."""
    try:
        hints = get_type_hints(of, include_extras=True)
    except Exception:
        hints = _hints_one_by_one(of)
    return {name: rule_of(hint) for name, hint in hints.items()}


def _hints_one_by_one(of: Any) -> dict[str, Any]:
    whole_function = inspect.unwrap(of) if callable(of) else of
    hints = {}
    for name, hint in getattr(whole_function, "__annotations__", {}).items():
        alone = type("Alone", (), {"__annotations__": {name: hint}})
        names = getattr(whole_function, "__globals__", None) or vars(inspect.getmodule(of))
        try:
            hints |= get_type_hints(alone, names, include_extras=True)
        except Exception:
            hints[name] = Any
    return hints


def checked(function: Callable) -> Callable:
    """The function with its arguments checked as its signature says; of a class, its `__init__`.
    `checked(f).check(...)` does that alone, and returns the arguments as they would be handed on
    (`inspect.BoundArguments`)."""
    if isinstance(function, type):
        if is_dataclass(function) or "__init__" not in vars(function):
            raise TypeError(f"{function.__name__} has no __init__ of its own to check")
        function.__init__ = checked(function.__init__)
        return function
    signature = inspect.signature(function)

    def check(*args, **kwargs) -> inspect.BoundArguments:
        given = signature.bind(*args, **kwargs)
        rules = rules_of(function)
        for name, value in given.arguments.items():
            if name in rules:
                kind = signature.parameters[name].kind
                given.arguments[name] = _argument(kind, rules[name], name, value)
        return given

    @wraps(function)
    def call(*args, **kwargs):
        given = check(*args, **kwargs)
        return function(*given.args, **given.kwargs)

    call.is_checked = True
    call.check = check
    return call


def _argument(kind: Any, rule: Rule, name: str, value: Any) -> Any:
    if kind is inspect.Parameter.VAR_POSITIONAL:
        return tuple(rule(name, x) for x in value)
    if kind is inspect.Parameter.VAR_KEYWORD:
        return {key: rule(key, x) for key, x in value.items()}
    return rule(name, value)
