"""CPU time of one Meta-World env step, resets included, beside metaworld's own environment in the
same run.

    python benchmarks/metaworld_speed.py [--quick] [--tasks reach-v3 door-open-v3]
        [--reference reach-v3] [--json FILE]

Random actions, episodes of 100 steps, one instance of ML1(task, seed 0). Times are CPU seconds of
this process; ours and the library's take turns, and the median of the repetitions counts. What a
ratio says depends little on the machine, what a column says does. One thread.
"""

import argparse
import json
import pickle
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dicp import store
from dicp.envs.metaworld import ML1_TASKS, Instance, MetaWorld, ml1_instances

HORIZON, LIBRARY_EPISODES, REPETITIONS = 100, 10, 3


def ours(name: str, instance: Instance, n_rows: int) -> Callable[[], int]:
    """An episode of `n_rows` agents, and the reset after it, at each call."""
    world, actions = MetaWorld(name, [instance], n_rows, HORIZON), random_actions(n_rows)

    def work() -> int:
        for action in actions:
            world.step(action[None])
        return HORIZON * n_rows

    return work


def library(name: str, instance: Instance) -> Callable[[], int]:
    """Some episodes of one agent, each with its reset."""
    import metaworld

    cls = metaworld.env_dict.ALL_V3_ENVIRONMENTS[name]
    env, actions = cls(), random_actions(LIBRARY_EPISODES)
    data = {"rand_vec": np.array(instance), "env_cls": cls, "partially_observable": True}
    env.set_task(metaworld.Task(name, pickle.dumps(data)))

    def work() -> int:
        for episode in range(LIBRARY_EPISODES):
            env.reset()
            for action in actions[:, episode]:
                env.step(action)
        return HORIZON * LIBRARY_EPISODES

    return work


def random_actions(n_rows: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (HORIZON, n_rows, 4))


def measure(name: str, n_rows: int, with_library: bool, repetitions: int) -> dict:
    """Median CPU microseconds of an env step, as a row of the table."""
    instance = ml1_instances(name)[0][0]
    sides = {"ours": ours(name, instance, n_rows)}
    if with_library:
        sides["library"] = library(name, instance)
    costs = {side: [] for side in sides}
    for _ in range(repetitions):
        for side, work in sides.items():
            started = time.process_time()
            amount = work()
            costs[side].append((time.process_time() - started) / amount)
    middle = {side: round(1e6 * statistics.median(cost), 1) for side, cost in costs.items()}
    return {"name": name, "rows": n_rows, **middle}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows there")
    parser.add_argument(
        "--quick", action="store_true",
        help="one repetition each: does it run, about how fast is it",
    )
    parser.add_argument(
        "--rows", type=int, default=100, help="agents that are stepped together (default 100)"
    )
    parser.add_argument(
        "--tasks", nargs="+", default=list(ML1_TASKS), choices=ML1_TASKS, metavar="TASK",
        help="only these",
    )
    parser.add_argument(
        "--reference", nargs="*", default=["reach-v3", "pick-place-v3"], choices=ML1_TASKS,
        metavar="TASK", help="those that the library runs too (default: reach-v3 pick-place-v3)",
    )
    args = parser.parse_args()
    print(f"{'task':<30}{'ours':>8}{'library':>9}  us CPU / env step{'ratio':>8}")
    rows, repetitions = [], 1 if args.quick else REPETITIONS
    for name in args.tasks:
        rows.append(row := measure(name, args.rows, name in args.reference, repetitions))
        beside = ""
        if "library" in row:
            beside = f"{row['library']:>9.1f}{'':19}{row['library'] / row['ours']:>7.1f}x"
        print(f"{name:<30}{row['ours']:>8.1f}{beside}", flush=True)
    if args.json:
        store.write_text(args.json, json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
