"""What became of the tests, by kind, and how that compares with what is committed. Standard library only."""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PASSED = "passed, prediction compared"
PREDICTING = "of those that predict"
_VALUES = re.compile(r"Not equal to|DESIRED|expected shape|does match with")


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The results of a run by test id."""
    if not path.is_file():
        return {}
    return {entry["id"]: entry for entry in map(json.loads, path.read_text().splitlines())}


def kind_of(entry: Mapping[str, Any]) -> str:
    """One of a dozen kinds, by whose fault it is."""
    message, error = entry["message"], entry["error"]
    if entry["outcome"] == "passed":
        if entry["expected_to_fail"]:
            return "passed, where Apple expects Core ML to fail"
        return PASSED if entry["predictions"] else "passed, no prediction in the test"
    if entry["outcome"] == "skipped":
        if "not applicable: " in message:
            return "not applicable: " + message.partition("not applicable: ")[2]
        return "expected to fail by Apple" if entry["expected_to_fail"] else "skipped by the test itself"
    if error is not None:
        return f"refused by the emulation: {error[0]}"
    if "Timeout" in message[:60]:
        return "hangs"
    if not entry["predictions"]:
        return "failed before a prediction (coremltools with this PyTorch or NumPy)"
    return "wrong value or shape" if _VALUES.search(message) else "failed behind a prediction, values not at issue"


def predicts(kind: str) -> bool:
    """True if the emulation was asked in the test, so that its outcome speaks about it."""
    return kind == PASSED or kind.startswith(("refused", "wrong", "hangs"))


def count(entries: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Tests by kind."""
    return Counter(map(kind_of, entries))


def key_of(name: str) -> str:
    """A short name for a test id, which is long."""
    return f"{zlib.crc32(name.encode()):08x}"


@dataclass(frozen=True)
class Expected:
    """What is committed about one group of tests.

    Attributes:
        coremltools: the version whose tests they are.
        selection: of which run.
        counts: tests by kind.
        passed: keys of the tests that passed with a prediction.
        failing: ids of those that the emulation was asked in and that did not pass, with their kinds.
    """

    coremltools: str
    selection: str
    counts: Mapping[str, int]
    passed: frozenset[str]
    failing: Mapping[str, str]

    @classmethod
    def of(cls, entries: Mapping[str, Mapping[str, Any]], coremltools: str, selection: str) -> Expected:
        """From a finished run."""
        kinds = {name: kind_of(entry) for name, entry in entries.items()}
        failing = {name: kind for name, kind in sorted(kinds.items()) if predicts(kind) and kind != PASSED}
        passed = frozenset(key_of(name) for name, kind in kinds.items() if kind == PASSED)
        return cls(coremltools, selection, dict(count(entries.values()).most_common()), passed, failing)

    @classmethod
    def load(cls, path: Path) -> Expected:
        """From a committed file."""
        document = json.loads(path.read_text())
        return cls(**{**document, "passed": frozenset(" ".join(document["passed"]).split())})

    def save(self, path: Path) -> None:
        """To a file that changes little where little changed: keys in lines by their first two digits."""
        lines: dict[str, list[str]] = {}
        for key in sorted(self.passed):
            lines.setdefault(key[:2], []).append(key)
        document = {**vars(self), "passed": [" ".join(line) for line in lines.values()]}
        path.write_text(json.dumps(document, indent=1) + "\n")

    def lost(self, entries: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        """Tests that passed when this was committed and don't any more, with what they are now."""
        return {
            name: kind_of(entry)
            for name, entry in entries.items()
            if key_of(name) in self.passed and kind_of(entry) != PASSED
        }
