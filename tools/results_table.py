"""Write the results of the README and of docs/ from the recorded runs: python
tools/results_table.py [block ...]."""

import re
import sys
from functools import partial
from pathlib import Path

import pandas as pd

from dicp import control, ml1, probes, results, sentences, store
from dicp.checks import one_of
from dicp.config import ENVS, IMITATORS
from dicp.paper import HIGHEST, paper_curve, paper_table
from dicp.plot.overview import WORLDS, papers_best
from dicp.recordings import recorded_costs as cost_of
from dicp.runs import ABLATIONS, ML1_ABLATIONS, ROOMS, SPLITS, Run

METHODS = {target: target.upper() for target in IMITATORS}
ROWS = {
    "random": "random policy",
    "source": "source PPO (learns by gradient; its 100 streams share their updates)",
    **{
        run: label
        for target, name in METHODS.items()
        for run, label in {
            target: name, f"dicp_{target}": f"DICP-{name}, policy only",
            f"dicp_{target}_paper": f"DICP-{name}, the paper's planner",
            f"dicp_{target}_gated": f"DICP-{name}, `gated`",
        }.items()
    },
    "queries": "queries, `bayes`",
    "exact_belief": "exact belief over what is hidden (greedy planner)",
}
IN_ROOMS = {
    "random": "random policy", "source": "source PPO", "ad": "AD",
    "dicp_ad_paper": "DICP-AD, the paper's planner",
    "table_first_bayes": "a table, counted in first episodes",
    "table_all_bayes": "a table, counted in whole histories",
    "queries_first_bayes": "queries, trained on first episodes",
    "queries_all_bayes": "queries, trained on whole histories",
    "table_first_hopeful_bayes": "a table, of new cells twice what was counted in first episodes",
    "table_half_bayes": "a table, half first episodes, half rollouts of the exact belief",
    "queries_half_bayes": "queries, half first episodes, half rollouts of the exact belief",
    "queries_own_bayes": "queries, half first episodes, half their own plans",
    "exact_belief_250": "exact belief that remembers 250 transitions",
    "exact_belief": "exact belief (greedy planner)",
}
ROOM_NOTE = (
    "Share of the highest return (where rewards are random, of the highest expected one) on held-"
    "out tasks, one training seed a split. Differences are paired over splits and tasks, with 95% "
    "bootstrap intervals. Where a table's first number of seconds is 0, its counting is in the "
    "second."
)
PLANNER_NAMES = {"paper": "the paper's planner", "gated": "`gated`", "bayes": "`bayes`",
                 "thompson": "Thompson sampling"}
# what the control compares in every split
KINDS, COMPARED = ("queries", "heads", "table"), ("first", "all")
METRICS = {
    "last_10_episodes": "last 10 episodes",
    "all_episodes": "all episodes",
    "found_by_5": "solved by episode 5",
}
OWN = "each with a source, a training seed and held-out tasks of its own"
SPLITS_DIFFER = {env: OWN for env in ENVS} | {
    "dark_key_to_door": "each with a training seed and held-out tasks of its own; one source, "
    "collected once for all 6,561 tasks"}
ROOT = Path(__file__).parents[1]
OPTIMUM = ROOT / "dicp" / "data" / "optimum.csv"
# what ablations change, longest names first
PRESETS = ("dicp_ad_paper", "dicp_ad_gated", "queries", "ad", "idt")


def top(header: list[str]) -> list[str]:
    """The first two lines of a table."""
    return ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]


def table(env: str) -> str:
    recorded, cost = results.recorded(env), cost_of(env)
    header = ["", *METRICS.values(), "paper: episode 50, all 50", "splits", "CPU-s: train, act"]
    lines = top(header)
    for run, label in ROWS.items():
        rows = recorded[recorded["run"] == run]
        if rows.empty:
            continue
        numbers = results.summary(rows).set_index("metric")
        shown = (numbers.loc[metric] for metric in METRICS)
        cells = [f"{v.value:.3f} [{v.low:.2f}, {v.high:.2f}]" for v in shown]
        spent = ""
        if run not in ("random", "source"):
            mean = cost[cost["run"] == run].mean(numeric_only=True)
            spent = f"{mean.train_cpu_s:.0f}, {mean.evaluate_cpu_s:.0f}"
        cells += [published(env, run), str(rows["split"].nunique()), spent]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", footnote(recorded, env)])


def summary() -> str:
    """The grid worlds at a glance: the paper's best method, ours, and what is possible."""
    optimum = pd.read_csv(OPTIMUM, encoding="utf-8").set_index("env")[["low", "high"]]
    ours = {"queries": "ours: queries, `bayes`", "exact_belief": "exact belief (greedy planner)"}
    header = [
        "", "the paper's best", *ours.values(), "optimum (all tasks, all episodes)",
        "CPU-min a split, ours",
    ]
    lines = top(header)
    for env in ENVS:
        best = papers_best(env)
        curve, recorded, cells = paper_curve(env, best)["normalised"], results.recorded(env), []
        for run in ours:
            rows = recorded[recorded["run"] == run]
            cells.append(ends_and_all(rows) if len(rows) else "not recorded")
        cost = cost_of(env).query("run == 'queries'")[["train_cpu_s", "evaluate_cpu_s"]]
        spent = f"{cost.mean().sum() / 60:.0f}" if len(cost) else "not recorded"
        theirs = f"{best}: {curve.iloc[-1]:.2f}, {curve.mean():.2f}"
        cells = [theirs, *cells, bounds(*optimum.loc[env]), spent]
        lines.append(f"| {WORLDS[env]} | " + " | ".join(cells) + " |")
    note = (
        "Optimum: the mean over all tasks of the best agent possible, computed (`python "
        "tools/optimum.py`); the other columns are means over held-out tasks."
    )
    return "\n".join([*lines, "", note])


def ends_and_all(rows: pd.DataFrame) -> str:
    """Return in the last ten episodes and in all, and the splits where it is not all five."""
    numbers, n = results.summary(rows).set_index("metric")["value"], rows["split"].nunique()
    of = "" if n == len(SPLITS) else f" ({n} split{'s' * (n > 1)})"
    return f"{numbers['last_10_episodes']:.3f}, {numbers['all_episodes']:.3f}{of}"


def bounds(low: float, high: float) -> str:
    """The optimum as far as it is known."""
    if pd.isna(low):
        return f"at most {high:.3f}"
    return f"{low:.3f}" if f"{low:.4f}" == f"{high:.4f}" else f"{low:.4f} to {high:.4f}"


def planning() -> str:
    """What planning adds to the same model, paired, in the grid worlds."""
    worlds = " | ".join(WORLDS[env] for env in ENVS)
    lines = [f"| | {worlds} |", "|---" * (len(ENVS) + 1) + "|"]
    pairs = {
        f"DICP-{name}, {planner}": (f"dicp_{target}_{run}", f"dicp_{target}")
        for target, name in METHODS.items()
        for run, planner in {"paper": "the paper's planner", "gated": "`gated`"}.items()
    }
    pairs["queries, `bayes`, minus exact belief"] = ("queries", "exact_belief")
    for label, (run, other) in pairs.items():
        cells = [difference(env, run, other) for env in ENVS]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    note = (
        "Share of the highest return over all 50 episodes, minus that of the same model without a "
        "plan: paired over splits and held-out tasks, with 95% bootstrap intervals."
    )
    return "\n".join([*lines, "", note])


def difference(env: str, run: str, other: str, last: int | None = None) -> str:
    recorded = results.recorded(env)
    if not {run, other} <= set(recorded["run"]):
        return "not recorded"
    return paired(results.difference(recorded, run, other, last=last))


def data_by_model(env: str) -> str:
    """The control: what a world model was trained on x what it is x who plans in it."""
    recorded, kept = results.recorded(env), probes.recorded_probes(env)
    rows = control.by_run(recorded)
    planners = compared_planners(rows)
    header = [
        "world model", "trained on", "splits",
        *(f"{PLANNER_NAMES[name]}: all, last ten" for name in planners), "found by episode 5",
        "plans that count on what has not paid", "P(reward) of a cell never met", "met in vain",
        "elsewhere, once the goal is known", "of new cells along an imagined walk: step 1, 8",
    ]
    lines = top(header)
    for (model, data), part in rows.groupby(["model", "data"], sort=False):
        by_planner = part.set_index("planner")
        if "bayes" not in by_planner.index:
            continue
        cells = [control.MODELS[model], control.DATA_NAMES[data], str(part["splits"].max())]
        cells += [all_and_last(by_planner, name) for name in planners]
        bayes = by_planner.loc["bayes"]
        cells += [f"{bayes['found'][0]:.2f}", f"{bayes['deluded']:.3f}"]
        cells += said_of_rewards(kept[kept["run"] == bayes["run"]].groupby("probe")["value"].mean())
        lines.append("| " + " | ".join(cells) + " |")
    splits = recorded.loc[recorded["run"] == "queries_first_bayes", "split"].unique()
    belief = recorded[(recorded["run"] == "exact_belief") & recorded["split"].isin(splits)]
    alone = results.summary(belief).set_index("metric")["value"]
    ends = f"{alone['all_episodes']:.3f}, {alone['last_10_episodes']:.3f}"
    cells = ["exact belief", "-", str(len(splits))]
    cells += [ends if name == "bayes" else "" for name in planners]
    cells += [f"{alone['found_by_5']:.2f}", ""]
    cells += said_of_rewards(kept.groupby("probe")["exact"].mean())
    return "\n".join([*lines, "| " + " | ".join(cells) + " |", "", data_effect(recorded)])


def other_planners(env: str) -> str:
    """The same models with planners other than Bayes: a row a planner, model and kind of data, and
    what the exact belief earns with that planner."""
    recorded = results.recorded(env)
    rows = control.by_run(recorded)
    rows = rows[(rows["planner"] != "bayes") & rows["model"].isin((*KINDS, "table_faint"))]
    header = ["planner", "world model", "trained on", "splits", "all episodes", "last ten",
              "minus a table of the same data", "first episodes minus whole histories"]
    lines = top(header)
    for planner, part in rows.groupby("planner", sort=False):
        for row in part.itertuples():
            others = f"table_{row.data}_{planner}", row.run.replace("_first_", "_all_")
            names = PLANNER_NAMES[planner], control.MODELS[row.model], control.DATA_NAMES[row.data]
            cells = [*names, str(row.splits), f"{row.all[0]:.3f}", f"{row.last[0]:.3f}"]
            cells += ["" if row.run == other or other not in set(recorded["run"]) else
                      paired(results.difference(recorded, row.run, other)) for other in others]
            lines.append("| " + " | ".join(cells) + " |")
        belief = recorded[recorded["run"] == f"exact_belief_{planner}"]
        if len(belief):
            means = results.summary(belief).set_index("metric")["value"]
            cells = [PLANNER_NAMES[planner], "exact belief", "-", str(belief["split"].nunique())]
            cells += [f"{means[name]:.3f}" for name in ("all_episodes", "last_10_episodes")]
            lines.append("| " + " | ".join([*cells, "", ""]) + " |")
    note = (
        "Return as a share of the highest possible; differences are paired over the splits and "
        "tasks that both have, with 95% bootstrap intervals; one training seed. Queries minus the "
        "table with one number changed by hand, Thompson sampling, both after first episodes: "
        f"{difference(env, 'queries_first_thompson', 'table_first_faint_thompson')}."
    )
    return "\n".join([*lines, "", note])


def all_and_last(by_planner: pd.DataFrame, name: str) -> str:
    """Return over all episodes and in the last ten with a planner, if it is recorded."""
    if name not in by_planner.index:
        return ""
    row = by_planner.loc[name]
    return f"{row['all'][0]:.3f}, {row['last'][0]:.3f}"


def said_of_rewards(said: pd.Series) -> list[str]:
    """P(reward) by the name of its probe, as the last four cells of a row."""
    cells = [f"{said[x]:.4f}" if x in said else "" for x in ("never met", "in vain", "elsewhere")]
    walk = f"{said['walk 1']:.3f}, {said['walk 8']:.3f}" if "walk 1" in said else ""
    return [*cells, walk]


def claim() -> str:
    """The control in Darkroom in one sentence."""
    recorded = results.recorded("darkroom")
    rows = control.by_run(recorded).query("planner == 'bayes'").set_index(["model", "data"])
    effect = control.of_the_data(recorded).query("planner == 'bayes'").set_index("model")["all"]
    plain = recorded.loc[recorded["run"].str.contains("_plain_"), "split"].unique()
    plain_splits = ", ".join(map(str, sorted(plain)))
    earned = {key: f"{rows.loc[key, 'all'][0]:.3f}" for key in rows.index}
    seeds = control.of_all_seeds(recorded, "queries")
    again = ""
    if seeds is not None:
        counts, difference = seeds
        again = f"; over {from_to(counts)} training seeds a split {paired(difference)}"
    return (
        "With the Bayes planner a Transformer that is asked with queries earns "
        f"{earned['queries', 'first']} of the highest return over all fifty episodes if it was "
        f"trained on first episodes, {earned['queries', 'all']} if on whole histories (difference "
        f"{paired(effect['queries'])}{again}); the paper's heads earn {earned['heads', 'first']} "
        f"and {earned['heads', 'all']}, and a table that learns nothing but three numbers "
        f"{earned['table', 'first']}, whatever they were counted in (Darkroom, "
        f"{rows['splits'].max()} splits, one training seed each). Trained on cells under their own "
        f"names, queries earn {earned['queries_plain', 'first']} after first episodes and "
        f"{earned['queries_plain', 'all']} after whole histories (split {plain_splits})."
    )


def compared_planners(rows: pd.DataFrame) -> list[str]:
    """Those for which every model and kind of data is recorded in as many splits as for any."""
    rows = rows[rows["model"].isin(KINDS) & rows["data"].isin(COMPARED)]
    sizes = rows.groupby("planner", sort=False)["splits"].agg(["count", "min"])
    complete = (sizes["count"] == sizes["count"].max()) & (sizes["min"] == rows["splits"].max())
    return list(sizes.index[complete])


def data_effect(recorded: pd.DataFrame) -> str:
    """First episodes minus whole histories, by model and planner."""
    effects = control.of_the_data(recorded)
    effects = effects[effects["planner"].isin(compared_planners(control.by_run(recorded)))]
    parts = []
    for row in effects.itertuples():
        what = f"{control.MODELS[row.model]}, {PLANNER_NAMES[row.planner]}"
        parts.append(f"{what}: {paired(row.all)} (last ten {paired(row.last)})")
    return (
        "Return as a share of the highest possible. First episodes minus whole histories, paired "
        f"over splits and tasks, with 95% bootstrap intervals: {'; '.join(parts)}. One training "
        f"seed a split{more_seeds(recorded)}."
    )


def every_training(env: str) -> str:
    """What each training earns with the Bayes planner, by model, data and split."""
    found = control.seeds_of(results.recorded(env))
    splits = sorted(found["split"].unique())
    header = ["world model", "trained on", *(f"split {split}" for split in splits)]
    lines = top(header)
    for (model, data), part in found.groupby(["model", "data"], sort=False):
        values = [part.loc[part["split"] == split, "value"] for split in splits]
        cells = [", ".join(f"{value:.3f}" for value in several) for several in values]
        names = control.MODELS[model], control.DATA_NAMES[data]
        lines.append("| " + " | ".join((*names, *cells)) + " |")
    note = "Return over all episodes, as a share of the highest; a number a training."
    return "\n".join([*lines, "", note])


def each_split(env: str) -> str:
    """What queries earn in every split that is recorded, beside the exact belief in the same."""
    runs = {"queries": "queries", "exact_belief": "exact belief"}
    recorded = results.recorded(env)
    wanted = recorded[recorded["run"].isin(runs)]
    found = results.summary(wanted, by=("run", "split"))
    splits = sorted(wanted.loc[wanted["run"] == "queries", "split"].unique())
    header = ["all episodes, last ten", *(f"split {split}" for split in splits)]
    lines = top(header)
    values = found.set_index(["run", "split", "metric"])["value"]
    for run, label in runs.items():
        pairs = [(values[run, split, "all_episodes"], values[run, split, "last_10_episodes"])
                 for split in splits]
        lines.append(f"| {label} | " + " | ".join(f"{a:.3f}, {b:.3f}" for a, b in pairs) + " |")
    note = "Share of the highest return with the planner `bayes`; each split has one training."
    return "\n".join([*lines, "", note])


def more_seeds(recorded: pd.DataFrame) -> str:
    """What other training seeds say, as far as there are any."""
    found = control.of_all_seeds(recorded, "queries")
    if found is None:
        return ""
    counts, difference = found
    return f"; queries, with {from_to(counts)}: {paired(difference)}"


def from_to(counts: pd.DataFrame) -> str:
    """How many training seeds the splits have."""
    low, high = int(counts.min().min()), int(counts.max().max())
    return str(high) if low == high else f"{low} to {high}"


def room(env: str) -> str:
    """Of a world in which numbers decide: a row an agent, beside the exact belief."""
    recorded, cost = results.recorded(env), cost_of(env)
    header = ("", "splits", "tasks x rollouts a split", "all episodes", "last 10 episodes",
              "minus exact belief", "minus the one that remembers 250", "the same, last ten",
              "CPU-s: train, act")
    lines = top(header)
    beside = ("exact_belief_250", None), ("exact_belief_250", 10)
    others = {run: f"`{run}`" for run in recorded["run"].unique() if run not in IN_ROOMS}
    for run, label in (IN_ROOMS | others).items():
        rows = recorded[recorded["run"] == run]
        if rows.empty:
            continue
        means = results.summary(rows).set_index("metric")["value"]
        n_tasks = rows.groupby("split")["task"].nunique().max()
        seconds = cost[cost["run"] == run][["train_cpu_s", "evaluate_cpu_s"]].mean()
        cells = (
            label, rows["split"].nunique(), f"{n_tasks} x {rows['n_rollouts'].max()}",
            f"{means['all_episodes']:.3f}", f"{means['last_10_episodes']:.3f}",
            *("" if run == other else difference(env, run, other, last)
              for other, last in (("exact_belief", None), *beside)),
            ", ".join(f"{value:.0f}" for value in seconds),
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join([*lines, "", ROOM_NOTE])


def changes(env: str) -> str:
    """Each recorded run in which one setting is another, beside the run as it is: on the same tasks
    of the same splits."""
    recorded, there = results.recorded(env), set(results.recorded(env)["run"])
    header = [
        "run", "what is changed", "of", "splits", "last ten episodes", "as it is",
        "difference, all episodes",
    ]
    lines = top(header)
    for run in (*ABLATIONS, *(ML1_ABLATIONS if env not in ENVS else ())):
        base = next(name for name in PRESETS if run.name.startswith(name))
        if run.name not in there or base not in there:
            continue
        ends = [at_the_end(recorded, run.name, name) for name in (run.name, base)]
        splits = sorted(recorded.loc[recorded["run"] == run.name, "split"].unique())
        cells = [f"`{run.name}`", what_changes(run), f"`{base}`", ", ".join(map(str, splits))]
        cells += [f"{end:.2f}" for end in ends]
        cells.append(paired(results.difference(recorded, run.name, base)))
        lines.append("| " + " | ".join(cells) + " |")
    note = (
        "Return as a share of the highest possible; the difference is paired over splits and "
        "tasks, with its 95% bootstrap interval. One training seed a split. Command: `python -m "
        f"dicp.reproduce --env {env} --splits 0 --runs RUN --again`."
    )
    return "\n".join([*lines, "", note])


def what_changes(run: Run) -> str:
    """The settings of a run that are not its preset's."""
    fields = [*run.plan, *run.model, *run.train]
    fields += [("context_length", run.context_length)] if run.context_length else []
    fields += [(name, True) for name in ("greedy", "privileged") if getattr(run, name)]
    return ", ".join(f"`{name}={value}`" for name, value in fields)


def at_the_end(recorded: pd.DataFrame, of: str, run: str, last: int = 10) -> float:
    """Return of `run` in the last episodes, on the tasks of the run `of`."""
    cells = recorded.loc[recorded["run"] == of, ["split", "task"]].drop_duplicates()
    rows = recorded[recorded["run"] == run].merge(cells, on=["split", "task"])
    rows = rows[rows["episode"] > rows["episode"].max() - last]
    return float(results.normalised(rows).groupby([rows["split"], rows["task"]]).mean().mean())


def paired(value: tuple[float, float, float]) -> str:
    return "{:+.3f} [{:.3f}, {:.3f}]".format(*value)


def published(env: str, run: str) -> str:
    """The paper's numbers for its methods: imitation, and DICP with its own planner."""
    name = run.removesuffix("_paper")
    if name.removeprefix("dicp_") not in IMITATORS or (name.startswith("dicp") and run == name):
        return ""
    curve = paper_curve(env, name)["normalised"]
    return f"{curve.iloc[-1]:.2f}, {curve.mean():.2f}"


def footnote(recorded: pd.DataFrame, env: str) -> str:
    methods = recorded[recorded["run"].isin(list(ROWS))]
    methods = methods[~methods["method"].isin(results.CONTROLS)]
    first = methods[methods["split"] == methods["split"].min()]
    sizes = {
        name: (rows["task"].nunique(), int(rows["n_rollouts"].max()))
        for name, rows in first.groupby("run")
    }
    most = max(sizes.values())
    size = "{} held-out tasks a split x {}".format(*most)
    fewer = {"it plans at every step": "dicp_ad_paper", "it asks queries": "queries"}
    parts = ["{} x {} where ".format(*sizes[run]) + where for where, run in fewer.items()
             if sizes.get(run, most) != most]
    size += f" ({', '.join(parts)})" if parts else ""
    episodes = recorded.loc[recorded["run"] == "source", "episode"].max()
    source = "PPO: 1,000 env steps a stream"
    if episodes < 50:
        source += f", its last ten episodes are half of its {episodes}"
    return (
        f"Return as a share of the highest possible: {size} rollouts of 50 episodes ({source}), "
        f"with 95% bootstrap intervals over splits ({SPLITS_DIFFER[env]}) and tasks; CPU seconds "
        f"of one thread a split, {cpu_hours(env):.1f} CPU-hours for all that is here. The paper: "
        f"five splits, one rollout a task, shares of {HIGHEST[env]:g}, the mean of its tasks' "
        f"highest returns. Command: `python -m dicp.reproduce --env {env} --again`."
    )


def cpu_hours(env: str) -> float:
    """Of training and acting in the rows of the table; a planner's model is its method's, and
    trained once."""
    cost = cost_of(env)
    cost = cost[cost["run"].isin(list(ROWS))]
    trained = cost[~cost["run"].str.endswith(("_paper", "_gated"))]
    return (trained["train_cpu_s"].sum() + cost["evaluate_cpu_s"].sum()) / 3600


def ml1_table() -> str:
    """The paper's five tasks of Meta-World: a row a method, a column a task."""
    tables, paper = ml1.recorded(), paper_table("table1_ml1_success").set_index("method")
    numbers = {
        task: ml1.successes(rows).set_index(["run", "metric"]) for task, rows in tables.items()
    }
    costs = pd.concat([cost_of(f"metaworld-{ml1.TASKS[task]}") for task in tables])
    lines = [f"| | {' | '.join(tables)} | CPU-h: train, act |", "|---" * (len(tables) + 2) + "|"]
    for run, name in {**ML1_CONTROLS, **ml1.RUNS}.items():
        cells = []
        for task, found in numbers.items():
            if (run, "success") not in found.index:
                cells.append("")
                continue
            late, once = found.loc[(run, "success")], found.loc[(run, "solved_so_far")]
            theirs = f", paper {paper.loc[name, task]:.0f}" if name in paper.index else ""
            cells.append(f"{sentences.percent(late)}; {100 * once.value:.0f}{theirs}")
        cost = costs[costs["run"] == run]
        spent = ""
        if run in ml1.RUNS and len(cost) == len(tables):
            hours = cost.sum(numeric_only=True) / 3600
            spent = f"{hours.train_cpu_s:.2f}, {hours.evaluate_cpu_s:.2f}"
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {spent} |")
    return "\n".join([*lines, "", ML1_FOOTNOTE, "", *above_blind(tables)])


def above_blind(tables: dict[str, pd.DataFrame]) -> list[str]:
    """Each method minus the blind expert, in percentage points, as a table."""
    found = {task: ml1.above_blind(rows) for task, rows in tables.items()}
    header = " | ".join(found)
    lines = [f"| minus the blind expert | {header} |", "|---" * (len(found) + 1) + "|"]
    for run, name in ml1.RUNS.items():
        cells = [
            sentences.points(rows.loc[run]) if run in rows.index else ""
            for rows in found.values()
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, "", BLIND_FOOTNOTE]


ML1_CONTROLS = {"random": "random policy", "source": "source PPO",
                "blind": "*blind*: the scripted expert, going for the mean training goal",
                "informed": "*informed*: the same expert, told the goal"}
BLIND_FOOTNOTE = (
    "Percentage points of success per episode in the last fifth of the rollout, paired over the 50 "
    "instances, with 95% bootstrap intervals. The blind expert (`dicp.experts`) has no memory and "
    "sees no reward: what is not above it need not have found out anything."
)
ML1_FOOTNOTE = (
    "Percent of 50 held-out instances, one rollout each: success per episode in the last fifth of "
    "the rollout, with its 95% bootstrap interval; then solved so far at its end, which the paper "
    "reports. One split, one training seed, and settings that were chosen task by task stand "
    "behind all of it. Rollouts have as many episodes as the paper's: 100 (reach), 300 (push), 500 "
    "(sweep), 2,000 (the others); the source its own 100 a stream, in 10 instances; the scripted "
    "experts one, which does not change. Command: `python -m dicp.reproduce --env metaworld --task "
    "reach-v3 --again`."
)


def write(file: Path, blocks: dict) -> None:
    """Put what is new between the marks of the blocks that a file has."""
    text = file.read_text(encoding="utf-8")
    for name, block in blocks.items():
        mark = f"<!-- results {name} -->"
        if mark in text:
            new = f"{mark}\n{block()}\n<!-- end -->"
            text = re.sub(rf"{mark}.*?<!-- end -->", lambda _, new=new: new, text, flags=re.S)
    store.write_text(file, text)


BLOCKS = {
    "summary": summary, "planning": planning, "metaworld": ml1_table, "claim": claim,
    **{f"control {env}": partial(data_by_model, env) for env in ENVS},
    "planners darkroom": partial(other_planners, "darkroom"),
    "trainings darkroom": partial(every_training, "darkroom"),
    **{f"splits {env}": partial(each_split, env) for env in ENVS},
    **{f"changes {env}": partial(changes, env) for env in ENVS},
    **{env: partial(table, env) for env in ENVS},
    **{env: partial(room, env) for env in ROOMS},
}


if __name__ == "__main__":
    asked = [one_of("block", name, BLOCKS) for name in sys.argv[1:]] or list(BLOCKS)
    for file in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        write(file, {name: BLOCKS[name] for name in asked})
