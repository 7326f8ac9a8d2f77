"""One tidy table: what was run, on which task, and what each episode brought; honest intervals.

`dicp.tables` says what its two forms are, the full one and the compact one that is shipped. Every
statistic here gives the same number from both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch

import dicp
from dicp import tables
from dicp.bootstrap import CELL, interval
from dicp.checks import Count, Each, Index, OneOf, Share, checked, one_of, refuse, text
from dicp.config import Config, PlanConfig, registry
from dicp.config.env import named
from dicp.domain import domain_of
from dicp.recordings import is_recorded, recorded
from dicp.results_checks import check_settings, check_tasks, counts_of, recorded_rollouts
from dicp.rollout_checks import a_plan
from dicp.tables import CONTROLS, MEASURES, PROVENANCE, REQUIRED, load, save, settings_of, validate
from dicp.types import Log

__all__ = [
    "BY", "CONTROLS", "MEASURES", "REQUIRED", "build", "compact", "curve", "difference",
    "env_steps_to_solve", "from_rollouts", "from_source", "in_blocks", "is_recorded", "load",
    "normalised", "plan_settings", "recorded", "refuse_pooling", "save",
    "settings_of", "summary", "validate",
]

BY = ("env", "method", "world_model", "planner")
VALUES = ("episode_return", "normalised", "success", "solved_so_far")
Columns = Annotated[Sequence[str], Each(text)]


@checked
def plan_settings(plan: Annotated[PlanConfig | Callable | None, a_plan]) -> dict:
    """A planner's settings as flat columns; without a planner only `planner` = "none", of one that
    is none of ours "own"."""
    if isinstance(plan, PlanConfig):
        return asdict(plan)
    return {"planner": "none" if plan is None else "own"}


@checked
def build(
    returns: Annotated[Any, tables.returns],
    settings: Mapping,
    *,
    tasks: Sequence,
    max_return: Annotated[Any, tables.highest],
    horizon: Count,
    success: Annotated[Any, tables.successes] | None = None,
    plans: Annotated[Any, tables.returns] | None = None,
    deluded: Annotated[Any, tables.returns] | None = None,
) -> pd.DataFrame:
    """The full table of one run.

    returns, success, and how many plans were made and were deluded: [task, rollout, episode].
    max_return: the highest possible return of each task. horizon: env steps an episode. settings:
    scalars that become columns; they must hold `REQUIRED` (see `plan_settings`). Without `success`
    an episode counts as solved once it reached the goal (key-to-door: opened the door).
    """
    check_tasks(returns, tasks, max_return)
    check_settings(settings)
    if success is None:
        world = domain_of(named(one_of("env", settings["env"], registry.names()), None))
        if world.says_success:
            raise refuse("success", None, f"that of each episode, which {world.config.name} tells")
        success = world.solved(torch.as_tensor(returns), tasks).numpy()
    success = tables.switch_array("success", success, returns.shape)
    task, rollout, episode = (i.ravel() for i in np.indices(returns.shape))
    columns = {"rollout_seed": 0, **settings}
    columns |= {
        "task": np.array([str(t) for t in tasks])[task], "rollout": rollout, "episode": episode + 1,
        "env_steps": (episode + 1) * horizon, "episode_return": returns.ravel(),
        "max_return": max_return[task], "success": success.ravel().astype(int),
        "solved_so_far": np.maximum.accumulate(success, axis=-1).ravel().astype(int),
        "code_version": dicp.__version__,
    }
    columns |= counts_of(returns.shape, plans=plans, deluded=deluded)
    return validate(pd.DataFrame(columns))


@checked
def from_rollouts(
    rollouts: Annotated[object, recorded_rollouts], config: Config, tasks: Sequence,
    plan: Annotated[PlanConfig | Callable | None, a_plan] = None, *, rollout_seed: Index = 0,
    **settings,
) -> pd.DataFrame:
    """The full table of one `dicp.rollout.Rollouts` of the model that `config` describes.

    settings: further columns, or replacements: `method="random", world_model="none"` for a control.
    """
    columns = {
        "env": config.env.name, "split": config.split, "method": config.method,
        "world_model": config.model.world_model, **plan_settings(plan),
        "train_seed": config.train.seed, "rollout_seed": rollout_seed, "config_hash": config.key,
        **domain_of(config.env).columns,
    }
    success = rollouts.episode_success
    if success is None:
        success = domain_of(config.env).solved(rollouts.episode_return, tasks)
    made, steps = {}, {"plans": "made", "deluded": "deluded"}
    for name, field in steps.items():
        x = getattr(rollouts, field, None)
        made[name] = None if x is None else x.unflatten(-1, (-1, rollouts.horizon)).sum(-1).numpy()
    return build(
        rollouts.episode_return.numpy(), columns | settings, tasks=tasks,
        max_return=rollouts.max_return.tolist(), horizon=rollouts.horizon, success=success, **made,
    )


@checked
def from_source(log: Log, config: Config, tasks: Sequence, **settings) -> pd.DataFrame:
    """The full table of the source algorithm on `tasks`, its streams as rollouts: the same env
    steps, weight updates."""
    columns = {
        "env": config.env.name, "split": config.split, "method": "source", "world_model": "none",
        "planner": "none", "train_seed": config.train.seed, "rollout_seed": config.source_seed,
        **domain_of(config.env).columns,
    }
    world, horizon, returns = domain_of(config.env), config.env.horizon, log.episode_returns
    max_return = world.max_return(tasks).tolist()
    if log.success is None:
        success = world.solved(returns, tasks)
    else:
        success = log.success.unflatten(-1, (-1, horizon)).amax(-1)
    return build(
        returns.numpy(), columns | settings, tasks=tasks, max_return=max_return, horizon=horizon,
        success=success,
    )


@checked
def compact(table: pd.DataFrame) -> pd.DataFrame:
    """Means over rollouts, a row per (settings, train seed, task, episode).

    `success` and `solved_so_far` become shares. `return_after_find` is the mean return of those
    rollouts that had solved the task in an earlier episode (empty where there are none).
    """
    if "rollout" not in validate(table):
        return table
    # stable: the earlier episodes of a rollout come first, so the row before is the episode before
    table = table.sort_values("episode", kind="stable")
    rollout = [*settings_of(table), "split", "train_seed", "task", "rollout_seed", "rollout"]
    solved = table.groupby(rollout, dropna=False, sort=False)["solved_so_far"]
    solved_before = solved.shift(fill_value=0)
    table = table.assign(return_after_find=table["episode_return"].where(solved_before == 1))
    provenance = [c for c in PROVENANCE if c in table]
    key = [*settings_of(table), "split", "train_seed", *provenance, "task", "env_steps", "episode"]
    averaged = ("episode_return", "max_return", "success", "solved_so_far", "return_after_find")
    means = {c: (c, "mean") for c in averaged}
    means |= {c: (c, "mean") for c in tables.PLANS if c in table}
    groups = table.groupby(key, dropna=False, sort=False)
    return validate(groups.agg(n_rollouts=("rollout", "size"), **means).reset_index())


@checked
def in_blocks(table: pd.DataFrame, size: Count) -> pd.DataFrame:
    """The compact table with `size` episodes a row: means over them, and under the number of the
    last one. For rollouts of thousands of episodes."""
    table = compact(table)
    if (n := table["episode"].max()) % size:
        raise ValueError(f"size is {size}; allowed: a divisor of the {n} episodes.")
    last = -(-table["episode"] // size) * size
    table = table.assign(episode=last, env_steps=table["env_steps"].where(table["episode"] == last))
    key = [c for c in table.columns if c not in (*MEASURES, "return_after_find")]
    how = {"env_steps": "max", "solved_so_far": "last"}
    values = {c: (c, how.get(c, "mean")) for c in (*MEASURES, "return_after_find")}
    blocks = table.groupby(key, dropna=False, sort=False).agg(**values).reset_index()
    return validate(blocks.astype({"env_steps": int}))


@checked
def normalised(table: pd.DataFrame) -> pd.Series:
    """Return of each row as a share of the highest possible return of its task."""
    tables.need_columns(table.columns, ("episode_return", "max_return"), "the result table")
    return table["episode_return"] / table["max_return"]


@checked
def refuse_pooling(table: pd.DataFrame, by: Columns) -> None:
    """Raise `ValueError` if rows with equal `by` differ in any other setting: their mean would mean
    nothing."""
    tables.need_columns(table.columns, by, "the result table")
    for column in (c for c in settings_of(table) if c not in by):
        groups = table.groupby(list(by), dropna=False)[column] if by else [((), table[column])]
        for _, values in groups:
            if len(found := values.unique()) > 1:
                mixed = ", ".join(map(repr, found.tolist()))
                raise ValueError(
                    f"the table mixes {column} {mixed}; select one, or add {column!r} to `by`."
                )


@checked
def curve(
    table: pd.DataFrame, value: Annotated[str, OneOf(VALUES)] = "episode_return"
) -> pd.DataFrame:
    """Mean over tasks and seeds after each episode with its 95% interval: columns env_steps, mean,
    low, high.

    `table` holds one setting. value: episode_return | normalised | success | solved_so_far.
    """
    if table.empty:
        raise ValueError("the result table has no rows; allowed: at least one.")
    refuse_pooling(table, ())
    wide = compact(table).assign(normalised=normalised)
    wide = wide.pivot(index=CELL, columns="env_steps", values=value)
    mean, low, high = interval(wide.index.to_frame(index=False), wide.to_numpy())
    return pd.DataFrame({"env_steps": wide.columns, "mean": mean, "low": low, "high": high})


@checked
def env_steps_to_solve(table: pd.DataFrame, share: Share = 0.5) -> float:
    """Env steps until `share` of the rollouts have solved their task once; infinite if never."""
    mean = curve(table, "solved_so_far")
    solved = mean["mean"] >= share
    return float(mean.loc[solved, "env_steps"].min()) if solved.any() else float("inf")


@checked
def summary(
    table: pd.DataFrame, by: Columns = BY, *, last: Count = 10, found_by: Count = 5,
    statistic: Annotated[str, OneOf(("mean", "iqm"))] = "mean",
) -> pd.DataFrame:
    """Four numbers a method, each with its 95% bootstrap interval: a row per (by, metric).

    last_10_episodes, all_episodes: mean return. found_by_5: share of rollouts that solved the task
    by episode 5. after_find: mean return of all episodes that come after the first solved one
    (always the mean, never the IQM). Returns are normalised.
    """
    if not by:
        raise refuse("by", by, "the name of one column or more")
    refuse_pooling(table, by)
    rows = []
    for names, group in compact(table).groupby(list(by), dropna=False, sort=False):
        index, metrics = _cell_values(group, last, found_by)
        setting = dict(zip(by, names, strict=True))
        sizes = {
            "n_tasks": index["task"].nunique(),
            "n_train_seeds": len(index[["split", "train_seed"]].drop_duplicates()),
            "n_rollouts": int(group.loc[group["episode"] == 1, "n_rollouts"].sum()),
        }
        for metric, (value, count) in metrics.items():
            kind = "mean" if metric == "after_find" else statistic
            point, low, high = interval(index, value, count, statistic=kind)
            found = {"metric": metric, "value": point, "low": low, "high": high}
            rows.append(setting | found | sizes)
    return pd.DataFrame(rows)


@checked
def difference(
    table: pd.DataFrame, run: str, other: str, *, last: Count | None = None
) -> tuple[float, float, float]:
    """(value, low, high): how much more of the highest return `run` gets than `other`, on the same
    held-out tasks of the same splits, with its 95% bootstrap interval over splits and tasks.

    last: of the last so many episodes alone (None: of all). `ValueError` for a run that the table
    does not hold, or two that share no task.
    """
    tables.need_columns(table.columns, ("run",), "the result table")
    shares = []
    for name in (run, other):
        rows = table[table["run"] == one_of("run", name, table["run"].unique())]
        refuse_pooling(rows, ())
        rows = compact(rows).assign(share=normalised)
        first = 0 if last is None else rows["episode"].max() - last
        shares.append(rows[rows["episode"] > first].groupby(CELL)["share"].mean())
    both = (shares[0] - shares[1]).dropna()
    if both.empty:
        raise refuse("other", other, f"a run with tasks that {run!r} has, too")
    return interval(both.index.to_frame(index=False), both)


def _cell_values(group: pd.DataFrame, last: int, found_by: int) -> tuple[pd.DataFrame, dict]:
    """The cells of one setting; for each metric (sum, count) over rollouts and episodes in each."""
    columns = ["share", "after", "solved_so_far", "n_rollouts"]
    after = group["return_after_find"] / group["max_return"]
    group = group.assign(share=normalised, after=after)
    wide = group.pivot(index=CELL, columns="episode", values=columns)
    share, after, solved, n_rollouts = (wide[column].to_numpy() for column in columns)
    n = share.shape[1]
    if not 1 <= found_by <= n:
        raise ValueError(f"found_by is {found_by}; allowed: 1 to {n}, the number of episodes.")
    # rollouts, before each episode
    had_found = np.pad(solved[:, :-1], ((0, 0), (1, 0))) * n_rollouts
    return wide.index.to_frame(index=False), {
        f"last_{last}_episodes": (share[:, -last:].mean(1), 1),
        "all_episodes": (share.mean(1), 1),
        f"found_by_{found_by}": (solved[:, found_by - 1], 1),
        "after_find": (np.nansum(after * had_found, 1), had_found.sum(1)),
    }
