"""Learn, run and extend in-context model-based reinforcement learning.

    python -m dicp train --env darkroom --world-model observational
    python -m dicp evaluate --env darkroom --world-model observational --planner paper
    python -m dicp reproduce --env darkroom --dry-run

Each verb has its own --help. What is computed is kept in the cache (DICP_CACHE).
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from dicp import store
from dicp.checks import nearest
from dicp.config import (
    IMITATORS,
    PLANNERS,
    PROFILES,
    SOURCES,
    WORLD_MODELS,
    Config,
    PlanConfig,
    registry,
)

VERBS: dict[str, tuple[Callable, str]] = {}


class Parser(argparse.ArgumentParser):
    """Suggests the nearest option and choice."""

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            allowed = ", ".join(repr(choice) for choice in action.choices)
            sentence = f"{action.option_strings[0]} is {value!r}; allowed: {allowed}."
            self.error(sentence + nearest(value, action.choices))

    def parse_args(self, arguments: Sequence[str] | None = None) -> argparse.Namespace:
        options, rest = self.parse_known_args(arguments)
        if rest:
            known = [name for action in self._actions for name in action.option_strings]
            listed = ", ".join(name for name in known if name.startswith("--"))
            self.error(f"{rest[0]} is no option; allowed: {listed}.{nearest(rest[0], known)}")
        return options


def verb(function: Callable) -> Callable:
    VERBS[function.__name__] = function, function.__doc__.partition("\n")[0]
    return function


@verb
def reproduce(arguments: Sequence[str]) -> None:
    """Make the recorded results of a world, as far as they are missing."""
    from dicp.reproduce import main as run

    run(arguments)


@verb
def collect(arguments: Sequence[str]) -> None:
    """Collect the learning histories that models are trained on."""
    from dicp.artifacts import histories_of

    parser = parser_of(collect)
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes (default: 2)")
    config, options = asked(parser, arguments)
    print(histories_of(config, n_jobs=options.jobs))


@verb
def train(arguments: Sequence[str]) -> None:
    """Train a model, or find the one that was trained; the histories are collected first."""
    from dicp.artifacts import load_or_train

    parser = parser_of(train, learns=True)
    parser.add_argument(
        "--fresh", action="store_true", help="throw away what this machine has trained"
    )
    config, options = asked(parser, arguments)
    trained = load_or_train(config, fresh=options.fresh)
    last = trained.log.iloc[-1]
    losses = ", ".join(f"{name} {last[name]:.3f}" for name in last.index.drop("update"))
    print(f"{config.method} in {config.env.name}, {trained.origin}: {losses}")


@verb
def evaluate(arguments: Sequence[str]) -> None:
    """Let a model act in tasks that it never saw, and report its returns."""
    from dicp import evaluation, results

    parser = parser_of(evaluate, learns=True)
    parser.add_argument("--planner", choices=PLANNERS, default="none")
    parser.add_argument(
        "--episodes", type=int, metavar="N", help="of a rollout (default: as recorded)"
    )
    parser.add_argument(
        "--rollouts", type=int, metavar="N", help="rollouts a task (default: as recorded)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", metavar="FILE", help="where the table goes, as .csv.gz")
    config, options = asked(parser, arguments)
    plan = PlanConfig.preset(options.planner, options.env, options.task)
    sizes = dict(n_rollouts=options.rollouts, n_episodes=options.episodes, seed=options.seed)
    table = evaluation.evaluate(config, plan, **sizes)
    n = int(table["episode"].max())
    show = results.summary(table, last=min(10, n), found_by=min(5, n))
    print(show[["metric", "value", "low", "high"]].round(3).to_string(index=False))
    if options.out:
        results.save(table, options.out)


def parser_of(function: Callable, learns: bool = False) -> Parser:
    """The options that say which world it is and, with `learns`, which model."""
    parser = Parser(prog=f"python -m dicp {function.__name__}", description=function.__doc__)
    add = parser.add_argument
    add("--env", choices=registry.names(), default="darkroom")
    add("--task", metavar="TASK", help="of Meta-World's (default: reach-v3)")
    add("--split", type=int, default=0, help="into training and held-out tasks (default: 0)")
    add("--source", choices=SOURCES, default="ppo", help="the algorithm whose learning is recorded")
    if learns:
        add("--target", choices=IMITATORS, default="ad")
        add("--world-model", choices=WORLD_MODELS, default="none")
        add("--profile", choices=PROFILES, default="fast")
    return parser


def asked(parser: Parser, arguments: Sequence[str]) -> tuple[Config, argparse.Namespace]:
    """(config, options); the parser's own error where they do not fit."""
    options = parser.parse_args(arguments)
    names = {"target", "world_model", "profile"} & vars(options).keys()
    settings = {name: getattr(options, name) for name in names}
    seeds = dict(split=options.split, seed=options.split)
    config = Config.preset(
        options.env, task=options.task, source=options.source, **seeds, **settings
    )
    return config, options


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    listed = "\n".join(f"  {name:10} {what}" for name, (_, what) in VERBS.items())
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"usage: python -m dicp VERB [options]\n\n{__doc__}\nverbs:\n{listed}")
        return
    name, *rest = arguments
    if name not in VERBS:
        allowed = ", ".join(VERBS)
        sys.exit(f"dicp: the verb is {name!r}; allowed: {allowed}.{nearest(name, VERBS)}")
    try:
        VERBS[name][0](rest)
    except (ValueError, FloatingPointError, store.StoreError) as error:
        sys.exit(f"dicp {name}: {error}")


if __name__ == "__main__":
    main()
