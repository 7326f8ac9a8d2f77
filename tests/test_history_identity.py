"""Whose histories are these? Algorithms are told apart by name, arguments and code."""

import functools
import json
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from test_history import ENV, SOURCE, TASKS, collect_here, edit_json, fails, walk

from dicp.history import LearningHistories
from dicp.history.identity import Identity, difference, identity_of

CODE = """
def step(x):
    return x + 1

def mine(env, tasks, source, seed, lr=1, *, kind="a"):
    "What it does."
    names = [str(task) for task in tasks if task in {"a", "b", "c", "d"}]
    return sorted(names, key=lambda name: len(name)) * 2
"""


def made(code, name="mine", module="lesson"):
    """The function `name` of a module with this code."""
    namespace = {"__name__": module}
    exec(compile(code, f"/some/folder/{module}.py", "exec"), namespace)
    return namespace[name]


def same(one, other):
    return difference(identity_of(one), identity_of(other)) is None


def test_a_function_is_told_by_its_name_and_its_code():
    mine = made(CODE)
    assert identity_of(mine).name == "lesson.mine" and same(mine, made(CODE))
    # comments, line numbers, docstrings, the file's name and other functions do not matter
    assert same(mine, made("# a comment\n\n" + CODE.replace("What it does", "Something else")))
    for change in (
        ("* 2", "* 3"),
        ("str(task)", "repr(task)"),
        ('"c"', '"e"'),
        ("len(name)", "hash(name)"),
        ("lr=1", "lr=2"),
        ('kind="a"', 'kind="b"'),
        ("names", "others"),
    ):
        other = made(CODE.replace(*change))
        assert "has other code or settings there than here" in difference(
            identity_of(mine), identity_of(other)
        )
    assert not same(mine, made(CODE, module="other")) and not same(mine, made(CODE, "step"))


SHOW = """
import sys
sys.path.insert(0, sys.argv[1])
import functools, test_history_identity as t
mine = t.made(t.CODE)
for algorithm in (mine, functools.partial(mine, lr={"a", "b", "c"}), t.Mine(2), t.Plain()):
    print(*t.identity_of(algorithm)[:2])
"""


def test_the_identity_is_the_same_in_every_process(tmp_path):
    """Where strings have other hashes and objects other addresses."""
    outputs = set()
    for seed in ("1", "2"):
        command = [sys.executable, "-c", SHOW, str(Path(__file__).parent)]
        run = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, **paths()},
        )
        outputs.add(run.stdout)
    assert len(outputs) == 1 and len(set(outputs.pop().splitlines())) == 4


def paths():
    return {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}


def test_a_partial_is_told_by_its_arguments():
    mine, partial = made(CODE), functools.partial
    assert identity_of(partial(mine, lr=0.5)).name == "lesson.mine(lr=0.5)"
    assert identity_of(partial(mine, 1, kind=walk)).name == "lesson.mine(1, kind=test_history.walk)"
    assert same(partial(mine, lr=2), partial(made(CODE), lr=np.int64(2)))
    assert same(
        partial(mine, source=SOURCE, lr=[1, (2, {"a": np.arange(3)})]),
        partial(mine, lr=[1, (2, {"a": np.arange(3)})], source=SOURCE),
    )
    others = [
        mine,
        partial(mine, lr=3),
        partial(mine, lr=2.0),
        partial(mine, lr=True),
        partial(mine, lr="2"),
        partial(mine, kind=2),
        partial(mine, lr=made(CODE)),
        partial(made(CODE.replace("* 2", "* 3")), lr=2),
    ]
    assert not any(same(partial(mine, lr=2), other) for other in others)
    assert not same(partial(mine, lr=[1, 2]), partial(mine, lr=[2, 1]))
    assert not same(partial(mine, lr=mine), partial(mine, lr=made(CODE.replace("* 2", "* 3"))))
    with pytest.raises(
        ValueError, match=r"algorithm\.lr is <object .*; allowed: a number, .*a name of its own"
    ):
        identity_of(partial(mine, lr=object()))


@dataclass
class Mine:
    lr: float = 1
    tasks_per_block: int = 1

    def __call__(self, env, tasks, source, seed):
        return walk(env, tasks, source, seed)


class Plain:
    __slots__ = ("settings",)

    def __init__(self, **settings):
        self.settings = settings

    def __call__(self, env, tasks, source, seed):
        return walk(env, tasks, source, seed)

    def other(self, env, tasks, source, seed):
        return walk(env, tasks, source, seed)


def test_an_object_is_told_by_its_class_and_its_attributes():
    assert identity_of(Mine()).name == "test_history_identity.Mine"
    assert same(Mine(1), Mine(1)) and not same(Mine(1), Mine(2)) and same(Mine(1, 1), Mine(1, 5))
    assert (
        same(Plain(a=1, b=2), Plain(b=2, a=1))
        and not same(Plain(a=1), Plain(a=2))
        and not same(Plain(), Mine())
    )
    assert same(Plain(a=1).other, Plain(a=1).other) and not same(Plain(a=1).other, Plain(a=2).other)
    with pytest.raises(ValueError, match=r"algorithm\.settings\.a is <object"):
        identity_of(Plain(a=object()))
    other = type("Mine", (Mine,), {"__module__": Mine.__module__, "__call__": walk})
    other.__qualname__ = "Mine"
    assert not same(Mine(), other())


def decorated(function):
    @functools.wraps(function)
    def call(*args):
        return function(*args)

    return call


def test_what_a_decorator_hides_is_looked_at():
    one, two = decorated(made(CODE)), decorated(made(CODE.replace("* 2", "* 3")))
    assert same(one, decorated(made(CODE))) and not same(one, two) and not same(one, made(CODE))


def test_what_cannot_be_told_apart_is_refused(tmp_path):
    def inner(*args):
        return walk(*args)

    class Inner:
        def __call__(self, *args):
            return walk(*args)

    sentence = r"algorithm.* is .*; allowed: a function that def makes at the top .* name of its own"
    for algorithm in (
        lambda *args: walk(*args),
        inner,
        Inner(),
        functools.partial(inner, 1),
        decorated(inner),
        functools.partial(walk, kind=inner),
    ):
        with pytest.raises(ValueError, match=sentence) as refusal:
            collect_here(tmp_path / "a.zarr", algorithm=algorithm)
        assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_a_name_of_its_own_is_used(tmp_path):
    def inner(*args):
        return walk(*args)

    inner.name = "inner"
    histories = collect_here(tmp_path / "a.zarr", tasks=TASKS[:2], algorithm=inner)
    assert histories.algorithm == "inner" and histories.done.all()
    fails(
        "algorithm is 'inner' there, 'outer' here",
        collect_here,
        histories.path,
        tasks=TASKS[:2],
        algorithm=named(lambda *args: None, "outer"),
    )
    assert collect_here(
        histories.path, tasks=TASKS[:2], algorithm=named(lambda *args: None, "inner")
    ).done.all()
    assert not same(named(Plain(a=1), "x"), named(Plain(a=2), "x")) and same(
        named(Plain(a=1), "x"), named(Plain(a=1), "x")
    )
    for name in ("", 3, "ppo", "sb3"):
        with pytest.raises(ValueError, match=r"algorithm\.name is .*; allowed"):
            collect_here(tmp_path / "b.zarr", algorithm=named(lambda *args: None, name))


def named(algorithm, name):
    if isinstance(algorithm, types.FunctionType):
        algorithm.name = name
        return algorithm
    return type(
        algorithm.__class__.__name__, (type(algorithm),), {"name": name, "__module__": "m"}
    )(**algorithm.settings)


def test_what_is_collected_with_another_algorithm_of_the_same_name_is_refused(tmp_path):
    """What could not be resumed, or was given somebody else's histories."""
    one = made("from test_history import walk\ndef mine(*args): return walk(*args)")
    two = made("from test_history import walk\ndef mine(*args): return walk(*args[:3], 1)")
    path = tmp_path / "a.zarr"
    assert collect_here(path, tasks=TASKS[:2], algorithm=one).algorithm == "lesson.mine"
    assert collect_here(path, tasks=TASKS[:2], algorithm=one).done.all()
    fails(
        "algorithm 'lesson.mine' has other code or settings there than here",
        collect_here,
        path,
        tasks=TASKS[:2],
        algorithm=two,
    )
    fails(
        "algorithm is 'lesson.mine' there, 'ppo' here",
        collect_here,
        path,
        tasks=TASKS[:2],
        algorithm="ppo",
    )
    part = functools.partial(Mine(3))
    collect_here(tmp_path / "b.zarr", tasks=TASKS[:2], algorithm=part)
    assert collect_here(
        tmp_path / "b.zarr", tasks=TASKS[:2], algorithm=functools.partial(Mine(3))
    ).done.all()
    fails(
        "other code or settings",
        collect_here,
        tmp_path / "b.zarr",
        tasks=TASKS[:2],
        algorithm=functools.partial(Mine(4)),
    )


def test_older_stores_know_the_name_alone(tmp_path):
    mine = made("from test_history import walk\ndef mine(*args): return walk(*args)")
    path = tmp_path / "a.zarr"
    collect_here(path, tasks=TASKS[:2], algorithm=mine)

    def older(content):
        del content["attributes"]["algorithm_code"]
        content["attributes"]["algorithm"] = "mine"

    edit_json(path / "zarr.json", older)
    assert collect_here(path, tasks=TASKS[:2], algorithm=mine).done.all()
    assert LearningHistories.open(path).algorithm == "mine"
    fails(
        "algorithm is 'mine' there, 'test_history_identity.Mine' here",
        collect_here,
        path,
        tasks=TASKS[:2],
        algorithm=Mine(),
    )


def test_a_function_called_ppo_is_not_ours():
    assert difference(
        Identity("ppo", None, "ppo"), identity_of(made(CODE.replace("mine", "ppo"), "ppo"))
    )
    assert difference(Identity("ppo", None, "ppo"), identity_of("ppo")) is None


def test_bytecode_of_another_python_is_not_compared():
    here = identity_of(made(CODE))
    assert here.code.startswith(sys.implementation.cache_tag)
    assert difference(here._replace(code="cpython-399:1234"), here) is None
    assert difference(here._replace(code="named:1234"), here) is not None


@pytest.mark.parametrize("algorithm", ["ppo", "sb3"])
def test_the_built_in_sources_are_stored_as_before(tmp_path, algorithm):
    from dicp.history.collection import open_or_create

    open_or_create(tmp_path / "a", ENV, SOURCE, TASKS, 0, algorithm)
    attributes = json.loads((tmp_path / "a" / "zarr.json").read_text(encoding="utf-8"))[
        "attributes"
    ]
    assert attributes["algorithm"] == algorithm and "algorithm_code" not in attributes
