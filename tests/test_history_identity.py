"""Whose histories are these? Algorithms are told apart by name, settings and source text."""

import functools
import importlib
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from uuid import uuid4

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient
from test_history import ENV, SOURCE, TASKS, collect_here, edit_json, fails, walk

from dicp.history.collection import open_or_create
from dicp.history.identity import Identity, difference, identity_of

CODE = """
from dataclasses import dataclass
from test_history import walk

def mine(env, tasks, source, seed, lr=1, *, kind="a"):
    return walk(env, tasks, source, seed)

@dataclass
class Mine:
    a: object = None
    tasks_per_block: int = 1
    __call__ = lambda self, *args: walk(*args)

@dataclass(slots=True)
class Slots(Mine):
    b: object = None
"""
CHANGED = "has other code or settings there than here"


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The module `lesson` with this text, in a file of its own; made anew at each call."""
    def make(code=CODE):
        file = tmp_path / uuid4().hex / "lesson.py"
        file.parent.mkdir()
        file.write_text(code, encoding="utf-8")
        monkeypatch.syspath_prepend(file.parent)
        monkeypatch.delitem(sys.modules, "lesson", raising=False)
        return importlib.import_module("lesson")

    return make


def inner():
    return lambda *args: walk(*args)


def same(one, other):
    return difference(identity_of(one), identity_of(other)) is None


def collect_two(path, algorithm):
    return collect_here(path, tasks=TASKS[:2], algorithm=algorithm)


@pytest.mark.parametrize("make", [
    lambda lesson: lesson.mine,
    lambda lesson: partial(lesson.mine, lr=0.5),
    lambda lesson: partial(walk, 1, [lesson.mine]),
    lambda lesson: lesson.Mine(a=np.arange(3)),
    lambda lesson: lesson.Slots(b={"c": {1, 2}}),      # whose base is changed
    lambda lesson: lesson.Mine(a=1).__call__,
], ids=["function", "partial", "setting", "object", "slots", "method"])
def test_a_changed_text_makes_another_algorithm(made, make):
    changed = CODE.replace("walk(", "not walk(")
    one, again, other = (identity_of(make(made(code))) for code in (CODE, CODE, changed))
    assert difference(one, again) is None and CHANGED in difference(one, other)


def test_settings_count_by_their_values(made):
    lesson, array = made(), np.arange(6).reshape(2, 3)
    settings = [1, 2, 2.0, True, "2", [1, 2], (2, 1), {1, 2}, {"a": 1, 2: 3}, array, array.T, len,
                array * 1.0, torch.ones(2), torch.zeros(2), walk, Path("a"), lesson.Mine(2)]
    algorithms = [lesson.mine, partial(lesson.mine, kind=2), lesson.Slots(1), lesson.Slots(b=1)]
    algorithms += [lesson.Mine(value) for value in settings]
    algorithms += [partial(lesson.mine, value) for value in settings]
    assert len({identity_of(algorithm).code for algorithm in algorithms}) == len(algorithms)
    pairs = [(2, np.int64(2)), (array.T, array.T.copy()), ([array, array], [array, array + 0]),
             ({"a": 1, 2: 3}, {2: 3, "a": 1}), (torch.ones(2), torch.ones(2)), (object(), object())]
    assert all(same(partial(walk, lr=one), partial(walk, lr=other)) for one, other in pairs)
    assert same(lesson.Mine(1), lesson.Mine(1, tasks_per_block=5))       # which the store says
    shown = partial(lesson.mine, np.float64(0.5), kind=walk)
    assert identity_of(shown).name == "lesson.mine(0.5, kind=test_history.walk)"


NOTEBOOK = """from dicp.history.identity import identity_of\ndef mine(*args):\n    return 1
class Mine:\n    rate = 1\n    def __call__(self, *args):\n        return 1
print(*identity_of(mine)[:2], *identity_of(Mine())[:2])"""


def test_functions_and_classes_of_a_notebook():
    """What else is in their cell does not matter."""
    changes = [("", ""), ("from", "# more\nfrom"), ("return 1", "return 2"), ("te = 1", "te = 2")]
    cells = [nbformat.v4.new_code_cell(NOTEBOOK.replace(*change)) for change in changes]
    NotebookClient(nbformat.v4.new_notebook(cells=cells), kernel_name="python3").execute()
    (name, function, kind, code), *others = (cell.outputs[0]["text"].split() for cell in cells)
    assert (name, kind) == ("__main__.mine", "__main__.Mine")
    is_same = [(other[1] == function, other[3] == code) for other in others]
    assert is_same == [(True, True), (False, False), (True, False)]


SHOW = """
import functools, json, numpy, torch, dicp.history.identity as identity
mixed = {"a", "b", 1, frozenset("abc")}
settings = mixed, {"x": 1, 2: mixed}, torch.nn.Parameter(torch.ones(2)), numpy.random.default_rng(0)
print(identity.identity_of(functools.partial(json.dumps, *settings)).code)
"""


def test_the_identity_is_the_same_in_every_process():
    """Where strings have other hashes and objects other addresses."""
    root = str(Path(__file__).parents[1])
    names = [{"PYTHONHASHSEED": x, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"} for x in "12"]
    options = dict(capture_output=True, check=True)
    runs = [subprocess.run([sys.executable, "-c", SHOW], env=env, **options) for env in names]
    assert runs[0].stdout == runs[1].stdout


@pytest.mark.parametrize("make", [
    inner,
    lambda: partial(inner(), 1),
    lambda: functools.wraps(inner())(lambda *args: walk(*args)),
    lambda: partial(walk, kind=inner()),
    lambda: partial(walk, kind=(x for x in "ab")),
    lambda: eval("mine", exec("def mine(): return 1", names := {"__name__": "a"}) or names),
], ids=["lambda", "partial", "decorated", "setting", "no pickle", "no text"])
def test_what_cannot_be_known_again_is_refused_unless_it_has_a_name(tmp_path, make):
    algorithm = make()
    with pytest.raises(ValueError, match=r'allowed: .*\(algorithm\.name = "mine"\)\.$') as refusal:
        collect_two(tmp_path / "a.zarr", algorithm)
    assert "\n" not in str(refusal.value) and not list(tmp_path.iterdir())
    algorithm.name = "mine"
    assert identity_of(algorithm).name == "mine"


def test_a_name_of_its_own_decides_with_plain_settings(tmp_path, made):
    one, other = inner(), inner()
    one.name = other.name = "inner"
    path = collect_two(tmp_path / "a.zarr", one).path
    assert collect_two(path, other).algorithm == "inner"
    first, again, changed = (made().Mine(a) for a in (1, 1, 2))
    first.name = again.name = changed.name = "object"
    first.rng, again.rng = np.random.default_rng(0), np.random.default_rng(1)
    first.hooks = [inner()]
    assert same(first, again) and not same(first, changed)
    for other.name in ("", 3, "ppo", "sb3"):
        with pytest.raises(ValueError, match=r"algorithm\.name is .*; allowed"):
            identity_of(other)


def test_only_the_same_algorithm_goes_on(tmp_path, made):
    path, mine, other = tmp_path / "a.zarr", made().mine, made(CODE.replace("seed)", "1)")).mine
    for algorithm in (partial(mine, lr=3), partial(mine, lr=3)):
        assert collect_two(path, algorithm).algorithm == "lesson.mine(lr=3)"
    fails(CHANGED, collect_two, path, partial(other, lr=3))
    for algorithm in (partial(mine, lr=4), mine, "ppo"):
        fails(r"algorithm is 'lesson.mine\(lr=3\)' there", collect_two, path, algorithm)

    def older(content):                          # it knows the short name alone
        del content["attributes"]["algorithm_code"]
        content["attributes"]["algorithm"] = "mine"

    edit_json(path / "zarr.json", older)
    assert collect_two(path, mine).algorithm == "mine" and collect_two(path, other).done.all()
    fails("algorithm is 'mine' there, 'lesson.Mine' here", collect_two, path, made().Mine())


@pytest.mark.parametrize("algorithm", ["ppo", "sb3"])
def test_the_built_in_sources_are_told_by_name(tmp_path, made, algorithm):
    open_or_create(tmp_path / "a", ENV, SOURCE, TASKS, 0, algorithm)
    attributes = json.loads((tmp_path / "a/zarr.json").read_text(encoding="utf-8"))["attributes"]
    assert attributes["algorithm"] == algorithm and "algorithm_code" not in attributes
    theirs = getattr(made(CODE.replace("def mine", f"def {algorithm}")), algorithm)
    assert difference(Identity(algorithm, None, algorithm), identity_of(theirs))
