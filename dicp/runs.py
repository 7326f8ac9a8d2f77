"""What is compared: every run as a row of settings, its tasks and rollouts, and its file's name."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Annotated, NamedTuple

from dicp.artifacts import world_parts
from dicp.checks import Each, OneOf, checked, one_of, text
from dicp.config import IMITATORS, PLANNERS, Config, PlanConfig
from dicp.config.env import named
from dicp.config.wire import with_old_names
from dicp.domain import domain_of
from dicp.envs import Task
from dicp.worlds import World

__all__ = [
    "ABLATIONS", "EXPERTS", "ML1_ABLATIONS", "N_SEEDS", "RANKINGS", "RUNS", "SPLITS", "Run",
    "Split", "config_of", "episodes_of", "is_retired", "sizes_of", "n_episodes_of", "n_rollouts_of",
    "part_name", "plan_of", "planned", "run_named", "runs_in", "runs_of", "with_seeds",
]

SPLITS = (0, 1, 2, 3, 4)
ROOMS = ("dark_treasure", "noisy_darkroom")
N_SEEDS = (1, 2, 3)        # training seeds of one run
USUAL_EPISODES = 50        # of a rollout
IN_A_ROW = 100             # rows a rollout is kept in: longer ones as blocks of episodes

Imitator = Annotated[str, OneOf(IMITATORS)]
Split = Annotated[int, OneOf(SPLITS)]
Names = Annotated[Sequence[str], Each(text, least=1)]
Splits = Annotated[Sequence[int], Each(OneOf(SPLITS), least=1)]


class Run(NamedTuple):
    """One row of the comparison: a trained model or a control, and how it acts. The last four say
    what is changed of the presets, as (field, value) pairs."""

    name: str
    world_model: str | None = None          # of the trained model; None for a control
    planner: str = "none"
    target: str = "ad"
    greedy: bool = False
    privileged: bool = False                # IDT asked for the highest return of the unseen task
    context_length: int | None = None
    # the run whose model acts and proposes; None: the model's own policy, if any
    policy: str | None = None
    model: tuple = ()
    train: tuple = ()
    plan: tuple = ()


@checked
def runs_of(target: Imitator) -> list[Run]:
    """A method, and its DICP version without a planner, with the paper's and with the gated one."""
    name = f"dicp_{target}"
    observed = partial(Run, world_model="observational", target=target)
    planned = [observed(f"{name}_{planner}", planner=planner) for planner in ("paper", "gated")]
    return [Run(target, "none", target=target), observed(name), *planned]


RUNS = (
    *(run for target in IMITATORS for run in runs_of(target)),
    Run("queries", "queries", "bayes"),
    Run("random"), Run("source"), Run("exact_belief", planner="bayes"),
    Run("exact_belief_250", planner="bayes", context_length=250),       # Dark Treasure
)

# The control that decides: data x model x planner, always beside AD's policy of the same split.
DATA_OF = {"first": "first_episodes", "all": "histories", "exact": "exact_belief",
           "half": "first_and_exact", "own": "first_and_own"}
# Where 0.005 or 0.02 was better than the preset's 0.01 on validation tasks (`docs/tuning.csv`).
RATES = {("queries", "all"): 0.005, ("heads", "first"): 0.02, ("heads", "all"): 0.005}


def alone(
    kind: str, data: str, planner: str, word: str = "", model: tuple = (), train: tuple = ()
) -> Run:
    """A world model that has no policy, beside AD's."""
    name = "_".join(filter(None, (kind, data, word, planner)))
    rate = (("learning_rate", RATES[kind, data]),) if (kind, data) in RATES else ()
    train = (("data", DATA_OF[data]), *rate, *train)
    return Run(name, kind, planner, policy="ad", model=model, train=train)


CONTROL = tuple(alone(model, data, planner) for model in ("queries", "heads", "table")
                for data in ("first", "all") for planner in PLANNERS[1:])
BAYES = tuple(run for run in CONTROL if run.planner == "bayes")
PAPER_OR_BAYES = tuple(run for run in CONTROL if run.planner in ("paper", "bayes"))
# Compliant, too, and rich in rewards; the last two are half first episodes.
COMPLIANT = tuple(alone(model, data, "bayes") for model in ("queries", "table")
                  for data in ("exact", "half", "own"))
IN_ROOMS = (*BAYES, *COMPLIANT,
            alone("table", "first", "bayes", "hopeful", model=(("new_cells", 2.0),)))
# What of it is built in, what is compliance, and what is a training too short. Darkroom.
# A token that counts once had its best rate after whole histories at 0.02.
ONCE = {
    data: (("most_repeats", 1), ("repeats_after", 0.0), ("learning_rate", rate))
    for data, rate in (("first", 0.01), ("all", 0.02))
}
PLAIN = (("relabels", False), ("n_lines", 2))
WHY = (
    *(alone("queries", data, "bayes", "once", train=ONCE[data]) for data in ONCE),
    *(alone("queries", data, "bayes", "plain", model=PLAIN, train=ONCE[data]) for data in ONCE),
    *COMPLIANT, alone("table", "first", "thompson", "faint", model=(("new_cells", 0.01),)),
    *(alone("heads", data, planner, "long", train=(("updates", 20_000),))
      for data in ("first", "all") for planner in ("paper", "bayes")),
)
# Trained models again, with other weights at the start: Darkroom, with the Bayes planner.
SEEDS = tuple(
    run._replace(name=f"{run.name}_seed{seed}", train=(*run.train, ("seed", 100 + seed)))
    for run in (*BAYES, *COMPLIANT) if run.world_model != "table" for seed in N_SEEDS[:-1]
)


@checked
def planned(
    name: Annotated[str, text], planner: Annotated[str, OneOf(PLANNERS)],
    target: Imitator = "ad", **changes,
) -> Run:
    """DICP with something changed in its planner."""
    for field in changes:
        one_of("change", field, PlanConfig.__dataclass_fields__)
    name = f"dicp_{target}_{planner}_{name}"
    return Run(name, "observational", planner, target, plan=tuple(changes.items()))


CONDITIONED = (("return_conditioned", True),)
ABLATIONS = (
    Run("ad_greedy", "none", greedy=True),
    Run("ad_context_20", "none", context_length=20),
    Run("ad_consecutive", "none", train=(("max_stride", 1),)),
    Run("ad_last_position", "none", train=(("dense", False),)),
    *(Run(f"ad_{n}_tasks", "none", train=(("max_tasks", n),)) for n in (10, 20, 40)),
    Run("idt_asked", "none", target="idt", model=CONDITIONED),
    Run("idt_privileged", "none", target="idt", privileged=True, model=CONDITIONED),
    *(planned(f"k{k}", "gated", beam_width=k) for k in (1, 5, 20)),
    *(planned(f"k{k}", "paper", beam_width=k) for k in (1, 5, 20)),
    *(planned(f"depth{d}", "gated", depth=d) for d in (2, 4, 16)),
    *(planned("to_end", planner, return_to_go=True) for planner in ("paper", "gated")),
    *(planned(f"from{n}", "paper", start_after=n) for n in (0, 20, 400)),
    planned("likeliest", "paper", ties="order"), planned("likeliest", "gated", ties="logp"),
    *(Run(f"queries_k{k}", "queries", "bayes", plan=(("beam_width", k),)) for k in (5, 10, 20, 40)),
)

# Meta-World's, on reach alone
ML1_PLANS = {
    "l5": {"candidates": 5}, "l15": {"candidates": 15}, "depth2": {"depth": 2},
    "depth4": {"depth": 4}, "step0": {"start_after_step": 0},
    "from0": {"start_after": 0, "start_after_step": 0},
}
ML1_ABLATIONS = (
    *(run._replace(name=f"{run.name}_greedy", greedy=True)
      for target in ("ad", "idt") for run in runs_of(target)[:2]),
    *(planned(name, "paper", target, **changes)
      for target in ("ad", "idt") for name, changes in ML1_PLANS.items()),
)
# Meta-World's scripted expert, told the goal or going for the mean training goal (`dicp.experts`).
EXPERTS = (Run("blind", greedy=True), Run("informed", greedy=True))
# Meta-World's, in every task the one that its planner does not use
RANKINGS = tuple(
    planned(name, "paper", target, return_to_go=name == "return_to_go")
    for target in ("ad", "idt") for name in ("reward", "return_to_go")
)


@checked
def is_retired(name: Annotated[str, text], world: World) -> bool:
    """Whether a run of that name can no longer be made; its rows stay. `bayes`: its model, a
    look-up built by hand, is gone. `..._return_to_go` in a grid: the return-to-go was added to a
    reward that it holds already (`..._to_end`: it takes its place)."""
    retired = name == "bayes" or name.startswith("bayes_k") or name.endswith("_return_to_go")
    return retired and name not in {run.name for run in runs_in(world)}


# What is made in a world besides `RUNS`; of Meta-World in all its tasks, and in one alone.
OTHERS: dict[str, tuple[Run, ...]] = {
    "darkroom": (*CONTROL, *WHY, *SEEDS, *ABLATIONS,
                 Run("exact_belief_thompson", planner="thompson")),
    "darkroom_permuted": (*PAPER_OR_BAYES, *ABLATIONS),
    "dark_key_to_door": (*PAPER_OR_BAYES, *ABLATIONS),
    # a plan that begins at once leaves nothing to a policy: none is trained for it
    **{name: tuple(run._replace(policy=None) for run in IN_ROOMS) for name in ROOMS},
    "metaworld": (*EXPERTS, *RANKINGS),
    "metaworld-reach-v3": ML1_ABLATIONS,
}


@checked
def runs_in(world: World) -> list[Run]:
    """Every run that can be made in a world, ablations last."""
    env, task = world_parts(world)
    others = (*OTHERS.get(env, ()), *(OTHERS.get(world, ()) if task else ()))
    return [
        *(run for run in RUNS if is_possible(run, env, task)),
        *(run for run in others
          if run not in RANKINGS or plan_of(run, world) != plan_of(run._replace(plan=()), world)),
    ]


def is_possible(run: Run, env: str, task: str | None) -> bool:
    """Whether a world has such a method, planner or control."""
    world = domain_of(named(env, task))
    if run.world_model is None:
        return run.name in world.controls
    has = world.config
    is_trained = run.world_model in has.world_models and run.target in has.imitators
    return is_trained and run.planner in has.planners


@checked
def with_seeds(names: Names, world: World, n_seeds: Annotated[int, OneOf(N_SEEDS)]) -> list[str]:
    """The same runs, each followed by itself with other training seeds, as far as it has them."""
    known = {run.name for run in runs_in(world)}
    seeds = ["", *(f"_seed{n}" for n in range(1, n_seeds))]
    every = [name + seed for name in names for seed in seeds]
    return [name for name in dict.fromkeys(every) if name in known or name in names]


@checked
def run_named(name: Annotated[str, text], world: World) -> Run:
    """The run of that name in a world; `ValueError` with what there is."""
    named = {run.name: run for run in runs_in(world)}
    return named[one_of(f"run (in {world})", name, named)]


@checked
def config_of(run: Run, world: World, split: Split) -> Config:
    env, task = world_parts(world)
    settings = dict(world_model=run.world_model or "none", seed=split, split=split)
    config = Config.preset(env, task=task, target=run.target, **settings)
    model = replace(config.model, **dict(run.model))
    train = replace(config.train, **dict(run.train))
    return replace(config, model=model, train=train)


@checked
def plan_of(run: Run, world: World) -> PlanConfig | None:
    return PlanConfig.preset(run.planner, *world_parts(world), **dict(run.plan))


@checked
def n_episodes_of(world: World, run: Run | None = None) -> int:
    """Of a rollout; of one that does the same in every episode, one."""
    return 1 if run in EXPERTS else domain_of(named(*world_parts(world))).evaluation.n_episodes


@checked
def sizes_of(run: Run, env: World, split: Split) -> tuple[list[Task], int]:
    """(tasks, rollouts in each); of the source the tasks whose histories there are."""
    plan, config = plan_of(run, env), config_of(run, env, split)
    world = domain_of(config.env)
    n_tasks, n_rollouts = world.evaluation.rollouts(run.world_model, plan)
    tasks = world.split(split)[1]
    if run.name == "source":
        collected = set(world.source_tasks(config.source, split))
        tasks = [task for task in tasks if task in collected]
        n_rollouts = world.evaluation.of_source or n_rollouts
    return tasks[:n_tasks], n_rollouts


@checked
def n_rollouts_of(run: Run, world: World, split: Split) -> int:
    """Rollouts in each task as the result table counts them: of the source all its kept streams."""
    if run.name == "source":
        return config_of(run, world, split).source.n_kept
    return sizes_of(run, world, split)[1]


@checked
def episodes_of(run: Run, world: World, split: Split) -> range:
    """The episodes under which a rollout has a row in the compact table: all, or of a long rollout
    the last of each of a hundred blocks."""
    n = n_episodes_of(world, run)
    if run.name == "source":
        config = config_of(run, world, split)
        n = config.source.env_steps // config.env.horizon
    block = block_of(n)
    return range(block, n + 1, block)


def block_of(n_episodes: int) -> int:       # that are kept as one row of the compact table
    return max(n_episodes // IN_A_ROW, 1)


@checked
def part_name(run: Run, env: World, split: Split) -> str:
    """The file of one run; its name changes with any setting, so a stale part is never taken for a
    done one. Settings that have their default do not count (as in `Config.key`), so that a new one
    changes no name; nor what the world does not read, nor training where nothing is trained."""
    config, plan = config_of(run, env, split), plan_of(run, env)
    unread = domain_of(config.env).unread
    planner = plan and {name: value for name, value in asdict(plan).items()
                        if value != getattr(PlanConfig(), name) and name not in unread}
    key = config.key if run.world_model else config.history_key
    settings = [key, planner, with_old_names(run), *sizes_of(run, env, split)]
    settings += [] if n_episodes_of(env, run) == USUAL_EPISODES else [n_episodes_of(env, run)]
    return f"{run.name}-{split}-{hashlib.sha1(json.dumps(settings).encode()).hexdigest()[:10]}.csv"
