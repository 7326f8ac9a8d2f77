"""Try settings of a world model on the validation tasks of split 0, and note the result in
docs/tuning.csv.

    export OMP_NUM_THREADS=1
    python tools/tune.py darkroom queries --data histories --train learning_rate=0.02
    python tools/tune.py darkroom_permuted queries --model context_length=200 --rollouts 4

It is trained on the split's training tasks but the last ones, the validation tasks, and judged on
these: what it believes (`dicp.probes`), and its return in the first episodes with the Bayes
planner. Held-out tasks are not touched. The first episodes are those of an untrained agent, drawn
here, and the rollouts of the exact belief, in the first 1,500 of these tasks; the histories are the
source's, collected where this machine has none.
"""

import argparse
import ast
import csv
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from dicp.artifacts import histories_of
from dicp.beliefs import log_of, rollouts_to_learn_from, who_acts
from dicp.config import Config, PlanConfig, registry
from dicp.config.parts import DATA, MIXED
from dicp.config.presets import ALONE
from dicp.domain import split_of
from dicp.envs import Task, split_validation
from dicp.explorers import exact_belief
from dicp.history.logs import Log
from dicp.models import Model
from dicp.oracles import RandomPolicy
from dicp.probes import probe
from dicp.rollout import rollout
from dicp.training import Trainer, counted

TABLE = Path(__file__).parents[1] / "docs" / "tuning.csv"
COLUMNS = (
    "world", "model", "data", "settings", "instances", "seeds", "believes", "return_by_episode",
    "mean", "cpu_s", "command",
)
WORLDS = tuple(
    name for name in registry.names() if "queries" in registry.config_class(name).world_models
)
N_VALIDATION = {"dark_key_to_door": 16, "dark_treasure": 16}     # else 8
MOST_TASKS, N_EPISODES = 1500, 12


def main() -> None:
    args = options()
    config = Config.preset(args.world, world_model=args.kind)
    env = config.env
    changes = {"data": args.data, **args.train}
    config = replace(
        config, model=replace(config.model, **args.model), train=replace(config.train, **changes)
    )
    train, validation = split_validation(split_of(env, 0)[0], N_VALIDATION.get(args.world, 8))
    model, seconds = trained(config, train if args.data == "histories" else train[:MOST_TASKS])
    believes = probe(model, env, validation, 0)
    plan = PlanConfig.preset("bayes", args.world, **args.plan)
    rollouts = rollout(model, env, validation, args.rollouts, N_EPISODES, plan, 0)
    by_episode = (rollouts.episode_return / rollouts.max_return[:, None, None]).mean((0, 1))
    said = believes[~believes["probe"].str.startswith("walk")].itertuples()
    changed = args.train | args.model | args.plan
    settings = [f"{name}={value}" for name, value in changed.items()]
    row = {
        "world": args.world, "model": args.kind, "data": args.data,
        "settings": " ".join(settings) or "preset",
        "instances": f"the last {len(validation)} training tasks of split 0", "seeds": 1,
        "believes": "; ".join(
            f"{one.probe} {one.value:.4f} (exact {one.exact:.4f})" for one in said
        ),
        "return_by_episode": " ".join(f"{value:.2f}" for value in by_episode),
        "mean": f"{float(by_episode.mean()):.3f}", "cpu_s": f"{seconds:.0f}",
        "command": " ".join(["python tools/tune.py", *sys.argv[1:]]),
    }
    note(row)
    print("\n".join(f"{name}: {value}" for name, value in row.items()))


def log_for(config: Config, tasks: list[Task]) -> Log:
    if config.train.data == "histories":
        return histories_of(config, tasks).load(tasks)
    if config.train.data == "exact_belief":
        agent = exact_belief(config.env)
        return rollouts_to_learn_from(config, agent, tasks, config.train.n_streams)
    random, n_streams = RandomPolicy(config.env), config.train.n_streams
    return log_of(rollout(random, config.env, tasks, n_streams, 1, None, 0))


def rollouts_for(config: Config, tasks: list[Task]) -> tuple[Log | None, float]:
    """What is mixed with first episodes, and the CPU seconds that it took."""
    if config.train.data not in MIXED:
        return None, 0.0
    started = time.process_time()
    agent, _ = who_acts(config, lambda first: trained(first, tasks))
    rollouts = rollouts_to_learn_from(config, agent, tasks, config.train.n_rollouts)
    return rollouts, time.process_time() - started


def trained(config: Config, tasks: list[Task]) -> tuple[Model, float]:
    """The model, and the CPU seconds of its training and of its own rollouts."""
    rollouts, spent = rollouts_for(config, tasks)
    log = log_for(config, tasks)
    if config.model.world_model == "table":
        return counted(config, log, rollouts), spent
    trainer = Trainer(config, log, rollouts=rollouts)
    for _ in range(config.train.updates):
        trainer.step()
    return trainer.model.eval().requires_grad_(False), trainer.cpu_seconds + spent


def note(row: dict) -> None:
    """Add the row to the table, in place of an older one of the same command."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = [old for old in csv.DictReader(file) if old["command"] != row["command"]]
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, row])


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("world", choices=WORLDS)
    parser.add_argument("kind", choices=ALONE)
    parser.add_argument("--data", choices=DATA, default="first_episodes")
    parser.add_argument("--train", nargs="*", type=setting, default=[], metavar="FIELD=VALUE")
    parser.add_argument("--model", nargs="*", type=setting, default=[], metavar="FIELD=VALUE")
    parser.add_argument("--plan", nargs="*", type=setting, default=[], metavar="FIELD=VALUE")
    parser.add_argument("--rollouts", type=int, default=8, help="in each task (default: 8)")
    args = parser.parse_args()
    args.train, args.model, args.plan = dict(args.train), dict(args.model), dict(args.plan)
    return args


def setting(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
