"""Whose histories these are: what tells one source algorithm from another, now and when it goes on.

A function is told by its module, its qualified name and a hash of what it computes: bytecode,
constants, names and defaults, without line numbers, file names and addresses. The functions that it
calls are not looked at. Bytecode of two versions of Python cannot be compared: there the name
decides, as for stores that were written before there was a hash.
"""

import dataclasses
import enum
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import NamedTuple

import numpy as np

from dicp.checks import one_of, plain, refuse, text
from dicp.store import digest

BUILT_IN = ("ppo", "sb3")
NAMED = "named"      # instead of Python's version: the algorithm brings a name of its own
OWN_NAME = 'an algorithm with a name of its own (algorithm.name = "mine")'
TOP_LEVEL = "a function that def makes at the top of a module, an object of a class made there"


class Identity(NamedTuple):
    """What a store says of the algorithm that fills it."""

    name: str            # "ppo", "my_module.mine(lr=0.1)"
    code: str | None     # "cpython-313:<hash>", "named:<hash>"; None: built in, or an older store
    short_name: str      # what an older store, without a hash, says


def identity_of(algorithm: str | Callable) -> Identity:
    """Of "ppo", "sb3", a function, a `functools.partial` of one, or an object that can be called.
    An attribute `name` is used where there is one.

    `ValueError` where nothing would tell it from another: a lambda or a function inside a function,
    or settings that are not plain values, without a name.
    """
    if isinstance(algorithm, str):
        return Identity(one_of("algorithm", algorithm, BUILT_IN), None, algorithm)
    short_name = getattr(algorithm, "__name__", repr(algorithm))
    own_name = getattr(algorithm, "name", None)
    if own_name is None:
        code = f"{sys.implementation.cache_tag}:{hash_of(described(algorithm, 'algorithm'))}"
        return Identity(shown_name(algorithm), code, short_name)
    own_name = text("algorithm.name", own_name)
    if own_name in BUILT_IN:
        raise refuse("algorithm.name", own_name, f"a name that is not one of {BUILT_IN}")
    return Identity(own_name, f"{NAMED}:{hash_of(plain_attributes(algorithm))}", short_name)


def difference(there: Identity, here: Identity) -> str | None:
    """How the algorithm of a store is another one than `here`; None if it is the same."""
    if there.code is None and here.code is not None:
        same = there.name in (here.name, here.short_name) and there.name not in BUILT_IN
    else:
        same = there.name == here.name
    if not same:
        return f"algorithm is {there.name!r} there, {here.name!r} here"
    if comparable(there.code, here.code) and there.code != here.code:
        return f"algorithm {here.name!r} has other code or settings there than here"
    return None


def comparable(code: str | None, other: str | None) -> bool:
    """Whether both are there, and not bytecode of two versions of Python."""
    if code is None or other is None:
        return False
    kinds = {code.partition(":")[0], other.partition(":")[0]}
    return len(kinds) == 1 or NAMED in kinds


def shown_name(algorithm: object) -> str:
    """As sentences show it: "my_module.mine", "my_module.mine(lr=0.1)", "my_module.Mine"."""
    if isinstance(algorithm, partial):
        values = [shown_value(value) for value in algorithm.args]
        values += [f"{key}={shown_value(x)}" for key, x in sorted(algorithm.keywords.items())]
        arguments = ", ".join(values)
        return f"{shown_name(algorithm.func)}({arguments if len(arguments) <= 80 else '...'})"
    named = algorithm if hasattr(algorithm, "__qualname__") else type(algorithm)
    return f"{named.__module__}.{named.__qualname__}"


def shown_value(value: object) -> str:
    """A number or a text as it is, anything else by its name: never an address."""
    value = plain(value)
    simple = value is None or isinstance(value, bool | int | float | str)
    return repr(value) if simple else shown_name(value)


def hash_of(description: list) -> str:
    return digest(repr(description).encode("utf-8", "surrogatepass"))


# ---- what a value is, as nested lists that are the same in every process ------------------------


def described(value: object, what: str) -> list:
    """Of an algorithm or a setting. `what`: how a refusal calls it."""
    if isinstance(value, partial):
        settings = described_values({**dict(enumerate(value.args)), **value.keywords}, what)
        return ["partial", described(value.func, what), settings]
    if isinstance(value, MethodType):
        return ["method", described(value.__func__, what), described(value.__self__, what)]
    if isinstance(value, BuiltinFunctionType):
        return ["built in", shown_name(value)]
    if isinstance(value, FunctionType):
        check_top_level(value, value, what)
        return ["function", shown_name(value), described_function(value, what)]
    if isinstance(value, type):
        check_top_level(value, value, what)
        return ["class", shown_name(value), described_class(value)]
    if what == "algorithm" or dataclasses.is_dataclass(value):
        check_top_level(type(value), value, what)
        return ["object", described(type(value), what), described_values(attributes(value), what)]
    return described_plain(value, what)


def described_plain(value: object, what: str) -> list:
    value = plain(value)
    kind = type(value).__name__
    if isinstance(value, enum.Enum):
        return [shown_name(type(value)), value.name]
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return [kind, repr(value)]
    if isinstance(value, list | tuple):
        return [kind, described_values(dict(enumerate(value)), what)]
    if isinstance(value, set | frozenset):
        return ["set", *sorted((described(part, what) for part in value), key=repr)]
    if isinstance(value, Mapping):
        return [kind, described_values(value, what)]
    if isinstance(value, np.ndarray) and value.dtype != object:
        return [kind, str(value.dtype), value.shape, digest(np.ascontiguousarray(value).tobytes())]
    if isinstance(value, os.PathLike):
        return ["path", os.fspath(value)]
    raise refuse(what, value, f"a number, a text, lists and dictionaries of them, or {OWN_NAME}")


def described_values(values: Mapping, what: str) -> list:
    """Of settings with names or numbers, in an order that does not depend on how they came."""
    parts = [[repr(name), described(value, f"{what}.{name}")] for name, value in values.items()]
    return sorted(parts, key=repr)


def check_top_level(named: FunctionType | type, value: object, what: str) -> None:
    """Raise `ValueError` for what is made inside a function: two of them have the same name."""
    if "<" in named.__qualname__:
        raise refuse(what, value, f"{TOP_LEVEL}, or {OWN_NAME}, so that its histories are known")


def described_function(function: FunctionType, what: str) -> list:
    """Its code, its defaults and, of a decorated one, what is decorated."""
    defaults = dict(enumerate(function.__defaults__ or ())) | (function.__kwdefaults__ or {})
    code = described_code(function.__code__, function.__doc__)
    inner = getattr(function, "__wrapped__", None)
    decorated = described_function(inner, what) if isinstance(inner, FunctionType) else []
    return [code, described_values(defaults, what), decorated]


def described_code(code: CodeType, docstring: str | None = None) -> list:
    known = [None if constant is docstring else constant for constant in code.co_consts]
    names = [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars]
    counts = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags]
    instructions = [code.co_code.hex(), code.co_exceptiontable.hex()]
    return [instructions, [described_constant(constant) for constant in known], names, counts]


def described_constant(constant: object) -> list:
    if isinstance(constant, CodeType):
        return described_code(constant)
    if isinstance(constant, tuple):
        return ["tuple", *map(described_constant, constant)]
    if isinstance(constant, frozenset):
        return ["set", *sorted(map(described_constant, constant), key=repr)]
    return [type(constant).__name__, repr(constant)]


def described_class(kind: type) -> list:
    """The functions of its own and of its bases in the same module; of others the names."""
    own = {name: function_in(value) for name, value in vars(kind).items()}
    functions = [[name, described_code(function.__code__, function.__doc__)]
                 for name, function in own.items() if function is not None]
    near = [described_class(base) for base in kind.__bases__ if base.__module__ == kind.__module__]
    return [sorted(functions, key=repr), near, [shown_name(base) for base in kind.__bases__]]


def function_in(member: object) -> FunctionType | None:
    """The function of a method, a property, a static or a class method."""
    inner = getattr(member, "__func__", None) or getattr(member, "fget", None) or member
    return inner if isinstance(inner, FunctionType) else None


def plain_attributes(algorithm: object) -> list:
    """Of an object with a name of its own: those attributes that are plain values."""
    known = []
    if not isinstance(algorithm, FunctionType | MethodType | type):
        for name, value in sorted(attributes(algorithm).items()):
            try:
                known.append([name, described(value, name)])
            except ValueError:
                continue
    return known


def attributes(value: object) -> dict:
    """The settings of an object: its attributes, without its name."""
    slots = []
    for kind in type(value).__mro__:
        names = getattr(kind, "__slots__", ())
        slots += [names] if isinstance(names, str) else names
    found = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    found |= getattr(value, "__dict__", {})
    return {name: part for name, part in found.items() if name not in ("name", "tasks_per_block")}
