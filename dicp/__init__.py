"""In-context model-based reinforcement learning: a tutorial and reproduction of DICP.

    import dicp

    config = dicp.Config.preset("darkroom", world_model="observational")      # the paper's DICP-AD
    plan = dicp.PlanConfig.preset("paper", "darkroom")
    table = dicp.evaluate(config, plan, n_rollouts=2, n_episodes=10)
    dicp.plot.returns(table, title="It improves from episode to episode, and no weight changes")

`recorded("darkroom")` is the table of this project's own results, `make_env("darkroom")` a batched
environment, `register` makes a world of yours known. `python -m dicp` does the same on the command
line. Importing it registers the grids with Gymnasium:
`gymnasium.make("dicp/Darkroom-v0", goal=(7, 2))`.
"""

from importlib import import_module

import gymnasium

__version__ = "0.2.0"

# Where each name is; imported when it is used, so that `import dicp` takes no second.
_FACE = {
    "Config": "dicp.config", "PlanConfig": "dicp.config", "evaluate": "dicp.evaluation",
    "load_or_train": "dicp.artifacts", "make_env": "dicp.evaluation", "plot": "dicp.plot",
    "recorded": "dicp.recordings", "register": "dicp.config.registry",
}
__all__ = ["__version__", *_FACE]

# The worlds end by themselves and refuse a step outside an episode, so neither wrapper of Gymnasium
# is needed.
_WORLDS = {
    "Darkroom": "gym", "DarkroomPermuted": "gym", "DarkKeyToDoor": "gym",
    "DarkTreasure": "gym_rooms", "NoisyDarkroom": "gym_rooms",
}
for _world, _module in _WORLDS.items():
    _place = f"dicp.envs.{_module}:{_world}"
    gymnasium.register(f"dicp/{_world}-v0", entry_point=_place, order_enforce=False)
del _world, _module, _place


def __getattr__(name: str):
    if name not in _FACE:
        raise AttributeError(
            f"module 'dicp' has no attribute {name!r}; it has {', '.join(__all__)}"
        )
    module = import_module(_FACE[name])
    return module if _FACE[name] == f"dicp.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
