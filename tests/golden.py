"""What each shipped model does in a few episodes, for `test_golden`. After a change that is meant to change it, write the
file anew and say so in the commit:

    OMP_NUM_THREADS=1 PYTHONPATH=tests python tests/golden.py
"""

import hashlib
import json
from pathlib import Path

import torch

from dicp.artifacts import SHIPPED, load_trained
from dicp.config import PlanConfig
from dicp.domain import domain_of, split_of
from dicp.models import Model
from dicp.planning import search
from dicp.policies import policy_of
from dicp.rollout import rollout
from dicp.types import Space, Tokens

WEIGHTS = sorted((SHIPPED / "weights").glob("*.safetensors"))
GOLDEN = Path(__file__).parent / "data" / "golden_rollouts.json"
N_ROLLOUTS = 2
N_TOKENS = 125
LONG = 50        # steps of an episode: plans are carried out in one of them, shorter ones in three


def deeds(path: Path) -> list:
    """Of the model at `path`, by its policy and, where it can plan, by short plans. In a grid a digest of every action in
    three episodes of two held-out tasks (of a plan's in one, where it is long), and the returns. In Meta-World, where a
    last bit that another machine rounds otherwise soon is another way through the world, what it would do after
    `N_TOKENS` tokens of random numbers."""
    record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["config"]
    model = load_trained(path).model
    if not domain_of(model.env).action.is_discrete:
        return [answers(model, plan) for plan in plans_of(model)]
    tasks, done = split_of(model.env, record["split"])[1][:2], []
    for plan in plans_of(model):
        n_episodes = 1 if plan and model.env.horizon >= LONG else 3
        rollouts = rollout(model, model.env, tasks, N_ROLLOUTS, n_episodes, plan, seed=0)
        digest = hashlib.sha1(rollouts.action.byte().numpy().tobytes()).hexdigest()[:10]
        returns = rollouts.episode_return.flatten().tolist()
        done.append({"planner": plan.planner if plan else "none", "actions": digest, "returns": returns})
    return done


def answers(model: Model, plan: PlanConfig | None) -> dict:
    """Its mean actions, or those that begin its plans, to four decimals."""
    generator, domain = torch.Generator().manual_seed(0), domain_of(model.env)
    context = model.begin(N_ROLLOUTS, generator=generator)

    def numbers(space: Space) -> torch.Tensor:
        return torch.rand(N_ROLLOUTS, *space.shape, generator=generator)

    for t in range(N_TOKENS):
        observation, action, reward = numbers(domain.observation), numbers(domain.action), numbers(domain.reward)
        outcome = domain.outcome(observation, observation + 0.01, reward, reward / 2)
        first = torch.full((N_ROLLOUTS,), int(t % model.env.horizon == 0))
        parameters = model.observe(context, Tokens(observation, 2 * action - 1, reward, outcome, first))
    if plan is None:
        action = policy_of(domain.action).sample(parameters, None, greedy=True)
    else:
        action = search(model, model.root(context), plan, 2, generator).action[:, 0]
    return {"planner": plan.planner if plan else "none", "actions": action.mul(1e4).round().div(1e4).tolist()}


def plans_of(model) -> list[PlanConfig | None]:
    world, task = model.env.name, getattr(model.env, "task", None)
    plans = [None] if getattr(model, "has_policy", True) else []
    if model.can_plan and task is None:
        plans.append(PlanConfig.preset("gated", world, start_after=20, needs_reward=False, beam_width=20, depth=3))
        plans.append(PlanConfig.preset("bayes", world, beam_width=20, depth=3))
    elif model.can_plan:
        plans.append(PlanConfig.preset("paper", world, task, start_after=100, start_after_step=0, depth=2))
    return plans


if __name__ == "__main__":
    golden = {path.stem: deeds(path) for path in WEIGHTS}
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
