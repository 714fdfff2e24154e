"""docs/inputs.md names a test for everything it promises; each of them exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "inputs.md").read_text(encoding="utf-8")
ROWS = [line for line in TEXT.splitlines() if line.startswith("| ") and not re.match(r"\| (---|\w+ \| what)", line)]
PYTHON = re.compile(r"`(test_\w+)::(test_\w+)`")
IN_APPS = re.compile(r"`(\w+): ([^`]+)`")
# How the languages write a test's name in a file that is named before it.
APPS = {
    "mjs": ("web_demo/tests/{file}.test.mjs", "test('{test}'"),
    "kt": ("android_demo/**/{file}.kt", "fun `{test}`"),
    "swift": ("ios_demo/**/{file}.swift", "func {test}("),
}


def test_the_table_was_found() -> None:
    assert len(ROWS) > 60


@pytest.mark.parametrize("row", ROWS, ids=[row.split(" | ")[0][2:60] for row in ROWS])
def test_every_row_is_held_by_tests_that_exist(row: str) -> None:
    cells = row.strip("| ").split(" | ")
    assert len(cells) == 3, "three columns: the file, what happens, the tests"
    named, in_apps = PYTHON.findall(cells[2]), IN_APPS.findall(cells[2])
    assert named or in_apps
    for file, test in named:
        (path,) = (ROOT / "tests").rglob(f"{file}.py")
        assert re.search(rf"^def {test}\(", path.read_text(encoding="utf-8"), re.MULTILINE), f"no {test} in {path.name}"
    for file, test in in_apps:
        found = [(path, text) for place, text in APPS.values() for path in ROOT.glob(place.format(file=file))]
        assert len(found) == 1, f"{file} is no file of tests"
        (path, text) = found[0]
        assert text.format(test=test) in path.read_text(encoding="utf-8"), f"no '{test}' in {path.name}"
