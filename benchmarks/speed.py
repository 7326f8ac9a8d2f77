"""How much CPU time the library takes and how much a reference takes for the same work, side by
side in one run.

    python benchmarks/speed.py [--quick] [--names planning env] [--envs dark_key_to_door]
        [--json FILE]

Times are CPU seconds of this process; ours and the reference take turns, and the median of the
repetitions counts. What a ratio says depends little on the machine, what a column says does. The
last column counts what the model reads: real tokens, and imagined ones. Threads: OMP_NUM_THREADS
(default 1).
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from naive import TwoTokenTrainer, WholeWindows

from dicp import store
from dicp.beliefs import log_of
from dicp.config import ENVS, Config, EnvConfig, PlanConfig, SourceConfig
from dicp.envs import GridWorld, all_tasks
from dicp.envs.gym import DarkKeyToDoor, Darkroom, DarkroomPermuted
from dicp.models import HierarchicalModel, Model, new_model
from dicp.oracles import RandomPolicy
from dicp.planning import search
from dicp.rollout import rollout
from dicp.source import train_ppo, train_sb3
from dicp.source.discrete import TASKS_PER_BLOCK
from dicp.training import Trainer
from dicp.types import Tokens

N_ROLLOUTS = 64
ALONE = {
    "darkroom": lambda goal: Darkroom(goal=goal),
    "darkroom_permuted": lambda number: DarkroomPermuted(permutation=number),
    "dark_key_to_door": lambda task: DarkKeyToDoor(key=task[0], door=task[1]),
}
Work = Callable[[], int]        # does some work, returns how much


class Sides(NamedTuple):
    """Both sides of a comparison, ready; making them ready is not measured."""

    ours: Work
    reference: Work
    tokens: float = 0           # that the model reads for one unit of work


class Case(NamedTuple):
    """One comparison, for any world."""

    prepare: Callable[[str, bool], Sides]        # (env, quick)
    unit: str
    reference: str
    repetitions: int = 5


def source_ppo(env: str, quick: bool) -> Sides:
    """The first updates; later ones are cheaper for us, when fewer different cells are visited."""
    world, preset = EnvConfig.preset(env), SourceConfig.preset(env)
    source = replace(preset, env_steps=preset.n_steps * (1 if quick else 5))
    tasks = all_tasks(env)
    tasks = tasks[:: len(tasks) // TASKS_PER_BLOCK][:TASKS_PER_BLOCK]

    def ours() -> int:
        return len(train_ppo(world, tasks, source, 0).reward)

    def reference() -> int:
        return len(train_sb3(world, tasks[0], source, 0).reward)

    return Sides(ours, reference)


class Living:
    """`N_ROLLOUTS` agents in one task with full contexts; each call is some more steps of their
    rollouts."""

    def __init__(self, learner, env: EnvConfig, n_steps: int, plan: PlanConfig | None = None):
        self.learner, self.env, self.n_steps, self.plan = learner, env, n_steps, plan
        self.world = GridWorld(env, all_tasks(env.name)[-1:], N_ROLLOUTS)
        self.context = learner.begin(N_ROLLOUTS)
        cell = self.world.reset().flatten()
        birth = (torch.full_like(cell, x) for x in (env.n_actions, 0, env.n_cells, 1))
        self.logits = learner.observe(self.context, Tokens(cell, *birth))
        for _ in range(learner.config.context_length):
            self.step(torch.randint(env.n_actions, (N_ROLLOUTS,)))

    def step(self, action: torch.Tensor) -> None:
        outcome = self.world.step(action[None])
        told = outcome.observation, action, outcome.reward, outcome.next_observation
        first = torch.full_like(action, outcome.done)
        tokens = Tokens(*(x.flatten() for x in told), first)
        self.logits = self.learner.observe(self.context, tokens)

    def act(self) -> torch.Tensor:
        """Sampled from the policy, or the first of a new plan of full depth, as at the beginning of
        an episode."""
        if self.plan is None:
            return self.logits.softmax(-1).multinomial(1)[:, 0]
        steps_left = min(self.env.horizon, self.context.max_plan_depth)
        plan = search(self.learner, self.learner.root(self.context), self.plan, steps_left)
        return plan.action[:, 0]

    @torch.no_grad()
    def __call__(self) -> int:
        for _ in range(self.n_steps):
            self.step(self.act())
        return self.n_steps * N_ROLLOUTS


def untrained(env: str, world_model: str, target: str = "ad") -> Model:
    torch.manual_seed(0)
    config = Config.preset(env, world_model=world_model, target=target)
    model = new_model(config.env, config.model).eval()
    return model.prompted(torch.ones(N_ROLLOUTS)) if isinstance(model, HierarchicalModel) else model


def real_tokens(model: Model) -> float:
    """How many are read for a step of a rollout: its own and, as whole episodes are forgotten,
    others again. (IDT: its own.)"""
    if isinstance(model, HierarchicalModel):
        return 1
    return model.config.context_length / (model.config.n_forget_episodes * model.env.horizon)


def acting(env: str, quick: bool, target: str = "ad") -> Sides:
    model, world = untrained(env, "none", target), EnvConfig.preset(env)
    plain = Living(WholeWindows(model), world, 5 if quick else 20)
    return Sides(Living(model, world, 100 if quick else 400), plain, real_tokens(model))


def check_same_plan(model: Model, n_agents: int, n_tokens: int, plan: PlanConfig) -> None:
    """Raise `AssertionError` unless shared keys and values and whole windows give the same plan,
    after random tokens. (IDT's decisions must be certain: the two draw them differently.)"""
    generator, plain = torch.Generator().manual_seed(0), WholeWindows(model)
    contexts = model.begin(n_agents), plain.begin(n_agents)
    for step in range(n_tokens):
        tokens = [torch.randint(n, (n_agents,), generator=generator) for n in (81, 5, 2, 81)]
        tokens = Tokens(*tokens, torch.full_like(tokens[0], step % model.env.horizon == 0))
        for learner, context in zip((model, plain), contexts, strict=True):
            learner.observe(context, tokens)
    steps_left = min(model.env.horizon, contexts[0].max_plan_depth)
    ours, theirs = (
        search(learner, learner.root(context), plan, steps_left, torch.Generator().manual_seed(0))
        for learner, context in zip((model, plain), contexts, strict=True)
    )
    for mine, other in zip(ours[:3], theirs[:3], strict=True):
        assert torch.equal(mine, other), "with and without shared keys and values, the plans differ"
    torch.testing.assert_close(ours.score, theirs.score)


def planning(env: str, quick: bool, target: str = "ad") -> Sides:
    model, world = untrained(env, "observational", target), EnvConfig.preset(env)
    plan = PlanConfig.preset("paper", env)
    if target == "ad":
        check_same_plan(model, 4, model.config.context_length - plan.depth, plan)
    depth = min(plan.depth, model.config.chunk) if target == "idt" else plan.depth
    imagined = sum(min(world.n_actions**step, plan.beam_width) for step in range(1, depth))
    plain = Living(WholeWindows(model), world, 1, plan)
    ours = Living(model, world, 3 if quick else 10, plan)
    return Sides(ours, plain, real_tokens(model) + imagined)


def training(env: str, quick: bool, target: str = "ad") -> Sides:
    config = Config.preset(env, world_model="observational", target=target)
    tasks = all_tasks(env)[:: len(all_tasks(env)) // 9][:9]
    log = log_of(rollout(RandomPolicy(config.env), config.env, tasks, n_rollouts=10, n_episodes=50))

    def some(trainer: Trainer) -> Work:
        def work() -> int:
            start = trainer.update
            while trainer.update < start + (3 if quick else 15):
                trainer.step()
            return trainer.update - start

        return work

    reference = TwoTokenTrainer(Config.preset(env, world_model="observational"), log)
    n_tokens = config.train.batch_size * config.model.context_length
    return Sides(some(Trainer(config, log)), some(reference), n_tokens)


def stepping(env: str, quick: bool) -> Sides:
    n_steps, tasks, world = 200 if quick else 1000, all_tasks(env)[:81], EnvConfig.preset(env)
    batch, alone = GridWorld(world, tasks, 100), ALONE[env](tasks[0])
    actions = torch.randint(5, (n_steps, len(tasks), 100), dtype=torch.uint8)

    def ours() -> int:
        for action in actions:
            batch.step(action.long())
        return actions.numel()

    def reference() -> int:
        done = True
        for action in actions[:, 0, :10].flatten().tolist():
            if done:
                alone.reset()
            done = alone.step(action)[2]
        return 10 * n_steps

    return Sides(ours, reference)


WINDOWS = "no cache: the whole window is read again at every step"
FUTURES = "the same for every future that is imagined"
CASES = {
    "source_ppo": Case(source_ppo, "CPU-s / task", "stable-baselines3, one task at a time", 3),
    "rollout": Case(acting, "env steps / CPU-s", WINDOWS),
    "rollout_idt": Case(partial(acting, target="idt"), "env steps / CPU-s", WINDOWS),
    "planning": Case(planning, "env steps / CPU-s", FUTURES, 3),
    "planning_idt": Case(partial(planning, target="idt"), "env steps / CPU-s", FUTURES, 3),
    "training": Case(
        training, "updates / CPU-s", "AD, two tokens a step: the observation's and the action's"
    ),
    "training_idt": Case(partial(training, target="idt"), "updates / CPU-s", "the same, of AD"),
    "env": Case(
        stepping, "env steps / CPU-s",
        "our own Gymnasium environment, one agent, one step at a time",
    ),
}


def measure(name: str, env: str, quick: bool) -> dict:
    """Median CPU seconds for a unit of work on both sides, as a row of the table."""
    case, costs = CASES[name], ([], [])
    sides = case.prepare(env, quick)
    for repetition in range(1 if quick else case.repetitions):
        for side in (0, 1) if repetition % 2 == 0 else (1, 0):
            started = time.process_time()
            amount = sides[side]()
            costs[side].append((time.process_time() - started) / amount)
    ours, reference = (statistics.median(cost) for cost in costs)
    rate = case.unit.endswith("/ CPU-s")
    values = [float(f"{(1 / cost if rate else cost):.4g}") for cost in (ours, reference)]
    tokens = round(sides.tokens / ours) if sides.tokens else None
    return {
        "name": name, "env": env, "ours": values[0], "reference": values[1], "unit": case.unit,
        "ratio": round(reference / ours, 1), "tokens_per_cpu_s": tokens,
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows there")
    parser.add_argument(
        "--quick", action="store_true",
        help="one short repetition each: does it run, about how fast is it",
    )
    parser.add_argument(
        "--names", nargs="+", default=list(CASES), choices=list(CASES),
        help="only these comparisons",
    )
    parser.add_argument(
        "--envs", nargs="+", default=list(ENVS), choices=ENVS, help="only in these worlds"
    )
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    heads = f"{'name':<14}{'env':<19}{'ours':>13}{'reference':>11}  {'unit':<18}{'ratio':>8}"
    print(f"{heads}{'tokens / CPU-s':>16}  the reference")
    rows = []
    for name in args.names:
        for env in args.envs:
            rows.append(row := measure(name, env, args.quick))
            tokens = f"{row['tokens_per_cpu_s']:,}" if row["tokens_per_cpu_s"] else ""
            both = f"{row['ours']:>13,g}{row['reference']:>11,g}  {row['unit']:<18}"
            beside = f"{row['ratio']:>7.1f}x{tokens:>16}  {CASES[name].reference}"
            print(f"{name:<14}{env:<19}{both}{beside}", flush=True)
    print(f"{torch.get_num_threads()} thread(s)")
    if args.json:
        store.write_text(args.json, json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
