"""Histories and weights on demand: shipped with the package, else in this machine's cache, else made now."""

import json
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

import dicp
from dicp.config import Config, EnvConfig
from dicp.envs import Task, all_tasks, split_of
from dicp.files import load_model, save_model, write_csv
from dicp.history import LearningHistories, collect
from dicp.history.logs import Log
from dicp.models import Model
from dicp.training import Trainer, train

SHIPPED = Path(__file__).parent / "data"


class Trained(NamedTuple):
    """A model, where it came from (shipped, cached or trained) and how it got there."""

    model: Model
    origin: str
    log: pd.DataFrame       # each loss term at each update
    cpu_seconds: float      # of training, without collecting the histories


def cache_folder() -> Path:
    """Where what was computed is kept: the environment variable DICP_CACHE, or .cache/dicp in the home folder."""
    return Path(os.environ.get("DICP_CACHE", Path.home() / ".cache" / "dicp"))


def histories_of(config: Config, only: Sequence[Task] | None = None) -> LearningHistories:
    """The source's learning histories of every task of the world, collected now as far as they are missing (Darkroom:
    about two CPU-minutes); they serve every split and every model. Of Meta-World: the split's training instances, and for the
    source's own curve the first of the held-out ones (`SourceConfig` says how many of each).
    `only`: tasks among these; no more than them is collected now."""
    path = cache_folder() / "histories" / f"{world_name(config)}-{config.history_key}.zarr"
    if isinstance(config.env, EnvConfig):
        tasks = all_tasks(config.env.name, config.env.size)
    else:
        tasks = [*training_tasks(config), *split_of(config.env, config.split)[1][: config.source.test_instances]]
    return collect(path, config.env, config.source, tasks, config.source_seed, only=only)


def training_tasks(config: Config) -> list[Task]:
    """Those of the config's split."""
    tasks, _ = split_of(config.env, config.split)
    return tasks if isinstance(config.env, EnvConfig) else tasks[: config.source.train_instances]


def world_name(config: Config) -> str:
    """As files are named: "darkroom", "metaworld-reach-v3"."""
    return config.env.name if isinstance(config.env, EnvConfig) else f"{config.env.name}-{config.env.task}"


def world_parts(name: str) -> tuple[str, str | None]:
    """(env, task of Meta-World or None) of a world's name."""
    env, _, task = name.partition("-")
    return env, task or None


def load_or_collect(config: Config, tasks: Sequence[Task] | None = None) -> Log:
    """The histories of `tasks` (default: the training tasks of the config's split), in memory."""
    tasks = tuple(training_tasks(config) if tasks is None else tasks)
    return _load(histories_of(config, tasks).path, tasks)


@lru_cache(maxsize=1)           # key-to-door: half a minute to read, and every model of a split needs the same
def _load(path: Path, tasks: tuple[Task, ...]) -> Log:
    return LearningHistories.open(path).load(tasks)


def sample_histories(env: str = "darkroom") -> LearningHistories:
    """The few histories that come with the package, to look at without collecting any."""
    return LearningHistories.open(SHIPPED / "histories" / f"{env}-sample.zarr.zip")


def weights_name(config: Config) -> str:
    return f"{world_name(config)}-{config.method}-{config.model.world_model}-{config.key}.safetensors"


def is_shipped(config: Config) -> bool:
    """Whether its weights come with the package."""
    return (SHIPPED / "weights" / weights_name(config)).exists()


def load_or_train(config: Config, retrain: bool = False, device: str | None = None, progress: bool = True) -> Trained:
    """The model that `config` describes, on the CPU. `retrain` trains it here even where it lies ready, on `device` (None: the
    GPU where there is one); the learning histories are collected first where this machine has none."""
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    name, cached = weights_name(config), cache_folder() / "weights"
    for origin, folder in (("shipped", SHIPPED / "weights"), ("cached", cached)):
        if (folder / name).exists() and not retrain:
            return load_trained(folder / name, config, origin)
    work = cached / "unfinished" / config.key
    if retrain and (work / "state.pt").exists():
        (work / "state.pt").unlink(missing_ok=True)
    trainer = train(config, load_or_collect(config), work, device, progress=progress, tasks=training_tasks(config))
    save_trained(trainer, config, cached / name)
    (work / "state.pt").unlink(missing_ok=True)
    return load_trained(cached / name, config, "trained")


def save_trained(trained: "Trained | Trainer", config: Config, path: Path) -> None:
    """Weights, config and facts, and the loss curve beside them."""
    write_csv(trained.log.round(4), path.with_suffix(".csv"))
    save_model(trained.model, config, path, cpu_seconds=round(trained.cpu_seconds, 1), dicp=dicp.__version__)


def load_trained(path: Path, config: Config | None = None, origin: str = "file") -> Trained:
    """What `save_trained` wrote."""
    model, _ = load_model(path, config)
    facts = json.loads(path.with_suffix(".json").read_text())
    return Trained(model, origin, pd.read_csv(path.with_suffix(".csv")), facts["cpu_seconds"])
