"""How much CPU time the library takes and how much a reference takes for the same work, side by side in one run.

    python benchmarks/speed.py [--quick] [--names planning env] [--json FILE]

Times are CPU seconds of this process; ours and the reference take turns, and the median of the repetitions counts. What a
ratio says depends little on the machine, what a column says does. Threads: OMP_NUM_THREADS (default 1).
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from naive import TwoTokenTrainer, WholeWindows

from dicp.config import Config, EnvConfig, PlanConfig, SourceConfig
from dicp.envs import GridWorld, all_tasks
from dicp.envs.gym import Darkroom
from dicp.models.ad import InContextModel
from dicp.oracles import RandomPolicy
from dicp.planning import beam_search
from dicp.rollout import rollout
from dicp.source import TASKS_PER_BLOCK, SourceLog, train_ppo, train_sb3
from dicp.training import Trainer
from dicp.windows import Tokens

ENV, GOALS, N_ROLLOUTS = EnvConfig(), all_tasks("darkroom"), 64
Work = Callable[[], int]        # does some work, returns how much


class Case(NamedTuple):
    """One comparison. `prepare(quick)` makes both sides ready; making ready is not measured."""

    prepare: Callable[[bool], tuple[Work, Work]]
    unit: str
    reference: str
    repetitions: int = 5


def source_ppo(quick: bool) -> tuple[Work, Work]:
    """The first updates; later ones are cheaper for us, when fewer different cells are visited."""
    source = SourceConfig(env_steps=20 if quick else 100)
    goals = GOALS[:: len(GOALS) // TASKS_PER_BLOCK][:TASKS_PER_BLOCK]

    def ours() -> int:
        return len(train_ppo(ENV, goals, source, 0).cell)

    def reference() -> int:
        return len(train_sb3(ENV, goals[0], source, 0).cell)

    return ours, reference


class Living:
    """`N_ROLLOUTS` agents in one task with full contexts; each call is some more steps of their lives."""

    def __init__(self, learner, n_steps: int, plan: PlanConfig | None = None):
        self.learner, self.n_steps, self.plan = learner, n_steps, plan
        self.world, self.context = GridWorld(ENV, [(7, 2)], N_ROLLOUTS), learner.begin(N_ROLLOUTS)
        cell = self.world.reset().flatten()
        self.logits = learner.observe(self.context, Tokens(cell, *(torch.full_like(cell, x) for x in (5, 0, 81, 1))))
        for _ in range(learner.config.context_length):
            self.step(torch.randint(5, (N_ROLLOUTS,)))

    def step(self, action: torch.Tensor) -> None:
        outcome = self.world.step(action[None])
        flat = [x.flatten() for x in (outcome.cell, action, outcome.reward, outcome.next_cell)]
        self.logits = self.learner.observe(self.context, Tokens(*flat, torch.full_like(action, outcome.done)))

    def act(self) -> torch.Tensor:
        """Sampled from the policy, or the first of a new plan of full depth, as at the beginning of an episode."""
        if self.plan is None:
            return self.logits.softmax(-1).multinomial(1)[:, 0]
        return beam_search(self.learner, self.learner.root(self.context), self.plan, ENV.horizon).action[:, 0]

    @torch.no_grad()
    def __call__(self) -> int:
        for _ in range(self.n_steps):
            self.step(self.act())
        return self.n_steps * N_ROLLOUTS


def untrained(world_model: str) -> InContextModel:
    torch.manual_seed(0)
    return InContextModel(ENV, Config.preset("darkroom", world_model=world_model).model).eval()


def acting(quick: bool) -> tuple[Work, Work]:
    model = untrained("none")
    return Living(model, 100 if quick else 400), Living(WholeWindows(model), 5 if quick else 20)


def check_same_plan(model: InContextModel, n_agents: int, n_tokens: int, plan: PlanConfig) -> None:
    """Raise `AssertionError` unless shared keys and values and whole windows give the same plan, after random tokens."""
    generator, plain = torch.Generator().manual_seed(0), WholeWindows(model)
    contexts = model.begin(n_agents), plain.begin(n_agents)
    for step in range(n_tokens):
        tokens = [torch.randint(below, (n_agents,), generator=generator) for below in (81, 5, 2, 81)]
        tokens = Tokens(*tokens, torch.full_like(tokens[0], step % ENV.horizon == 0))
        for learner, context in zip((model, plain), contexts, strict=True):
            learner.observe(context, tokens)
    ours, theirs = (beam_search(learner, learner.root(context), plan, ENV.horizon)
                    for learner, context in zip((model, plain), contexts, strict=True))
    for mine, other in zip(ours[:3], theirs[:3], strict=True):
        assert torch.equal(mine, other), "with and without shared keys and values, the plans differ"
    torch.testing.assert_close(ours.score, theirs.score)


def planning(quick: bool) -> tuple[Work, Work]:
    model, plan = untrained("observational"), PlanConfig.preset("paper", start_after=0)
    check_same_plan(model, 4, model.config.context_length - plan.depth, plan)
    return Living(model, 3 if quick else 10, plan), Living(WholeWindows(model), 1, plan)


def training(quick: bool) -> tuple[Work, Work]:
    life = rollout(RandomPolicy(ENV), ENV, GOALS[::10], n_rollouts=10, n_episodes=50)
    terminal = life.next_cell[..., ENV.horizon - 1 :: ENV.horizon]
    log = SourceLog(*(x.byte() for x in (life.cell, life.action, life.reward, terminal)))
    config = Config.preset("darkroom", world_model="observational")

    def some(trainer: Trainer) -> Work:
        def work() -> int:
            start = trainer.update
            while trainer.update < start + (3 if quick else 15):
                trainer.step()
            return trainer.update - start

        return work

    return some(Trainer(config, log)), some(TwoTokenTrainer(config, log))


def env(quick: bool) -> tuple[Work, Work]:
    n_steps, world = 200 if quick else 1000, GridWorld(ENV, GOALS, 100)
    alone = Darkroom(goal=(7, 2))
    actions = torch.randint(5, (n_steps, len(GOALS), 100), dtype=torch.uint8)

    def ours() -> int:
        for action in actions:
            world.step(action.long())
        return actions.numel()

    def reference() -> int:
        done = True
        for action in actions[:, 0, :10].flatten().tolist():
            if done:
                alone.reset()
            done = alone.step(action)[2]
        return 10 * n_steps

    return ours, reference


CASES = {
    "source_ppo": Case(source_ppo, "CPU-s / goal", "stable-baselines3, one goal at a time", 3),
    "rollout": Case(acting, "env steps / CPU-s", "no cache: the whole window is read again at every step"),
    "planning": Case(planning, "env steps / CPU-s", "no shared keys and values: a window is read again for every future", 3),
    "training": Case(training, "updates / CPU-s", "two tokens a step: the observation's and the action's"),
    "env": Case(env, "env steps / CPU-s", "our own Gymnasium environment, one agent, one step at a time"),
}


def measure(name: str, quick: bool) -> dict:
    """Median CPU seconds for a unit of work on both sides, as a row of the table."""
    case, costs = CASES[name], ([], [])
    sides = case.prepare(quick)
    for repetition in range(1 if quick else case.repetitions):
        for side in (0, 1) if repetition % 2 == 0 else (1, 0):
            started = time.process_time()
            amount = sides[side]()
            costs[side].append((time.process_time() - started) / amount)
    ours, reference = (statistics.median(cost) for cost in costs)
    rate = case.unit.endswith("/ CPU-s")
    values = [float(f"{(1 / cost if rate else cost):.4g}") for cost in (ours, reference)]
    return {"name": name, "ours": values[0], "reference": values[1], "unit": case.unit,
            "ratio": round(reference / ours, 1), "threads": torch.get_num_threads()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows there")
    parser.add_argument("--quick", action="store_true", help="one short repetition each: does it run, about how fast is it")
    parser.add_argument("--names", nargs="+", default=list(CASES), choices=list(CASES), help="only these comparisons")
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    print(f"{'name':<12}{'ours':>10}{'reference':>11}  {'unit':<18}{'ratio':>7}  {'threads':>7}  the reference")
    rows = []
    for name in args.names:
        rows.append(row := measure(name, args.quick))
        print(f"{name:<12}{row['ours']:>10,g}{row['reference']:>11,g}  {row['unit']:<18}{row['ratio']:>6.1f}x"
              f"  {row['threads']:>7}  {CASES[name].reference}", flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
