"""What it costs to get from nothing to agents that plan: collect, train and evaluate one seed, in
one process.

    OMP_NUM_THREADS=1 python benchmarks/from_nothing.py --env dark_key_to_door --seed 0
        [--imitators] [--json FILE]

CPU seconds of each stage, and what came out. The world model that is asked with queries needs what
the source does before its first update, no more; AD and DICP-AD (`--imitators`) need the whole
learning histories.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from dicp import store
from dicp.config import ENVS, Config, EnvConfig, PlanConfig
from dicp.domain import domain_of
from dicp.envs import split_tasks
from dicp.history import collect
from dicp.rollout import rollout
from dicp.training import train

MOST_TRAINING_TASKS = 3000          # key-to-door has 6,233
IMITATORS = (("none", "none"), ("observational", "gated"))


class Stages:
    """CPU seconds of each stage, printed as they come."""

    def __init__(self, env: str, seed: int, n_rollouts: int | None):
        self.env, self.seed, self.rows = env, seed, []
        self.domain = domain_of(EnvConfig.preset(env))
        n_tasks, usual = self.domain.evaluation.sizes
        self.n_rollouts = n_rollouts or usual
        train_tasks, held_out = split_tasks(env, seed)
        self.tasks, self.held_out = train_tasks[:MOST_TRAINING_TASKS], held_out[:n_tasks]

    def run(self, name: str, work):
        started = time.process_time()
        result = work()
        self.rows.append({"stage": name, "cpu_s": round(time.process_time() - started, 1)})
        print(f"{name:70} {self.rows[-1]['cpu_s']:8.1f} CPU-s", flush=True)
        return result

    def collect(self, config: Config, what: str):
        """The histories of the training tasks, in memory."""
        def work():
            return collect(
                path, config.env, config.source, self.tasks, config.source_seed, n_jobs=1,
                progress=False,
            )

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "histories.zarr"
            return self.run(f"collect {what}, PPO on {len(self.tasks)} tasks", work).load()

    def agent(self, config: Config, histories, planner: str) -> None:
        """Train and evaluate one agent."""
        plan = PlanConfig.preset(planner, self.env)
        name = f"{config.method}, {config.model.world_model}, {planner}"
        model = self.run(
            f"train {name}",
            lambda: train(config, histories, progress=False, tasks=self.tasks).model.eval(),
        )
        n_episodes = self.domain.evaluation.n_episodes
        rollouts = self.run(
            f"evaluate {name}: {len(self.held_out)} held-out tasks x {self.n_rollouts} rollouts",
            lambda: rollout(
                model, config.env, self.held_out, self.n_rollouts, n_episodes, plan, self.seed
            ),
        )
        share = rollouts.episode_return / rollouts.max_return[:, None, None]
        solved = self.domain.solved(rollouts.episode_return[..., :5], self.held_out).any(-1)
        found = {
            "last_10": share[..., 40:].mean().item(),
            "all": share.mean().item(),
            "solved_by_5": solved.float().mean().item(),
        }
        self.rows[-1] |= found
        said = ", ".join(f"{what} {number:.3f}" for what, number in found.items())
        print(f"    {said}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", choices=ENVS, default="darkroom")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the split, the source and the training"
    )
    parser.add_argument(
        "--rollouts", type=int, help="per held-out task (default: as in the recorded results)"
    )
    parser.add_argument(
        "--imitators", action="store_true", help="also AD, and DICP-AD with the gated planner"
    )
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    stages = Stages(args.env, args.seed, args.rollouts)

    config = Config.preset(args.env, world_model="queries", seed=args.seed, split=args.seed)
    first = replace(config, source=replace(config.source, env_steps=config.source.n_steps))
    stages.agent(first, stages.collect(first, "what comes before the first update"), "bayes")
    if args.imitators:
        histories = stages.collect(config, "whole histories")
        for world_model, planner in IMITATORS:
            preset = Config.preset(
                args.env, world_model=world_model, seed=args.seed, split=args.seed
            )
            stages.agent(preset, histories, planner)
    print(f"{'in all':70} {sum(row['cpu_s'] for row in stages.rows):8.1f} CPU-s")
    if args.json:
        store.write_text(args.json, json.dumps(stages.rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
