"""The code in docs/embed.md is that of files which are compiled and run."""

import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "embed.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"<!-- (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)


def compiled(file):
    """What stands between the two marks of an example."""
    text = (ROOT / file).read_text(encoding="utf-8")
    body = text.split("// docs: begin\n")[1].split("// docs: end")[0]
    return textwrap.dedent(body.rstrip(" "))


def test_three_languages():
    assert {Path(file).suffix for file, _ in SHOWN} == {".kt", ".swift", ".ts"}


@pytest.mark.parametrize(("file", "code"), SHOWN)
def test_code_is_that_of_the_example(file, code):
    assert code == compiled(file)


@pytest.mark.parametrize(("file", "code"), SHOWN)
def test_a_class_of_a_picture_in_six_lines(file, code):
    assert len(code.splitlines()) <= 6
