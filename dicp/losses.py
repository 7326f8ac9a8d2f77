"""The joint loss of one batch: what is imitated, what is predicted, and on which windows."""

import torch
from torch import Tensor

from dicp.checks import checked
from dicp.config import TrainConfig
from dicp.config.parts import MIXED
from dicp.models import Model
from dicp.selection import preferring_rare
from dicp.types import Windows
from dicp.windows import WindowSampler

__all__ = ["losses"]

RARE = 8           # windows that are drawn for each one that is used, where rare ones are preferred


@checked
def losses(
    model: Model, sampler: WindowSampler, config: TrainConfig, generator: torch.Generator
) -> dict[str, Tensor]:
    """One batch's loss terms, weighted. A policy and an `observational` world model learn from
    whole histories, a world model alone from `config.data`. Where histories that end in failure are
    left out (`min_final_success`), they are not imitated; but a share of a batch is drawn from all,
    for the world model alone."""
    kind, n_episodes = model.config.world_model, model.config.context_length // model.env.horizon
    if kind in ("queries", "heads"):
        return world_losses(model, sampler, config, generator)
    joint = kind != "none" and config.world_model_weight > 0
    share = config.failures_share if joint and config.min_final_success else 0
    imitated = config.batch_size - int(share * config.batch_size)
    how = n_episodes, config.max_stride, generator, config.sort_episodes
    windows = sampler.history(imitated, *how)
    if imitated < config.batch_size:
        others = sampler.history(config.batch_size - imitated, *how, failures=True)
        windows = Windows.concat((windows, others))
    windows = windows.to(model.device)
    h = model.read(windows)
    if not config.dense:
        h, windows = h[:, -1:], windows.last_steps(1)
    said = model.policy_head(h[:imitated])
    terms = {"policy": model.policy_head.loss(said, windows.label[:imitated])}
    if not joint:
        return terms
    parts = model.world_model_head(h, windows.action).loss_terms(windows)
    return terms | {name: config.world_model_weight * term for name, term in parts.items()}


def world_windows(
    sampler: WindowSampler, train: TrainConfig, n: int, n_episodes: int, generator: torch.Generator
) -> Windows:
    """`n` windows of the data that a world model alone is trained on (`train.data`); of the exact
    belief's or the model's own rollouts, which are no longer than a window, each is one."""
    if train.data in ("histories", "exact_belief"):
        return sampler.history(n, n_episodes, train.max_stride, generator)
    n_rollouts = n // 2 if train.data in MIXED else 0
    how = n_episodes, train.n_first_episodes, generator, train.n_compared
    windows = sampler.before_first_update(n - n_rollouts, *how)
    if not n_rollouts:
        return windows
    others = sampler.rollouts.history(n_rollouts, n_episodes, 1, generator)
    return Windows.concat((windows, others))


def world_losses(
    model: Model, sampler: WindowSampler, train: TrainConfig, generator: torch.Generator
) -> dict[str, Tensor]:
    """The same of a world model alone."""
    horizon, n, weight = model.env.horizon, train.batch_size, None
    n_drawn = n * RARE if train.prefers_rare else n
    n_episodes = model.config.context_length // horizon
    windows = world_windows(sampler, train, n_drawn, n_episodes, generator)
    if train.prefers_rare:
        index, weight = preferring_rare(windows.reward, n, horizon, generator)
        windows = windows.rows(index)
    windows = windows.to(model.device)
    said = model.predict(windows, generator, train.most_repeats)
    return said.loss_terms(windows, weight)


def least_return(train: TrainConfig) -> float:
    """Histories that end below this share are left out; a rollout that found nothing in its first
    episodes is none of them."""
    return train.min_final_return if train.data == "histories" else 0.0
