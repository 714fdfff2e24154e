"""docs/troubleshooting.md names every error, with its exit code and what to do."""

import inspect
import re
from pathlib import Path

import pytest

from reference.errors import OnParError
from sdk_build import errors

TEXT = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
# | `Kind` | code | means | do |
ROWS = {row[0]: row[1:] for row in re.findall(r"^\| `(\w+)` \| (\d) \| (.+) \| (.+) \|$", TEXT, re.MULTILINE)}
KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, OnParError)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not OnParError])
def test_every_error_has_a_row_with_its_code(kind):
    code, means, advice = ROWS[kind.__name__]
    assert int(code) == kind.exit_code
    assert len(means) > 20
    assert len(advice) > 20


def test_no_row_is_of_an_error_that_is_gone():
    assert set(ROWS) == {kind.__name__ for kind in KINDS} - {"OnParError"}
    assert "`OnParError`" in TEXT


def test_every_exit_code_is_explained():
    codes = {int(code) for code in re.findall(r"^\| (\d+) \| \w", TEXT, re.MULTILINE)}
    assert codes == {0, 130, *(kind.exit_code for kind in KINDS)}
