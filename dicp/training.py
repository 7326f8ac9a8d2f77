"""One short training loop that can stop anywhere and go on as if it had not."""

import math
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import asdict, replace
from os import PathLike
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from dicp.checks import Count, Index, checked
from dicp.config import Config, TrainConfig
from dicp.config.parts import MIXED
from dicp.domain import domain_of, split_of
from dicp.envs import Task
from dicp.files import CheckpointError, check_same, write_csv
from dicp.history.tasks import as_task
from dicp.losses import least_return, losses, world_windows
from dicp.models import HierarchicalModel, TableModel, new_model
from dicp.models.sizes import check_training
from dicp.processes import TERMINATED, one_thread, stoppable
from dicp.states import CURE, Device, check_state, load_state, save_state, set_gpu_generator
from dicp.store import one_line
from dicp.types import Log
from dicp.windows import WindowSampler, check_form, check_values

__all__ = ["Trainer", "counted", "learning_rate", "train"]


@checked
def counted(config: Config, histories: Log, rollouts: Log | None = None) -> TableModel:
    """The table of `config` (world model "table"), counted in as many windows as others
    are trained on."""
    train, model = config.train, new_model(config.env, config.model)
    check_mix(config, rollouts)
    how = train.n_streams, least_return(train)
    histories = histories.map(lambda values: values[: train.max_tasks])
    sampler = WindowSampler(config.env, histories, *how, rollouts=rollouts)
    generator = torch.Generator().manual_seed(train.seed)
    n_episodes = config.model.context_length // config.env.horizon
    counts = 0
    for _ in range(train.updates):
        windows = world_windows(sampler, train, train.batch_size, n_episodes, generator)
        counts = counts + model.count(windows)
    model.learn(counts)
    return model.eval()


def check_mix(config: Config, rollouts: Log | None) -> None:
    """Raise `ValueError` unless there are rollouts where they are half of the data, and there
    alone; of whole episodes of this world."""
    data = config.train.data
    if (rollouts is not None) != (data in MIXED):
        given = "None" if rollouts is None else "a log"
        names = " or ".join(map(repr, MIXED))
        raise ValueError(
            f"rollouts is {given} and train.data is {data!r}; allowed: a log with {names}, "
            "else None."
        )
    if rollouts is not None:
        check_form(config.env, rollouts)
        check_values(config.env, rollouts)


@checked
def learning_rate(config: TrainConfig, update: Index) -> float:
    """Linear warm-up, then a cosine to zero."""
    rise = (update + 1) / max(config.warmup, 1)
    fallen, length = max(update - config.warmup, 0), max(config.updates - config.warmup, 1)
    fall = 0.5 * (1 + math.cos(math.pi * fallen / length))
    return config.learning_rate * min(rise, fall)


@checked
class Trainer:
    """A model in training: everything that has to be kept for the loss curve to go on as if
    nothing had happened."""

    def __init__(
        self, config: Config, histories: Log, device: Device = "cpu",
        tasks: Sequence[Task] | None = None, rollouts: Log | None = None,
    ):
        """`tasks` of the histories: for DPT's labels alone;
        None: the training tasks of the config's split. `rollouts`: the other half of the data where
        `train.data` mixes two."""
        self.config, train = config, config.train
        check_training(config, torch.device(device))
        self.without_repeats = replace(train, most_repeats=1)
        check_form(config.env, histories)
        check_values(config.env, histories)
        check_mix(config, rollouts)
        if tasks is not None:
            _check_tasks(config, histories, tasks)
        if config.model.target == "dpt" and tasks is None:
            tasks, _ = split_of(config.env, config.split)
        histories = histories.map(lambda values: values[: train.max_tasks])
        optimal_of = tasks[: train.max_tasks] if config.model.target == "dpt" else None
        labels = optimal_of, train.push_walls
        self.sampler = WindowSampler(
            config.env, histories, train.n_streams, least_return(train), *labels,
            train.min_final_success, rollouts,
        )
        torch.manual_seed(train.seed)
        self.model = new_model(config.env, config.model).to(device)
        if isinstance(self.model, HierarchicalModel):
            best_return = self.sampler.best_return.float()
            self.model.prompt.fill_(best_return.quantile(train.prompt_quantile).item())
        torch.manual_seed(train.seed)    # dropout's numbers do not depend on which heads there are
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=train.learning_rate, betas=train.betas,
            weight_decay=train.weight_decay, fused=True,
        )
        # of the windows: the same on any device
        self.generator = torch.Generator().manual_seed(train.seed)
        self.update, self.cpu_seconds, self.rows = 0, 0.0, []

    def step(self) -> None:
        """One gradient step; on a CPU on one thread, so that the weights do not depend on how many
        there are. Where the loss or its gradient is not finite: `FloatingPointError`, and model,
        optimizer and update stay as they were."""
        with one_thread() if self.model.device.type == "cpu" else nullcontext():
            self._step()

    def _step(self) -> None:
        started, train = time.process_time(), self.config.train
        if self.update < train.repeats_after * train.updates:
            train = self.without_repeats
        terms = losses(self.model, self.sampler, train, self.generator)
        total = sum(terms.values())
        self._check("loss", total, terms)
        self.optimizer.zero_grad()
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), train.max_grad_norm)
        self._check("norm of the gradient", norm, terms)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(train, self.update)
        self.optimizer.step()
        self.update += 1
        self.cpu_seconds += time.process_time() - started
        values = {name: term.item() for name, term in terms.items()}
        self.rows.append({"update": self.update, **values})

    def _check(self, what: str, value: Tensor, terms: dict[str, Tensor]) -> None:
        """Raise `FloatingPointError` where a number of this step is not finite."""
        if value.isfinite():
            return
        self.optimizer.zero_grad()
        parts = ", ".join(f"{name} {term.item():.3g}" for name, term in terms.items())
        rate = f"try a learning rate below {self.config.train.learning_rate:g}"
        what = f"the {what} of update {self.update + 1}"
        raise FloatingPointError(f"{what} is not finite ({value.item():.3g}; {parts}); {rate}.")

    def check_finite(self) -> None:
        """Raise `FloatingPointError` where a weight or a moment of the optimizer is not finite."""
        moments = (x for state in self.optimizer.state.values() for x in state.values())
        if not all(bool(x.isfinite().all()) for x in (*self.model.state_dict().values(), *moments)):
            rate = self.config.train.learning_rate
            what = f"the weights after update {self.update} are not finite"
            raise FloatingPointError(f"{what}; try a learning rate below {rate:g}.")

    @property
    def log(self) -> pd.DataFrame:
        """Each loss term at each update."""
        return pd.DataFrame(self.rows)

    def state_dict(self) -> dict:
        """A copy of everything that training goes on from."""
        device = self.model.device
        return {
            "config": asdict(self.config), "update": self.update,
            "cpu_seconds": self.cpu_seconds, "rows": list(self.rows),
            "model": deepcopy(self.model.state_dict()),
            "optimizer": deepcopy(self.optimizer.state_dict()),
            "windows_rng": self.generator.get_state(), "torch_rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        }

    def load_state_dict(self, state: dict, where: str) -> None:
        """Go on from a state; `CheckpointError`, naming `where` it is from, if it is of another
        training."""
        try:
            check_same(asdict(self.config), asdict(Config.from_dict(state["config"])), where)
            check_state(state, self.model, self.config.train.updates)
            self.generator.set_state(state["windows_rng"])
            torch.set_rng_state(state["torch_rng"])
            set_gpu_generator(state["cuda_rng"], self.model.device, where)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except CheckpointError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            what = f"{where} is not a state of this training ({one_line(error)})"
            raise CheckpointError(f"{what}; {CURE}.") from error
        self.update, self.cpu_seconds = state["update"], state["cpu_seconds"]
        self.rows = list(state["rows"])


def _check_tasks(config: Config, histories: Log, tasks: Sequence[Task]) -> None:
    """Raise `ValueError` unless there is a task of the world for each of the histories'."""
    if len(tasks) != len(histories.reward):
        n = len(histories.reward)
        raise ValueError(f"tasks holds {len(tasks)} tasks; allowed: {n}, those of the histories.")
    domain_of(config.env).check_tasks([as_task(task) for task in tasks])


@checked
def train(
    config: Config, histories: Log, folder: str | PathLike | None = None, device: Device = "cpu",
    save_every: Count = 100, progress: bool = True, tasks: Sequence[Task] | None = None,
    rollouts: Log | None = None,
) -> Trainer:
    """Train to the last update. With a `folder`, the state is kept there every `save_every`
    updates, and a call that finds one goes on from it: same windows, same losses as if it had never
    stopped. SIGTERM ends the process (status 143) after the update under way, its state kept."""
    trainer = Trainer(config, histories, device, tasks, rollouts)
    state = folder and Path(folder) / "state.pt"
    if state and state.exists():
        trainer.load_state_dict(load_state(state), str(state))
    updates = config.train.updates
    bar = tqdm(desc=f"{config.method} {config.model.world_model}", total=updates,
               initial=trainer.update, file=sys.stdout, mininterval=5, disable=not progress)
    with bar, stoppable(at_once=False) as stop:
        while trainer.update < updates and not stop.requested:
            trainer.step()
            bar.update()
            if trainer.update % save_every == 0 or trainer.update == updates or stop.requested:
                keep(trainer, state)
        if stop.requested:
            raise SystemExit(TERMINATED)
    if state:
        write_csv(trainer.log, state.with_name("log.csv"))      # of a state that was complete, too
    return trainer


def keep(trainer: Trainer, state: Path | None) -> None:
    """Save the state and the loss curve, unless a number is not finite: the last good ones stay."""
    trainer.check_finite()
    if state:
        save_state(trainer.state_dict(), state)
        write_csv(trainer.log, state.with_name("log.csv"))
