"""The five Meta-World tasks of the paper's Table 1: what "success" means, and our numbers beside
the published ones."""

from collections.abc import Mapping
from typing import Annotated

import pandas as pd

from dicp import results
from dicp.bootstrap import CELL, interval
from dicp.checks import Number, OneOf, Share, checked, one_of, refuse
from dicp.paper import paper_table
from dicp.tables import need_columns

__all__ = [
    "MEANINGS", "RUNS", "TASKS", "TWINS", "ablations", "above_blind", "better_ranking", "claims",
    "gains", "outcomes", "percent", "points", "poster", "rankings", "recorded",
    "success_per_episode", "successes", "what_matters",
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


def _panels(what: str, value: object) -> Mapping:
    """The rule for what `ablations` returns: panel -> series -> point -> run."""
    panels = list(value.values()) if isinstance(value, Mapping) else [None]
    series = [points for panel in panels if isinstance(panel, Mapping) for points in panel.values()]
    if not all(isinstance(x, Mapping) for x in (*panels, *series)):
        raise refuse(what, value, "panels as dicp.ml1.ablations returns them")
    return value


def _number_with_interval(what: str, value: object) -> object:
    """The rule for a row of `successes`."""
    if not all(hasattr(value, name) for name in ("value", "low", "high")):
        raise refuse(what, value, "a row of dicp.ml1.successes")
    return value


Tables = Annotated[Mapping[str, pd.DataFrame], _tables]


def recorded() -> dict[str, pd.DataFrame]:
    """The recorded runs of each of the five tasks that has any
    (`python -m dicp.reproduce --env metaworld --task reach-v3`)."""
    worlds = {name: f"metaworld-{task}" for name, task in TASKS.items()}
    there = {name: world for name, world in worlds.items() if results.is_recorded(world)}
    return {name: results.recorded(world) for name, world in there.items()}


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
def better_ranking(tables: Tables) -> str:
    """Which ranking brings more success in which task, on average over the imitators that tried
    both: a title of a figure."""
    rows = rankings(tables)
    tried = rows.pivot_table(index="task", columns="ranking", values="success", sort=False)
    tried = tried.reindex(columns=["reward", "return-to-go"]).dropna()
    groups = tried.groupby(tried.idxmax(axis=1)).groups
    better = {name: ", ".join(group) for name, group in groups.items()}
    sides = "; ".join(f"by {name}: {better[name]}" for name in tried if name in better)
    return f"Better {sides}" if sides else "What the planner ranks by was not varied"


@checked
def claims(tables: Tables) -> dict[str, str]:
    """What the recorded runs of imitation and of DICP with its planner say, a sentence for each
    meaning of success: titles of figures."""
    if not tables:
        raise refuse("tables", tables, "the result table of one task or more")
    pairs = pd.concat([gains(table) for table in tables.values()])
    solved = [outcomes(table)["solved_so_far"].groupby("run").mean() for table in tables.values()]
    once = pd.concat([share.reindex([*TWINS, *TWINS.values()]).dropna() for share in solved])
    ahead, behind = int((pairs["low"] > 0).sum()), int((pairs["high"] < 0).sum())
    others = f", less often in {behind}" if behind else ""
    compared = f"{ahead} of {len(pairs)} comparisons{others}"
    planned = f"DICP succeeds more often than imitation alone in {compared}"
    solving = f"{int((once >= 0.9).sum())} of {len(once)} agents"
    return {
        "success": planned if len(pairs) else "Success, episode by episode",
        "solved_so_far": f"Counted as the paper does, {solving} end at 90% or more",
    }


@checked
def percent(row: Annotated[object, _number_with_interval]) -> str:
    """A row of `successes` as text, in percent, with its interval."""
    return f"{100 * row.value:.0f} [{100 * row.low:.0f}, {100 * row.high:.0f}]"


@checked
def points(row: Annotated[object, _number_with_interval]) -> str:
    """A row of `gains` or `above_blind` as text, in percentage points, with its interval."""
    return f"{100 * row.value:+.0f} [{100 * row.low:.0f}, {100 * row.high:.0f}]"


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
    return planned | {"the dice (no planner)": alone}


@checked
def what_matters(
    table: pd.DataFrame, panels: Annotated[Mapping, _panels], least: Share = 0.1
) -> str:
    """A title for `plot.ablations`: the panels in which what is changed moves the success late in
    rollout by `least`."""
    late = success_per_episode(table).set_index("run")["value"]
    lines = {panel: [late.reindex(list(points.values())).dropna() for points in series.values()]
             for panel, series in panels.items()}
    moves = {
        panel: max((line.max() - line.min() for line in known if len(line)), default=0)
        for panel, known in lines.items()
    }
    strong = [panel for panel in moves if moves[panel] >= least]
    strong.sort(key=moves.get, reverse=True)
    if not strong:
        return "Nothing that is changed here matters much"
    return f"Success hangs on {' and '.join(strong)}"


@checked
def poster(tables: Tables) -> pd.DataFrame:
    """The paper's Table 1, in percent, each row with its budget and who ran it, and our recorded
    runs below: task by task, in both meanings of success, with 95% intervals over instances. ""
    where there is no number."""
    for name in tables:
        one_of("task", name, TASKS)
    columns, rows = ["method", *TASKS, "most env steps", "origin"], []
    quoted = paper_table("table1_ml1_success")
    quoted = quoted.rename(columns={"max_env_steps": "most env steps"})[columns]
    for name in TASKS:
        quoted[name] = quoted[name].map(lambda x: "" if pd.isna(x) else f"{x:.0f}")
    if not tables:
        return quoted
    numbers = pd.concat([successes(table).assign(task=name) for name, table in tables.items()])
    for metric, meaning in MEANINGS.items():
        for run, method in RUNS.items():
            cells = numbers[(numbers["run"] == run) & (numbers["metric"] == metric)]
            cells = cells.set_index("task")
            if len(cells):
                text = {row.Index: percent(row) for row in cells.itertuples()}
                budget = f"{cells['env_steps'].max() // 1000}K"
                origin = f"ours: {meaning}"
                row = {"method": method, **text, "most env steps": budget, "origin": origin}
                rows.append(row)
    return pd.concat([quoted, pd.DataFrame(rows, columns=columns)], ignore_index=True).fillna("")
