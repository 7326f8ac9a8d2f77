"""What each shipped model does in a few episodes, for `test_golden`. After a change that is meant to change it, write the
file anew and say so in the commit:

    OMP_NUM_THREADS=1 PYTHONPATH=tests python tests/golden.py
"""

import hashlib
import json
from pathlib import Path

from dicp.artifacts import SHIPPED, load_trained
from dicp.config import PlanConfig
from dicp.domain import split_of
from dicp.rollout import rollout

WEIGHTS = sorted((SHIPPED / "weights").glob("*.safetensors"))
GOLDEN = Path(__file__).parent / "data" / "golden_rollouts.json"
N_ROLLOUTS = 2
SIZES = {True: (2, 3), False: (1, 2)}         # tasks and episodes: in the grids, in Meta-World


def deeds(path: Path) -> list:
    """Of the model at `path` in two held-out tasks (one of Meta-World), by its policy and, where it can plan, by a short plan:
    a digest of every action, and the return of each episode. Of Meta-World the returns alone: an action there is numbers,
    whose last bits another machine may round otherwise."""
    record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["config"]
    trained = load_trained(path)
    model, env = trained.model, trained.model.env
    n_tasks, n_episodes = SIZES[env.name != "metaworld"]
    tasks = split_of(env, record["split"])[1][:n_tasks]
    done = []
    for plan in plans_of(model):
        life = rollout(model, env, tasks, N_ROLLOUTS, n_episodes, plan, seed=0)
        returns = life.episode_return.flatten().tolist()
        is_exact = not life.action.is_floating_point()
        digest = hashlib.sha1(life.action.byte().numpy().tobytes()).hexdigest()[:10] if is_exact else None
        done.append({"planner": plan.planner if plan else "none", "actions": digest, "returns": returns})
    return done


def plans_of(model) -> list[PlanConfig | None]:
    world, task = model.env.name, getattr(model.env, "task", None)
    plans = [None] if getattr(model, "has_policy", True) else []
    if model.can_plan and task is None:
        plans.append(PlanConfig.preset("gated", world, start_after=20, needs_reward=False, beam_width=20, depth=6))
        plans.append(PlanConfig.preset("bayes", world, beam_width=20, depth=6))
    elif model.can_plan:
        plans.append(PlanConfig.preset("paper", world, task, start_after=100, start_after_step=0, depth=2))
    return plans


if __name__ == "__main__":
    golden = {path.stem: deeds(path) for path in WEIGHTS}
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
