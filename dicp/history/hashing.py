"""A hash of an algorithm and its settings: the same for equal ones, in every process.

It is joblib's. Functions and classes count with their qualified names and their source text: a
changed comment makes another hash. The text is that of the file as it is now, so import a module
again after you have changed it.
"""

import inspect
import re
import sys
import warnings
from contextlib import suppress
from textwrap import dedent
from types import FunctionType, MethodType

import numpy as np
import torch

from dicp.checks import plain, refuse
from dicp.store import digest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")      # joblib's own that it does without processes
    from joblib.hashing import NumpyHasher

LIBRARIES = {*sys.stdlib_module_names, "numpy", "torch"}     # what is written in C has no text
ALLOWED = ("what def or class makes at the top of a module or a notebook, with settings that "
           'pickle can store, or an algorithm with a name of its own (algorithm.name = "mine")')


def hash_of(algorithm: object) -> str:
    """Of an algorithm, or of settings. `ValueError` where they could not be known again."""
    try:
        return Hasher().hash(algorithm)
    except Exception as error:           # a lambda, no text, no pickle, a part that holds itself
        raise refuse("algorithm", algorithm, ALLOWED) from error


class Hasher(NumpyHasher):
    """joblib's, without what changes from process to process or with the place in memory."""

    def memoize(self, value: object) -> None:
        """Two parts that are one object are no other than two equal ones."""

    def save(self, value: object) -> None:
        value = plain(value)
        if isinstance(value, torch.Tensor):
            value = value.numpy(force=True)
        if type(value) is np.ndarray:
            value = np.array(value, order="C")
        elif type(value) in (set, frozenset, dict):
            parts = value.items() if type(value) is dict else value
            value = [type(value).__name__, *sorted(Hasher().hash(part) for part in parts)]
        elif isinstance(value, MethodType):
            value = value.__name__, value.__self__
        elif isinstance(value, FunctionType):
            settings = value.__defaults__, value.__kwdefaults__, getattr(value, "__wrapped__", None)
            value = *name_and_text(value), *settings
        elif isinstance(value, type):
            near = [base for base in value.__mro__ if base.__module__ == value.__module__]
            value = [name_and_text(base) for base in near]
        super().save(value)


def name_and_text(made: FunctionType | type) -> tuple[str, str]:
    """The qualified name and the SHA-256 of the source text; "" for that of what a library has
    written in C."""
    if "<" in made.__qualname__:
        raise ValueError("made inside a function: two of them would have the same name")
    try:
        source = digest(dedent(source_of(made)).encode("utf-8"))
    except (OSError, TypeError):
        if str(made.__module__).partition(".")[0] not in LIBRARIES:
            raise
        source = ""
    return f"{made.__module__}.{made.__qualname__}", source


def source_of(made: FunctionType | type) -> str:
    """Its text; `OSError` or `TypeError` where there is none."""
    if isinstance(made, FunctionType):
        return inspect.getsource(made.__code__)
    with suppress(OSError, TypeError):
        return inspect.getsource(made)
    # Python looks for a class in the file of its module. In a notebook its methods tell the cell.
    begins = re.compile(rf"\s*class {made.__name__}\b")
    for method in filter(inspect.isfunction, vars(made).values()):
        with suppress(OSError, StopIteration):
            cell = inspect.findsource(method.__code__)[0]
            starts = (i for i, line in enumerate(cell) if begins.match(line))
            return "".join(inspect.getblock(cell[next(starts):]))
    raise OSError("no source text")
