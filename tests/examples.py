"""A valid example of everything that an argument of a public function may be, made when it is asked
for: by the function, by the argument's name, by its type."""

import dataclasses
import types
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import zarr
from examples_of_functions import (
    FUNCTIONS,
    SMALL,
    TASKS,
    config,
    histories,
    log,
    meta_world,
    small_model,
    table,
)
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dicp.artifacts import Trained
from dicp.beliefs import tokens_of, windows_of
from dicp.checks import Each, Number, OneOf, Whole
from dicp.config import (
    Config,
    EnvConfig,
    MetaWorldConfig,
    ModelConfig,
    PlanConfig,
    SourceConfig,
    TrainConfig,
    WorldConfig,
)
from dicp.config.env import NoisyConfig, TreasureConfig
from dicp.config.world import GridConfig
from dicp.envs import GridRules, GridState, GridWorld
from dicp.envs.grid import GridMoment
from dicp.envs.gym import Darkroom, GridEnv
from dicp.envs.metaworld import MetaWorld, WorldState
from dicp.envs.tabular import TabularMoment
from dicp.explorers import Explorer, exact_belief
from dicp.history import LearningHistories
from dicp.models import HierarchicalModel, InContextModel, new_model
from dicp.oracles import RandomPolicy, Simulator
from dicp.parts import Part
from dicp.planning import WorldModel
from dicp.rollout import Learner, Rollouts, rollout
from dicp.runs import Run, run_named
from dicp.training import Trainer
from dicp.types import Log, Tokens, Windows
from dicp.windows import WindowSampler

CONFIGS = (
    EnvConfig, TreasureConfig, NoisyConfig, MetaWorldConfig, SourceConfig, ModelConfig, TrainConfig,
    PlanConfig, Config,
)
ENV, ARM = EnvConfig(), MetaWorldConfig()


@cache
def rollouts() -> Rollouts:
    return rollout(RandomPolicy(ENV), ENV, [(0, 3)], 1, 2)


def anyhow(*arguments: Any) -> None:
    """A function that takes everything, and does nothing."""


BY_TYPE: dict[Any, Callable[[], Any]] = {
    **{kind: kind for kind in CONFIGS},
    WorldConfig: EnvConfig,
    GridConfig: EnvConfig,
    Mapping: dict,
    dict: dict,
    set: set,
    torch.Generator: torch.Generator,
    Rollouts: rollouts,
    Tokens: lambda: tokens_of(rollouts(), ENV),
    Windows: lambda: windows_of(rollouts(), ENV),
    Learner: lambda: RandomPolicy(ENV),
    RandomPolicy: lambda: RandomPolicy(ENV),
    WorldModel: lambda: Simulator(ENV, [(0, 3)]),
    Simulator: lambda: Simulator(ENV, [(0, 3)]),
    Explorer: lambda: exact_belief(ENV),
    InContextModel: small_model,
    HierarchicalModel: lambda: new_model(ENV, dataclasses.replace(SMALL, target="idt")).prompted(
        torch.ones(1)
    ),
    GridRules: lambda: GridRules.of(ENV, TASKS),
    GridState: lambda: GridState(torch.zeros(2, 1).long(), torch.zeros(2, 1).long()),
    GridWorld: lambda: GridWorld(ENV, TASKS),
    GridMoment: lambda: GridWorld(ENV, TASKS).get_state(),
    TabularMoment: lambda: TabularMoment(torch.zeros(2, 1).long(), 0),
    GridEnv: Darkroom,
    MetaWorld: meta_world,
    WorldState: lambda: meta_world().get_state(),
    Log: log,
    WindowSampler: lambda: WindowSampler(ENV, log()),
    Trained: lambda: Trained(small_model(), "cached", pd.DataFrame(), 1.0),
    Trainer: lambda: Trainer(config(), log(), tasks=TASKS),
    LearningHistories: histories,
    zarr.Group: lambda: zarr.open_group(histories().path, mode="r"),
    Run: lambda: run_named("random", "darkroom"),
    Part: lambda: Part("darkroom", run_named("random", "darkroom"), 0, Path("a")),
    pd.DataFrame: table,
    np.ndarray: lambda: np.zeros(2),
    Figure: plt.figure,
    Axes: lambda: plt.figure().subplots(),
    Callable: lambda: anyhow,
    bool: lambda: True,
    int: lambda: 1,
    float: lambda: 0.5,
    str: lambda: "a",
    type(None): lambda: None,
}
BY_NAME: dict[str, Callable[[], Any]] = {
    "tasks": lambda: [(0, 3)],
    "context": lambda: of_type(WorldModel).begin(1),
    "root": lambda: of_type(WorldModel).root(of_type(WorldModel).begin(1)),
    "moments": lambda: [0],
    "cell": lambda: torch.tensor([40]),
    "values": lambda: dataclasses.asdict(ENV),
    "path": lambda: "a",
    "folder": lambda: "a",
    "names": lambda: ["random"],
    "seen": lambda: [0],
}


@cache
def of_type(kind: Any) -> Any:
    return BY_TYPE[kind]()


@cache
def of_name(name: str) -> Any:
    return BY_NAME[name]()


def of_function(key: str) -> dict[str, Any]:
    """What a function is called with beside what its names and types say, as in "results.build"."""
    if key.startswith("plot."):
        from examples_of_figures import FIGURES

        return FIGURES[key.removeprefix("plot.")]()
    return FUNCTIONS.get(key, dict)()


def example(name: str, hint: Any, where: str) -> Any:
    """A valid value for an argument."""
    if name in BY_NAME:
        return of_name(name)
    if get_origin(hint) is Annotated:
        return _of_rules(get_args(hint), name, where)
    if get_origin(hint) in (Union, types.UnionType):
        return example(name, get_args(hint)[0], where)
    if get_origin(hint) is Literal:
        return get_args(hint)[0]
    if hasattr(hint, "dim_str"):
        return _array(hint)
    kind = get_origin(hint) or hint
    if kind in BY_TYPE:
        return of_type(kind)
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
        if getattr(rule, "__name__", "") in ("_world", "world_name"):
            return "darkroom"
    return example(name, parts[0], where)


def _array(hint: Any) -> torch.Tensor | np.ndarray:
    sizes = [int(word) if word.isdigit() else 2 for word in hint.dim_str.split()]
    dtype = {"Int": torch.long, "Bool": torch.bool, "UInt8": torch.uint8}.get(
        hint.__name__.partition("[")[0], torch.float32
    )
    array = torch.zeros(sizes, dtype=dtype)
    return array.numpy() if issubclass(hint.array_type, np.ndarray) else array
