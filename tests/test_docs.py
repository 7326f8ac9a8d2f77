"""README and docs/: their tables are those of the recorded runs, and no other number stands there."""

import re
from pathlib import Path

import pytest
import results_table

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"<!-- results ([a-z_ 0-9]+) -->\n(.*?)\n?<!-- end -->", re.S)
# Sizes, counts and versions that are no results: of the worlds and the machine, and of what is compared.
ALLOWED = {"2025", "2026", "3.11", "3.13", "2.13.0", "9", "20", "40", "50", "81", "100", "01", "02", "03", "04", "05"}


def prose(text: str) -> str:
    """Without generated tables, commands, code, links, and the numbers of papers on arXiv."""
    text = BLOCK.sub("", text)
    papers = r"(arXiv )?\b\d{4}\.\d{4,5}\b", r"ICLR \d{4}", r"et al\. \d{4}"
    for pattern in (r"```.*?```", r"`[^`]*`", r"\]\([^)]*\)", r"<!--.*?-->", r"\[\d\d_[a-z_]+", *papers):
        text = re.sub(pattern, " ", text, flags=re.S)
    return text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_number_stands_in_a_generated_table(page):
    numbers = re.findall(r"(?<![A-Za-z\d])\d+(?:[.,]\d+)*", prose(page.read_text(encoding="utf-8")))
    assert not [number for number in numbers if number not in ALLOWED]


def test_a_number_in_the_prose_is_found():
    text = "It ends at 0.57, `0.3` aside.\n<!-- results x -->\n| 0.9 |\n<!-- end -->"
    assert re.findall(r"\d+\.\d+", prose(text)) == ["0.57"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_are_those_of_the_recorded_runs(page):
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert page.name in ("README.md", "extend.md") or blocks
    for name, block in blocks:
        assert results_table.BLOCKS[name]() == block, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_readme_can_be_read():
    """One sentence, one figure and three commands on the first screen; short enough to be read."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150 and max(map(len, lines[:30])) <= 200
    first = "\n".join(lines[:25])
    assert first.count("```bash") == 2 and first.count("![") == 1 and "jupyter lab" in first
