"""tools/run_all.py: which combinations there are, and that a run can be stopped, goes on, and tells what failed."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from helpers import runs, until

from dicp.config import ENVS, IMITATORS

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("run_all", ROOT / "tools" / "run_all.py")
run_all = importlib.util.module_from_spec(SPEC)
sys.modules["run_all"] = run_all
SPEC.loader.exec_module(run_all)


def test_every_combination_of_the_readme_is_there_once():
    promised = run_all.promised()
    assert len(promised) == len({c.name for c in promised}) == 4 * len(ENVS) * len(IMITATORS) + 2 + 2
    assert {c.notebook for c in promised} == {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}


def test_ci_runs_every_world_and_every_imitator():
    """Each in a notebook of its own. The defaults (Darkroom, AD; the arm's 05) are executed by `pytest --nbmake notebooks/`,
    04 with the arm by the wheel; `tools/run_all.py` executes all forty."""
    chosen = [tuple(dict(c.parameters).values()) for c in run_all.in_ci()]
    assert {env for env, _ in chosen} == set(ENVS[1:])
    assert {method for _, method in chosen} == set(IMITATORS[1:])
    assert [c.notebook for c in run_all.in_ci()] == ["02_algorithm_distillation", "03_world_model"]
    assert "papermill 04_planning.ipynb out.ipynb -p env metaworld" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


CELL = """
if method == "bad":
    raise ValueError("method is bad")
import matplotlib.pyplot as plt
%matplotlib inline
if method != "blind":
    plt.plot([1, 2])
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A folder of one notebook instead of ours, and where its executions go."""
    new = nbformat.v4
    cells = [new.new_code_cell('method = "ad"', metadata={"tags": ["parameters"]}), new.new_code_cell(CELL)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new.new_notebook(cells=cells, metadata=kernel), tmp_path / "tiny.ipynb")
    monkeypatch.setattr(run_all, "NOTEBOOKS", tmp_path)
    return tmp_path / "out"


def call(monkeypatch, out, *methods):
    combinations = [run_all.Combination("tiny", (("method", method),)) for method in methods]
    monkeypatch.setattr(run_all, "promised", lambda: combinations)
    monkeypatch.setattr(sys, "argv", ["run_all.py", "--jobs", "2", "--out", str(out)])
    return run_all.main()


def test_a_failure_is_told_and_what_is_done_is_not_done_again(tiny, monkeypatch, capsys):
    assert call(monkeypatch, tiny, "ad", "bad", "blind") == 1
    said = capsys.readouterr().out
    assert "3 of 3 combinations to execute" in said and said.endswith("1 passed, 2 failed\n")
    assert "| tiny | `-p method ad` |" in said and "passed, 1 figures" in said
    assert "failed (1): ValueError: method is bad" in said and "failed: no figure was drawn" in said
    assert "ValueError" in (tiny / "tiny-bad.log").read_text(encoding="utf-8")
    assert not (tiny / "tiny-ad.log").exists()
    assert call(monkeypatch, tiny, "ad") == 0
    assert "0 of 1 combinations to execute" in capsys.readouterr().out


KILLED = """
import os, signal, sys, threading, time
from pathlib import Path
import run_all
run_all.NOTEBOOKS = Path(sys.argv[1])
running = []
def kill():
    while not running:
        time.sleep(0.1)
    print(running[0].pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=kill).start()
run_all.execute(run_all.Combination("tiny", (("method", "ad"),)), Path(sys.argv[1]), running)
"""


def test_a_notebook_ends_with_the_tool_that_runs_it(tiny):
    notebook = tiny.parent / "tiny.ipynb"
    source = notebook.read_text(encoding="utf-8")
    notebook.write_text(source.replace("plt.plot", "__import__('time').sleep(600)#"), encoding="utf-8")
    process = subprocess.run([sys.executable, "-c", KILLED, str(tiny.parent)], stdout=subprocess.PIPE, text=True,
                             env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tools'}"})
    assert process.returncode == -9
    assert until(lambda: not runs(int(process.stdout)))


def test_a_record_of_another_notebook_or_a_damaged_one_does_not_count(tiny, monkeypatch):
    combination = run_all.Combination("tiny", (("method", "ad"),))
    record = {"state": run_all.state_of(combination), "seconds": 1, "result": "passed, 1 figures"}
    path = tiny / "tiny-ad.json"
    run_all.store.write_record(path, record)
    assert run_all.done(combination, tiny) == record
    path.write_bytes(path.read_bytes().replace(b"passed", b"parted"))
    assert run_all.done(combination, tiny) is None
    run_all.store.write_record(path, record)
    notebook = tiny.parent / "tiny.ipynb"
    notebook.write_bytes(notebook.read_bytes().replace(b"bad", b"ill"))
    assert run_all.done(combination, tiny) is None


def test_a_name_that_begins_no_combination_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run_all.py", "--only", "09"])
    with pytest.raises(SystemExit):
        run_all.main()
    assert "--only is 09; allowed: beginnings of 01_darkroom_histories-darkroom-ad" in capsys.readouterr().err
