"""Every text file is read and written as UTF-8, whatever the machine's locale says."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("dicp", "tests", "tools", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
TEXT = {"read_text", "write_text"}          # of pathlib; ruff sees only those whose path it can name
OWN = {"store.write_text", "write_text"}    # dicp.store's takes no encoding, it is always UTF-8


def without_encoding(source: str) -> list[str]:
    """The calls that read or write text and do not name its encoding."""
    found = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        words = [keyword.arg for keyword in call.keywords]
        if name in OWN or "encoding" in words:
            continue
        if name.split(".")[-1] in TEXT or (name in ("open", "os.fdopen", "io.open") and not _is_binary(call)):
            found.append(ast.unparse(call))
    return found


def _is_binary(call: ast.Call) -> bool:
    modes = [*call.args[1:2], *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    return any("b" in ast.literal_eval(mode) for mode in modes)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_text_file_names_its_encoding(path):
    assert without_encoding(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("line, bad", [
    ("p.read_text()", True), ("p.write_text(t)", True), ("open(p)", True), ("open(p, 'w')", True),
    ("p.read_text(encoding='utf-8')", False), ("open(p, 'rb')", False), ("open(p, mode='wb')", False),
    ("store.write_text(p, t)", False), ("LearningHistories.open(p)", False),
])
def test_the_search_itself(line, bad):
    assert bool(without_encoding(line)) == bad


def test_ruffs_rule_fires(tmp_path):
    """PLW1514 is a preview rule: without `preview` and `explicit-preview-rules` it is on the list and does nothing."""
    (tmp_path / "bad.py").write_text('with open("x") as file:\n    print(file)\n', encoding="utf-8")
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "json"]
    said = subprocess.run([*command, "--config", str(ROOT / "pyproject.toml"), "bad.py"], cwd=tmp_path, capture_output=True)
    assert [found["code"] for found in json.loads(said.stdout)] == ["PLW1514"]


@pytest.mark.skipif(not shutil.which("localedef"), reason="no localedef here to make a latin-1 locale with")
def test_fresh_pairs_are_in_sync_in_a_latin_1_locale(tmp_path):
    made = tmp_path / "en_US.ISO-8859-1"
    subprocess.run(["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(made)], capture_output=True)
    if not made.exists():
        pytest.skip("localedef has no source of the locale here")
    folder = tmp_path / "notebooks"
    folder.mkdir()
    program = f"""
import locale, sys
from pathlib import Path
assert locale.getpreferredencoding(False).upper() == "ISO-8859-1", locale.getpreferredencoding(False)
sys.path.insert(0, {str(ROOT / "tools")!r})
import run_notebooks
py = Path({str(folder / "a.py")!r})
py.write_text("# %%\\nx = '\u00fc \u2192 \u4f60'\\n", encoding="utf-8")
run_notebooks.write(run_notebooks.read(py), py)
assert run_notebooks.problems(py) == []
"""
    environment = os.environ | {"LOCPATH": str(tmp_path), "LC_ALL": "en_US.ISO-8859-1", "PYTHONUTF8": "0"}
    environment["PYTHONPATH"] = str(ROOT)
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, encoding="utf-8")
    assert run.returncode == 0, run.stderr
