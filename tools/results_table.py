"""Write the README's results tables from the recorded runs: python tools/results_table.py [env ...]."""

import re
import sys
from pathlib import Path

import pandas as pd

from dicp import results
from dicp.config import ENVS, IMITATORS
from dicp.paper import paper_curve

METHODS = {imitates: imitates.upper() for imitates in IMITATORS}
ROWS = {
    "random": "random policy", "source": "source PPO (learns by gradient; its 100 streams share their updates)",
    **{run: label for imitates, name in METHODS.items() for run, label in {
        imitates: name, f"dicp_{imitates}": f"DICP-{name}, policy only",
        f"dicp_{imitates}_paper": f"DICP-{name}, the paper's planner", f"dicp_{imitates}_gated": f"DICP-{name}, `gated`",
    }.items()},
    "bayes": "DICP, interventional, `bayes`", "exact_belief": "exact belief over what is hidden: the ceiling",
}
METRICS = {"last_10_episodes": "last 10 episodes", "all_episodes": "all episodes", "found_by_5": "solved by episode 5"}
README = Path(__file__).parent.parent / "README.md"


def table(env: str) -> str:
    recorded, cost = results.recorded(env), pd.read_csv(results.RECORDED / f"{env}_cost.csv")
    header = ["", *METRICS.values(), "paper: episode 50, all 50", "splits", "CPU-s: train, act"]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for run, label in ROWS.items():
        rows = recorded[recorded["run"] == run]
        if rows.empty:
            continue
        numbers = results.summary(rows).set_index("metric")
        cells = [f"{v.value:.3f} [{v.low:.2f}, {v.high:.2f}]" for v in (numbers.loc[m] for m in METRICS)]
        spent = cost[cost["run"] == run].mean(numeric_only=True)
        spent = f"{spent.train_cpu_s:.0f}, {spent.evaluate_cpu_s:.0f}" if run not in ("random", "source") else ""
        cells += [published(env, run), str(rows["split"].nunique()), spent]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", footnote(recorded, env)])


def published(env: str, run: str) -> str:
    """The paper's numbers for its methods: imitation, and DICP with its own planner."""
    name = run.removesuffix("_paper")
    if name.removeprefix("dicp_") not in IMITATORS or (name.startswith("dicp") and run == name):
        return ""
    curve = paper_curve(env, name)["normalised"]
    return f"{curve.iloc[-1]:.2f}, {curve.mean():.2f}"


def footnote(recorded: pd.DataFrame, env: str) -> str:
    methods = recorded[~recorded["method"].isin(results.CONTROLS)]
    tasks = methods[methods["split"] == methods["split"].min()].groupby("run")["task"].nunique()
    lives = methods.groupby("run")["n_rollouts"].max().astype(int)
    size = f"{tasks.max()} held-out tasks a split x {lives.max()}"
    if tasks.min() < tasks.max() or lives.min() < lives.max():
        size += f" ({tasks.min()} x {lives.min()} where it plans at every step)"
    return (f"Return as a share of the highest possible: {size} lives of 50 episodes (PPO: 1,000 env steps a stream), with 95% "
            "bootstrap intervals over splits (each with a source, a training seed and held-out tasks of its own) and tasks; "
            "CPU seconds of one thread a split. The paper: five splits, one life a task. Command: "
            f"`python -m dicp.reproduce --env {env}`.")


if __name__ == "__main__":
    text = README.read_text()
    for env in sys.argv[1:] or [env for env in ENVS if results.recorded_path(env).exists()]:
        block = f"<!-- results {env} -->\n{table(env)}\n<!-- end -->"
        text = re.sub(rf"<!-- results {env} -->.*?<!-- end -->", lambda _, block=block: block, text, flags=re.S)
    README.write_text(text)
