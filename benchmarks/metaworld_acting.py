"""CPU time that 50 agents in Meta-World's 50 held-out instances think for an env step, with and
without planning.

    python benchmarks/metaworld_acting.py [--quick] [--json FILE]

Contexts of 1,000 transitions, kept full, over one whole round of forgetting and reading again;
random tokens, untrained weights (both cost as real ones do); the world's own step is not in it
(benchmarks/metaworld_speed.py). All kinds take turns, and the median of the repetitions counts. One
thread.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from dicp import store
from dicp.config import Config, PlanConfig
from dicp.domain import domain_of
from dicp.models import Model, new_model
from dicp.planning import search
from dicp.types import Tokens

N_AGENTS, REPETITIONS = 50, 3


class Living:
    """Agents with full contexts; each call is some more steps of their rollouts."""

    def __init__(self, model: Model, plan: PlanConfig | None, generator: torch.Generator):
        self.model, self.plan, self.generator, self.n_seen = model, plan, generator, 0
        self.context = model.begin(N_AGENTS, generator=generator)
        for _ in range(model.config.context_length):
            model.observe(self.context, self.token())

    def token(self) -> Tokens:
        """The next one, of random numbers."""
        env = self.model.env
        first = torch.full((N_AGENTS,), int(self.n_seen % env.horizon == 0))
        observation = torch.rand(N_AGENTS, env.n_observed, generator=self.generator)
        reward = torch.rand(N_AGENTS, generator=self.generator)
        outcome = domain_of(env).outcome(observation, observation, reward, reward)
        self.n_seen += 1
        action = torch.rand(N_AGENTS, env.d_action, generator=self.generator)
        return Tokens(observation, action, reward, outcome, first)

    def live(self, n_steps: int) -> None:
        for _ in range(n_steps):
            self.model.observe(self.context, self.token())
            if self.plan is not None:
                left = min(self.model.env.horizon, self.context.max_plan_depth)
                search(self.model, self.model.root(self.context), self.plan, left, self.generator)


def measure(n_steps: int, repetitions: int) -> list[dict]:
    """Median CPU milliseconds of a step of all agents, a row a kind."""
    kinds, generator = {}, torch.Generator().manual_seed(0)
    for target in ("ad", "idt"):
        config = Config.preset("metaworld", world_model="observational", target=target)
        torch.manual_seed(0)
        model = new_model(config.env, config.model).eval()
        if target == "idt":
            model.prompt.fill_(500.0)
        for depth in (0, 1, 4):
            plan = PlanConfig.preset("paper", "metaworld", depth=depth) if depth else None
            kinds[target, depth] = Living(model, plan, generator)
    costs = {kind: [] for kind in kinds}
    for _ in range(repetitions):
        for kind, living in kinds.items():
            started = time.process_time()
            living.live(n_steps)
            costs[kind].append(1000 * (time.process_time() - started) / n_steps)
    middle = {kind: statistics.median(cost) for kind, cost in costs.items()}
    rows = []
    for (target, depth), ms in middle.items():
        ratio = round(ms / middle[target, 0], 2)
        rows.append({"target": target, "depth": depth, "ms": round(ms, 2), "ratio": ratio})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="a few steps, one repetition: does it run"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows there")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = measure(20, 1) if args.quick else measure(500, REPETITIONS)
    print(f"{'model':<12}{'plans':<28}{'ms CPU / step':>14}{'ratio':>8}")
    for row in rows:
        plans = f"10 candidates, depth {row['depth']}" if row["depth"] else "no"
        model = f"DICP-{row['target'].upper()}"
        print(f"{model:<12}{plans:<28}{row['ms']:>14.2f}{row['ratio']:>8.2f}")
    if args.json:
        store.write_text(args.json, json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
