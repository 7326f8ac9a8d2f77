"""Bootstrap intervals of tables of cells: a cell is one (split, train seed, task), its value a mean over rollouts."""

import numpy as np
import pandas as pd

from dicp.checks import one_of

CELL = ["split", "train_seed", "task"]


def bootstrap_weights(cells: pd.DataFrame, n_samples: int = 2000, seed: int = 0) -> np.ndarray:
    """How often each cell occurs in each bootstrap sample, [sample, cell]; cells: columns split, train_seed, task.

    Training runs (split, seed) and, within each split, tasks are drawn with replacement, and a cell counts (times its
    run was drawn) x (times its task was drawn). One trained model meets all tasks and one task meets all models, so
    both are sources of error and cells are not independent (the pigeonhole bootstrap, Owen, doi 10.1214/07-AOAS122).
    Rollouts are not drawn again: their noise is in the cells' means. Agarwal et al. (2021, arXiv 2108.13264) keep the
    tasks fixed: how would another seed do on the same tasks? We ask about other tasks too; our intervals are wider.
    """
    rng = np.random.default_rng(seed)
    run = cells.groupby(["split", "train_seed"]).ngroup().to_numpy()
    weights = rng.multinomial(run.max() + 1, np.full(run.max() + 1, 1 / (run.max() + 1)), n_samples)[:, run]
    for split in sorted(cells["split"].unique()):
        here = (cells["split"] == split).to_numpy()
        task, names = pd.factorize(cells.loc[here, "task"])
        weights[:, here] *= rng.multinomial(len(names), np.full(len(names), 1 / len(names)), n_samples)[:, task]
    return weights


def iqm(values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray | np.float64:
    """Interquartile mean: the mean of the middle half of `values` [cell], for each row of `weights` [..., cell]."""
    order = np.argsort(values)
    weights = np.ones(len(values)) if weights is None else weights
    edge = np.cumsum(weights[..., order], -1) / weights.sum(-1, keepdims=True)
    edge = np.concatenate([np.zeros_like(edge[..., :1]), edge], -1).clip(0.25, 0.75)
    return (np.diff(edge) * values[order]).sum(-1) / 0.5


def interval(cells: pd.DataFrame, value, count=1, *, statistic: str = "mean") -> tuple:
    """(value, low, high): sum(value) / sum(count) over cells and its 95% interval; value: [cell] or [cell, episode]."""
    one_of("statistic", statistic, ("mean", "iqm"))
    value, weights = np.asarray(value, dtype=float), bootstrap_weights(cells)
    count = np.broadcast_to(np.asarray(count, dtype=float).reshape(-1, *[1] * (value.ndim - 1)), value.shape)
    if statistic == "iqm":
        point, samples = iqm(value / count), iqm(value / count, weights)
    else:
        with np.errstate(invalid="ignore"):      # a sample may hold no rollout that ever found its goal
            point, samples = value.sum(0) / count.sum(0), (weights @ value) / (weights @ count)
    return point, *np.nanquantile(samples, [0.025, 0.975], axis=0)
