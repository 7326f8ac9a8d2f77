"""Execute notebooks from their .py halves, so that the committed outputs are those of the committed
code.

    python tools/run_notebooks.py notebooks/01_*.py        # execute, write the .ipynb beside each
    python tools/run_notebooks.py --check notebooks/*.py   # only: are pairs in sync, outputs fresh?

The .py is the source; a run also puts its header and cell markers into jupytext's own form. The
.ipynb keeps, in its metadata, a hash of the code that its outputs came from.
"""

import argparse
import base64
import hashlib
import io
import json
import sys
import time
from copy import deepcopy
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image

from dicp import store

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
# what nbconvert needs to make a .py of it; the kernel's own also names its version, which differs
LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3}, "file_extension": ".py",
    "mimetype": "text/x-python", "name": "python", "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
# in the notebook itself, so that every jupytext command and JupyterLab write the same pair
JUPYTEXT = {
    "cell_metadata_filter": "tags,jupyter,-all",
    "notebook_metadata_filter":
        "kernelspec,jupytext,-jupytext.text_representation.jupytext_version",
}


def source_hash(notebook) -> str:
    """A hash of all code cells, in order; prose may change without making outputs stale."""
    code = [cell.source.strip() for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(code).encode("utf-8")).hexdigest()[:16]


def problems(py: Path) -> list[str]:
    """What is wrong with a pair, one sentence each; empty if all is well."""
    ipynb = py.with_suffix(".ipynb")
    if not ipynb.exists():
        return [f"{ipynb.name} is missing: run tools/run_notebooks.py on {py.name}."]
    notebook, found = nbformat.read(ipynb, as_version=4), []
    if as_py(notebook) != py.read_text(encoding="utf-8"):
        found.append(
            f"{py.name} and {ipynb.name} differ: edit the .py, then run tools/run_notebooks.py."
        )
    if notebook.metadata.get("dicp", {}).get("source_hash") != source_hash(notebook):
        found.append(
            f"the outputs of {ipynb.name} are stale: its code has changed since they were made."
        )
    return found


def as_py(notebook) -> str:
    """The text that jupytext writes for a notebook, as JupyterLab does on saving."""
    return jupytext.writes(deepcopy(notebook), fmt="py:percent")


def read(py: Path):
    """The .py as a notebook without outputs; cell ids are positions, so that a re-run changes no
    line needlessly."""
    notebook = jupytext.read(py)
    notebook.metadata = nbformat.NotebookNode({
        "kernelspec": KERNEL, "language_info": deepcopy(LANGUAGE),
        "jupytext": JUPYTEXT, "dicp": {"source_hash": source_hash(notebook)},
    })
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{i:02d}"
        cell.metadata.pop("lines_to_next_cell", None)    # blank lines between cells are not content
    return notebook


def shrink(notebook) -> None:
    """Store figures with 256 colours: a third of the bytes. By octree, which keeps the colour of
    small things."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if png := output.get("data", {}).get("image/png"):
                picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")
                page = Image.new("RGBA", picture.size, "white")
                page.alpha_composite(picture)
                buffer = io.BytesIO()
                few = page.convert("RGB")
                few = few.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
                few.save(buffer, "PNG", optimize=True)
                output["data"]["image/png"] = base64.b64encode(buffer.getvalue()).decode()


def run(py: Path, timeout: int) -> None:
    """Execute in the notebook's folder and write the .ipynb; a notebook that fails leaves the old
    one as it is."""
    notebook = read(py)
    NotebookClient(
        notebook, timeout=timeout, kernel_name="python3",
        resources={"metadata": {"path": str(py.parent)}}, record_timing=False,
        coalesce_streams=True,
    ).execute()
    shrink(notebook)
    # the kernel adds its own version to the metadata, which differs from machine to machine
    notebook.metadata["language_info"] = deepcopy(LANGUAGE)
    write(notebook, py)


def write(notebook, py: Path) -> None:
    """Both halves of a pair, each whole or not at all."""
    text = nbformat.writes(notebook).rstrip("\n") + "\n"
    # read back: writing sorts the cells' metadata
    store.write_text(py, as_py(nbformat.reads(text, as_version=4)))
    store.write_text(py.with_suffix(".ipynb"), text)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("notebooks", nargs="+", type=Path, help=".py halves")
    parser.add_argument("--check", action="store_true", help="execute nothing, only report")
    parser.add_argument(
        "--timeout", type=int, default=1800, help="seconds a cell may take (default 1800)"
    )
    args = parser.parse_args()
    failed = 0
    for py in (path.resolve().with_suffix(".py") for path in args.notebooks):
        if args.check:
            found = problems(py)
            failed += bool(found)
            print("\n".join(found) or f"{py.name}: in sync, outputs fresh")
            continue
        start = time.monotonic()
        try:
            run(py, args.timeout)
            print(f"{py.name}: executed in {time.monotonic() - start:.0f} s")
        except CellExecutionError as error:
            failed += 1
            print(f"{py.name}: failed, .ipynb left as it was\n{error}", file=sys.stderr)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
