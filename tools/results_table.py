"""Write the README's results table from the recorded runs: python tools/results_table.py [env]."""

import re
import sys
from pathlib import Path

import pandas as pd

from dicp import results
from dicp.paper import paper_curve

ROWS = {
    "random": "random policy", "source": "source PPO (learns by gradient; 100 streams share its updates)",
    "ad": "AD", "dicp_ad": "DICP-AD, policy only", "dicp_ad_paper": "DICP-AD, the paper's planner",
    "dicp_ad_gated": "DICP-AD, `gated`", "dicp_ad_bayes": "DICP, interventional, `bayes`",
    "exact_belief": "exact belief over the goal: the ceiling",
}
METRICS = {"last_10_episodes": "episodes 41 to 50", "all_episodes": "all 50 episodes", "found_by_5": "goal found by episode 5"}
README = Path(__file__).parent.parent / "README.md"


def table(env: str) -> str:
    recorded, cost = results.recorded(env), pd.read_csv(results.RECORDED / f"{env}_cost.csv")
    header = ["", *METRICS.values(), "seeds", "CPU-s: train, act"]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for name in ("AD", "DICP-AD"):
        curve = paper_curve(env, name)["normalised"]
        lines.append(f"| paper, {name} | {curve[-10:].mean():.2f} | {curve.mean():.2f} | | | |")
    for run, label in ROWS.items():
        rows = recorded[recorded["run"] == run]
        numbers = results.summary(rows).set_index("metric")
        cells = [f"{v.value:.3f} [{v.low:.2f}, {v.high:.2f}]" for v in (numbers.loc[m] for m in METRICS)]
        spent = cost[cost["run"] == run].mean(numeric_only=True)
        spent = f"{spent.train_cpu_s:.0f}, {spent.evaluate_cpu_s:.0f}" if run not in ("random", "source") else ""
        lines.append(f"| {label} | " + " | ".join(cells) + f" | {rows['train_seed'].nunique()} | {spent} |")
    n = int(recorded.loc[recorded["run"] == "ad", "n_rollouts"].max())
    lines += ["", f"Return as a share of the highest possible: 8 held-out goals of split 0 x {n} lives of 50 episodes "
              "(source: its 100 streams) a training seed, with 95% bootstrap intervals over goals and seeds; one thread. "
              "The paper: five splits, one life a goal. Command: `python -m dicp.reproduce`."]
    return "\n".join(lines)


if __name__ == "__main__":
    env = sys.argv[1] if len(sys.argv) > 1 else "darkroom"
    text = README.read_text()
    block = f"<!-- results {env} -->\n{table(env)}\n<!-- end -->"
    README.write_text(re.sub(rf"<!-- results {env} -->.*?<!-- end -->", lambda _: block, text, flags=re.S))
