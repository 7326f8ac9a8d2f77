"""Every recorded result, from nothing, with one command: `python -m dicp.reproduce`. What is done is skipped."""

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import pandas as pd

from dicp import plot, results
from dicp.artifacts import SHIPPED, cache_folder, histories_of, load_or_train, save_trained, weights_name
from dicp.config import Config, PlanConfig
from dicp.envs import split_tasks
from dicp.files import write_csv
from dicp.oracles import BayesExplorer, RandomPolicy
from dicp.rollout import rollout


class Run(NamedTuple):
    """One row of the comparison: a trained model or a control, and how it acts."""

    name: str
    world_model: str | None = None          # of the trained model; None for a control
    planner: str = "none"
    greedy: bool = False
    context_length: int | None = None
    max_stride: int | None = None           # of the training windows, where it is not the preset's


RUNS = (
    Run("ad", "none"),
    Run("ad_greedy", "none", greedy=True),
    Run("ad_context_20", "none", context_length=20),
    Run("ad_consecutive", "none", max_stride=1),
    Run("dicp_ad", "observational"),
    Run("dicp_ad_paper", "observational", "paper"),
    Run("dicp_ad_gated", "observational", "gated"),
    Run("dicp_ad_bayes", "interventional", "bayes"),
    Run("random"),
    Run("source"),
    Run("exact_belief", planner="bayes"),
)


def config_of(run: Run, env: str, seed: int, split: int) -> Config:
    config = Config.preset(env, world_model=run.world_model or "none", seed=seed, split=split)
    if run.max_stride is not None:
        config = replace(config, train=replace(config.train, max_stride=run.max_stride))
    return config


def measure(run: Run, env: str, seed: int, split: int, n_rollouts: int, n_episodes: int) -> tuple[pd.DataFrame, dict]:
    """(compact result table, CPU seconds of training and of evaluating, environment steps) of one run."""
    config, plan = config_of(run, env, seed, split), PlanConfig.preset(run.planner)
    _, tasks = split_tasks(env, split)
    settings = {"run": run.name, "greedy": run.greedy, "max_stride": config.train.max_stride}
    trained = load_or_train(config) if run.world_model else None
    started = time.process_time()
    if run.name == "source":
        log = histories_of(config).load(tasks)
        table = results.from_source(log, config, tasks, **settings)
    else:
        control = {"random": RandomPolicy, "exact_belief": BayesExplorer}
        model = trained.model if trained else control[run.name](config.env)
        settings["context_length"] = run.context_length or config.model.context_length
        life = rollout(model, config.env, tasks, n_rollouts, n_episodes, plan, seed, run.greedy, run.context_length)
        names = {} if trained else {"method": run.name, "world_model": "none"}
        table = results.from_life(life, config, tasks, plan, rollout_seed=seed, **settings, **names)
    cost = {"run": run.name, "train_seed": seed, "train_cpu_s": trained.cpu_seconds if trained else 0.0,
            "evaluate_cpu_s": time.process_time() - started, "env_steps": int(len(table) * config.env.horizon)}
    return results.compact(table), cost


def part_name(run: Run, env: str, seed: int, split: int) -> str:
    """The file of one run; its name changes with any setting, so a stale part is never taken for a done one."""
    settings = [config_of(run, env, seed, split).key, results.plan_settings(PlanConfig.preset(run.planner)), run]
    return f"{run.name}-{seed}-{hashlib.sha1(json.dumps(settings).encode()).hexdigest()[:10]}.csv"


def reproduce(env: str, names: Sequence[str], seeds: Sequence[int], split: int, n_rollouts: int, n_episodes: int) -> None:
    """Make what is missing, a file a run under the cache folder, then put together the recorded table of all that is there."""
    parts = cache_folder() / "results" / f"{env}-split{split}-{n_rollouts}x{n_episodes}"
    parts.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        for run in (run for run in RUNS if run.name in names):
            part = parts / part_name(run, env, seed, split)
            if not part.exists():
                table, cost = measure(run, env, seed, split, n_rollouts, n_episodes)
                write_csv(pd.DataFrame([cost]), part.with_suffix(".cost"))
                results.save(table, part)
                share = results.normalised(table)
                print(f"{run.name} seed {seed}: {share.mean():.3f} over all, {share[table.episode > 40].mean():.3f} at the end,"
                      f" {cost['train_cpu_s']:.0f} + {cost['evaluate_cpu_s']:.0f} CPU-s", flush=True)
    files = [parts / part_name(run, env, seed, split) for run in RUNS for seed in range(10)]
    files = [file for file in files if file.exists()]
    results.save(results.load(*files), results.RECORDED / f"{env}.csv")
    write_csv(pd.concat([pd.read_csv(file.with_suffix(".cost")) for file in files]), results.RECORDED / f"{env}_cost.csv")


FIGURE = ("random", "source", "ad", "dicp_ad_paper", "dicp_ad_gated", "dicp_ad_bayes", "exact_belief")


def draw(env: str) -> None:
    """The learning curves of the recorded runs beside the paper's, as figures/<env>.png."""
    plot.style()
    table = results.recorded(env)
    table = table[table["run"].isin(FIGURE)].drop(columns="context_length")
    title = "A world model trained on what nobody could have known\nfinds an unseen goal as fast as exact inference"
    ax = plot.returns(table, title=title, value="normalised", paper=("AD", "DICP-AD"))
    ax.figure.set_size_inches(10, 5)
    ax.figure.savefig(results.RECORDED.parent / f"{env}.png", dpi=110, metadata={"Software": None})


def ship(env: str, split: int) -> None:
    """Put the weights of seed 0 and a sample of the histories into the package."""
    for world_model in ("none", "observational", "interventional"):
        config = Config.preset(env, world_model=world_model, split=split)
        trained = load_or_train(config)
        save_trained(trained, config, SHIPPED / "weights" / weights_name(config))
    train, test = split_tasks(env, split)
    (SHIPPED / "histories").mkdir(exist_ok=True)
    histories_of(config).save_sample(SHIPPED / "histories" / f"{env}-sample.zarr.zip", [*test, *train[:8]], 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", default="darkroom", choices=("darkroom",))
    parser.add_argument("--runs", nargs="+", default=[run.name for run in RUNS], choices=[run.name for run in RUNS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--split", type=int, default=0)
    parser.add_argument("--rollouts", type=int, default=32)
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--ship", action="store_true", help="also put weights and sample histories into the package")
    args = parser.parse_args()
    reproduce(args.env, args.runs, args.seeds, args.split, args.rollouts, args.episodes)
    draw(args.env)
    if args.ship:
        ship(args.env, args.split)


if __name__ == "__main__":
    main()
