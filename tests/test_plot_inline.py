"""Figures are drawn into the notebook, whatever backend the environment names."""

import sys
from types import SimpleNamespace

import matplotlib
import nbformat
import pytest
from nbclient import NotebookClient

from dicp.plot import look

CELLS = [
    "import matplotlib.pyplot as plt\nfrom dicp import plot\nplot.style()",
    "figure, ax = plt.subplots()\nax.plot([1, 2])",
]


def figures_of(cells: list[str]) -> int:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    said = [output["text"] for output in outputs if output.get("name") == "stderr"]       # old libraries warn there, too
    assert not any("backend" in text or "interactive" in text for text in said), said
    return sum("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("backend", ["Agg", None])
def test_a_notebook_draws_inline(monkeypatch, backend):
    monkeypatch.delenv("MPLBACKEND", raising=False)
    if backend:
        monkeypatch.setenv("MPLBACKEND", backend)
    assert figures_of(CELLS) == 1


@pytest.mark.parametrize("backend, kernel, n_changes", [
    ("agg", "a notebook's", 1),
    ("agg", None, 0),                                       # a script, a terminal
    ("module://ipympl.backend_nbagg", "a notebook's", 0),
    ("nbAgg", "a notebook's", 0),
    ("module://matplotlib_inline.backend_inline", "a notebook's", 0),
])
def test_only_what_draws_nothing_into_a_notebook_is_changed(monkeypatch, backend, kernel, n_changes):
    asked = []
    shell = SimpleNamespace(kernel=kernel, run_line_magic=lambda *magic: asked.append(magic))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(matplotlib, "get_backend", lambda: backend)
    look._draw_inline()
    assert asked == [("matplotlib", "inline")] * n_changes
