"""The control that decides: what a world model is trained on x what it is x its planner, as
numbers.

Everything but the world model is the same in all of its runs: the tasks, the random numbers, and
AD's policy of the same split, which acts where nothing is planned, proposes and breaks ties.
"""

from typing import Annotated

import pandas as pd

from dicp import results
from dicp.checks import OneOf, checked
from dicp.config import PLANNERS
from dicp.runs import COMPLIANT, CONTROL, N_SEEDS, WHY, Run
from dicp.tables import need_columns

__all__ = [
    "DATA_NAMES", "MODELS", "by_run", "of_all_seeds", "of_the_data", "planners_in", "seeds_of"
]

MODELS = {
    "queries": "queries", "heads": "the paper's heads", "table": "a table, no learning",
    "queries_once": "queries, every token counts once",
    "queries_plain": "queries, cells under their own names, every token counts once",
    "table_faint": "a table, of new cells a hundredth of what was counted",
    "heads_long": "the paper's heads, ten times the updates",
}
DATA_NAMES = {
    "first": "first episodes",
    "all": "whole histories",
    "exact": "rollouts of the exact belief",
    "half": "half first episodes, half rollouts of the exact belief",
    "own": "half first episodes, half its own plans",
}
LAST, FOUND_BY = 10, 5
METRICS = {
    "all": "all_episodes",
    "last": f"last_{LAST}_episodes",
    "found": f"found_by_{FOUND_BY}",
}


@checked
def planners_in(table: pd.DataFrame) -> list[str]:
    """The planners for which some run of the control is recorded."""
    need_columns(table.columns, ("run",), "the result table")
    names_found = set(table["run"])
    recorded = {run.planner for run in CONTROL if run.name in names_found}
    return [planner for planner in PLANNERS[1:] if planner in recorded]


def parts_of(run: Run) -> tuple[str, str]:
    """(model, data) of a run, as its name has them."""
    model, data, *word, _ = run.name.split("_")
    return "_".join((model, *word)), data


@checked
def by_run(table: pd.DataFrame) -> pd.DataFrame:
    """A row a recorded run of the control: columns run, model, data, planner, splits; as (value,
    low, high) over splits and tasks: all, last (ten episodes), found (by episode 5); and the share
    of plans that count on a cell that gave no reward."""
    need_columns(table.columns, ("run", "plans", "deluded"), "the result table")
    rows = []
    for run in (*CONTROL, *WHY):
        part = table[table["run"] == run.name]
        if not len(part):
            continue
        model, data = parts_of(run)
        found = results.summary(part, ("run",), last=LAST, found_by=FOUND_BY).set_index("metric")
        found = found[["value", "low", "high"]]
        numbers = {short: tuple(found.loc[metric]) for short, metric in METRICS.items()}
        deluded = float(part["deluded"].sum() / (part["plans"].sum() or float("nan")))
        splits = part["split"].nunique()
        rows.append({"run": run.name, "model": model, "data": data, "planner": run.planner,
                     "splits": splits, **numbers, "deluded": deluded})
    columns = ["run", "model", "data", "planner", "splits", "all", "last", "found", "deluded"]
    return pd.DataFrame(rows, columns=columns)


@checked
def of_the_data(table: pd.DataFrame) -> pd.DataFrame:
    """What first episodes bring beside whole histories, with the same model and planner: columns
    model, planner, and as (value, low, high), paired over splits and tasks, all and last (ten
    episodes)."""
    need_columns(table.columns, ("run",), "the result table")
    names_found, rows = set(table["run"]), []
    for run in (*CONTROL, *WHY):
        other = run.name.replace("_first_", "_all_")
        if other == run.name or not {run.name, other} <= names_found:
            continue
        rows.append({"model": parts_of(run)[0], "planner": run.planner,
                     "all": results.difference(table, run.name, other),
                     "last": results.difference(table, run.name, other, last=LAST)})
    return pd.DataFrame(rows, columns=["model", "planner", "all", "last"])


@checked
def of_all_seeds(
    table: pd.DataFrame, model: Annotated[str, OneOf(("queries", "heads"))]
) -> tuple | None:
    """(training seeds a split and kind of data, difference of first episodes minus whole histories
    over all episodes with the Bayes planner, paired over splits, seeds and tasks, with its
    interval); None where no run has more than one seed."""
    need_columns(table.columns, ("run",), "the result table")
    names = {data: f"{model}_{data}_bayes" for data in ("first", "all")}
    one_run = table["run"].str.replace(r"_seed\d+$", "", regex=True)
    both = table.assign(run=one_run)[one_run.isin(names.values())]
    counts = both.groupby(["run", "split"])["train_seed"].nunique()
    if counts.empty or counts.max() == 1:
        return None
    return counts.unstack("run"), results.difference(both, *names.values())


@checked
def seeds_of(table: pd.DataFrame) -> pd.DataFrame:
    """Return over all episodes with the Bayes planner of each training that is recorded: columns
    model, data, split, seed (0, 1, ...: the number of the training) and value."""
    need_columns(table.columns, ("run", "split"), "the result table")
    rows, bayes = [], [run for run in (*CONTROL, *COMPLIANT) if run.planner == "bayes"]
    for run in (run for run in bayes if run.world_model != "table"):
        model, data = parts_of(run)
        for seed, suffix in enumerate(("", *(f"_seed{n}" for n in N_SEEDS[:-1]))):
            one_run = table[table["run"] == run.name + suffix]
            for split, part in one_run.groupby("split"):
                rows.append((model, data, split, seed, float(results.normalised(part).mean())))
    return pd.DataFrame(rows, columns=["model", "data", "split", "seed", "value"])
