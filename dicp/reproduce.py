"""Every result that is missing, with one command: `python -m dicp.reproduce --env darkroom`.

What is done is skipped; so is what is recorded with the package, unless `--again` asks for it.
There are three grid worlds, six methods (and our own, which has no policy) and five splits; split
s is trained with seed s. And the tasks of Meta-World, four methods:
`--env metaworld --task reach-v3`. Here a world is named "darkroom" or "metaworld-reach-v3".
What is made goes into the cache (DICP_CACHE), folder `results`; with `--record`, in a checkout,
into the package and figures/.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd

import dicp
from dicp import cache, estimate, figures, parts, probes, recordings, results, runs, store
from dicp.artifacts import (
    SHIPPED,
    histories_of,
    load_or_train,
    save_trained,
    weights_name,
    world_parts,
)
from dicp.checks import Count, checked, refuse, whole
from dicp.config import ENVS, ML1_TASKS, registry
from dicp.config.env import named
from dicp.domain import domain_of, split_of
from dicp.measuring import control_of, measure
from dicp.parts import Part
from dicp.processes import stoppable
from dicp.runs import CONTROL, RUNS, SEEDS, SPLITS, WHY, Names, Run, Splits
from dicp.worlds import World

__all__ = ["probe_models", "record", "reproduce", "ship"]


@checked
def reproduce(
    world: World, names: Names, splits: Splits = SPLITS, n_jobs: Count = 2, again: bool = False
) -> int:
    """Make the runs of a world that are missing, a file a run in the cache; returns how many.

    again: also those that are recorded with the package, unless this machine has made them. What
    another process is making is left to the end, and waited for. `ValueError` for a run that the
    world does not have, `StoreError` where the cache cannot be written.
    """
    names = [runs.run_named(name, world).name for name in names]
    package = {} if again else parts.shipped(world)
    wanted = parts.parts_of(world, names, splits)
    store.sweep(parts.results_folder() / world)
    undone = [part for part in wanted if part.files_exist or part.path.name not in package]
    if not undone:
        say_nothing_to_do(world, wanted)
        return 0
    cache.writable_cache("results")
    n_made, busy = 0, []
    for part in undone:
        with parts.lock_of(part) as mine:
            if mine:
                n_made += make(part, package, n_jobs)
            else:
                busy.append(part)
    for part in busy:
        with parts.lock_of(part, wait=True):
            n_made += make(part, package, n_jobs)
    if not n_made:
        say_nothing_to_do(world, wanted)
    return n_made


def say_nothing_to_do(world: str, wanted: Sequence[Part]) -> None:
    here = sum(part.record.exists() for part in wanted)
    print(f"{world}: nothing to do, all {len(wanted)} runs that you ask for are done "
          f"({here} by this machine, {len(wanted) - here} recorded with the package; --again makes "
          "these here, too).", flush=True)


def make(part: Part, package: dict[str, parts.Made], n_jobs: int) -> bool:
    """Make one run, unless it is done; the caller holds its lock. Returns whether it was made."""
    try:
        if parts.find(part, package) is not None:
            return False
    except store.StoreError as error:
        print(f"{error} It is made anew.", flush=True)
    table, cost = measure(part.run, part.world, part.split, n_jobs)
    parts.write_part(part, table, cost)
    told = domain_of(runs.config_of(part.run, part.world, part.split).env).says_success
    share = table["success"] if told else results.normalised(table)
    last = 0.8 * table["episode"].max()
    at_the_end = share[table["episode"] > last].mean()
    print(f"{part}: {share.mean():.3f} over all, {at_the_end:.3f} at the end, "
          f"{cost['train_cpu_s']:.0f} + {cost['evaluate_cpu_s']:.0f} CPU-s", flush=True)
    return True


@checked
def probe_models(
    world: World, names: Names, splits: Splits = SPLITS, n_jobs: Count = 2, again: bool = False
) -> int:
    """Measure what the world models of those runs believe (`dicp.probes`), as far as that is
    missing; returns of how many. Arguments and errors: as `reproduce`."""
    path, package = probes.probes_path(parts.results_folder(), world), {}
    if not again:
        package = probes.read_probes(probes.probes_path(recordings.RECORDED, world))
    wanted = {key: where for key, where in probed(world, names, splits).items()
              if key not in package}
    if not wanted:
        return 0
    n_made = 0
    lock = parts.results_folder() / "locks" / f"{world}_probes.lock"
    with store.lock(lock, what=f"The probes of {world}"):
        try:
            done = probes.read_probes(path)
        except store.StoreError as error:
            print(f"{error} It is made anew.", flush=True)
            done = {}
        for key, (run, split) in wanted.items():
            if key in done:
                continue
            config = runs.config_of(run, world, split)
            if run.world_model == "table":
                model = control_of(run, config, [], n_jobs)
            else:
                model = load_or_train(config, n_jobs=n_jobs).model
            table = probes.probe(model, config.env, runs.sizes_of(run, world, split)[0], split)
            done[key] = probes.kept_probes(table, run.name, split)
            probes.write_probes(path, done)
            n_made += 1
    return n_made


def probed(
    world: str, names: Names | None = None, splits: Splits = SPLITS
) -> dict[str, tuple[Run, int]]:
    """The runs whose world models are measured, of these names (None: all), by run, split and the
    config's key."""
    control = {run.name for run in (*CONTROL, *WHY, *SEEDS) if run.planner == "bayes"}
    asked = [run for run in runs.runs_in(world)
             if run.name in control and (names is None or run.name in names)]
    if domain_of(named(*world_parts(world))).moves_are_hidden:
        asked = [run for run in asked if run.world_model != "table"]      # it predicts no shares
    return {f"{run.name}-{split}-{runs.config_of(run, world, split).key}": (run, split)
            for run in asked for split in splits}


def record_probes(world: str) -> None:
    """Put what this machine measured into the package, beside what is there and still holds."""
    path = probes.probes_path(recordings.RECORDED, world)
    before = probes.read_probes(path)
    mine = probes.read_probes(probes.probes_path(parts.results_folder(), world))
    holds = probed(world) if mine or before else ()
    after = {key: value for key in holds for value in [mine.get(key, before.get(key))] if value}
    if after != before:
        probes.write_probes(path, after)


@checked
def record(world: World, tracked: bool = False) -> None:
    """Put together the table of every run that is done, its costs and its figures: in the cache, or
    (`tracked`, in a checkout) in the package and figures/. What is there already stays as it is."""
    if tracked and checkout() is None:
        raise refuse("tracked", tracked, "False outside a checkout")
    if not tracked and not (parts.results_folder() / world).exists():
        return                                            # what the package has is all there is
    folder = recordings.RECORDED if tracked else parts.results_folder()
    pictures = (checkout() if tracked else folder) / "figures"
    with store.lock(parts.results_folder() / "locks" / f"{world}.lock", what=world):
        store.sweep(folder)
        store.sweep(pictures)
        found = parts.combined(world)
        if found is None:
            return
        if tracked:
            record_probes(world)
        said = probes.table_in(folder, world)
        table = partial(table_of, world, found[0], tracked)
        draw = partial(figures.draw, world, pictures, table, said)
        is_new = recordings.write_recorded(folder, world, *found, finish=draw)
        if tracked and not is_new:
            draw()
    if is_new or tracked:
        print(f"{world}: {folder / world}.csv.gz holds all that is done, {pictures} its figures.",
              flush=True)


def table_of(world: str, table: pd.DataFrame, tracked: bool, other: str) -> pd.DataFrame | None:
    """The table of another world beside which this one's is shown; None where there is none."""
    if other == world:
        return table
    if tracked:
        return results.recorded(other) if results.is_recorded(other) else None
    found = parts.combined(other)
    return None if found is None else found[0]


def checkout() -> Path | None:
    """The folder of the repository that this package is run from; None if it was installed."""
    root = Path(dicp.__file__).parent.parent
    return root if (root / "pyproject.toml").exists() and (root / ".git").exists() else None


@checked
def ship(env: World) -> None:
    """Put the weights of split 0 and, of the grids, a sample of the histories into the package, in
    a checkout."""
    if checkout() is None:
        raise refuse("ship", env, "a world in a checkout; this package was installed")
    trained = [run for run in runs.runs_in(env) if run.world_model and not (run.model or run.train)]
    configs = {config.key: config for config in (runs.config_of(run, env, 0) for run in trained)}
    for config in configs.values():
        save_trained(load_or_train(config), config, SHIPPED / "weights" / weights_name(config))
    if env not in ENVS:
        return
    train, test = split_of(config.env, 0)
    (SHIPPED / "histories").mkdir(exist_ok=True)
    sample = SHIPPED / "histories" / f"{env}-sample.zarr.zip"
    histories_of(config).save_sample(sample, [*test[:8], *train[:8]], 10)


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked for on the command line, checked; adds `world`, its name."""
    parser = argparse.ArgumentParser(prog="python -m dicp.reproduce", description=__doc__)
    add = parser.add_argument
    add("--env", default="darkroom", choices=registry.names())
    add("--task", choices=ML1_TASKS, metavar="TASK", help="of Meta-World's (default: reach-v3)")
    add("--runs", nargs="+", metavar="RUN", help="these alone (default: all but the ablations)")
    add("--splits", nargs="+", type=int, default=list(SPLITS), choices=SPLITS)
    add("--seeds", type=int, default=1, choices=runs.N_SEEDS, metavar="N",
        help="so many training seeds, of runs that have more than one (default: 1, at most 3)")
    add("--jobs", type=n_processes, default=2, metavar="N",
        help="processes that collect histories (default: 2)")
    add("--again", action="store_true",
        help="make what is recorded with the package, too; what this machine has made stays")
    add("--dry-run", action="store_true", help="say what is missing and its cost, no more")
    add("--record", action="store_true", help="in a checkout: update tables and figures")
    add("--ship", action="store_true", help="in a checkout: ship weights and sample histories")
    args = parser.parse_args(arguments)
    try:
        args.world = domain_of(named(args.env, args.task)).name
    except ValueError as error:
        parser.error(f"--{error}" if str(error).startswith("task ") else str(error))
    if (args.record or args.ship) and checkout() is None:
        parser.error("--record and --ship change a checkout of the repository; this package was "
                     "installed. Without them, results go into the cache.")
    try:
        default = [run.name for run in runs.runs_in(args.world) if run in RUNS]
        asked = dict.fromkeys(args.runs or default)
        known = [runs.run_named(name, args.world).name for name in asked]
        args.runs = runs.with_seeds(known, args.world, args.seeds)
        more = {f"{name}_seed1" for name in known} & {run.name for run in runs.runs_in(args.world)}
        if args.seeds > 1 and not more:
            few = "1, of these runs; more of queries_first_bayes and the like, in Darkroom"
            raise refuse("--seeds", args.seeds, few)
        args.splits = list(dict.fromkeys(args.splits))
        cache.cache_folder()
    except ValueError as error:
        parser.error(str(error))
    return args


def n_processes(text: str) -> int:
    try:
        return whole("--jobs", int(text) if text.isdecimal() else text, 1)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def main(arguments: Sequence[str] | None = None) -> None:
    args = options(arguments)
    try:
        if args.dry_run:
            print(estimate.report(args.world, args.runs, args.splits, args.again))
            return
        with stoppable():
            asked = args.world, args.runs, args.splits, args.jobs, args.again
            reproduce(*asked)
            probe_models(*asked)
            record(args.world, args.record)
            if args.ship:
                ship(args.world)
    except store.StoreError as error:
        sys.exit(f"dicp.reproduce: {error}")


if __name__ == "__main__":
    main()
