"""The joint loss and one short training loop that can stop anywhere and go on as if it had not."""

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from dicp.config import Config, TrainConfig
from dicp.envs import Task, split_of
from dicp.files import check_same, load_state, save_state, write_csv
from dicp.history.logs import Log
from dicp.models import HierarchicalModel, Model, new_model
from dicp.windows import WindowSampler


def losses(model: Model, sampler: WindowSampler, config: TrainConfig, generator: torch.Generator) -> dict[str, Tensor]:
    """One batch's loss terms, weighted. A policy and an `observational` world model learn from whole histories, the
    `interventional` one from episodes before the source's first update alone. Where histories that end in failure are left out
    (`min_final_success`), they are not imitated; but a share of a batch is drawn from all, for the world model alone."""
    kind, n_episodes = model.config.world_model, model.config.context_length // model.env.horizon
    if kind == "interventional":
        windows = sampler.before_first_update(config.batch_size, n_episodes, config.n_first_episodes, generator)
        windows = windows.to(model.device)
        return model.predict(windows).loss_terms(windows)
    joint = kind != "none" and config.world_model_weight > 0
    share = config.failures_share if joint and config.min_final_success else 0
    imitated = config.batch_size - int(share * config.batch_size)
    how = n_episodes, config.max_stride, generator, config.sort_episodes
    windows = sampler.history(imitated, *how)
    if imitated < config.batch_size:
        windows = windows.and_also(sampler.history(config.batch_size - imitated, *how, failures=True))
    windows = windows.to(model.device)
    h = model.read(windows)
    if not config.dense:
        h, windows = h[:, -1:], windows.last()
    terms = {"policy": model.policy_head.loss(model.policy_head(h[:imitated]), windows.label[:imitated])}
    if not joint:
        return terms
    parts = model.world_model_head(h, windows.action).loss_terms(windows)
    return terms | {name: config.world_model_weight * term for name, term in parts.items()}


def learning_rate(config: TrainConfig, update: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    rise = (update + 1) / max(config.warmup, 1)
    fall = 0.5 * (1 + math.cos(math.pi * max(update - config.warmup, 0) / max(config.updates - config.warmup, 1)))
    return config.learning_rate * min(rise, fall)


class Trainer:
    """A model in training: everything that has to be kept for the loss curve to go on as if nothing had happened."""

    def __init__(self, config: Config, histories: Log, device: str = "cpu", tasks: Sequence[Task] | None = None):
        """`tasks` of the histories: for DPT's labels alone; None: the training tasks of the config's split."""
        self.config, train = config, config.train
        if config.model.imitates == "dpt" and tasks is None:
            tasks, _ = split_of(config.env, config.split)
        histories = type(histories)(*(x[: train.max_tasks] for x in histories))
        optimal_of = tasks[: train.max_tasks] if config.model.imitates == "dpt" else None
        labels = optimal_of, train.push_walls
        self.sampler = WindowSampler(
            config.env, histories, train.n_streams, train.min_final_return, *labels, train.min_final_success
        )
        torch.manual_seed(train.seed)
        self.model = new_model(config.env, config.model).to(device)
        if isinstance(self.model, HierarchicalModel):
            self.model.prompt.fill_(self.sampler.best_return.float().quantile(train.prompt_quantile).item())
        torch.manual_seed(train.seed)                # dropout's numbers do not depend on which heads there are
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=train.learning_rate, betas=train.betas, weight_decay=train.weight_decay, fused=True
        )
        self.generator = torch.Generator().manual_seed(train.seed)       # of the windows: the same on any device
        self.update, self.cpu_seconds, self.rows = 0, 0.0, []

    def step(self) -> None:
        """One gradient step."""
        started, train = time.process_time(), self.config.train
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(train, self.update)
        terms = losses(self.model, self.sampler, train, self.generator)
        total = sum(terms.values())
        if not total.isfinite():
            parts = ", ".join(f"{name} {term.item():.3g}" for name, term in terms.items())
            raise FloatingPointError(f"the loss of update {self.update + 1} is not finite ({parts}); try a learning rate below "
                                     f"{train.learning_rate:g}.")
        self.optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), train.max_grad_norm)
        self.optimizer.step()
        self.update += 1
        self.cpu_seconds += time.process_time() - started
        self.rows.append({"update": self.update, **{name: term.item() for name, term in terms.items()}})

    @property
    def log(self) -> pd.DataFrame:
        """Each loss term at each update."""
        return pd.DataFrame(self.rows)

    def state_dict(self) -> dict:
        return {
            "config": asdict(self.config), "update": self.update, "cpu_seconds": self.cpu_seconds, "rows": self.rows,
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "windows_rng": self.generator.get_state(), "torch_rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all(),
        }

    def load_state_dict(self, state: dict, where: str) -> None:
        check_same(asdict(self.config), asdict(Config.from_dict(state["config"])), where)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["windows_rng"])
        torch.set_rng_state(state["torch_rng"])
        torch.cuda.set_rng_state_all(state["cuda_rng"])
        self.update, self.cpu_seconds, self.rows = state["update"], state["cpu_seconds"], state["rows"]


def train(
    config: Config, histories: Log, folder: str | Path | None = None, device: str = "cpu", save_every: int = 100,
    progress: bool = True, tasks: Sequence[Task] | None = None,
) -> Trainer:
    """Train to the last update. With a `folder`, the state is kept there every `save_every` updates, and a call that
    finds one goes on from it: same windows, same losses as if it had never stopped."""
    trainer = Trainer(config, histories, device, tasks)
    state = folder and Path(folder) / "state.pt"
    if state and state.exists():
        trainer.load_state_dict(load_state(state), str(state))
    bar = tqdm(desc=f"{config.method} {config.model.world_model}", total=config.train.updates, initial=trainer.update,
               file=sys.stdout, mininterval=5, disable=not progress)
    with bar:
        while trainer.update < config.train.updates:
            trainer.step()
            bar.update()
            if state and (trainer.update % save_every == 0 or trainer.update == config.train.updates):
                save_state(trainer.state_dict(), state)
                write_csv(trainer.log, state.with_name("log.csv"))
    return trainer
