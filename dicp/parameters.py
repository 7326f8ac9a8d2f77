"""Check a notebook's parameters in the cell right after them, and freeze them.

papermill writes every `-p name value` into a cell of its own behind the `parameters` cell. A misspelt name is a mere
log line to papermill, and the notebook runs on with its defaults; here it is an error.
"""

from collections.abc import Mapping
from dataclasses import make_dataclass
from difflib import get_close_matches
from types import EllipsisType, UnionType

from dicp.checks import one_of

Allowed = tuple | list | range | type | UnionType | EllipsisType
NOTEBOOK = {"In", "Out", "get_ipython", "exit", "quit", "open"}     # names that IPython itself puts there
SCALARS = (bool, int, float, str, list, dict, type(None))           # what papermill can inject
CHECKED = "_dicp_parameters_checked"


def check(namespace: dict, **declared: Allowed):
    """The notebook's parameters as a frozen dataclass, or `ValueError` with one sentence.

    Call as `p = parameters.check(globals(), env=ENVS, seed=range(100), retrain=bool, my_guess=float | None)`: each
    parameter with its allowed values (a tuple or range), its type (int also passes for float, bool never for int), or
    `...` for anything. Any other plain value among the globals is taken for a misspelt parameter. That is asked once a
    kernel: papermill starts a fresh one, and a reader who comes back to this cell has variables of their own by then.
    """
    if not declared:
        raise ValueError("no parameters are declared; allowed: name=values, such as env=('darkroom',).")
    given = {name: value for name, value in namespace.items() if _is_plain(name, value)}
    unknown = [name for name in given if name not in declared]
    missing = [name for name in declared if name not in namespace]
    if unknown and (missing or not namespace.get(CHECKED)):
        raise ValueError(_unknown(unknown[0], declared))
    if missing:
        raise ValueError(f"parameter {missing[0]!r} is not set; needed: {', '.join(declared)}.")
    for name, allowed in declared.items():
        _check_value(name, namespace[name], allowed)
    namespace[CHECKED] = True
    fields = make_dataclass("Parameters", declared, frozen=True)
    return fields(**{name: namespace[name] for name in declared})


def _is_plain(name: str, value: object) -> bool:
    return not name.startswith("_") and name not in NOTEBOOK and type(value) in SCALARS


def _unknown(name: str, declared: Mapping) -> str:
    near = get_close_matches(name, declared, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown parameter {name!r}; allowed: {', '.join(declared)}.{hint}"


def _check_value(name: str, value: object, allowed: Allowed) -> None:
    if allowed is ...:
        return
    what = f"parameter {name!r}"
    if isinstance(allowed, range):
        if type(value) is not int or value not in allowed:
            raise ValueError(f"{what} is {value!r}; allowed: a whole number from {allowed[0]} to {allowed[-1]}.")
    elif isinstance(allowed, tuple | list):
        one_of(what, value, allowed)
    else:
        kinds = getattr(allowed, "__args__", (allowed,))
        if type(value) not in kinds and not (float in kinds and type(value) is int):
            names = " or ".join("None" if k is type(None) else k.__name__ for k in kinds)
            raise ValueError(f"{what} is {value!r}, {_a(type(value))}; allowed: {names}.")


def _a(kind: type) -> str:
    return f"{'an' if kind.__name__[0] in 'aeiou' else 'a'} {kind.__name__}"
