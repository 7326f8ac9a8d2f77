"""Parameters: names and values are checked as papermill really injects them."""

import types
from dataclasses import FrozenInstanceError

import nbformat
import papermill
import pytest

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
    ({"zzz": [1]}, "unknown parameter 'zzz'; allowed: env, seed, retrain, my_guess."),
    ({"env": "darkrom"}, "parameter 'env' is 'darkrom'; allowed: 'darkroom', 'darkroom_permuted'. Did you mean "
                         "'darkroom'?"),
    ({"seed": -1}, "parameter 'seed' is -1; allowed: a whole number from 0 to 99."),
    ({"seed": True}, "parameter 'seed' is True; allowed: a whole number from 0 to 99."),
    ({"seed": "0"}, "parameter 'seed' is '0'; allowed: a whole number from 0 to 99."),
    ({"retrain": 1}, "parameter 'retrain' is 1, an int; allowed: bool."),
    ({"my_guess": "many"}, "parameter 'my_guess' is 'many', a str; allowed: float or None."),
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
    namespace |= {"episode": 3, "seed": 7}
    assert parameters.check(namespace, **DECLARED).seed == 7
    with pytest.raises(ValueError, match="parameter 'seed'"):
        parameters.check(namespace | {"seed": 1000}, **DECLARED)


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
