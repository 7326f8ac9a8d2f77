"""Print the lowest versions that pyproject.toml allows, a requirement a line, as CI installs them.

    python tools/lowest_versions.py > lowest.txt && pip install -r lowest.txt -e '.[test]'
"""

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
TORCH = "torch==2.13.0"       # not the lowest: the one that takes a CPU build where one lies


def requirements() -> list[str]:
    """All requirements of the package and of its tests, as pyproject.toml has them."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["test"]]


def lowest(requirement: str) -> str:
    """`name>=1.2,<3` as `name==1.2`."""
    name, operator, version = re.match(r"([\w-]+)(>=|==)([\w.]+)", requirement).groups()
    return TORCH if name == "torch" else f"{name}=={version}"


if __name__ == "__main__":
    print("\n".join(map(lowest, requirements())))
