"""Every argument of every public function around the results gets what it cannot use: a sentence
that names it, or the right answer."""

import inspect
import math
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dicp import bootstrap, ml1, recorded, reproduce, results, runs
from dicp.config import Config

OTHERS = ("estimate", "figures", "paper", "parts", "tables", "worlds")
MODULES = (
    bootstrap,
    ml1,
    recorded,
    reproduce,
    results,
    runs,
    *(import_module(f"dicp.{x}") for x in OTHERS),
)
BAD = (
    math.nan,
    math.inf,
    -math.inf,
    -1,
    0,
    2**63,
    1e308,
    True,
    "0",
    None,
    [],
    "../x",
    np.int64(-1),
    np.float64("nan"),
    np.bool_(True),
    object(),
)
TASKS = [(0, 1), (2, 3)]
FULL = results.build(
    np.ones((2, 2, 12)),
    {
        "env": "darkroom",
        "split": 0,
        "method": "ad",
        "world_model": "none",
        "planner": "none",
        "train_seed": 0,
        "run": "ad",
    },
    tasks=TASKS,
    max_return=[10, 20],
    horizon=20,
)
SMALL = results.compact(FULL)
LIFE = SimpleNamespace(
    episode_return=np.ones((2, 2, 12)),
    max_return=np.array([10, 20]),
    horizon=20,
    episode_success=None,
)
LIFE.episode_return = SimpleNamespace(numpy=lambda: np.ones((2, 2, 12)))
RUN = runs.run_named("random", "darkroom")
ROW = SimpleNamespace(value=0.5, low=0.4, high=0.6)

GOOD = {
    "table": SMALL,
    "env": "darkroom",
    "world": "darkroom",
    "split": 0,
    "splits": [0],
    "run": RUN,
    "names": ["random"],
    "name": "table_ml10",
    "tasks": TASKS,
    "max_return": [10, 20],
    "horizon": 20,
    "settings": dict(FULL.iloc[0, :7]),
    "returns": np.ones((2, 2, 12)),
    "success": None,
    "life": LIFE,
    "config": Config.preset(),
    "plan": None,
    "size": 2,
    "by": ["method"],
    "value": "success",
    "share": 0.5,
    "last": 0.2,
    "found_by": 5,
    "statistic": "mean",
    "method": "ad",
    "cells": SMALL.drop_duplicates(bootstrap.CELL),
    "n_samples": 10,
    "seed": 0,
    "values": [1.0, 2.0],
    "weights": None,
    "count": 1,
    "imitates": "ad",
    "panels": ml1.ablations("ad"),
    "least": 0.1,
    "row": ROW,
    "planner": "paper",
    "n_jobs": 1,
    "rollout_seed": 0,
    "part": None,
    "cost": {},
    "costs": pd.DataFrame(columns=list(recorded.COSTS)),
    "begun": None,
    "tracked": False,
    "paths": "x",
    "log": None,
    "finish": lambda: None,
    "table_of": lambda world: None,
    "figure": None,
}
OWN = {
    "ml1.better_ranking": {"tables": {"reach": SMALL}},
    "results.summary": {"last": 10},
    "results.normalised": {},
    "runs.planned": {"name": "x"},
    "runs.run_named": {"name": "random"},
    "ml1.claims": {"tables": {}},
    "bootstrap.interval": {"value": [1.0, 2.0]},
}
RIGHT = {  # what is no mistake there, though it looks like one
    "success": (None,),
    "plan": (None,),
    "weights": (None,),
    "names": (None,),
    "begun": (None,),
    "split": (0,),
    "seed": (0,),
    "rollout_seed": (0,),
    "share": (0, -0.0),
    "least": (0,),
    "count": (0, 2**63),
    "by": ([],),
    "name": ("0", "../x"),
    "folder": ("0", "../x"),
    "path": ("0", "../x"),
}


def functions():
    for module in MODULES:
        for name in module.__all__:
            function = getattr(module, name)
            if inspect.isfunction(function) and function.__module__ == module.__name__:
                yield pytest.param(function, id=f"{module.__name__.removeprefix('dicp.')}.{name}")


def arguments():
    for given in functions():
        for name, parameter in inspect.signature(given.values[0]).parameters.items():
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
                yield pytest.param(given.values[0], name, id=f"{given.id}-{name}")


@pytest.mark.parametrize("function", list(functions()))
def test_every_public_function_checks_its_arguments(function):
    assert getattr(function, "is_checked", False) or not inspect.signature(function).parameters


@pytest.mark.parametrize("function, name", list(arguments()))
def test_a_bad_argument_gets_a_sentence(function, name, tmp_path, monkeypatch):
    monkeypatch.setenv("DICP_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reproduce, "checkout", lambda: None)
    module = function.__module__.removeprefix("dicp.")
    good = (
        GOOD
        | {"path": tmp_path / "t.csv", "folder": tmp_path}
        | OWN.get(f"{module}.{function.__name__}", {})
    )
    parameters = inspect.signature(function).parameters
    given = {
        key: good.get(key)
        for key, p in parameters.items()
        if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    for bad in BAD:
        if any(bad is x or type(bad) is type(x) and bad == x for x in RIGHT.get(name, ())):
            continue
        with pytest.raises(ValueError) as error:
            if parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
                function(bad)
            else:
                function(**given | {name: bad})
            pytest.fail(f"{name} = {bad!r} was taken in silence")
        assert "\n" not in str(error.value), bad
