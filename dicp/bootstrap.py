"""Bootstrap intervals of tables of cells: a cell is one (split, train seed, task), its value a mean
over rollouts."""

from functools import lru_cache
from typing import Annotated, Any

import numpy as np
import pandas as pd

from dicp.checks import Count, OneOf, Seed, checked, fits_memory, plain, refuse

__all__ = ["CELL", "bootstrap_weights", "interval", "iqm"]

CELL = ["split", "train_seed", "task"]
HIGHEST = 1e100            # sums of larger numbers may overflow


def _numbers(what: str, values: object) -> np.ndarray:
    """The rule: `values` as an array of floats, of which there is one at least, all finite."""
    try:
        array = np.asarray(values)
    except (ValueError, TypeError):
        array = np.asarray(None)
    numbers = array.dtype.kind in "iuf" and array.ndim and array.size
    if not numbers or not (np.abs(array.astype(float)) <= HIGHEST).all():
        raise refuse(what, values, f"a sequence of finite numbers, of at most {HIGHEST:g}")
    return array.astype(float)


def _counts(what: str, value: object) -> np.ndarray:
    """The rule: one number, or one a cell, in one dimension."""
    counts = _numbers(what, [plain(value)] if np.ndim(value) == 0 else value)
    if counts.ndim != 1 or (counts < 0).any():
        raise refuse(what, value, "a number or a sequence of numbers, of at least 0")
    return counts


Numbers = Annotated[Any, _numbers]
Counts = Annotated[float | np.ndarray, _counts]


@checked
def bootstrap_weights(cells: pd.DataFrame, n_samples: Count = 2000, seed: Seed = 0) -> np.ndarray:
    """How often each cell occurs in each bootstrap sample, [sample, cell]; cells: columns split,
    train_seed, task.

    Training runs (split, seed) and, within each split, tasks are drawn with replacement, and a cell
    counts (times its run was drawn) x (times its task was drawn). One trained model meets all tasks
    and one task meets all models, so both are sources of error and cells are not independent (the
    pigeonhole bootstrap, Owen, doi 10.1214/07-AOAS122). Rollouts are not drawn again: their noise
    is in the cells' means. Agarwal et al. (2021, arXiv 2108.13264) keep the tasks fixed: how would
    another seed do on the same tasks? We ask about other tasks too; our intervals are wider.
    """
    missing = [column for column in CELL if column not in cells or cells[column].isna().any()]
    if missing or cells.empty:
        lacks = ", ".join(missing) or "nothing"
        raise ValueError(f"cells has {len(cells)} rows and lacks {lacks}; allowed: at least one "
                         f"row, with {', '.join(CELL)} in each.")
    fits_memory("n_samples", n_samples, 16 * n_samples * len(cells), "fewer")
    return _weights(tuple(cells[CELL].itertuples(index=False, name=None)), n_samples, seed).copy()


@lru_cache(maxsize=64)      # a table has many intervals over the same cells
def _weights(cells: tuple[tuple, ...], n_samples: int, seed: int) -> np.ndarray:
    cells = pd.DataFrame(cells, columns=CELL)
    rng = np.random.default_rng(seed)
    run = cells.groupby(["split", "train_seed"]).ngroup().to_numpy()
    weights = _drawn(rng, int(run.max()) + 1, n_samples)[:, run]
    for split in sorted(cells["split"].unique()):
        here = (cells["split"] == split).to_numpy()
        task, names = pd.factorize(cells.loc[here, "task"])
        weights[:, here] *= _drawn(rng, len(names), n_samples)[:, task]
    return weights


def _drawn(rng: np.random.Generator, n: int, n_samples: int) -> np.ndarray:
    """How often each of n is drawn in n draws with replacement, [sample, n]."""
    return rng.multinomial(n, np.full(n, 1 / n), n_samples)


@checked
def iqm(values: Numbers, weights: Numbers | None = None) -> np.ndarray | np.float64:
    """Interquartile mean: the mean of the middle half of `values` [cell], for each row of `weights`
    [..., cell]."""
    weights = np.ones(len(values)) if weights is None else weights
    if values.ndim != 1 or weights.shape[-1:] != values.shape or (weights < 0).any():
        raise ValueError(f"values has shape {values.shape}, weights {weights.shape} with a minimum "
                         f"of {weights.min():g}; allowed: values [cell], weights [..., cell] that "
                         "are not negative.")
    order = np.argsort(values)
    edge = np.cumsum(weights[..., order], -1) / weights.sum(-1, keepdims=True)
    edge = np.concatenate([np.zeros_like(edge[..., :1]), edge], -1).clip(0.25, 0.75)
    return (np.diff(edge) * values[order]).sum(-1) / 0.5


@checked
def interval(
    cells: pd.DataFrame,
    value: Numbers,
    count: Counts = 1,
    *,
    statistic: Annotated[str, OneOf(("mean", "iqm"))] = "mean",
) -> tuple:
    """(value, low, high): sum(value) / sum(count) over cells and its 95% interval; value: [cell] or
    [cell, episode]; count: one number, or one a cell, not negative. Not a number where nothing is
    counted."""
    weights, count = bootstrap_weights(cells), np.ravel(count)
    if len(value) != len(cells) or len(count) not in (1, len(cells)):
        raise ValueError(
            f"value has shape {value.shape}, count {count.shape}; "
            f"allowed: one a cell, of {len(cells)}."
        )
    count = np.broadcast_to(count.reshape(-1, *[1] * (value.ndim - 1)), value.shape)
    if statistic == "iqm":
        point, samples = iqm(value / count), iqm(value / count, weights)
    else:
        # a sample may hold no rollout that ever found its goal
        with np.errstate(invalid="ignore"):
            point, samples = value.sum(0) / count.sum(0), (weights @ value) / (weights @ count)
    if np.isnan(samples).all():          # nothing was ever found
        return point, samples[0], samples[0]
    return point, *np.nanquantile(samples, [0.025, 0.975], axis=0)
