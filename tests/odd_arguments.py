"""Every argument of the worlds' public functions gets odd values.

    python tests/odd_arguments.py grids | metaworld

prints a line of JSON for each call, [function, argument, value, what came of it], and the most
memory that it has had. It is a process of
its own, without the tests' type checks, which would answer first.
"""

import inspect
import json
import math
import resource
import sys
from collections.abc import Callable, Iterator

import gymnasium
import numpy as np
import torch

import dicp  # noqa: F401 (registers the worlds)
from dicp.config import EnvConfig, MetaWorldConfig
from dicp.envs import GridRules, GridState, GridWorld, gym, tasks, world_of
from dicp.envs.draw import Mark, draw_grid
from dicp.envs.grid import cell_to_xy

VALUES = {
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "-1": -1,
    "0": 0,
    "2**40": 2**40,
    "2**63": 2**63,
    "1e308": 1e308,
    "True": True,
    "'0'": "0",
    "None": None,
    "[]": [],
    "int64(3)": np.int64(3),
    "uint8(200)": np.uint8(200),
    "float32(0.5)": np.float32(0.5),
    "array of nan": np.full((1, 1), math.nan),
    "tensor of nan": torch.full((1, 1), math.nan),
    "tensor of -1": torch.full((1, 1), -1),
    "a dictionary": {"a": 1},
}


def grids() -> dict[str, tuple[Callable, dict]]:
    """name: (function, arguments that are right)"""
    config = EnvConfig("dark_key_to_door", 9, 50)
    given = [((1, 2), (3, 4))]
    world = GridWorld(config, given)
    action = torch.zeros(1, 1, dtype=torch.long)
    rules, state, row = world.rules, world.state, torch.tensor([0])
    room = gym.Darkroom(goal=(1, 1))
    room.reset(seed=0)
    cells = tasks.all_tasks("darkroom")
    sizes = dict(size=9, horizon=20, render_mode=None)
    drawn = dict(trail=[(1, 1)], marks=[Mark("goal", (2, 2), False)], left="a", right="b")
    return {
        "all_tasks": (tasks.all_tasks, dict(env="dark_key_to_door", size=9)),
        "check_tasks": (tasks.check_tasks, dict(config=config, tasks=given)),
        "split_tasks": (tasks.split_tasks, dict(env="darkroom", seed=0, size=9)),
        "split_of": (tasks.split_of, dict(env=EnvConfig(), seed=0)),
        "split_validation": (tasks.split_validation, dict(train=cells, n_validation=8)),
        "cell_to_xy": (cell_to_xy, dict(cell=action, size=9)),
        "world_of": (world_of, dict(env=config, tasks=given, n_streams=1)),
        "GridWorld": (GridWorld, dict(config=config, tasks=given, n_streams=1)),
        "GridWorld.step": (world.step, dict(action=action)),
        "GridRules": (GridRules, vars(rules).copy()),
        "GridRules.of": (GridRules.of, dict(config=config, tasks=given)),
        "a list as a task": (
            lambda task: GridRules.of(config, [task]),
            dict(task=[[1, 2], [3, 4]]),
        ),
        "an array as a task": (
            lambda cells: GridRules.of(config, [cells]),
            dict(cells=np.array([[1, 2], [3, 4]])),
        ),
        "GridRules.of_tasks": (rules.of_tasks, dict(index=row)),
        "GridRules.step": (rules.step, dict(state=state, action=action)),
        "GridRules.optimal_action": (
            rules.optimal_action,
            dict(state=state, longer_leg_first=True, push_walls=True),
        ),
        "GridRules.max_return": (rules.max_return, dict(horizon=20)),
        "a cell in a state": (
            lambda cell: rules.step(GridState(cell, action), action),
            dict(cell=action),
        ),
        "a stage in a state": (
            lambda stage: rules.step(GridState(action, stage), action),
            dict(stage=action),
        ),
        "Darkroom": (gym.Darkroom, dict(goal=(1, 1), **sizes)),
        "DarkroomPermuted": (gym.DarkroomPermuted, dict(permutation=3, **sizes)),
        "DarkKeyToDoor": (gym.DarkKeyToDoor, dict(key=(1, 1), door=(2, 2), **sizes)),
        "gymnasium.make": (make, dict(goal=(1, 1), size=9, horizon=20)),
        "Darkroom.reset": (room.reset, dict(seed=0, options=None)),
        "Darkroom.step": (room.step, dict(action=0)),
        "draw_grid": (draw_grid, dict(size=9, **drawn)),
    }


def make(goal, size, horizon):
    world = gymnasium.make("dicp/Darkroom-v0", goal=goal, size=size, horizon=horizon)
    world.reset(seed=0)


def metaworld() -> dict[str, tuple[Callable, dict]]:
    """The same for the arm."""
    from dicp.envs.metaworld import MetaWorld, WorldState, ml1_instances, observed
    from dicp.envs.metaworld_camera import Camera
    from dicp.envs.worlds import SeenMetaWorld

    instance = (0.0, 0.6, 0.02, 0.05, 0.85, 0.2)
    world = MetaWorld("reach-v3", [instance])
    seen = SeenMetaWorld(MetaWorldConfig(), [instance], 1)
    state, action = world.get_state(), np.zeros((1, 1, 4))
    return {
        "observed": (observed, dict(name="reach-v3")),
        "ml1_instances": (ml1_instances, dict(name="reach-v3", seed=0)),
        "world_of": (world_of, dict(env=MetaWorldConfig(), tasks=[instance], n_streams=1)),
        "MetaWorld": (
            MetaWorld,
            dict(name="reach-v3", instances=[instance], n_streams=1, horizon=9),
        ),
        "MetaWorld.step": (world.step, dict(action=action)),
        "a number of an action": (lambda x: world.step([[[0, 0, x, 0]]]), dict(x=0.0)),
        "a number of an instance": (
            lambda x: MetaWorld("reach-v3", [(x, *instance[1:])]),
            dict(x=0.0),
        ),
        "an instance": (
            lambda instance: MetaWorld("reach-v3", [instance]),
            dict(instance=instance),
        ),
        "MetaWorld.show": (world.show, dict(task=0, stream=0)),
        "Camera": (Camera, dict(world=world, height=240, width=320, view="close")),
        "MetaWorld.set_state": (world.set_state, dict(state=state)),
        "a field of a state": (
            lambda **fields: world.set_state(WorldState(**fields)),
            state._asdict(),
        ),
        "SeenMetaWorld": (
            SeenMetaWorld,
            dict(env=MetaWorldConfig(), tasks=[instance], n_streams=1),
        ),
        "SeenMetaWorld.step": (seen.step, dict(action=torch.zeros(1, 1, 4))),
    }


def outcome(function: Callable, arguments: dict) -> str:
    """What came of a call: "accepted", "refused", or the error."""
    try:
        function(**arguments)
    except ValueError as error:
        text = str(error)
        one_sentence = "\n" not in text and "; allowed: " in text and text[-1] in ".?"
        return "refused" if one_sentence else f"raw: {text}"
    except ImportError as error:  # nothing here to draw with
        return "accepted" if "cannot be drawn" in str(error) else f"raw: {error}"
    except Exception as error:
        return f"raw: {type(error).__name__}: {error}"
    return "accepted"


def outcomes(calls: dict[str, tuple[Callable, dict]]) -> Iterator[list[str]]:
    for name, (function, right) in calls.items():
        names = list(inspect.signature(function).parameters)
        assert "fields" in names or set(names) == set(right), f"{name} has the arguments {names}"
        yield [name, "", "", outcome(function, right)]
        for argument in right:
            for shown, value in VALUES.items():
                yield [name, argument, shown, outcome(function, right | {argument: value})]


if __name__ == "__main__":
    for line in outcomes({"grids": grids, "metaworld": metaworld}[sys.argv[1]]()):
        print(json.dumps(line))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)  # MiB
