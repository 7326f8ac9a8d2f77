"""Every recorded result, from nothing, with one command: `python -m dicp.reproduce --env darkroom`. What is done is skipped.

Three grid worlds, six methods (and our own, which imitates nobody), five splits; split s is trained with seed s. And the tasks
of Meta-World, four methods: `--env metaworld --task reach-v3`. Here a world is named "darkroom" or "metaworld-reach-v3".
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from dicp import ml1, plot, results, runs
from dicp.artifacts import SHIPPED, cache_folder, histories_of, load_or_train, save_trained, weights_name
from dicp.config import ENVS, ML1_TASKS, Config, PlanConfig
from dicp.envs import GridRules, split_of
from dicp.files import write_csv
from dicp.oracles import RandomPolicy, exact_belief
from dicp.rollout import rollout
from dicp.runs import ABLATIONS, ML1_ABLATIONS, RANKINGS, RUNS, SPLITS, Run


def measure(run: Run, env: str, split: int) -> tuple[pd.DataFrame, dict]:
    """(compact result table, CPU seconds of training and of evaluating) of one run."""
    config, plan, (tasks, n_rollouts) = runs.config_of(run, env, split), runs.plan_of(run, env), runs.lives_of(run, env, split)
    settings = {"run": run.name, "greedy": run.greedy, "privileged": run.privileged, **training_of(config)}
    n_episodes = runs.n_episodes_of(env)
    trained = load_or_train(config) if run.world_model else None
    started = time.process_time()
    if run.name == "source":
        table = results.from_source(histories_of(config, tasks).load(tasks), config, tasks, **settings)
    else:
        settings["context_length"] = run.context_length or config.model.context_length
        model = trained.model if trained else (RandomPolicy if run.name == "random" else exact_belief)(config.env)
        if run.privileged:
            highest = GridRules.of(config.env, tasks).max_return(config.env.horizon).float()
            model = model.prompted(highest.repeat_interleave(n_rollouts))
        life = rollout(model, config.env, tasks, n_rollouts, n_episodes, plan, split, run.greedy, run.context_length,
                       record=runs.is_grid(env))
        names = {} if trained else {"method": run.name, "world_model": "none"}
        table = results.from_life(life, config, tasks, plan, rollout_seed=split, **settings, **names)
    cost = {"run": run.name, "split": split, "train_cpu_s": trained.cpu_seconds if trained else 0.0,
            "evaluate_cpu_s": time.process_time() - started, "env_steps": int(len(table) * config.env.horizon)}
    table = results.compact(table)
    in_a_row = table["episode"].max() // 100                     # long lives are kept as a hundred blocks
    return (table if in_a_row <= 1 else results.in_blocks(table, in_a_row)), cost


def training_of(config: Config) -> dict:
    """The settings of training that some run changes, as columns."""
    return {name: getattr(config.train, name) for name in ("max_stride", "updates", "sort_episodes")}


def reproduce(env: str, names: Sequence[str], splits: Sequence[int]) -> None:
    """Make what is missing, a file a run under the cache folder, then put together the recorded table of all that is there."""
    restore(env)
    parts = parts_folder(env)
    for split in splits:
        for run in (run for run in runs.runs_in(env) if run.name in names):
            part = parts / runs.part_name(run, env, split)
            if not part.exists():
                table, cost = measure(run, env, split)
                write_csv(pd.DataFrame([cost]), part.with_suffix(".cost"))
                results.save(table, part)
                share, last = results.normalised(table) if runs.is_grid(env) else table["success"], 0.8 * table["episode"].max()
                print(f"{env} {run.name} split {split}: {share.mean():.3f} over all, "
                      f"{share[table['episode'] > last].mean():.3f} at the end, "
                      f"{cost['train_cpu_s']:.0f} + {cost['evaluate_cpu_s']:.0f} CPU-s", flush=True)
    record(env)


def parts_folder(env: str) -> Path:
    return cache_folder() / "results" / env


def restore(env: str) -> None:
    """Put the recorded runs into this machine's cache where they are not there: a new machine makes only what is missing."""
    if not results.recorded_path(env).exists():
        return
    table, folder = results.recorded(env), parts_folder(env)
    for cost in pd.read_csv(cost_path(env)).to_dict("records"):
        if not (part := folder / cost.pop("part")).exists():
            rows = table[(table["run"] == cost["run"]) & (table["split"] == cost["split"])]
            unused = [name for name in rows if name not in results.COMPACT and rows[name].isna().all()]
            write_csv(pd.DataFrame([cost]), part.with_suffix(".cost"))
            results.save(rows.drop(columns=unused), part)


def record(env: str) -> None:
    """Put together the recorded table of every run that is done."""
    parts = parts_folder(env)
    files = [parts / runs.part_name(run, env, split) for run in runs.runs_in(env) for split in SPLITS]
    files = [file for file in files if file.exists()]
    results.save(complete(results.load(*files)), results.recorded_path(env))
    costs = [pd.read_csv(file.with_suffix(".cost")).assign(part=file.name) for file in files]
    write_csv(pd.concat(costs), cost_path(env))


def complete(table: pd.DataFrame) -> pd.DataFrame:
    """A planner's setting that is younger than a part has its default there."""
    plans = table["planner"] != "none"
    younger = {f.name: table[f.name].where(~plans | table[f.name].notna(), f.default)
               for f in fields(PlanConfig) if f.name in table}
    return table.assign(**younger)


def cost_path(env: str) -> Path:
    """CPU seconds of each recorded run, and the name of its part, which says with what settings it was made."""
    return results.RECORDED / f"{env}_cost.csv"


TITLES = {
    "darkroom": "Planning pays; with the right model it pays at once",
    "darkroom_permuted": "After one episode the planner, and DPT, know their actions; AD needs ten",
    "dark_key_to_door": "The source is stuck at the key, and so is who imitates it; a plan goes on",
}


def draw(env: str) -> None:
    """All recorded methods of a world beside the paper's, as figures/<env>.png, and all grid worlds as figures/overview.png; of
    Meta-World all tasks in figures/metaworld_*.png."""
    plot.style()
    if not runs.is_grid(env) and (tables := ml1.recorded()):
        note = "50 held-out instances, one life each (source: 10, of 10 streams), one training seed; bands: 95% bootstrap"
        for value, title in ml1.claims(tables).items():
            save_figure(plot.ml1_curves(tables, value=value, title=title, note=note), f"metaworld_{value}")
        note = "50 held-out instances, the last fifth of each life, one training seed"
        if len(compared := ml1.rankings(tables)):
            save_figure(plot.ml1_rankings(compared, title=ml1.better_ranking(tables), note=note), "metaworld_ranking")
    if not runs.is_grid(env):
        return
    table = results.recorded(env)
    table = table[table["run"].isin([run.name for run in RUNS])].drop(columns="context_length")
    tables = {name: results.recorded(name) for name in ENVS if results.recorded_path(name).exists()}
    figures = {env: plot.comparison(table, title=TITLES[env]), "overview": plot.overview(
        tables, title="Trained on what nobody could have known, a world model plans as exact inference does")}
    for name, figure in figures.items():
        save_figure(figure, name)


def save_figure(figure: Figure, name: str) -> None:
    figure.savefig(results.RECORDED.parent / f"{name}.png", dpi=110, metadata={"Software": None})


def ship(env: str) -> None:
    """Put the weights of split 0 and, of the grids, a sample of the histories into the package."""
    trained = [run for run in runs.runs_in(env) if run.world_model and not (run.model or run.train)]
    configs = {config.key: config for config in (runs.config_of(run, env, 0) for run in trained)}
    for config in configs.values():
        save_trained(load_or_train(config), config, SHIPPED / "weights" / weights_name(config))
    if not runs.is_grid(env):
        return
    train, test = split_of(config.env, 0)
    (SHIPPED / "histories").mkdir(exist_ok=True)
    histories_of(config).save_sample(SHIPPED / "histories" / f"{env}-sample.zarr.zip", [*test[:8], *train[:8]], 10)


def main() -> None:
    names = list(dict.fromkeys(run.name for run in (*RUNS, *ABLATIONS, *RANKINGS, *ML1_ABLATIONS)))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", default="darkroom", choices=(*ENVS, "metaworld"))
    parser.add_argument("--task", default="reach-v3", choices=ML1_TASKS, metavar="TASK", help="of Meta-World's: reach-v3, ...")
    parser.add_argument("--runs", nargs="+", default=[run.name for run in RUNS], choices=names)
    parser.add_argument("--splits", nargs="+", type=int, default=list(SPLITS))
    parser.add_argument("--ship", action="store_true", help="also put weights and sample histories into the package")
    args = parser.parse_args()
    world = f"metaworld-{args.task}" if args.env == "metaworld" else args.env
    reproduce(world, args.runs, args.splits)
    draw(world)
    if args.ship:
        ship(world)


if __name__ == "__main__":
    main()
