"""A valid example of everything that an argument of a public function may be."""

import dataclasses
import types
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np
import torch

from dicp.checks import Each, Number, OneOf, Whole
from dicp.config import (
    Config,
    EnvConfig,
    MetaWorldConfig,
    ModelConfig,
    PlanConfig,
    SourceConfig,
    TrainConfig,
)

CONFIGS = (EnvConfig, MetaWorldConfig, SourceConfig, ModelConfig, TrainConfig, PlanConfig, Config)


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
    small = ModelConfig(
        "observational",
        context_length=20,
        d_model=16,
        n_layers=1,
        n_heads=1,
        d_ff=16,
        d_head_hidden=16,
    )
    model = new_model(env, small)
    return {
        **{kind: kind() for kind in CONFIGS},
        Mapping: {},
        dict: {},
        torch.Generator: torch.Generator(),
        Life: life,
        Tokens: tokens_of(life, env),
        Windows: windows_of(life, env),
        Learner: RandomPolicy(env),
        WorldModel: Simulator(env, [(0, 3)]),
        type(model): model,
        SamplingWorldModel: new_model(arm, dataclasses.replace(small, context_length=100)),
        Callable: len,
        bool: True,
        int: 1,
        float: 0.5,
        str: "a",
        type(None): None,
    }


def by_name() -> dict[str, Any]:
    """Where the type does not say it all, or belongs to somebody else."""
    env = EnvConfig()
    simulator = by_type()[
        next(kind for kind in by_type() if getattr(kind, "__name__", "") == "WorldModel")
    ]
    context = simulator.begin(1)
    return {
        "tasks": [(0, 3)],
        "context": context,
        "root": simulator.root(context),
        "state": simulator.root(context),
        "moments": [0],
        "cell": torch.tensor([40]),
        "values": dataclasses.asdict(env),
        "path": "a",
        "folder": "a",
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
    raise LookupError(
        f"{where} has the argument {name}: {hint}; give a valid example of it in tests/examples.py."
    )


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
    dtype = {"Int": torch.long, "Bool": torch.bool, "UInt8": torch.uint8}.get(
        hint.__name__.partition("[")[0], torch.float32
    )
    array = torch.zeros(sizes, dtype=dtype)
    return array.numpy() if issubclass(hint.array_type, np.ndarray) else array
