"""Parameters: names and values are checked as papermill really injects them."""

import subprocess
import sys
import types
from dataclasses import FrozenInstanceError

import nbformat
import numpy as np
import papermill
import pytest
from nbclient import NotebookClient

from dicp import parameters

DECLARED = {"env": ("darkroom", "darkroom_permuted"), "seed": range(100), "retrain": bool, "my_guess": float | None}
GOOD = {"env": "darkroom", "seed": 0, "retrain": False, "my_guess": None}


def fresh(**changes):
    """A namespace such as IPython's, right after the parameters cell."""
    around = {"__name__": "__main__", "_i1": "x", "In": [""], "Out": {}, "get_ipython": print, "exit": 0, "open": open,
              "types": types, "helper": lambda: 1, "_hidden": 3}
    return around | GOOD | changes


def test_good_parameters_come_back_frozen():
    p = parameters.check(fresh(my_guess=300), **DECLARED)
    assert (p.env, p.seed, p.retrain, p.my_guess) == ("darkroom", 0, False, 300)
    with pytest.raises(FrozenInstanceError):
        p.env = "darkroom_permuted"


@pytest.mark.parametrize("changes, sentence", [
    ({"envv": "darkroom"}, "unknown parameter 'envv'; allowed: env, seed, retrain, my_guess. Did you mean 'env'?"),
    ({"seeds": [1]}, "unknown parameter 'seeds'; allowed: env, seed, retrain, my_guess. Did you mean 'seed'?"),
    ({"In": ["", "# Parameters\nzzz = [1]\n"]}, "unknown parameter 'zzz'; allowed: env, seed, retrain, my_guess."),
    ({"env": "darkrom"}, "parameter 'env' is 'darkrom'; allowed: 'darkroom', 'darkroom_permuted'. Did you mean "
                         "'darkroom'?"),
    ({"seed": -1}, "parameter 'seed' is -1; allowed: a whole number from 0 to 99."),
    ({"seed": True}, "parameter 'seed' is True; allowed: a whole number from 0 to 99."),
    ({"seed": "0"}, "parameter 'seed' is '0'; allowed: a whole number from 0 to 99."),
    ({"retrain": 1}, "parameter 'retrain' is 1, an int; allowed: bool."),
    ({"my_guess": "many"}, "parameter 'my_guess' is 'many', a str; allowed: float or None."),
    ({"my_guess": float("nan")}, "parameter 'my_guess' is nan; allowed: float or None, and finite."),
])
def test_bad_parameters_are_refused_in_one_sentence(changes, sentence):
    with pytest.raises(ValueError) as error:
        parameters.check(fresh(**changes), **DECLARED)
    assert str(error.value) == sentence


def test_a_parameter_renamed_in_the_cell_itself():
    namespace = fresh(enf="darkroom")
    del namespace["env"]
    with pytest.raises(ValueError, match="unknown parameter 'enf'.*Did you mean 'env'"):
        parameters.check(namespace, **DECLARED)
    del namespace["enf"]
    with pytest.raises(ValueError, match="parameter 'env' is not set"):
        parameters.check(namespace, **DECLARED)


def test_a_reader_may_come_back_to_the_cell_with_variables_of_their_own():
    namespace = fresh()
    parameters.check(namespace, **DECLARED)
    namespace |= {"seeds": 3, "seed": 7}
    assert parameters.check(namespace, **DECLARED).seed == 7
    with pytest.raises(ValueError, match="parameter 'seed'"):
        parameters.check(namespace | {"seed": 1000}, **DECLARED)


def test_what_somebody_else_set_is_noted_and_left_alone(capsys):
    own = {"NAME": "A. Student", "COLLABORATORS": "", "x": 3, "PAPERMILL_INPUT_PATH": "a.ipynb"}
    namespace = fresh(**own, In=["", "# Parameters\nPAPERMILL_INPUT_PATH = 'a.ipynb'\nseed = 3\n", "%magic"])
    assert parameters.check(namespace, **DECLARED).env == "darkroom"
    note = "Variables that are no parameters of this notebook are left alone: NAME, COLLABORATORS, x.\n"
    assert capsys.readouterr().out == note
    parameters.check(namespace, **DECLARED)
    assert capsys.readouterr().out == ""


def test_numpy_numbers_become_plain_ones():
    p = parameters.check(fresh(seed=np.int64(7), my_guess=np.float64(0.5)), **DECLARED)
    assert (type(p.seed), type(p.my_guess)) == (int, float)


def test_true_is_no_whole_number():
    with pytest.raises(ValueError, match="parameter 'n' is True, a bool; allowed: int."):
        parameters.check({"n": True}, n=int)


def test_a_range_with_steps():
    assert parameters.check(fresh(seed=4), **DECLARED | {"seed": range(4, -1, -2)}).seed == 4
    with pytest.raises(ValueError, match="parameter 'seed' is 3; allowed: 4, 2, 0."):
        parameters.check(fresh(seed=3), **DECLARED | {"seed": range(4, -1, -2)})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1, 0, 2**63, True, "0", None, [], (), range(0), np.int64(3)])
def test_a_declaration_that_cannot_be_is_refused(bad):
    with pytest.raises(ValueError, match="env is .*; allowed: "):
        parameters.check(fresh(), env=bad)
    with pytest.raises(ValueError, match="namespace is .*; allowed: a dict"):
        parameters.check(bad, env=str)


def test_anything_and_nothing():
    assert parameters.check(fresh(), **DECLARED | {"env": ...}).env == "darkroom"
    with pytest.raises(ValueError, match="no parameters are declared"):
        parameters.check(fresh())


@pytest.fixture
def notebook(tmp_path):
    new = nbformat.v4
    cells = [
        new.new_code_cell("import math\nfrom pathlib import Path\nPLACES = ('a', 'b')"),
        new.new_code_cell('env = "darkroom"  # darkroom | darkroom_permuted\nseed = 0  # 0 to 99',
                          metadata={"tags": ["parameters"]}),
        new.new_code_cell("from dicp import parameters\n"
                          "p = parameters.check(globals(), env=('darkroom', 'darkroom_permuted'), seed=range(100))"),
        new.new_code_cell("n = 5\nprint(p.env, p.seed)"),
    ]
    path = tmp_path / "tiny.ipynb"
    nbformat.write(new.new_notebook(cells=cells, metadata={"kernelspec": {
        "name": "python3", "display_name": "Python 3", "language": "python"}}), path)
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("injected, outcome", [
    ({"env": "darkroom_permuted", "seed": 3}, "darkroom_permuted 3"),
    ({"envv": "darkroom"}, "ValueError: unknown parameter 'envv'; allowed: env, seed. Did you mean 'env'?"),
    ({"env": "metaworld"}, "ValueError: parameter 'env' is 'metaworld'; allowed: 'darkroom', 'darkroom_permuted'."),
])
def test_under_papermill(notebook, tmp_path, injected, outcome):
    out = tmp_path / "out.ipynb"
    run = {"parameters": injected, "progress_bar": False, "cwd": tmp_path}
    if not outcome.startswith("ValueError"):
        papermill.execute_notebook(notebook, out, **run)
        assert outcome in str(nbformat.read(out, 4).cells[-1].outputs)
        return
    with pytest.raises(papermill.PapermillExecutionError) as error:
        papermill.execute_notebook(notebook, out, **run)
    assert str(error.value).strip().splitlines()[-1] == outcome


@pytest.mark.filterwarnings("ignore")
def test_papermills_own_flags_are_no_parameters(notebook, tmp_path):
    flags = ["--inject-paths", "--inject-input-path", "--inject-output-path", "--no-progress-bar", "-p", "seed", "3"]
    run = subprocess.run([sys.executable, "-m", "papermill", str(notebook), "out.ipynb", *flags], cwd=tmp_path,
                         capture_output=True, text=True, encoding="utf-8")
    assert run.returncode == 0, run.stderr
    cells = nbformat.read(tmp_path / "out.ipynb", 4).cells
    assert "PAPERMILL_OUTPUT_PATH" in str(cells) and "darkroom 3" in str(cells[-1].outputs)
    assert not any(cell.get("outputs") for cell in cells[:-1])


@pytest.mark.filterwarnings("ignore")
def test_a_header_cell_and_a_startup_file_do_not_stop_a_notebook(notebook, tmp_path, monkeypatch):
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-mine.py").write_text("x = 3\n", encoding="utf-8")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    graded = nbformat.read(notebook, 4)
    graded.cells.insert(0, nbformat.v4.new_code_cell("NAME = 'A. Student'\nCOLLABORATORS = ''"))
    NotebookClient(graded, kernel_name="python3").execute()
    assert "darkroom 0" in str(graded.cells[-1].outputs)
    assert "left alone: x, NAME, COLLABORATORS." in str(graded.cells[-2].outputs)
