"""Histories and weights on demand: shipped with the package, else in this machine's cache,
else made now."""

import math
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import pandas as pd
import torch

import dicp
from dicp import store
from dicp.beliefs import rollouts_to_learn_from, who_acts
from dicp.cache import cache_folder, writable_cache
from dicp.checks import Count, OneOf, checked, refuse
from dicp.config import ENVS, Config
from dicp.config.parts import MIXED
from dicp.domain import domain_of
from dicp.envs import Task
from dicp.explorers import exact_belief
from dicp.files import CheckpointError, load_saved, save_model, weights_name, world_name
from dicp.history import LearningHistories, collect
from dicp.history.tasks import as_task
from dicp.models import Model
from dicp.rollout import Learner
from dicp.states import Device, load_state, save_state
from dicp.store import StoreError
from dicp.training import Trainer, counted, train
from dicp.types import Log

__all__ = [
    "SHIPPED", "Trained", "histories_of", "is_shipped", "load_or_collect", "load_or_train",
    "load_trained", "sample_histories", "save_trained", "training_log", "training_tasks",
    "weights_name", "world_name", "world_parts",
]

SHIPPED = Path(__file__).parent / "data"
Jobs = Count | Literal[-1]          # processes; -1: one for each core


class Trained(NamedTuple):
    """A model, where it came from (shipped, cached or trained) and how it got there."""

    model: Model
    origin: str
    log: pd.DataFrame       # each loss term at each update
    cpu_seconds: float      # of training, without collecting the histories


@checked
def world_parts(name: str) -> tuple[str, str | None]:
    """(env, task of Meta-World or None) of a world's name."""
    env, _, task = name.partition("-")
    return env, task or None


# ---- histories -----------------------------------------------------------------------------------


@checked
def histories_of(
    config: Config, only: Sequence[Task] | None = None, n_jobs: Jobs = 2
) -> LearningHistories:
    """The source's learning histories of every task of the world, collected now as far as they are
    missing (Darkroom: about two CPU-minutes); they serve every split and every model. Of
    Meta-World: the split's training instances, and for the source's own curve the first of the
    held-out ones (`SourceConfig` says how many of each). `only`: tasks among these; no more than
    them is collected now. `n_jobs`: by so many processes."""
    path = cache_folder() / "histories" / f"{world_name(config)}-{config.history_key}.zarr"
    if not store.exists(path):
        writable_cache("histories")
    tasks = domain_of(config.env).source_tasks(config.source, config.split)
    seed = config.source_seed
    return collect(path, config.env, config.source, tasks, seed, n_jobs=n_jobs, only=only)


@checked
def training_tasks(config: Config) -> list[Task]:
    """Those of the config's split."""
    return domain_of(config.env).training_tasks(config.source, config.split)


@checked
def load_or_collect(config: Config, tasks: Sequence[Task] | None = None, n_jobs: Jobs = 2) -> Log:
    """The histories of `tasks` (default: the training tasks of the config's split), in memory."""
    tasks = tuple(training_tasks(config) if tasks is None else (as_task(task) for task in tasks))
    if not tasks:
        raise refuse("tasks", [], "at least one task")
    return _load(histories_of(config, tasks, n_jobs).path, tasks)


@checked
def training_log(config: Config, n_jobs: Jobs = 2) -> Log:
    """What the model of `config` is trained on (`train.data`), in memory; of two that are mixed,
    the first episodes. Of these no more is collected than them: what a source does later does not
    change them."""
    if config.train.data == "exact_belief":
        agent, n = exact_belief(config.env), config.train.n_streams
        return rollouts_to_learn_from(config, agent, training_tasks(config), n)
    if config.train.data in ("first_episodes", *MIXED):
        source, n = config.source, config.train.n_first_episodes * config.env.horizon
        whole = math.lcm(source.n_steps, config.env.horizon)
        env_steps = min(whole * math.ceil(n / whole), source.env_steps)
        config = replace(config, source=replace(source, env_steps=env_steps))
    return load_or_collect(config, n_jobs=n_jobs)


# key-to-door: half a minute to read, and every model of a split needs the same
@lru_cache(maxsize=1)
def _load(path: Path, tasks: tuple[Task, ...]) -> Log:
    return LearningHistories.open(path).load(tasks)


@checked
def sample_histories(env: Annotated[str, OneOf(ENVS)] = "darkroom") -> LearningHistories:
    """The few histories that come with the package, to look at without collecting any."""
    return LearningHistories.open(SHIPPED / "histories" / f"{env}-sample.zarr.zip")


# ---- weights -------------------------------------------------------------------------------------


@checked
def is_shipped(config: Config) -> bool:
    """Whether its weights come with the package."""
    return _is_there(SHIPPED / "weights" / weights_name(config))


def lies_ready(config: Config) -> bool:
    """Whether its weights come with the package or are in this machine's cache."""
    return is_shipped(config) or _is_there(cache_folder() / "weights" / weights_name(config))


def _is_there(path: Path) -> bool:
    """Whether a model lies at `path`: its record is written last."""
    return store.exists(path) and store.exists(path.with_suffix(".json"))


@checked
def load_or_train(
    config: Config, retrain: bool = False, device: Device | None = None, progress: bool = True,
    fresh: bool = False, n_jobs: Jobs = 2,
) -> Trained:
    """The model that `config` describes, on the CPU: shipped, or of this machine's cache, or
    trained now.

    It is trained on `device` (None: the GPU where there is one); the learning histories are
    collected first where this machine has none, by `n_jobs` processes. A training that was
    interrupted goes on; one that another process is at is waited for. `retrain`: what is shipped
    does not count. `fresh`: nor does a training of this machine, finished or not; it is deleted.
    (Both are about this model: the one whose plans `first_and_own` learns from is taken as it is.)
    Raises `CheckpointError` where a file is damaged, `StoreError` where one cannot be written.
    """
    name = weights_name(config)
    if not (retrain or fresh) and is_shipped(config):
        cure = "install dicp again, or train the model here with retrain=True"
        return _load_or_say(SHIPPED / "weights" / name, config, "shipped", cure)
    path = cache_folder() / "weights" / name
    for folder in (path.parent, _unfinished(config)):
        store.sweep(folder)
    if not fresh and _is_there(path):
        _tidy_up(path, config)
        return _load_or_say(path, config, "cached")
    writable_cache("weights")
    with store.lock(_lock_of(config), what=f"The training of {path.stem}"):
        if fresh:
            _discard(path, config)
        if _is_there(path):                              # of the process that was waited for
            return _load_or_say(path, config, "cached")
        return _train(path, config, device, progress, n_jobs)


def _train(path: Path, config: Config, device: str | None, progress: bool, n_jobs: int) -> Trained:
    """Train under the lock, save and load."""
    unfinished = _unfinished(config)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    tasks = training_tasks(config)
    rollouts, spent = rollouts_for(config, device, progress, n_jobs, unfinished)
    started = time.process_time()
    histories = training_log(config, n_jobs)
    if config.train.data == "exact_belief":             # which is acted out, not collected
        spent += time.process_time() - started
    trainer = train(
        config, histories, unfinished, device, progress=progress, tasks=tasks, rollouts=rollouts
    )
    trainer.cpu_seconds += spent
    save_trained(trainer, config, path)
    shutil.rmtree(unfinished, ignore_errors=True)
    return load_trained(path, config, "trained")


def rollouts_for(
    config: Config, device: str | None, progress: bool, n_jobs: int, folder: Path | None = None
) -> tuple[Log | None, float]:
    """(what is mixed with first episodes where `train.data` mixes two, else None; the CPU seconds
    that it took, the training of who acted included). With a `folder` they are kept there."""
    if config.train.data not in MIXED:
        return None, 0.0
    path = folder and folder / "rollouts.pt"
    if path and store.exists(path):
        kept = load_state(path)
        return Log(**kept["rollouts"]), kept["cpu_seconds"]
    agent, spent = who_acts(config, lambda first: _learned(first, device, progress, n_jobs))
    started = time.process_time()
    tasks, n = training_tasks(config)[: config.train.max_tasks], config.train.n_rollouts
    rollouts = rollouts_to_learn_from(config, agent, tasks, n)
    spent += time.process_time() - started
    if path:
        save_state({"rollouts": dict(rollouts.items()), "cpu_seconds": spent}, path)
    return rollouts, spent


def _learned(
    config: Config, device: str | None, progress: bool, n_jobs: int
) -> tuple[Learner, float]:
    """(a model, the CPU seconds of its training); a table is counted, and not kept."""
    if config.model.world_model == "table":
        return counted(config, training_log(config, n_jobs)), 0.0
    trained = load_or_train(config, device=device, progress=progress, n_jobs=n_jobs)
    return trained.model, trained.cpu_seconds


def _load_or_say(
    path: Path, config: Config, origin: str, cure: str = "train it anew with fresh=True"
) -> Trained:
    """The model; where it is damaged, what to do."""
    try:
        return load_trained(path, config, origin)
    except CheckpointError as error:
        raise CheckpointError(f"{str(error).rstrip('.')}; {cure}.") from error


def _unfinished(config: Config) -> Path:
    return cache_folder() / "weights" / "unfinished" / config.key


def _lock_of(config: Config) -> Path:
    """Not in the folder of an unfinished training, which comes and goes: a lock file stays."""
    return cache_folder() / "locks" / f"{weights_name(config)}.lock"


def _discard(path: Path, config: Config) -> None:
    """Delete the model, its record first, and its unfinished training; `StoreError` where that
    cannot be done, so that the old ones are not taken for new."""
    try:
        for file in (path.with_suffix(".json"), path, path.with_suffix(".csv")):
            file.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            shutil.rmtree(_unfinished(config))
    except OSError as error:
        what = f"{error.filename or path} cannot be deleted, {error.strerror or error}"
        cure = "correct its permissions, or set DICP_CACHE to another folder"
        raise StoreError(f"{what}; {cure}.") from error


def _tidy_up(path: Path, config: Config) -> None:
    """Remove what a training left that was killed after its model was saved."""
    if not store.exists(_unfinished(config)):
        return
    with suppress(StoreError), store.lock(_lock_of(config), wait=False) as is_mine:
        if is_mine and _is_there(path):
            shutil.rmtree(_unfinished(config), ignore_errors=True)


@checked
def save_trained(trained: Trained | Trainer, config: Config, path: str | PathLike) -> None:
    """Weights, loss curve, and the record of config and facts (`save_model`)."""
    facts = {"cpu_seconds": round(trained.cpu_seconds, 1), "dicp": dicp.__version__}
    save_model(trained.model, config, path, trained.log.round(4), **facts)


@checked
def load_trained(
    path: str | PathLike, config: Config | None = None, origin: str = "file"
) -> Trained:
    """What `save_trained` wrote; errors: see `load_saved`. What is shipped must have its seal."""
    shipped = Path(path).parent == SHIPPED / "weights"
    saved = load_saved(path, config, must_be_sealed=shipped)
    seconds = saved.facts.get("cpu_seconds")
    if saved.log is None or type(seconds) not in (int, float):
        what = f"{path} has no loss curve or no cpu_seconds beside it"
        raise CheckpointError(f"{what}; allowed: what save_trained wrote.")
    return Trained(saved.model, origin, saved.log, seconds)
