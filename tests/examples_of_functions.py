"""Valid calls of public functions where the name and the type of an argument do not say it all."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch

from dicp import ml1, results
from dicp.bootstrap import CELL
from dicp.config import Config, EnvConfig, MetaWorldConfig, ModelConfig, SourceConfig
from dicp.oracles import RandomPolicy
from dicp.recordings import COSTS
from dicp.weights import as_bytes

TASKS = [(0, 1), (2, 3)]
SMALL = ModelConfig(
    "observational",
    context_length=20,
    d_model=16,
    n_layers=1,
    n_heads=1,
    d_ff=16,
    d_head_hidden=16,
)
SOURCE = SourceConfig(n_streams=1, env_steps=20, n_steps=20, batch_size=20, n_epochs=1)
INSTANCE = (0.0, 0.6, 0.02, 0.1, 0.8, 0.2)  # of reach-v3: where the hand begins, and the goal
SETTINGS = {
    "env": "darkroom",
    "split": 0,
    "method": "ad",
    "world_model": "none",
    "planner": "none",
    "train_seed": 0,
    "run": "ad",
}


def built() -> dict:
    return {
        "returns": np.ones((2, 2, 12)),
        "settings": SETTINGS,
        "tasks": TASKS,
        "max_return": [10, 20],
        "horizon": 20,
    }


@cache
def table() -> pd.DataFrame:
    """A compact result table of one setting."""
    return results.compact(results.build(**built()))


@cache
def log() -> Any:
    """Of two tasks and one stream."""
    from dicp.source import train_ppo

    return train_ppo(EnvConfig(), TASKS, SOURCE, 0)


@cache
def histories() -> Any:
    from dicp.history import LearningHistories

    path = Path(tempfile.mkdtemp()) / "histories"
    store = LearningHistories.create(path, EnvConfig(), SOURCE, TASKS)
    for index in range(len(TASKS)):
        store.write(index, log().map(lambda x, i=index: x[i]))
    return store


@cache
def meta_world() -> Any:
    from dicp.envs.metaworld import MetaWorld

    return MetaWorld("reach-v3", [INSTANCE])


def rollouts() -> SimpleNamespace:
    return SimpleNamespace(
        episode_return=torch.ones(2, 2, 12),
        max_return=np.array([10, 20]),
        horizon=20,
        episode_success=None,
    )


def config() -> Config:
    return Config(EnvConfig(), model=SMALL)


@cache
def small_model() -> Any:
    from dicp.models import new_model

    return new_model(EnvConfig(), SMALL)


# the package and the name of a function -> what it is called with
FUNCTIONS: dict[str, Callable[[], dict]] = {
    "artifacts.load_or_train": lambda: {"config": Config.preset("darkroom")},
    "bootstrap.bootstrap_weights": lambda: {"cells": table().drop_duplicates(CELL)},
    "bootstrap.interval": lambda: {"cells": table().drop_duplicates(CELL), "value": [1.0, 2.0]},
    "bootstrap.iqm": lambda: {"values": [1.0, 2.0]},
    "envs.MetaWorld": lambda: {"name": "reach-v3", "instances": [INSTANCE]},
    "envs.SeenMetaWorld": lambda: {"env": MetaWorldConfig(), "tasks": [INSTANCE]},
    "envs.draw_grid": lambda: {"trail": [(0, 3)], "marks": [], "size": 9},
    "envs.split_validation": lambda: {"train": [(x, 3) for x in range(9)]},
    "experts.ScriptedExpert": lambda: {
        "env": MetaWorldConfig(), "tasks": [INSTANCE], "goals": torch.zeros(1, 3),
    },
    "experts.blind_expert": lambda: {
        "env": MetaWorldConfig(), "tasks": [INSTANCE], "training": [INSTANCE],
    },
    "experts.informed_expert": lambda: {"env": MetaWorldConfig(), "tasks": [INSTANCE]},
    "exercises.expect": lambda: {"answer": 1.0, "wanted": 1.0},
    "exercises.expect_number": lambda: {"answer": 1.0, "wanted": 1.0},
    "exercises.exercise": lambda: {"grade": lambda fn: None},
    "envs.NoisyTabularWorld": lambda: {"leads_to": torch.zeros(2, 2, 2).long()},
    "envs.TabularWorld": lambda: {"leads_to": torch.zeros(2, 2, 2).long()},
    "evaluation.evaluate": lambda: {
        "agent": RandomPolicy(EnvConfig()), "tasks": TASKS, "n_rollouts": 1, "n_episodes": 1,
    },
    "history.LearningHistories.write": lambda: {
        "index": 0,
        "log": log().map(lambda x: x[0]),
    },
    "ml1.above_blind": lambda: {"table": table().assign(run="blind")},
    "sentences.better_ranking": lambda: {"tables": {"reach": table()}},
    "sentences.claims": lambda: {"tables": {"reach": table()}},
    "sentences.percent": lambda: {"row": SimpleNamespace(value=0.5, low=0.4, high=0.6)},
    "sentences.points": lambda: {"row": SimpleNamespace(value=0.5, low=0.4, high=0.6)},
    "sentences.poster": lambda: {"tables": {"reach": table()}},
    "ml1.cut": lambda: {"config": Config.preset("metaworld")},
    "ml1.rankings": lambda: {"tables": {"reach": table()}},
    "sentences.what_matters": lambda: {"panels": ml1.ablations("ad")},
    "oracles.Simulator.begin": lambda: {"batch": 1},
    "paper.paper_curve": lambda: {"method": "AD"},
    "recordings.write_recorded": lambda: {"costs": pd.DataFrame(columns=list(COSTS))},
    "results.build": built,
    "results.from_rollouts": lambda: {"rollouts": rollouts(), "tasks": TASKS},
    "results.from_source": lambda: {"log": log(), "tasks": TASKS},
    "results.refuse_pooling": lambda: {"by": ["method"]},
    "results.difference": lambda: {"run": "ad", "other": "ad"},
    "results.in_blocks": lambda: {"size": 2},
    "runs.planned": lambda: {"name": "x"},
    "runs.run_named": lambda: {"name": "random"},
    "source.train_sb3": lambda: {"task": (0, 3)},
    "weights.model_of": lambda: {
        "data": as_bytes(small_model()),
        "config": config(),
        "where": "a",
    },
}
