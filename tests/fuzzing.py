"""What the package offers, found by looking at it, and a valid example of everything that an argument may be."""

import dataclasses
import importlib
import inspect
import pkgutil
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import nn

import dicp
from dicp.checks import Each, Number, OneOf, Whole
from dicp.config import Config, EnvConfig, MetaWorldConfig, ModelConfig, PlanConfig, SourceConfig, TrainConfig

# Modules whose public functions are not `checked` yet: to be emptied.
TODO = (
    "dicp.artifacts", "dicp.bootstrap", "dicp.envs", "dicp.exercises", "dicp.files", "dicp.history", "dicp.ml1", "dicp.models",
    "dicp.paper", "dicp.parameters", "dicp.plot", "dicp.reproduce", "dicp.results", "dicp.runs", "dicp.source",
    "dicp.training", "dicp.windows",
)
# Modules that offer nothing to a user: the rules themselves, and what the public functions are built on.
INTERNAL = ("dicp.checks", "dicp.processes", "dicp.rollout_checks", "dicp.store")
# Arguments that may be anything at all, by the name of their function: the fields of a plan are looked at one by one.
OPEN = {("PlanConfig.preset", "changes")}

CONFIGS = (EnvConfig, MetaWorldConfig, SourceConfig, ModelConfig, TrainConfig, PlanConfig, Config)
PLAIN = (
    float("nan"), float("inf"), -float("inf"), -1, 0, 2**63, 1e308, True, "0", None, [],
)
NUMPY = (
    np.int64(3), np.uint8(1), np.float32(0.5), np.float64("nan"), np.bool_(True), np.str_("0"), np.array(2), np.int64(-1),
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
    return [importlib.import_module(info.name) for info in found if not info.name.endswith("__main__")]


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
            if ours and home.startswith("dicp.") and id(thing) not in seen and not is_in(home, (*TODO, *INTERNAL)):
                seen.add(id(thing))
                yield name, thing


def holds_data_alone(kind: type) -> bool:
    """Classes whose arguments are not looked at: named tuples, protocols, errors, dataclasses that hold a result, modules
    of PyTorch's (`new_model` makes them), and what has no `__init__` of ours. The configurations have a test of their own."""
    made_by_others = getattr(kind.__init__, "__module__", "").partition(".")[0] != "dicp"
    return (
        issubclass(kind, tuple | BaseException | nn.Module) or getattr(kind, "_is_protocol", False)
        or dataclasses.is_dataclass(kind) or made_by_others
    )


@cache
def public() -> list[Public]:
    """Every public function, `__init__` and checked method of the modules that are not on the list above."""
    found = []
    for name, thing in offered():
        if inspect.isfunction(thing):
            found.append(Public(name, thing, hasattr(thing, "check")))
            continue
        if not holds_data_alone(thing):
            found.append(Public(name, thing.__init__, hasattr(thing.__init__, "check")))
        methods = ((method, getattr(thing, method)) for method in vars(thing) if method != "__init__")
        found += [Public(f"{name}.{method}", f, True) for method, f in methods if callable(f) and hasattr(f, "check")]
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
    """Whether an annotation allows a value of this type; an upper bound of what a rule may let pass, judged without it."""
    allowed = leaves(hint)
    if isinstance(value, bool):
        return bool in allowed
    if isinstance(value, int | float):
        return np.isfinite(value) and bool(allowed & {float, *([int] if isinstance(value, int) else [])})
    if isinstance(value, str):
        return str in allowed or any(isinstance(kind, type) and hasattr(kind, "__fspath__") for kind in allowed)
    if isinstance(value, list):
        return bool(allowed & {list, tuple, Sequence, Iterable, Collection})
    return type(None) in allowed


# ---- valid examples --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def by_type() -> dict[Any, Any]:
    from dicp.beliefs import tokens_of, windows_of
    from dicp.models import new_model
    from dicp.oracles import RandomPolicy, Simulator
    from dicp.planning import SamplingWorldModel, WorldModel
    from dicp.rollout import Learner, Life, rollout
    from dicp.windows import Tokens, Windows

    env, arm = EnvConfig(), MetaWorldConfig()
    life = rollout(RandomPolicy(env), env, [(0, 3)], 1, 2)
    small = ModelConfig("observational", context_length=20, d_model=16, n_layers=1, n_heads=1, d_ff=16, d_head_hidden=16)
    model = new_model(env, small)
    return {
        **{kind: kind() for kind in CONFIGS}, Mapping: {}, dict: {}, torch.Generator: torch.Generator(),
        Life: life, Tokens: tokens_of(life, env), Windows: windows_of(life, env), Learner: RandomPolicy(env),
        WorldModel: Simulator(env, [(0, 3)]), type(model): model,
        SamplingWorldModel: new_model(arm, dataclasses.replace(small, context_length=100)),
        Callable: len, bool: True, int: 1, float: 0.5, str: "a", type(None): None,
    }


def by_name() -> dict[str, Any]:
    """Where the type does not say it all, or belongs to somebody else."""
    env = EnvConfig()
    simulator = by_type()[next(kind for kind in by_type() if getattr(kind, "__name__", "") == "WorldModel")]
    context = simulator.begin(1)
    return {
        "tasks": [(0, 3)], "context": context, "root": simulator.root(context), "state": simulator.root(context),
        "moments": [0], "cell": torch.tensor([40]), "values": dataclasses.asdict(env), "path": "a", "folder": "a",
    }


def example(name: str, hint: Any, where: str) -> Any:
    """A valid value for an argument."""
    if name in by_name():
        return by_name()[name]
    if get_origin(hint) is Annotated:
        return _of_rules(get_args(hint), name, where)
    if get_origin(hint) in (Union, types.UnionType):
        return example(name, get_args(hint)[0], where)
    if get_origin(hint) is Literal:
        return get_args(hint)[0]
    if hasattr(hint, "dim_str"):
        return _array(hint)
    kind = get_origin(hint) or hint
    for known, value in by_type().items():
        if kind is known:
            return value
    raise LookupError(f"{where} has the argument {name}: {hint}; give a valid example of it in tests/fuzzing.py.")


def _of_rules(parts: tuple, name: str, where: str) -> Any:
    for rule in parts[1:]:
        if isinstance(rule, Whole):
            return max(rule.low, 1)
        if isinstance(rule, Number):
            return min(max(rule.low, 0.5), rule.high)
        if isinstance(rule, OneOf):
            return rule.allowed[0]
        if isinstance(rule, Each):
            return [_of_rules((None, rule.rule), name, where)] * (rule.n or max(rule.least, 1))
    return example(name, parts[0], where)


def _array(hint: Any) -> torch.Tensor | np.ndarray:
    sizes = [int(word) if word.isdigit() else 2 for word in hint.dim_str.split()]
    dtype = {"Int": torch.long, "Bool": torch.bool, "UInt8": torch.uint8}.get(hint.__name__.partition("[")[0], torch.float32)
    array = torch.zeros(sizes, dtype=dtype)
    return array.numpy() if issubclass(hint.array_type, np.ndarray) else array


@cache
def _valid(function: Callable) -> dict[str, Any]:
    hints = hints_of(function)
    needed = {name: p for name, p in arguments_of(function).items()
              if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    return {name: example(name, hints[name], function.__qualname__) for name in needed}


def valid_arguments(function: Callable) -> dict[str, Any]:
    """What a function needs, as it is allowed."""
    return dict(_valid(function))


def check(one: Public, **changes: Any) -> inspect.BoundArguments:
    """What the decorator makes of the arguments; the function itself is not called."""
    first = next(iter(inspect.signature(inspect.unwrap(one.function)).parameters), None)
    bound = inspect.ismethod(one.function)
    owner = (None,) if first in ("self", "cls") and not bound else ()
    if bound:                                                   # a class method: its function is checked, the class is given
        owner = (one.function.__self__,)
    return one.function.check(*owner, **(valid_arguments(one.function) | changes))
