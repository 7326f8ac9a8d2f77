"""What pyproject.toml, the lock file, the conda environment and the README say of what is needed is the same, and true."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK_TEXT = (ROOT / "uv.lock").read_text(encoding="utf-8")
LOCK = tomllib.loads(LOCK_TEXT)
SPEC = importlib.util.spec_from_file_location("lowest_versions", ROOT / "tools" / "lowest_versions.py")
lowest_versions = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(lowest_versions)
NEEDED = [Requirement(text) for text in lowest_versions.requirements()]


def test_the_versions_of_python_are_those_that_metaworld_installs_on():
    assert SpecifierSet(PROJECT["requires-python"]) == SpecifierSet(">=3.11,<3.14")
    assert SpecifierSet(LOCK["requires-python"]) == SpecifierSet(">=3.11,<3.14")
    conda = re.search(r"python=([\d.]+)", (ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert conda[1] in SpecifierSet(PROJECT["requires-python"])


@pytest.mark.parametrize("needed", NEEDED, ids=lambda needed: needed.name)
def test_every_requirement_has_both_bounds_and_what_is_installed_is_within(needed):
    operators = {specifier.operator for specifier in needed.specifier}
    assert operators in ({">=", "<"}, {"=="})
    assert version(needed.name) in needed.specifier


@pytest.mark.parametrize("needed", NEEDED, ids=lambda needed: needed.name)
def test_the_upper_bound_is_a_major_version(needed):
    for specifier in needed.specifier:
        if specifier.operator == "<":
            assert specifier.version.isdigit() or needed.name == "torch", needed


def test_it_is_said_how_far_rewards_of_meta_world_are_the_librarys():
    for name in ("dicp/envs/metaworld.py", "pyproject.toml"):
        text = " ".join((ROOT / name).read_text(encoding="utf-8").replace("#", "").split())
        assert re.search("bservations and successes (are the library's )?to the last bit.{0,60} 3.6e-15", text, re.I), name


@pytest.mark.parametrize("name, bad", [("zarr", "3.1.2"), ("zarr", "3.0.7"), ("pandas", "2.2.1"), ("torch", "2.14.0")])
def test_versions_that_are_known_to_fail_are_not_allowed(name, bad):
    needed = next(needed for needed in NEEDED if needed.name == name)
    assert bad not in needed.specifier


def test_ci_installs_the_lowest_versions():
    lines = [Requirement(lowest_versions.lowest(text)) for text in lowest_versions.requirements()]
    for line, needed in zip(lines, NEEDED, strict=True):
        (pin,) = line.specifier
        bounds = [specifier.version for specifier in needed.specifier if specifier.operator in (">=", "==")]
        assert line.name == needed.name and pin.operator == "==" and pin.version in needed.specifier
        assert needed.name == "torch" or [pin.version] == bounds


def test_the_lock_file_is_of_these_requirements():
    """After a change in pyproject.toml: `uv lock`."""
    (own,) = (package for package in LOCK["package"] if package["name"] == "dicp")
    locked = {canonicalize_name(entry["name"]): entry["specifier"] for entry in own["metadata"]["requires-dist"]}
    assert {name: SpecifierSet(text) for name, text in locked.items()} == {
        canonicalize_name(needed.name): needed.specifier for needed in NEEDED}
    chosen = {package["name"]: package.get("version") for package in LOCK["package"]}
    for needed in NEEDED:
        assert Version(chosen[canonicalize_name(needed.name)]) in needed.specifier


def test_the_lock_file_names_no_place_but_pypi():
    assert set(re.findall(r"[a-z]+://[^/\"]+", LOCK_TEXT)) == {"https://pypi.org", "https://files.pythonhosted.org"}
    sources = {tuple(package["source"]) for package in LOCK["package"]}
    assert sources == {("registry",), ("editable",)}


def test_the_readmes_first_two_blocks_are_what_ci_runs():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    job, tests = re.findall(r"```bash\n(.*?)```", readme, flags=re.S)[:2]
    assert job.startswith("pip install -e . && papermill ") and tests.startswith("pip install -e '.[test]' && pytest && ")


def test_the_folder_that_holds_a_clone_does_not_hide_the_package(tmp_path):
    """A clone is named dicp, too, and has no `__init__.py`: an ordinary package wins against it only if it lies on the path."""
    (tmp_path / "dicp").symlink_to(ROOT, target_is_directory=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    code = "import gymnasium, dicp; gymnasium.make('dicp/DarkKeyToDoor-v0', key=(1, 2), door=(7, 7)); print(dicp.__version__)"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8")
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == PROJECT["version"]
