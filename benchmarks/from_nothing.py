"""What it costs to get from nothing to agents that plan: collect, train and evaluate one seed, in one process.

`OMP_NUM_THREADS=1 python benchmarks/from_nothing.py --seed 0 --json FILE`: CPU seconds of each stage, and what came out.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import torch

from dicp.config import Config, PlanConfig
from dicp.envs import split_tasks
from dicp.history import collect
from dicp.rollout import rollout
from dicp.training import train

AGENTS = (("ad", "none", "none"), ("dicp_ad", "observational", "gated"), ("dicp", "interventional", "bayes"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rollouts", type=int, default=32)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    rows = []

    def stage(name: str, work):
        started = time.process_time()
        result = work()
        rows.append({"stage": name, "cpu_s": round(time.process_time() - started, 1)})
        print(f"{name:55} {rows[-1]['cpu_s']:8.1f} CPU-s", flush=True)
        return result

    config = Config.preset(seed=args.seed)
    tasks, held_out = split_tasks(config.env.name, config.split)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "histories.zarr"
        stage(f"collect, PPO on {len(tasks)} goals",
              lambda: collect(path, config.env, config.source, tasks, args.seed, n_jobs=1, progress=False))
        histories = collect(path, config.env, config.source, tasks, args.seed).load()
    for method, world_model, planner in AGENTS:
        name = f"{method}, {world_model}, {planner}"
        preset = Config.preset(world_model=world_model, seed=args.seed)
        model = stage(f"train {name}", lambda preset=preset: train(preset, histories, progress=False).model.eval())
        plan = PlanConfig.preset(planner)
        life = stage(f"evaluate {name}", lambda model=model, plan=plan: rollout(
            model, config.env, held_out, args.rollouts, 50, plan, args.seed))
        share = life.episode_return / life.max_return[:, None, None]
        found = (life.episode_return[..., :5].sum(-1) > 0).float().mean().item()
        rows[-1] |= {"last_10": share[..., 40:].mean().item(), "all": share.mean().item(), "found_by_5": found}
        print(f"    episodes 41 to 50: {rows[-1]['last_10']:.3f}, all: {rows[-1]['all']:.3f}, found by 5: {found:.3f}")
    print(f"{'in all':55} {sum(row['cpu_s'] for row in rows):8.1f} CPU-s")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
