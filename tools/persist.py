"""Does it matter in the paper's grids whether rewards persist in a plan? The exact belief, or
queries with the shipped weights, with and without: python tools/persist.py [queries]."""

import sys

from dicp.artifacts import load_or_train
from dicp.checks import one_of
from dicp.config import ENVS, Config, PlanConfig
from dicp.domain import split_of
from dicp.explorers import exact_belief
from dicp.rollout import rollout

PLANS = {
    "sums": {}, "rewards persist": {"rewards_persist": True},
    "rewards persist, no discount": {"rewards_persist": True, "discount": 1.0},
}
# (tasks, rollouts in each)
SIZES = {"darkroom": (9, 64), "darkroom_permuted": (12, 8), "dark_key_to_door": (40, 4)}


def main(who: str = "exact_belief") -> None:
    one_of("who", who, ("exact_belief", "queries"))
    for env, (n_tasks, n_rollouts) in SIZES.items():
        config = Config.preset(env, world_model="queries")
        is_exact = who == "exact_belief"
        model = exact_belief(config.env) if is_exact else load_or_train(config).model
        tasks = split_of(config.env, 0)[1][:n_tasks]
        for name, changes in PLANS.items():
            plan = PlanConfig.preset("bayes", env, **changes)
            n = n_rollouts if is_exact else max(n_rollouts // 16, 1)
            rollouts = rollout(model, config.env, tasks, n, 50, plan, record=False)
            share = rollouts.episode_return / rollouts.max_return[:, None, None]
            by_task = share.mean((1, 2))
            error = by_task.std() / len(tasks) ** 0.5
            earned = f"{share.mean():.4f} (standard error {error:.4f})"
            print(f"{env}, {who}, {name}: {earned}", flush=True)


if __name__ == "__main__":
    assert set(SIZES) == set(ENVS)
    main(*sys.argv[1:])
