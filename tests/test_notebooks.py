"""Lint of the notebooks: pairs in sync, outputs fresh, cells short, a solution per exercise. Executes nothing.

Each rule is a function that fails with one sentence; at the end each rule is itself tried on a notebook that breaks it.
"""

import ast
import copy
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbconvert.exporters import PythonExporter, ScriptExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).parents[1]
LIGHT = {"dicp.parameters", "dicp.config"}
PAIRS = sorted((ROOT / "notebooks").glob("*.py"))
SPEC = importlib.util.spec_from_file_location("run_notebooks", ROOT / "tools" / "run_notebooks.py")
run_notebooks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(run_notebooks)


def tagged(notebook, tag):
    return [i for i, cell in enumerate(notebook.cells) if tag in cell.metadata.get("tags", [])]


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tree(cell):
    """The cell's syntax tree; lines of IPython magic are not Python."""
    return ast.parse("\n".join("" if re.match(r"\s*[%!]", line) else line for line in cell.source.splitlines()))


def calls(cell, name):
    nodes = (n for n in ast.walk(tree(cell)) if isinstance(n, ast.Call))
    return [n for n in nodes if ast.unparse(n.func) == name or ast.unparse(n.func).endswith("." + name)]


def outputs(notebook):
    return [output for cell in code(notebook) for output in cell.outputs]


def prose_words(text):
    for pattern in (r"\$\$.*?\$\$", r"\$[^$\n]+\$", r"```.*?```", r"<[^>]+>", r"\]\([^)]*\)"):
        text = re.sub(pattern, " ", text, flags=re.S)
    return len(re.findall(r"\w[\w'-]*", text))


def parameters_cell(notebook):
    at = tagged(notebook, "parameters")
    assert len(at) == 1, f"{len(at)} cells are tagged `parameters`, there must be one"
    cell, after = notebook.cells[at[0]], notebook.cells[at[0] + 1]
    body = tree(cell).body
    assert 1 <= len(body) <= 7, f"{len(body)} parameters, 1 to 7 are allowed"
    for statement in body:
        line = cell.source.splitlines()[statement.lineno - 1]
        assert isinstance(statement, ast.Assign | ast.AnnAssign), f"`{line}` is not a plain assignment"
        try:
            value = ast.literal_eval(statement.value)
        except ValueError:
            value = ()
        assert value is None or isinstance(value, bool | int | float | str), f"`{line}`: a parameter is a plain scalar"
        assert re.search(r"#\s*\w", line), f"`{line}` lacks a comment"
    assert after.cell_type == "code" and re.search(r"parameters\.check\(\s*globals\(\)", after.source), \
        "the cell after the parameters must call parameters.check(globals(), ...)"


def cell_count(notebook):
    assert 25 <= len(notebook.cells) <= 45, f"{len(notebook.cells)} cells, 25 to 45 are allowed"


def short_code(notebook):
    for cell in code(notebook):
        n = len(cell.source.strip().splitlines())
        assert n <= 25, f"a code cell has {n} lines, 25 are allowed: {cell.source[:60]!r}"


def short_prose(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            n = prose_words(cell.source)
            assert n <= 100, f"a prose cell has {n} words, 100 are allowed: {cell.source[:60]!r}"


def opens_with_a_question(notebook):
    first = notebook.cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# "), "the first cell must be a # title"
    assert "?" in first.source.splitlines()[0], "the title must be a question"


def figures(notebook):
    kinds = ("image/png", "image/gif", "image/svg+xml")
    n = sum(any(kind in output.get("data", {}) for kind in kinds) for output in outputs(notebook))
    assert n >= 4, f"{n} figures in the outputs, at least 4 are needed"


def few_prints(notebook):
    n = sum(len(calls(cell, "print")) for cell in code(notebook))
    assert n <= 3, f"{n} calls of print, 3 are allowed: plots replace printed tensors"


def solutions(notebook):
    exercises = [notebook.cells[i] for i in tagged(notebook, "exercise")]
    solved = [notebook.cells[i] for i in tagged(notebook, "solution")]
    assert exercises, "there is no exercise"
    names = [{n.name for n in tree(cell).body if isinstance(n, ast.FunctionDef)} for cell in (*exercises, *solved)]
    stubs, answers = names[: len(exercises)], names[len(exercises) :]
    assert [*map(sorted, stubs)] == [*map(sorted, answers)], \
        f"exercises define {stubs}, solutions define {answers}: one solution for each, in order, with the same names"
    for cell in exercises:
        assert "exercises.check_" in cell.source and "strict" not in cell.source, "an exercise must call its check"
    for cell in solved:
        assert re.search(r"exercises\.check_\w+\(.*strict=True\)", cell.source), "a solution must call its strict check"
        assert cell.metadata.get("jupyter", {}).get("source_hidden"), "a solution must be collapsed (source_hidden)"


def no_errors(notebook):
    bad = [o for o in outputs(notebook) if o.output_type == "error" or o.get("name") == "stderr"]
    assert not bad, f"an output is an error or a warning: {bad and str(bad[0].get('text', bad[0].get('ename')))[:80]}"
    assert all(cell.execution_count for cell in code(notebook) if cell.source.strip()), "a code cell was not executed"


def drawn(notebook):
    texts = [output.get("data", {}).get("text/markdown", "") for output in outputs(notebook)]
    assert not any("cannot be drawn here" in text for text in texts), \
        "an output says that a picture could not be drawn: execute the notebook where OSMesa is"


def no_machine_names(notebook):
    notebook = copy.deepcopy(notebook)
    for output in outputs(notebook):
        for kind in [k for k in output.get("data", {}) if k.startswith("image/")]:
            del output["data"][kind]           # base64 may spell anything
    found = re.search(r"(?<![\w.~])/(?:home|work|root|tmp|Users|mnt)\b[^\s\"]*", nbformat.writes(notebook))
    assert not found, f"an absolute path: {found and found[0]}"


def kernel(notebook):
    assert notebook.metadata.get("kernelspec", {}).get("name") == "python3", "the kernelspec must be python3"


def light_start(notebook):
    """What stands between the parameters and their check decides how long a wrong value waits for its sentence."""
    body = [node for cell in code(notebook) for node in tree(cell).body]
    at = next((i for i, node in enumerate(body) if "parameters.check" in ast.unparse(node)), len(body))
    imported = {name for node in body[:at] for name in modules(node)}
    assert imported <= LIGHT, f"{sorted(imported - LIGHT)} are imported before parameters.check, allowed: {sorted(LIGHT)}"


def modules(node):
    if isinstance(node, ast.ImportFrom):
        return [f"dicp.{alias.name}" for alias in node.names] if node.module == "dicp" else [node.module]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def draws_inline(notebook):
    assert any(calls(cell, "plot.style") for cell in code(notebook)), \
        "plot.style() is not called: where MPLBACKEND is set, the notebook would draw nothing"


def becomes_a_script(notebook):
    _, resources = PythonExporter().from_notebook_node(notebook)
    found = notebook.metadata.get("language_info", {})
    assert found == run_notebooks.LANGUAGE, f"language_info is {found}: nbconvert needs {run_notebooks.LANGUAGE}"
    assert resources["output_extension"] == ScriptExporter().from_notebook_node(notebook)[1]["output_extension"] == ".py"


RULES = [parameters_cell, light_start, draws_inline, becomes_a_script, cell_count, short_code, short_prose,
         opens_with_a_question, figures, few_prints, solutions, no_errors, drawn, no_machine_names, kernel]


@pytest.mark.skipif(not PAIRS, reason="no notebooks yet")
@pytest.mark.parametrize("py", PAIRS, ids=lambda p: p.stem)
class TestNotebooks:
    def test_pair_is_in_sync_and_outputs_are_fresh(self, py):
        assert not run_notebooks.problems(py)

    def test_size(self, py):
        kilobytes = py.with_suffix(".ipynb").stat().st_size / 1000
        assert kilobytes < 900, f"{kilobytes:.0f} kB, less than 900 are allowed"

    @pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
    def test_rule(self, py, rule):
        rule(nbformat.read(py.with_suffix(".ipynb"), as_version=4))


START = """
import sys, nbformat
cells = [cell.source for cell in nbformat.read(sys.argv[1], as_version=4).cells if cell.cell_type == "code"]
scope = {"__name__": "__main__"}
exec(cells[0], scope)
scope["seed"] = -1
try:
    exec(cells[1], scope)
except ValueError as error:
    print(error, {"torch", "pandas", "matplotlib", "xarray"} & set(sys.modules))
"""


@pytest.mark.parametrize("py", PAIRS, ids=lambda p: p.stem)
def test_a_wrong_value_gets_its_sentence_before_anything_heavy_is_imported(py):
    run = subprocess.run([sys.executable, "-c", START, str(py.with_suffix(".ipynb"))], capture_output=True, text=True,
                         encoding="utf-8")
    assert run.stdout == "parameter 'seed' is -1; allowed: a whole number from 0 to 99. set()\n", run.stderr


def test_every_notebook_has_its_source():
    assert [p.with_suffix(".py") for p in sorted((ROOT / "notebooks").glob("*.ipynb"))] == PAIRS


# The rules themselves.

FOREIGN = "/" + "home"      # of some machine; put together, so that this file has no such path


def sample():
    """A notebook that keeps every rule."""
    picture = new_output("display_data", {"image/png": f"{FOREIGN}/aGVsbG8="})
    check = "exercises.check_keep_best(f"
    cells = [new_markdown_cell("# Why plan? $\\sum_t$")] + [new_markdown_cell("words " * 99)] * 17 + [
        new_code_cell('env = "darkroom"  # darkroom\nseed = -1  # any', metadata={"tags": ["parameters"]}),
        new_code_cell("%matplotlib inline\nfrom dicp import parameters\np = parameters.check(globals(), env=ENVS, seed=int)\n"
                      "import torch\nplot.style()"),
        new_code_cell(f"def f(): ...\n{check})", metadata={"tags": ["exercise"]}),
        new_code_cell(f"def f(): return 1\n{check}, strict=True)",
                      metadata={"tags": ["solution"], "jupyter": {"source_hidden": True}}),
    ] + [new_code_cell("plot.returns(t)", outputs=[picture]) for _ in range(4)]
    for i, cell in enumerate(cells := [copy.deepcopy(c) for c in cells]):
        cell["id"] = f"cell-{i}"
        if cell.cell_type == "code":
            cell["execution_count"] = i
    return new_notebook(cells=cells, metadata={"kernelspec": run_notebooks.KERNEL, "language_info": run_notebooks.LANGUAGE})


def change(cell, **changes):
    return lambda notebook: notebook.cells[cell].update(changes)


BROKEN = [
    (parameters_cell, change(18, source="env = 'a'")), (parameters_cell, change(18, source="env = f()  # x")),
    (parameters_cell, change(18, source="\n".join(f"a{i} = {i}  # x" for i in range(8)))),
    (parameters_cell, change(19, source="x = 1")), (parameters_cell, change(20, metadata={"tags": ["parameters"]})),
    (cell_count, lambda n: n.cells.pop() and n.cells.pop()), (short_code, change(22, source="x\n" * 26)),
    (short_prose, change(1, source="words " * 101)), (opens_with_a_question, change(0, source="# Planning")),
    (figures, change(25, outputs=[])), (few_prints, change(22, source="print(1);" * 4)),
    (solutions, change(21, source="def g(): return 1\nexercises.check_x(g, strict=True)")),
    (solutions, change(21, source="def f(): return 1\nexercises.check_x(f)")), (solutions, lambda n: n.cells.pop(21)),
    (no_errors, change(25, outputs=[new_output("error", ename="ValueError", evalue="", traceback=[])])),
    (no_errors, change(25, execution_count=None)), (no_errors, change(25, outputs=[
        new_output("stream", name="stderr", text="UserWarning")])),
    (drawn, change(25, outputs=[new_output("display_data", {"text/markdown": "Pictures cannot be drawn here (no display)"})])),
    (light_start, change(19, source="import torch\np = parameters.check(globals())\nplot.style()")),
    (light_start, change(19, source="from dicp import plot\np = parameters.check(globals())\nplot.style()")),
    (draws_inline, change(19, source="p = parameters.check(globals())")),
    (becomes_a_script, lambda n: n.metadata["language_info"].pop("file_extension")),
    (no_machine_names, change(25, source=f"open('{FOREIGN}/me/x')")), (kernel, lambda n: n.metadata.clear()),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
def test_a_good_notebook_passes(rule):
    rule(sample())


@pytest.mark.parametrize("rule, spoil", BROKEN, ids=lambda x: getattr(x, "__name__", "spoilt"))
def test_a_broken_rule_is_noticed(rule, spoil):
    notebook = sample()
    spoil(notebook)
    with pytest.raises(AssertionError):
        rule(notebook)


def test_pair_check_notices_edits_of_either_half(tmp_path):
    py, text = tmp_path / "a.py", "# %%\nx = 1\n"
    py.write_text(text, encoding="utf-8")
    assert "missing" in run_notebooks.problems(py)[0]
    notebook = run_notebooks.read(py)
    nbformat.write(notebook, tmp_path / "a.ipynb")
    py.write_text(run_notebooks.as_py(notebook), encoding="utf-8")
    assert run_notebooks.problems(py) == []
    notebook.cells[0].source = "x = 2"
    nbformat.write(notebook, tmp_path / "a.ipynb")
    assert [("differ" in p, "stale" in p) for p in run_notebooks.problems(py)] == [(True, False), (False, True)]
