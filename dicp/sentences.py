"""What the recorded runs of Meta-World say, as text: titles of figures, numbers with their
intervals, the paper's table with ours below it."""

from collections.abc import Mapping
from typing import Annotated

import pandas as pd

from dicp.checks import Share, checked, one_of, refuse
from dicp.ml1 import (
    MEANINGS,
    RUNS,
    TASKS,
    TWINS,
    Tables,
    gains,
    outcomes,
    rankings,
    success_per_episode,
    successes,
)
from dicp.paper import paper_table

__all__ = ["better_ranking", "claims", "percent", "points", "poster", "what_matters"]


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
def what_matters(
    table: pd.DataFrame, panels: Annotated[Mapping, _panels], least: Share = 0.1
) -> str:
    """A title for `plot.ablations`: the panels in which what is changed moves the success late in
    the rollout by `least`."""
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
    """The paper's Table 1, in percent, each row with its budget and its origin, and our recorded
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
