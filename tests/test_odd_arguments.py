"""Whatever is given to a public function of the worlds is right, or refused in one sentence before
memory is asked for."""

import importlib
import inspect
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

from dicp import checks
from dicp.config import EnvConfig
from dicp.envs import GridRules, GridState, GridWorld, all_tasks, cell_to_xy
from dicp.envs.tasks import is_task

SCRIPT = Path(__file__).parent / "odd_arguments.py"
WHOLE = {"int64(3)", "uint8(200)"}
RIGHT = {  # argument: which of the odd values are right
    "size": WHOLE,
    "n_streams": WHOLE,
    "horizon": {*WHOLE, "2**40"},
    "seed": {*WHOLE, "0"},
    "render_mode": {"None"},
    "goal": {"None"},
    "key": {"None"},
    "door": {"None"},
    "permutation": {"0", "None", "int64(3)"},
    "longer_leg_first": {"True"},
    "push_walls": {"True"},
    "pays_forever": {"True"},
    "options": {"None", "a dictionary"},
    "n_validation": {"int64(3)"},
    "left": {"'0'"},
    "right": {"'0'"},
    "marks": {"[]"},
    "start": {"0", *WHOLE},
    "stream": {"0"},
    "height": WHOLE,
    "width": WHOLE,
    "t": {"0", "int64(3)"},
}
RIGHT_IN = {  # where they differ
    ("all_tasks", "size"): {"int64(3)"},
    ("check_tasks", "tasks"): {"[]"},
    ("split_tasks", "seed"): {*WHOLE, "0", "2**40"},
    ("Darkroom.reset", "seed"): {*WHOLE, "0", "2**40", "None"},
    ("Darkroom.step", "action"): {"0", "int64(3)"},
    ("cell_to_xy", "cell"): {"tensor of -1"},
    ("cell_to_xy", "size"): {*WHOLE, "2**40"},
    ("draw_grid", "size"): {*WHOLE, "2**40"},
    ("GridRules", "goals"): {"tensor of -1"},
    ("GridRules", "start"): {"0", "int64(3)"},
    ("GridRules", "size"): set(),
    ("MetaWorld.show", "task"): {"0"},
    ("a number of an action", "x"): {*WHOLE, "-1", "0", "True", "float32(0.5)"},
    ("a number of an instance", "x"): {"-1", "0", "int64(3)", "float32(0.5)"},
}


def check(kind: str) -> None:
    run = subprocess.run(
        [sys.executable, SCRIPT, kind], capture_output=True, text=True, encoding="utf-8"
    )
    assert run.returncode == 0, run.stderr
    *lines, memory = run.stdout.splitlines()
    assert len(lines) > 200 and int(memory) < 1500
    for name, argument, value, outcome in map(json.loads, lines):
        right = RIGHT_IN.get((name, argument), RIGHT.get(argument, set()))
        expected = "accepted" if not argument or value in right else "refused"
        assert outcome == expected, f"{name}({argument}={value}) is {outcome}, not {expected}"


def test_odd_arguments_of_the_grids():
    check("grids")


def test_odd_arguments_of_meta_world():
    pytest.importorskip("metaworld")
    check("metaworld")


def test_every_public_function_is_tried():
    """What a module of the worlds lists: a new function without its odd values fails here."""
    text = SCRIPT.read_text(encoding="utf-8")
    for path in (Path(__file__).parents[1] / "dicp/envs").glob("*.py"):
        module = importlib.import_module(
            f"dicp.envs.{path.stem}" if path.stem != "__init__" else "dicp.envs"
        )
        assert "__all__" in vars(module), f"{path.name} does not say what is public"
        inner = "_checks" in path.stem or path.stem in ("metaworld_import", "metaworld_library")
        for name in () if inner else module.__all__:
            thing = getattr(module, name)
            simple = isinstance(thing, type) and (
                issubclass(thing, tuple | Exception) or inspect.isabstract(thing)
            )
            if (
                callable(thing)
                and not simple
                and name != "GridEnv"
                and not hasattr(thing, "__origin__")
            ):
                assert f"{name}" in text, f"{path.name}: {name} is not tried"


# ---- by hand

ACTIONS = [
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.uint16,
    torch.int32,
    torch.uint32,
    torch.int64,
    torch.uint64,
]


@pytest.mark.parametrize("dtype", ACTIONS)
def test_actions_of_any_integer_dtype_are_taken(dtype):
    steps = [
        GridWorld(EnvConfig(), [(4, 6), (0, 0)], 3).step(torch.full((2, 3), 2).to(kind))
        for kind in (dtype, torch.int64)
    ]
    assert torch.equal(steps[0].next_observation, steps[1].next_observation)
    by_numpy = GridWorld(EnvConfig(), [(4, 6)]).step(torch.tensor([[2]]).to(dtype).numpy()[:, ::-1])
    assert by_numpy.next_observation.tolist() == [[41]]


def test_a_state_of_other_tasks_is_refused():
    rules = GridRules.of(EnvConfig("dark_key_to_door"), [((0, 0), (1, 1)), ((2, 2), (3, 3))])
    right, action = torch.zeros(2, 1, dtype=torch.long), torch.zeros(2, 1, dtype=torch.long)
    for cell, stage, sentence in [
        (right + 81, right, "state.cell holds 81; allowed: whole numbers from 0 to 80."),
        (right - 1, right, "state.cell holds -1; allowed: whole numbers from 0 to 80."),
        (right, right + 3, "state.stage holds 3; allowed: whole numbers from 0 to 2."),
        (
            right[:1],
            right[:1],
            r"the shape of state.cell is \(1, 1\); allowed: \(2, 1\) \(task, stream\).",
        ),
    ]:
        for ask in (lambda state: rules.step(state, action), rules.optimal_action):
            with pytest.raises(ValueError, match=f"^{sentence}$"):
                ask(GridState(cell, stage))
    with pytest.raises(ValueError, match="index holds 2; allowed: whole numbers from 0 to 1"):
        rules.of_tasks(torch.tensor([0, 2]))


@pytest.mark.parametrize(
    "task",
    [
        ((1, 2), (3, 4)),
        [[1, 2], [3, 4]],
        np.array([[1, 2], [3, 4]]),
        ((np.int64(1), np.uint8(2)), [3, 4]),
    ],
)
def test_a_task_may_be_written_as_a_list_or_an_array(task):
    assert is_task(EnvConfig("dark_key_to_door"), task)


@pytest.mark.parametrize(
    "task", [((1, 2), (3, 9)), ((1, 2),), ((1, 2), (3.0, 4)), ((1, 2), (True, 4)), "12", 7, None]
)
def test_a_task_is_known_by_its_form(task):
    assert not is_task(EnvConfig("dark_key_to_door"), task)


def test_a_large_key_to_door_is_never_listed():
    """40 x 40 has 2.5 million tasks, 100 x 100 a hundred million."""
    room = gymnasium.make("dicp/DarkKeyToDoor-v0", size=40)
    tracemalloc.start()
    room.reset(seed=0)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 10 * 2**20
    world = GridWorld(
        EnvConfig("dark_key_to_door", 100, 50), [((0, 0), (99, 99)), ((50, 50), (50, 49))]
    )
    actions = [[[0], [4]], [[0], [3]]]
    assert [world.step(torch.tensor(action)).reward.flatten().tolist() for action in actions] == [
        [0, 1],
        [0, 1],
    ]


@pytest.mark.parametrize(
    "env, size", [("dark_key_to_door", 57), ("darkroom", 3163), ("dark_key_to_door", 2**40)]
)
def test_a_list_of_more_than_ten_million_tasks_is_refused(env, size):
    with pytest.raises(
        ValueError,
        match=rf"^size is {size}; allowed: a whole number from 2 to (56|3162) for all tasks of",
    ):
        all_tasks(env, size)


def test_what_does_not_fit_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(checks, "memory", lambda: 2.0**20)
    for ask, name in [
        (lambda: all_tasks("dark_key_to_door", 20), "size"),
        (lambda: GridWorld(EnvConfig(), [(0, 0)], 10**6), "n_streams"),
        (lambda: GridRules.of(EnvConfig("darkroom", 200), [(0, 0)]), "size"),
        (lambda: gymnasium.make("dicp/Darkroom-v0", size=200), "size"),
    ]:
        with pytest.raises(ValueError, match=rf"{name} is .*GiB of memory, the machine has"):
            ask()


def test_the_highest_return_of_an_endless_episode():
    assert GridRules.of(EnvConfig(), [(4, 5), (4, 6)]).max_return(2**63 - 1).tolist() == [
        2**63 - 1,
        2**63 - 2,
    ]


def test_cells_are_decoded_from_any_integer_dtype():
    assert cell_to_xy(torch.tensor([11, 80], dtype=torch.uint8)).tolist() == [[1, 2], [8, 8]]
