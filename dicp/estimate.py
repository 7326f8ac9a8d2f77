"""What `dicp.reproduce` would have to do, and how long it would take: from the recorded costs."""

from collections.abc import Sequence

import pandas as pd

from dicp import runs
from dicp.artifacts import lies_ready, weights_name, world_parts
from dicp.checks import checked
from dicp.config import registry
from dicp.parts import Part, find, parts_of, shipped
from dicp.recordings import recorded_costs
from dicp.runs import SPLITS, Names, Run, Splits
from dicp.store import StoreError
from dicp.worlds import World, worlds

__all__ = ["report"]


def missing_parts(
    world: str, names: Sequence[str], splits: Sequence[int], again: bool
) -> list[Part]:
    """The runs that are asked for and not done. Nothing is written; what is damaged is named."""
    package, missing = {} if again else shipped(world), []
    for part in parts_of(world, names, splits):
        try:
            if find(part, package, may_write=False) is None:
                missing.append(part)
        except StoreError as error:
            print(f"{error} It would be made anew.")
            missing.append(part)
    return missing


def estimated(parts: Sequence[Part]) -> pd.DataFrame:
    """CPU hours of each run: columns part, train, act; nan where nothing like it is recorded.

    A model that several runs share is trained once, and not at all where its weights lie ready.
    """
    rows, trained = [], set()
    for part in parts:
        train, act = _cpu_seconds(part)
        config = runs.config_of(part.run, part.world, part.split)
        name = part.run.world_model and weights_name(config)      # None: a control, not trained
        if name is None or name in trained or lies_ready(config):
            train = 0.0
        trained.add(name)
        rows.append({"part": str(part), "train": train / 3600, "act": act / 3600})
    return pd.DataFrame(rows, columns=["part", "train", "act"])


def _cpu_seconds(part: Part) -> tuple[float, float]:
    """Of training and of acting, as in other splits of the same run, else of a run with the same
    model and planner, else of the same kind of world; acting in proportion to the env steps."""
    alike = [run.name for run in runs.runs_in(part.world) if _kind(run) == _kind(part.run)]
    for names in ([part.world], _worlds_like(part.world)):
        known = [costs for costs in map(recorded_costs, names) if len(costs)]
        if not known:
            continue
        costs = pd.concat(known)
        for same in ([part.run.name], alike):
            rows = costs[costs["run"].isin(same)]
            if len(rows):
                per_step = (rows["evaluate_cpu_s"] / rows["env_steps"]).mean()
                return float(rows["train_cpu_s"].mean()), float(per_step * _env_steps(part))
    return float("nan"), float("nan")


def _kind(run: Run) -> tuple:
    return run.world_model, run.planner, run.target, run.world_model is None and run.name


def _worlds_like(world: str) -> list[str]:
    kind = registry.domain_class(world_parts(world)[0])
    return [other for other in worlds() if registry.domain_class(world_parts(other)[0]) is kind]


def _env_steps(part: Part) -> int:
    where = part.run, part.world, part.split
    n_rollouts = len(runs.sizes_of(*where)[0]) * runs.n_rollouts_of(*where)
    return n_rollouts * runs.episodes_of(*where)[-1] * runs.config_of(*where).env.horizon


@checked
def report(world: World, names: Names, splits: Splits = SPLITS, again: bool = False) -> str:
    """What is missing of the runs that are asked for, and the CPU hours that it would take. again:
    as if nothing were recorded with the package."""
    names = [runs.run_named(name, world).name for name in names]
    n = len(names) * len(splits)
    parts = missing_parts(world, names, splits, again)
    if not parts:
        return f"{world}: nothing to do, all {n} runs that you ask for are done (--again: anew)."
    hours = estimated(parts)
    lines = [f"{world}: {len(parts)} of the {n} runs that you ask for are missing."]
    for row in hours.itertuples():
        known = row.train + row.act
        lines.append(f"  {row.part}: " + (
            f"{known:.2f} CPU-hours (training {row.train:.2f}, acting {row.act:.2f})"
            if known == known else "nothing like it is recorded, so its time is not known"))
    total, unknown = hours[["train", "act"]].sum().sum(), hours["act"].isna().any()
    rest = " without those whose time is not known" if unknown else ""
    return "\n".join([*lines, f"  together {total:.2f} CPU-hours{rest}, as recorded; collecting "
                              "the histories, where they are missing, comes on top"])
