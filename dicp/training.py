"""The joint loss and one short training loop that can stop anywhere and go on as if it had not."""

import math
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from dicp.config import Config, TrainConfig
from dicp.files import check_same, load_state, save_state, write_csv
from dicp.models.ad import InContextModel
from dicp.source import SourceLog
from dicp.windows import Windows, WindowSampler


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over every position of every window (the dense loss; Paper: Eq. 1 and 2)."""
    return F.cross_entropy(logits.flatten(0, -2), target.flatten())


def world_model_loss(model: InContextModel, h: Tensor, windows: Windows, symbols: Tensor | None = None) -> dict[str, Tensor]:
    """- log g(reward, next observation, return-to-go | history, action taken), term by term (Paper: Eq. 2)."""
    size, p = model.env.size, model.world_model_head(h, windows.action)
    interventional = model.config.world_model == "interventional"
    reward = model.reward_logits(windows.tokens, windows.next_cell, symbols) if interventional else p.reward
    next_obs = cross_entropy(p.next_x, windows.next_cell // size) + cross_entropy(p.next_y, windows.next_cell % size)
    # What aimless actions will earn says little: the interventional Transformer is not bent towards it, only read.
    returns = model.world_model_head(h.detach(), windows.action).return_to_go if interventional else p.return_to_go
    terms = {"reward": cross_entropy(reward, windows.reward), "next_obs": next_obs}
    return terms | {"return_to_go": cross_entropy(returns, windows.return_to_go)}


def losses(model: InContextModel, sampler: WindowSampler, config: TrainConfig, generator: torch.Generator) -> dict[str, Tensor]:
    """One batch's loss terms, weighted. The policy learns from whole histories; so does the `observational` world model.
    The `interventional` one learns from episodes before the source's first update alone."""
    env, kind = model.env, model.config.world_model
    n_episodes, terms = model.config.context_length // env.horizon, {}
    if config.policy_weight or kind == "observational":
        windows = sampler.history(config.batch_size, n_episodes, config.max_stride, generator).to(model.device)
        h = model(windows.tokens)
        terms["policy"] = config.policy_weight * cross_entropy(model.policy_head(h), windows.action)
    if config.world_model_weight and kind == "interventional":
        windows = sampler.before_first_update(config.prior_batch_size, n_episodes, config.n_first_episodes, generator)
        windows = windows.to(model.device)
        symbols = torch.rand(config.prior_batch_size, 2, env.size, generator=generator).argsort(-1).to(model.device)
        h = model(windows.tokens)
    if config.world_model_weight and kind != "none":
        parts = world_model_loss(model, h, windows, symbols if kind == "interventional" else None)
        terms |= {name: config.world_model_weight * term for name, term in parts.items()}
    return terms


def learning_rate(config: TrainConfig, update: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    rise = (update + 1) / max(config.warmup, 1)
    fall = 0.5 * (1 + math.cos(math.pi * max(update - config.warmup, 0) / max(config.updates - config.warmup, 1)))
    return config.learning_rate * min(rise, fall)


class Trainer:
    """A model in training: everything that has to be kept for the loss curve to go on as if nothing had happened."""

    def __init__(self, config: Config, histories: SourceLog, device: str = "cpu"):
        self.config, train = config, config.train
        self.sampler = WindowSampler(config.env, histories, train.n_streams, train.min_final_return)
        torch.manual_seed(train.seed)
        self.model = InContextModel(config.env, config.model).to(device)
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
        self.optimizer.zero_grad()
        sum(terms.values()).backward()
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
        check_same(asdict(self.config), state["config"], where)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["windows_rng"])
        torch.set_rng_state(state["torch_rng"])
        torch.cuda.set_rng_state_all(state["cuda_rng"])
        self.update, self.cpu_seconds, self.rows = state["update"], state["cpu_seconds"], state["rows"]


def train(
    config: Config, histories: SourceLog, folder: str | Path | None = None, device: str = "cpu", save_every: int = 100,
    progress: bool = True,
) -> Trainer:
    """Train to the last update. With a `folder`, the state is kept there every `save_every` updates, and a call that
    finds one goes on from it: same windows, same losses as if it had never stopped."""
    trainer = Trainer(config, histories, device)
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
