"""Figures are drawn into the notebook, whatever backend the environment names."""

import nbformat
import pytest
from nbclient import NotebookClient

CELLS = [
    "import matplotlib.pyplot as plt\nfrom dicp import plot\nplot.style()",
    "figure, ax = plt.subplots()\nax.plot([1, 2])",
]


def figures_of(cells: list[str]) -> int:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    assert not any(output.get("name") == "stderr" for output in outputs), outputs
    return sum("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("backend", ["Agg", None])
def test_a_notebook_draws_inline(monkeypatch, backend):
    monkeypatch.delenv("MPLBACKEND", raising=False)
    if backend:
        monkeypatch.setenv("MPLBACKEND", backend)
    assert figures_of(CELLS) == 1
