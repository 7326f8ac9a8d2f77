"""One run of the comparison, from its configuration to a table: train or load, act,
put together."""

import time
from collections.abc import Sequence

import pandas as pd

from dicp import experts, results, runs
from dicp.artifacts import histories_of, load_or_train, rollouts_for, training_log
from dicp.checks import Count, checked
from dicp.config import Config
from dicp.config.presets import ALONE
from dicp.domain import domain_of, split_of
from dicp.envs import Task
from dicp.explorers import exact_belief
from dicp.models import PairedModel
from dicp.oracles import RandomPolicy
from dicp.rollout import Learner, rollout
from dicp.runs import Run, Split
from dicp.training import counted
from dicp.worlds import World

__all__ = ["measure"]


@checked
def measure(run: Run, env: World, split: Split, n_jobs: Count = 2) -> tuple[pd.DataFrame, dict]:
    """(compact result table, CPU seconds of training and of evaluating) of one run. n_jobs:
    processes that collect histories."""
    config, plan = runs.config_of(run, env, split), runs.plan_of(run, env)
    tasks, n_rollouts = runs.sizes_of(run, env, split)
    settings = {"run": run.name, "greedy": run.greedy, "privileged": run.privileged}
    settings |= training_of(config, run)
    learns = run.world_model not in (None, "table")
    trained = load_or_train(config, n_jobs=n_jobs) if learns else None
    learned, started = trained.cpu_seconds if trained else 0.0, time.process_time()
    if run.name == "source":
        log = histories_of(config, tasks, n_jobs=n_jobs).load(tasks)
        table = results.from_source(log, config, tasks, **settings)
    else:
        settings["context_length"] = run.context_length or config.model.context_length
        model = trained.model if trained else control_of(run, config, tasks, n_jobs)
        if run.world_model == "table":
            learned, started = time.process_time() - started, time.process_time()
        if run.policy:
            acting = runs.config_of(runs.run_named(run.policy, env), env, split)
            policy = load_or_train(acting, n_jobs=n_jobs)
            model = PairedModel(policy.model, model, proposes=plan.ties != "random")
            started = time.process_time()
        if run.privileged:
            highest = domain_of(config.env).max_return(tasks).float()
            model = model.prompted(highest.repeat_interleave(n_rollouts))
        rollouts = rollout(
            model, config.env, tasks, n_rollouts, runs.n_episodes_of(env, run), plan, split,
            run.greedy, run.context_length, record=False,
        )
        if not run.world_model:
            settings |= {"method": model.name, "world_model": "none"}
        table = results.from_rollouts(rollouts, config, tasks, plan, rollout_seed=split, **settings)
    cost = {"run": run.name, "split": split, "train_cpu_s": learned,
            "evaluate_cpu_s": time.process_time() - started,
            "env_steps": int(len(table) * config.env.horizon)}
    table = results.compact(table)
    block = runs.block_of(int(table["episode"].max()))
    return (table if block == 1 else results.in_blocks(table, block)), cost


def control_of(run: Run, config: Config, tasks: Sequence[Task], n_jobs: int) -> Learner:
    """Who acts where no network does."""
    if run.world_model == "table":
        rollouts, _ = rollouts_for(config, None, False, n_jobs)
        return counted(config, training_log(config, n_jobs), rollouts)
    if run.name == "informed":
        return experts.informed_expert(config.env, tasks)
    if run.name == "blind":
        return experts.blind_expert(config.env, tasks, split_of(config.env, config.split)[0])
    return RandomPolicy(config.env) if run.name == "random" else exact_belief(config.env)


def training_of(config: Config, run: Run) -> dict:
    """The settings of training that some run changes, as columns; what a world model alone was
    trained on, and whose policy acts beside it."""
    changed = "max_stride", "updates", "sort_episodes"
    settings = {name: getattr(config.train, name) for name in changed}
    if run.world_model in ALONE:
        settings["data"] = config.train.data
    if run.policy:
        settings["policy"] = run.policy
    return settings
