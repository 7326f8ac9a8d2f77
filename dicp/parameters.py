"""Check a notebook's parameters in the cell right after them, and freeze them.

papermill writes every `-p name value` into a cell of its own behind the `parameters` cell. To it a
misspelt name is a mere log line, and the notebook runs on with its defaults; here it is an error.

Nothing heavy is imported here, so that a wrong value is refused within a second.
"""

import ast
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import make_dataclass
from difflib import get_close_matches
from types import EllipsisType, UnionType

from dicp.checks import checked, one_of, plain, refuse, whole

__all__ = ["check"]

Allowed = tuple | list | range | type | UnionType | EllipsisType
NOTEBOOK = {"In", "Out", "get_ipython", "exit", "quit", "open"}     # what IPython puts there
SCALARS = (bool, int, float, str, list, dict, type(None))           # what papermill can inject
INJECTED = "# Parameters"          # the first line of the cell that papermill writes
PAPERMILL = "PAPERMILL_"           # what --inject-paths and its like set
NEAR = 0.75                        # how alike a misspelt name is: one letter of four
CHECKED = "_dicp_parameters_checked"


@checked
def check(namespace: dict, **declared: Allowed):
    """The notebook's parameters as a frozen dataclass, or `ValueError` with one sentence.

    Call as `p = parameters.check(globals(), env=ENVS, seed=range(100), guess=float | None)`: each
    parameter with its allowed values (a tuple or range), its type (int also passes for float, bool
    never for int), or `...` for anything. A name that papermill injected must be declared. Of the
    other variables, those that are nearly a parameter's name are taken for a misspelt one; the rest
    (of a header cell, of an IPython startup file) is noted and left alone. That is asked once a
    kernel: a reader who comes back to this cell has variables of their own.
    """
    _check_declared(declared)
    first_time = not namespace.get(CHECKED)
    missing = [name for name in declared if name not in namespace]
    injected = _injected(namespace.get("In", ()))
    plain_names = [name for name, value in namespace.items() if _is_plain(name, value)]
    others = [name for name in plain_names if name not in declared]
    unknown = [name for name in injected if name not in declared]
    if first_time or missing:
        unknown += [name for name in others
                    if _nearest(name, missing, 0.5) or _nearest(name, declared, NEAR)]
    if unknown:
        raise ValueError(_unknown(unknown[0], declared))
    if missing:
        raise ValueError(f"parameter {missing[0]!r} is not set; needed: {', '.join(declared)}.")
    values = {name: _value(name, namespace[name], allowed) for name, allowed in declared.items()}
    if first_time and others:
        names = ", ".join(others)
        print(f"Variables that are no parameters of this notebook are left alone: {names}.")
    namespace[CHECKED] = True
    return make_dataclass("Parameters", declared, frozen=True)(**values)


def _check_declared(declared: Mapping[str, Allowed]) -> None:
    if not declared:
        raise ValueError("no parameters are declared; allowed: name=values, "
                         "such as env=('darkroom',).")
    for name, allowed in declared.items():
        if isinstance(allowed, Sequence) and not len(allowed):
            raise refuse(name, allowed, "at least one value that the parameter may have")


def _injected(history: Sequence[str]) -> list[str]:
    """The names in the cells that papermill wrote, from the sources of all executed cells."""
    names = []
    for source in history:
        if isinstance(source, str) and source.splitlines()[:1] == [INJECTED]:
            lines = [line for line in _parsed(source) if isinstance(line, ast.Assign)]
            targets = [target for line in lines for target in line.targets]
            names += [target.id for target in targets if isinstance(target, ast.Name)]
    return [name for name in names if not name.startswith(PAPERMILL)]


def _parsed(source: str) -> list[ast.stmt]:
    try:
        return ast.parse(source).body
    except SyntaxError:                 # IPython magic: not papermill's
        return []


def _is_plain(name: str, value: object) -> bool:
    return not name.startswith(("_", PAPERMILL)) and name not in NOTEBOOK and type(value) in SCALARS


def _nearest(name: str, among: Iterable[str], alike: float) -> list[str]:
    return get_close_matches(name, list(among), n=1, cutoff=alike)


def _unknown(name: str, declared: Mapping[str, Allowed]) -> str:
    near = _nearest(name, declared, 0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown parameter {name!r}; allowed: {', '.join(declared)}.{hint}"


def _value(name: str, value: object, allowed: Allowed) -> object:
    """The value as a plain one; raise `ValueError` unless it is allowed."""
    if allowed is ...:
        return value
    what = f"parameter {name!r}"
    if isinstance(allowed, tuple | list):
        return one_of(what, value, allowed)
    if isinstance(allowed, range):
        number = whole(what, value, min(allowed), max(allowed))
        return number if number in allowed else one_of(what, number, allowed)
    kinds, value = getattr(allowed, "__args__", (allowed,)), plain(value)
    names = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
    if type(value) not in kinds and not (float in kinds and type(value) is int):
        raise ValueError(f"{what} is {value!r}, {_a(type(value))}; allowed: {names}.")
    if type(value) is float and not math.isfinite(value):
        raise refuse(what, value, f"{names}, and finite")
    return value


def _a(kind: type) -> str:
    return f"{'an' if kind.__name__[0] in 'aeiou' else 'a'} {kind.__name__}"
