"""Another source algorithm, by its name: TRPO and A2C in a grid, SAC in Meta-World."""

from dataclasses import replace

from dicp.cache import cache_folder
from dicp.config import Config, SourceConfig
from dicp.domain import domain_of
from dicp.history import collect


def learning_curve(env, name, n_tasks, **changes):
    """The mean return of each tenth of a source's episodes. What is there already is not made
    again, and what was stopped goes on; `Config.preset(env, source=name)` trains models on it."""
    world, source = Config.preset(env).env, replace(SourceConfig.preset(env, name), **changes)
    tasks = domain_of(world).split(0)[0][:n_tasks]
    path = cache_folder() / "histories" / f"{env}-{name}-example.zarr"
    log = collect(path, world, source, tasks).load()
    return log.episode_returns.mean((0, 1), dtype=float).unflatten(0, (10, -1)).mean(1)


def main(n_tasks=2):
    grid = dict(n_tasks=n_tasks, n_streams=10, env_steps=1000)
    arm = dict(**grid, n_steps=100, batch_size=200)
    return {
        "trpo": learning_curve("darkroom", "trpo", **grid),
        "a2c": learning_curve("darkroom", "a2c", **grid),
        "sac": learning_curve("metaworld", "sac", **arm),
    }


if __name__ == "__main__":
    for name, curve in main().items():
        print(f"{name:5}", " ".join(f"{value:6.2f}" for value in curve))
