"""Dark Key-to-Door: do agents miss the door because they never find it, or because they do not come
back to it?

    OMP_NUM_THREADS=1 python tools/found_again.py [--splits 0 1 2 3 4]

A row for each run: the share of rollouts (50 episodes; of the source, streams of 20) that find the
key at all, and both; and in which share of the three episodes after the first find they are found
again. Trains what this machine has no weights of. """

import argparse

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from dicp import runs
from dicp.artifacts import histories_of, load_or_train
from dicp.rollout import rollout

WORLD, SHOWN = "dark_key_to_door", ("source", "ad", "idt", "dicp_idt", "dicp_idt_paper")


def found_and_again(returns: Float[Tensor, "rollout episode"], wanted: int) -> tuple[float, float]:
    """(share of rollouts in which an episode brings `wanted`, share of the three episodes after the
    first such that do)."""
    there = returns >= wanted
    rollouts = there.any(1).nonzero()[:, 0].tolist()
    after = (there[i, there[i].int().argmax() + 1 :][:3] for i in rollouts)
    again = [x.float().mean() for x in after if len(x) == 3]
    return len(rollouts) / len(returns), float(torch.stack(again).mean()) if again else float("nan")


def returns_of(run: runs.Run, split: int) -> Float[Tensor, "rollout episode"]:
    config, plan = runs.config_of(run, WORLD, split), runs.plan_of(run, WORLD)
    tasks, n = runs.sizes_of(run, WORLD, split)
    if run.name == "source":
        reward = histories_of(config).load(tasks).reward.float()
        return reward.unflatten(-1, (-1, config.env.horizon)).sum(-1).flatten(0, 1)
    model, n_episodes = load_or_train(config).model, runs.n_episodes_of(WORLD)
    rollouts = rollout(model, config.env, tasks, n, n_episodes, plan, split)
    return rollouts.episode_return.flatten(0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--splits", type=int, nargs="+", default=list(range(5)), choices=range(5))
    rows = []
    for split in parser.parse_args().splits:
        for run in (run for run in runs.RUNS if run.name in SHOWN):
            returns = returns_of(run, split)
            found = [x for wanted in (1, 2) for x in found_and_again(returns, wanted)]
            rows.append([run.name, *found])
    columns = ["run", "key", "key, again", "key and door", "key and door, again"]
    table = pd.DataFrame(rows, columns=columns)
    print(table.groupby("run").mean().loc[list(SHOWN)].round(2).to_string())


if __name__ == "__main__":
    main()
