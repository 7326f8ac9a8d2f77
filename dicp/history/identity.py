"""Whose histories these are: what tells one source algorithm from another, now and when it goes on.

An algorithm of your own is told by its qualified name, its settings (the arguments of a
`functools.partial`, the attributes of an object) and its source text (`dicp.history.hashing`).
The functions that it calls are not looked at.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import NamedTuple

import numpy as np

from dicp.checks import one_of, plain, refuse, text
from dicp.config.parts import SOURCES as BUILT_IN
from dicp.history.hashing import hash_of

SIMPLE = bool | int | float | str | None
COUNTED = SIMPLE | list | tuple | Mapping | np.ndarray


class Identity(NamedTuple):
    """What a store says of the algorithm that fills it."""

    name: str            # "ppo", "my_module.mine(lr=0.1)"
    code: str | None     # a hash of its source and settings; None: built in, or an older store
    short_name: str      # what an older store, without a hash, says


def identity_of(algorithm: str | Callable) -> Identity:
    """Of "ppo", "sb3", a function, a `functools.partial` of one, or an object that can be called.

    Where it has an attribute `name`, this is used, and of its settings the numbers, texts, arrays
    and lists count. `ValueError` where it has none and nothing would tell it from another: a
    lambda, a function inside a function, one without a source text, settings without a pickle.
    """
    if isinstance(algorithm, str):
        return Identity(one_of("algorithm", algorithm, BUILT_IN), None, algorithm)
    short_name = getattr(algorithm, "__name__", repr(algorithm))
    own_name, settings = getattr(algorithm, "name", None), settings_of(algorithm)
    if own_name is None:
        told_by = [type(algorithm), settings] if is_object(algorithm) else algorithm
        return Identity(shown_name(algorithm), hash_of(told_by), short_name)
    own_name = text("algorithm.name", own_name)
    if own_name in BUILT_IN:
        raise refuse("algorithm.name", own_name, f"a name that is not one of {BUILT_IN}")
    counted = {}
    for key, value in settings.items():
        if isinstance(plain(value), COUNTED):
            with suppress(ValueError):                   # a list of functions without names, say
                counted[key] = hash_of(value)
    return Identity(own_name, hash_of(counted), short_name)


def difference(stored: Identity, here: Identity) -> str | None:
    """How the algorithm of a store is another one than `here`; None if it is the same."""
    is_older = stored.code is None and stored.name not in BUILT_IN
    if stored.name != here.name and not (is_older and stored.name == here.short_name):
        return f"algorithm is {stored.name!r} there, {here.name!r} here"
    if stored.code is not None and stored.code != here.code:
        return f"algorithm {here.name!r} has other code or settings there than here"
    return None


def is_object(value: object) -> bool:
    """Whether its class and its attributes make it what it is."""
    kinds = FunctionType | BuiltinFunctionType | MethodType | partial | type
    return not isinstance(value, kinds)


def settings_of(algorithm: Callable) -> dict:
    """The arguments of a partial, the attributes of an object (but for those that dicp reads)."""
    if isinstance(algorithm, partial):
        return {**dict(enumerate(algorithm.args)), **algorithm.keywords}
    if not is_object(algorithm):
        return {}
    state = algorithm.__getstate__() or {}
    if isinstance(state, tuple):                         # (attributes or None, those in slots)
        state = (state[0] or {}) | state[1]
    if not isinstance(state, dict):                      # of a __getstate__ of its own
        return {"state": state}
    return {key: x for key, x in state.items() if key not in ("name", "tasks_per_block")}


def shown_name(algorithm: object) -> str:
    """As sentences show it: "my_module.mine", "my_module.mine(lr=0.1)", "my_module.Mine"."""
    if isinstance(algorithm, partial):
        values = [shown_value(value) for value in algorithm.args]
        values += [f"{key}={shown_value(x)}" for key, x in sorted(algorithm.keywords.items())]
        arguments = ", ".join(values)
        return f"{shown_name(algorithm.func)}({arguments if len(arguments) <= 80 else '...'})"
    named = type(algorithm) if is_object(algorithm) else algorithm
    return f"{named.__module__}.{named.__qualname__}"


def shown_value(value: object) -> str:
    """A number or a text as it is, anything else by its name: never an address."""
    value = plain(value)
    return repr(value) if isinstance(value, SIMPLE) else shown_name(value)
