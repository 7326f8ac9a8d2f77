"""The five Meta-World tasks of the paper's Table 1: what "success" means, and our numbers beside the published ones."""

from collections.abc import Mapping

import pandas as pd

from dicp import results
from dicp.bootstrap import CELL, interval
from dicp.paper import paper_table

TASKS = {name: f"{name}-v3" for name in ("reach", "push", "pick-place", "sweep", "peg-insert-side")}     # as the paper writes
RUNS = {"ad": "AD", "idt": "IDT", "dicp_ad_paper": "DICP-AD", "dicp_idt_paper": "DICP-IDT"}              # dicp.reproduce's
MEANINGS = {"success": "success per episode, last fifth", "solved_so_far": "solved so far"}


def recorded() -> dict[str, pd.DataFrame]:
    """The recorded runs of each of the five tasks that has any (`python -m dicp.reproduce --env metaworld --task reach-v3`)."""
    worlds = {name: f"metaworld-{task}" for name, task in TASKS.items()}
    return {name: results.recorded(world) for name, world in worlds.items() if results.recorded_path(world).exists()}


def successes(table: pd.DataFrame, last: float = 0.2) -> pd.DataFrame:
    """Each run's share of successes with its 95% interval over instances (and splits): a row per (run, metric), with the
    columns of `results.summary`.

    success: episodes with success at any step of them (Meta-World's official criterion), of the `last` share of each life.
    solved_so_far: instances that were solved in any episode of the life (what the paper's figures and tables show).
    """
    rows = []
    for run, part in results.compact(table).groupby("run", sort=False):
        wide = part.pivot(index=CELL, columns="episode", values=["success", "solved_so_far"])
        index, n = wide.index.to_frame(index=False), part["episode"].max()
        late = wide["success"].loc[:, wide["success"].columns > (1 - last) * n]
        for metric, value in (("success", late.mean(axis=1)), ("solved_so_far", wide["solved_so_far"][n])):
            point, low, high = interval(index, value)
            sizes = {"n_tasks": index["task"].nunique(), "n_train_seeds": len(index[["split", "train_seed"]].drop_duplicates())}
            rows.append({"run": run, **part.iloc[0][list(results.BY)], "metric": metric, "value": point, "low": low,
                         "high": high, **sizes, "env_steps": part["env_steps"].max()})
    return pd.DataFrame(rows)


def claims(numbers: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """What `successes` of each task's recorded runs say, a sentence for each meaning of success: titles of figures."""
    value = pd.concat(numbers, names=["task"]).set_index(["metric", "run"], append=True)["value"].droplevel(1)
    late, once = (value.xs(metric, level="metric").unstack("task").reindex(RUNS) for metric in MEANINGS)
    twins = {run: run.removeprefix("dicp_").removesuffix("_paper") for run in RUNS if run.startswith("dicp")}
    gain = late.loc[list(twins)] - late.loc[list(twins.values())].to_numpy()
    ahead, often = int((gain > 0).sum().sum()), int((once >= 0.9).sum().sum())
    pairs, agents = int(gain.count().sum()), int(once.count().sum())
    return {
        "success": f"The planner succeeds more often than imitation alone in {ahead} of {pairs} comparisons",
        "solved_so_far": f"Counted as the paper does, {often} of {agents} agents end at 90% or more",
    }


def percent(row) -> str:
    """A row of `successes` as text, in percent, with its interval."""
    return f"{100 * row.value:.0f} [{100 * row.low:.0f}, {100 * row.high:.0f}]"


def success_per_episode(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `successes` with that metric."""
    return successes(table).query("metric == 'success'")


def ablations(imitates: str) -> dict:
    """What is changed in DICP-AD or DICP-IDT, one setting at a time: panels for `plot.ablations`."""
    policy, base = f"dicp_{imitates}", f"dicp_{imitates}_paper"
    alone = {name: {"drawn": run, "likeliest": f"{run}_greedy"}
             for name, run in ((imitates.upper(), imitates), (f"DICP-{imitates.upper()}, no planner", policy))}
    changed = {
        "candidates L": {5: f"{base}_l5", 10: base, 15: f"{base}_l15"},
        "imagined steps": {1: base, 2: f"{base}_depth2", 4: f"{base}_depth4"},
        "ranked by": {"reward": base, "return-to-go": f"{base}_return_to_go"},
        "planning starts": {"at birth": f"{base}_from0", "context full": f"{base}_step0", "... and step 50": base},
    }
    return {name: {"the paper's planner": points} for name, points in changed.items()} | {"no planner: actions": alone}


def poster(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The paper's Table 1, in percent, each row with its budget and who ran it, and our recorded runs below: task by task, in
    both meanings of success, with 95% intervals over instances. "" where there is no number."""
    columns, rows = ["method", *TASKS, "most env steps", "origin"], []
    quoted = paper_table("table1_ml1_success").rename(columns={"max_env_steps": "most env steps"})[columns]
    for name in TASKS:
        quoted[name] = quoted[name].map(lambda x: "" if pd.isna(x) else f"{x:.0f}")
    if not tables:
        return quoted
    numbers = pd.concat([successes(table).assign(task=name) for name, table in tables.items()])
    for metric, meaning in MEANINGS.items():
        for run, method in RUNS.items():
            cells = numbers[(numbers["run"] == run) & (numbers["metric"] == metric)].set_index("task")
            if len(cells):
                text = {row.Index: percent(row) for row in cells.itertuples()}
                budget = f"{cells['env_steps'].max() // 1000}K"
                rows.append({"method": method, **text, "most env steps": budget, "origin": f"ours: {meaning}"})
    return pd.concat([quoted, pd.DataFrame(rows, columns=columns)], ignore_index=True).fillna("")
