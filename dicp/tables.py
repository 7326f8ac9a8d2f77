"""The result table: what its columns must hold, and its file.

Two forms, told apart by the column `rollout`: the full one has a row per (settings, task, rollout,
episode), the compact one (`dicp.results.compact`) a row per (settings, train seed, task, episode),
with means over rollouts.
"""

import gzip
import io
import zlib
from collections.abc import Sequence
from functools import partial
from numbers import Real
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_complex_dtype, is_numeric_dtype

from dicp import store
from dicp.checks import checked, one_of, refuse
from dicp.config import METHODS, PLANNERS, RETIRED, WORLD_MODELS, registry
from dicp.store import StoreError

__all__ = [
    "COMPACT", "CONTROLS", "MEASURES", "PLANS", "PROVENANCE", "REQUIRED", "ROW", "load", "save",
    "settings_of", "validate",
]

# beside the methods; no network acts, or (own) one that is none of ours
CONTROLS = ("source", "random", "exact_belief", "simulator", "blind", "informed", "own")
REQUIRED = ("env", "split", "method", "world_model", "planner", "train_seed")
ROW = ("task", "rollout_seed", "rollout", "episode")
MEASURES = ("env_steps", "episode_return", "max_return", "success", "solved_so_far")
PROVENANCE = ("code_version", "config_hash")   # two runs that differ only here are the same run
COMPACT = ("n_rollouts", "return_after_find")
# grids: made in an episode, and those that count on a cell that gave no reward
PLANS = ("plans", "deluded")

NAMES = {
    "method": (*METHODS, *CONTROLS), "world_model": (*WORLD_MODELS, *RETIRED),
    "planner": (*PLANNERS, "own"),
}
LOWEST = {
    "split": 0, "train_seed": 0, "rollout_seed": 0, "rollout": 0, "n_rollouts": 1, "episode": 1,
    "env_steps": 1,
}
MOST = 2**53              # up to here every whole number is a float
ROUNDING = 1e-4           # files hold five digits


@checked
def settings_of(table: pd.DataFrame) -> list[str]:
    """The columns that say what was run, apart from task and seeds."""
    rest = {"split", "train_seed", *PROVENANCE, *ROW, *MEASURES, *COMPACT, *PLANS}
    return [c for c in table.columns if c not in rest]


@checked
def validate(table: pd.DataFrame) -> pd.DataFrame:
    """Return `table` if it can be trusted; else raise `ValueError` with a sentence that says why.

    Names are known ones, seeds and counts whole, shares of success from 0 to 1, returns finite and
    no higher than the highest possible; no row is there twice.
    """
    full = "rollout" in table
    if not table.columns.is_unique:
        twice = table.columns[table.columns.duplicated()][0]
        raise ValueError(f"the result table has the column {twice} twice; keep one.")
    extra = ("rollout_seed", "rollout") if full else COMPACT
    everywhere = (*REQUIRED, "task", "episode", *MEASURES)
    need_columns(table.columns, (*everywhere, *extra), "the result table")
    filled = (*everywhere, *(extra if full else ("n_rollouts",)))
    empty = [c for c in filled if table[c].isna().any()]
    if empty:
        raise ValueError(f"the result table has empty values in {', '.join(empty)}; every row "
                         "needs them.")
    for column, names in ({"env": registry.names()} | NAMES).items():
        for value in table[column].unique():
            one_of(column, value, names)
    _check_numbers(table)
    key = [*settings_of(table), "split", "train_seed", "task", "episode", *(extra if full else ())]
    twice = table.duplicated(key)
    if twice.any():
        shown = ["method", "planner", "train_seed", "task", "episode"]
        row = table.loc[twice.idxmax(), shown].to_dict()
        raise ValueError(f"the result table has {twice.sum()} duplicate rows, the first is {row}; "
                         "keep each run once.")
    return table


def _check_numbers(table: pd.DataFrame) -> None:
    for column in (c for c in LOWEST if c in table):
        values, low = _numbers(table[column], switches=False), LOWEST[column]
        good = (values >= low) & (values <= MOST) & (np.floor(values) == values)
        _refuse_where(~good, table[column], f"whole numbers of at least {low}")
    for column in ("success", "solved_so_far"):
        share = _numbers(table[column])
        _refuse_where(~((share >= 0) & (share <= 1)), table[column], "numbers from 0 to 1")
    highest = _numbers(table["max_return"], switches=False)
    are_random = [env for env in table["env"].unique() if registry.config_class(env).is_random]
    random = table["env"].isin(are_random).to_numpy(bool)
    possible = (highest > 0) & np.isfinite(highest)
    _refuse_where(~possible, table["max_return"], "finite numbers above 0")
    for column in (c for c in ("episode_return", "return_after_find") if c in table):
        returns = _numbers(table[column], switches=False)
        if column == "return_after_find":
            returns = np.where(np.isnan(returns), 0.0, returns)      # none had solved it before
        _refuse_where(~np.isfinite(returns), table[column], "finite numbers")
        too_high = ~random & (returns > highest * (1 + ROUNDING))    # else it is an expected one
        _refuse_where(too_high, table[column], "at most max_return")
    for column in (c for c in PLANS if c in table):
        counts = np.nan_to_num(_numbers(table[column], switches=False))  # nan: no plans in this run
        _refuse_where(~(counts >= 0) | np.isinf(counts), table[column], "numbers of at least 0")


def _numbers(column: pd.Series, switches: bool = True) -> np.ndarray:
    """The column as floats; `ValueError` where it holds something else. switches: True and False
    may stand for 1 and 0."""
    if column.dtype == object:
        good = column.map(partial(_is_number, switches=switches))
        _refuse_where(~good.to_numpy(bool), column, "numbers")
    elif (is_complex_dtype(column) or not is_numeric_dtype(column)
          or (is_bool_dtype(column) and not switches)):
        _refuse_where(np.ones(len(column), bool), column, "numbers")
        return np.zeros(0)
    return column.to_numpy(dtype=float, na_value=np.nan)


def _is_number(value: object, switches: bool) -> bool:
    """Whether a value is a real number or missing. switches: or True or False."""
    is_switch = isinstance(value, bool | np.bool_)
    return value is None or (switches if is_switch else isinstance(value, Real))


def _refuse_where(bad: np.ndarray, column: pd.Series, allowed: str) -> None:
    if bad.any():
        raise refuse(f"{column.name} in the result table", column.iloc[int(bad.argmax())], allowed)


def need_columns(have, names: Sequence[str], what: str) -> None:
    """Raise `ValueError` naming those of `names` that are not in `have`."""
    missing = [n for n in names if n not in have]
    if missing:
        raise ValueError(f"{what} lacks {', '.join(map(str, missing))}; needed: "
                         f"{', '.join(map(str, names))}.")


def finite_array(what: str, values) -> np.ndarray:
    """`values` as an array; `ValueError` unless all are finite numbers."""
    try:
        array = np.asarray(values)
    except (ValueError, TypeError):
        array = np.asarray(None)
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise refuse(what, values, "finite numbers, as many in each row")
    return array


def switch_array(what: str, values, shape: tuple) -> np.ndarray:
    """`values` as an array of True and False; `ValueError` unless it has this shape and holds
    nothing else (or 1 and 0)."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" or array.shape != shape or not np.isin(array, (0, 1)).all():
        raise refuse(what, values, f"True and False, of shape {shape}")
    return array.astype(bool)


def returns(what: str, value: object) -> np.ndarray:
    """The rule for finite numbers [task, rollout, episode]."""
    array = finite_array(what, value)
    if array.ndim != 3 or not array.size:
        allowed = "numbers [task, rollout, episode], one at least"
        raise ValueError(f"{what} has shape {array.shape}; allowed: {allowed}.")
    return array


def successes(what: str, value: object) -> np.ndarray:
    """The rule for True and False, or 1 and 0, [task, rollout, episode]."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):
        array = np.asarray(None)
    if array.ndim != 3:
        raise refuse(what, value, "True and False [task, rollout, episode]")
    return switch_array(what, array, array.shape)


def highest(what: str, value: object) -> np.ndarray:
    """The rule for finite numbers [task]."""
    array = finite_array(what, value)
    if array.ndim != 1 or not array.size:
        raise refuse(what, value, "a number for each task")
    return array


def encode(table: pd.DataFrame, name: str) -> bytes:
    """The table's file: CSV in UTF-8, gzipped for a name in .gz; the same table, the same bytes."""
    gz = {"method": "gzip", "mtime": 0, "filename": name} if name.endswith(".gz") else None
    buffer = io.BytesIO()
    validate(table).to_csv(buffer, index=False, float_format="%.5g", compression=gz,
                           lineterminator="\n", encoding="utf-8")
    return buffer.getvalue()


def decode(data: bytes, path: str | Path) -> pd.DataFrame:
    """The table of a file's bytes; `StoreError`, naming the file `path`, if they are no table that
    can be trusted."""
    try:
        text = gzip.decompress(data) if str(path).endswith(".gz") else data
        # the word "none" is a setting here, only an empty field is a missing value
        table = pd.read_csv(io.BytesIO(text), keep_default_na=False, na_values=[""],
                            dtype={"task": str}, low_memory=False, encoding="utf-8")
        return validate(table)
    except (ValueError, TypeError, EOFError, OSError, zlib.error) as error:
        why = " ".join(str(error).split()).rstrip(".")
        raise StoreError(f"{path} is no whole result table: {why}.") from error


@checked
def save(table: pd.DataFrame, path: str | Path) -> None:
    """Write the table as CSV, or gzipped CSV for a name in .gz, whole or not at all; the same table
    always gives the same bytes. `StoreError` if it cannot be written, `ValueError` if it cannot be
    trusted."""
    store.write(path, encode(table, Path(path).name))


@checked
def load(*paths: str | Path) -> pd.DataFrame:
    """Read one or more tables written by `save`, as one. `StoreError`, naming the file, for one
    that cannot be used."""
    if not paths:
        raise refuse("paths", paths, "the path of one table or more")
    tables = [decode(store.read(path), path) for path in paths]
    return tables[0] if len(tables) == 1 else validate(pd.concat(tables, ignore_index=True))
