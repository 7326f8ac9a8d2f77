"""Does a table lose where the numbers decide? Beside the exact belief, with the same planner,
before anything is trained: python tools/simulate_rooms.py [world].

The table is counted in episodes of the random policy in the training tasks. In Dark Treasure they
act in the last training tasks, in Noisy Darkroom, where there are few, in all.
"""

import argparse
from dataclasses import replace

from dicp.beliefs import log_of
from dicp.config import Config, PlanConfig
from dicp.domain import split_of
from dicp.explorers import exact_belief
from dicp.models import TableModel
from dicp.oracles import RandomPolicy
from dicp.rollout import rollout
from dicp.training import counted

# tasks, rollouts in each
WORLDS = {"dark_treasure": (40, 1), "noisy_darkroom": (81, 3)}
N_BATCHES = 300                                                       # of windows that are counted


def table_of(config: Config) -> TableModel:
    tasks, _ = split_of(config.env, 0)
    n_streams = config.train.n_streams
    log = log_of(rollout(RandomPolicy(config.env), config.env, tasks, n_streams, 1))
    return counted(replace(config, train=replace(config.train, updates=N_BATCHES)), log)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("worlds", nargs="*", choices=[*WORLDS, []], metavar="world")
    for name in parser.parse_args().worlds or WORLDS:
        n_tasks, n_rollouts = WORLDS[name]
        config, plan = Config.preset(name, world_model="table"), PlanConfig.preset("bayes", name)
        train, held_out = split_of(config.env, 0)
        tasks, exact = [*held_out, *train][-n_tasks:], None
        agents = {"exact belief": exact_belief(config.env), "table": table_of(config)}
        for who, agent in agents.items():
            rollouts = rollout(agent, config.env, tasks, n_rollouts, 50, plan, record=False)
            share = rollouts.episode_return / rollouts.max_return[:, None, None]
            by_task = share.mean((1, 2))
            exact = by_task if exact is None else exact
            less, error = by_task - exact, (by_task - exact).std() / n_tasks**0.5
            beside = f"minus exact belief {less.mean():+.3f} (standard error {error:.3f})"
            print(f"{name}, {who}: {share.mean():.3f}, {beside}", flush=True)


if __name__ == "__main__":
    main()
