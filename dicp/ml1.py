"""The five Meta-World tasks of the paper's Table 1: what "success" means, and our numbers."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

import pandas as pd

from dicp import results
from dicp.bootstrap import CELL, interval
from dicp.checks import Number, OneOf, checked, one_of, refuse
from dicp.config import Config
from dicp.config.parts import Instances, Long
from dicp.tables import need_columns

__all__ = [
    "MEANINGS", "RUNS", "TASKS", "TWINS", "ablations", "above_blind", "cut", "gains", "outcomes",
    "rankings", "recorded", "success_per_episode", "successes",
]

# as the paper writes
TASKS = {name: f"{name}-v3" for name in ("reach", "push", "pick-place", "sweep", "peg-insert-side")}
# of dicp.reproduce
RUNS = {
    "ad": "AD", "idt": "IDT",
    "dicp_ad": "DICP-AD, policy only", "dicp_idt": "DICP-IDT, policy only",
    "dicp_ad_paper": "DICP-AD", "dicp_idt_paper": "DICP-IDT",
}
TWINS = {"dicp_ad_paper": "ad", "dicp_idt_paper": "idt"}     # DICP's, imitation's
MEANINGS = {"success": "success per episode, last fifth", "solved_so_far": "solved so far"}
# share of a rollout, counted from its end
Last = Annotated[float, Number(0, 1, above=True)]


def _tables(what: str, value: object) -> dict[str, pd.DataFrame]:
    """The rule for result tables by the name of their task."""
    tables = list(value.values()) if isinstance(value, Mapping) else [None]
    if not all(isinstance(table, pd.DataFrame) for table in tables):
        raise refuse(what, value, "result tables by the name of their task")
    return dict(value)


Tables = Annotated[Mapping[str, pd.DataFrame], _tables]


def recorded() -> dict[str, pd.DataFrame]:
    """The recorded runs of each of the five tasks that has any
    (`python -m dicp.reproduce --env metaworld --task reach-v3`)."""
    worlds = {name: f"metaworld-{task}" for name, task in TASKS.items()}
    found = {name: world for name, world in worlds.items() if results.is_recorded(world)}
    return {name: results.recorded(world) for name, world in found.items()}


def _of_runs(table: pd.DataFrame) -> pd.DataFrame:
    need_columns(table.columns, ("run",), "the result table")
    if table.empty:
        raise ValueError("the result table has no rows; allowed: at least one.")
    table = results.compact(table)
    twice = table["run"][table.duplicated(["run", *CELL, "episode"])]
    if len(twice):
        run = twice.iloc[0]
        raise ValueError(f"the result table mixes settings in the run {run}; select one of them.")
    return table


@checked
def cut(
    config: Config, train_instances: Instances = 10, env_steps: Long = 2000, updates: Long = 300
) -> Config:
    """The same with a fraction of the source's runs and of the training: a quarter of an hour on
    one core where everything takes two hours. It shows how things work; its results are not those
    of the project. `ValueError` where the world is not Meta-World."""
    one_of("config.env.name", config.env.name, ("metaworld",))
    source = replace(
        config.source, train_instances=train_instances, test_instances=1, env_steps=env_steps
    )
    return replace(config, source=source, train=replace(config.train, updates=updates))


@checked
def outcomes(table: pd.DataFrame, last: Last = 0.2) -> pd.DataFrame:
    """What became of each rollout: a row per (run, split, train_seed, task) with a column for each
    meaning of success.

    success: episodes with success at any step of them (Meta-World's official criterion), of the
    `last` share of each rollout; episode_return: their return. solved_so_far: whether it was solved
    in any episode of the rollout (what the paper's figures and tables show). """
    table = _of_runs(table)
    n = table.groupby("run")["episode"].transform("max")
    by = ["run", *CELL]
    late = table[table["episode"] > (1 - last) * n].groupby(by, sort=False)
    end = table[table["episode"] == n].set_index(by)["solved_so_far"]
    return pd.concat([late[["success", "episode_return"]].mean(), end], axis=1)


@checked
def successes(table: pd.DataFrame, last: Last = 0.2) -> pd.DataFrame:
    """Each run's share of successes with its 95% interval over instances (and splits): a row per
    (run, metric), with the columns of `results.summary`; `outcomes` says what the metrics are."""
    table, rows = _of_runs(table), []
    for run, rollouts in outcomes(table, last).groupby("run", sort=False):
        part, cells = table[table["run"] == run], rollouts.index.to_frame(index=False)[CELL]
        sizes = {
            "n_tasks": cells["task"].nunique(),
            "n_train_seeds": len(cells[["split", "train_seed"]].drop_duplicates()),
        }
        setting, env_steps = part.iloc[0][list(results.BY)], part["env_steps"].max()
        for metric in MEANINGS:
            point, low, high = interval(cells, rollouts[metric])
            rows.append({"run": run, **setting, "metric": metric, "value": point,
                         "low": low, "high": high, **sizes, "env_steps": env_steps})
    return pd.DataFrame(rows)


@checked
def above_blind(table: pd.DataFrame) -> pd.DataFrame:
    """How much more often each run succeeds late in the rollout than the scripted expert that goes
    blindly for the mean training goal (`dicp.experts`), instance by instance: a row a run (index)
    with value, low and high of the mean difference (95% over instances).

    What is not above 0 need not have found out anything of its instance. `ValueError` without runs
    of the blind expert.
    """
    late, rows = outcomes(table)["success"], {}
    one_of("control", "blind", late.index.levels[0])
    for run in RUNS:
        if run in late.index.levels[0]:
            rows[run] = _mean_difference(late.loc[run], late.loc["blind"])
    return pd.DataFrame(rows, index=["value", "low", "high"]).T


def _mean_difference(one: pd.Series, other: pd.Series) -> tuple[float, float, float]:
    """(value, low, high) over the instances that both lived in."""
    difference = (one - other).dropna()
    return interval(difference.index.to_frame(index=False), difference)


@checked
def gains(table: pd.DataFrame) -> pd.DataFrame:
    """How much more often DICP succeeds late in the rollout than its twin which imitates alone,
    instance by instance: a row a pair (index: DICP's run) with value, low and high of the mean
    difference (95% over the instances that both lived in)."""
    late, rows = outcomes(table)["success"], {}
    for run, twin in TWINS.items():
        if {run, twin} <= set(late.index.levels[0]):
            rows[run] = _mean_difference(late.loc[run], late.loc[twin])
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high"])


@checked
def rankings(tables: Tables) -> pd.DataFrame:
    """What DICP's candidates are ranked by, and what comes of it late in the rollout: a row a run
    with the task, the imitator (ad | idt), the ranking (policy alone | reward | return-to-go),
    success and episode_return (means over instances). Tasks in which one ranking alone is recorded
    are left out: there is nothing to compare."""
    rows, suffixes = [], ("", "_paper", "_paper_reward", "_paper_return_to_go")
    for task, table in tables.items():
        late = outcomes(table)[["success", "episode_return"]].groupby("run").mean()
        for run, imitator in ((run, imitator) for imitator in ("ad", "idt") for run in late.index):
            if run in {f"dicp_{imitator}{suffix}" for suffix in suffixes}:
                by = _ranked_by(table[table["run"] == run].iloc[0])
                rows.append({"task": task, "imitator": imitator, "ranking": by, **late.loc[run]})
    table = pd.DataFrame(rows, columns=["task", "imitator", "ranking", "success", "episode_return"])
    tried = table["ranking"].where(table["ranking"] != "policy alone").groupby(table["task"])
    return table[tried.transform("nunique") > 1].reset_index(drop=True)


def _ranked_by(row: pd.Series) -> str:
    if row["planner"] == "none":
        return "policy alone"
    return "return-to-go" if row["return_to_go"] else "reward"


@checked
def success_per_episode(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `successes` with that metric."""
    return successes(table).query("metric == 'success'")


@checked
def ablations(target: Annotated[str, OneOf(("ad", "idt"))]) -> dict:
    """What is changed in DICP-AD or DICP-IDT, one setting at a time: panels for
    `plot.ablations`."""
    policy, base = f"dicp_{target}", f"dicp_{target}_paper"
    name = target.upper()
    alone = {
        label: {"drawn": run, "likeliest": f"{run}_greedy"}
        for label, run in ((name, target), (f"DICP-{name}, no planner", policy))
    }
    changed = {
        "the number of candidates": {5: f"{base}_l5", 10: base, 15: f"{base}_l15"},
        "the imagined steps": {1: base, 2: f"{base}_depth2", 4: f"{base}_depth4"},
        "the ranking": {"reward": base, "return-to-go": f"{base}_return_to_go"},
        "the start of planning": {
            "at the start": f"{base}_from0", "context full": f"{base}_step0",
            "... and step 50": base,
        },
    }
    planned = {what: {"the paper's planner": points} for what, points in changed.items()}
    return planned | {"the policy's noise (no planner)": alone}
