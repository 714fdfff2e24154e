"""The rooms of the app libraries, read from the sources: the same in every language, and nothing reaches up."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
# From the lowest to the highest: a room uses itself and those before it. docs/architecture.md says what each holds.
ROOMS = ("bundle", "image", "depth", "runner", "faces", "tasks", "proof", "character")
# A task is one file in each language: the result in bundle.json, and the file whose class gives it.
TASKS = {
    "Classification": "image_classifier",
    "Depth": "depth_estimator",
    "Detections": "object_detector",
    "FaceBoxes": "face_detector",
    "FaceMesh": "face_reconstructor",
    "Keypoints": "face_keypoint_detector",
    "Mask": "saliency_segmenter",
    "Points": "keypoint_detector",
    "Embedding": "image_embedder",
    "NewPicture": "image_to_image",
    "Segmentation": "image_segmenter",
    "VoxelGrid": "depth_voxelizer",
}
# What the tasks of a language share, and what opens every bundle, whatever its task.
SHARED = {"detector", "open", "task", "tensor_model"}
MOST_LINES = 400


class Library(NamedTuple):
    folder: Path
    suffix: str
    # What only this platform has, above all rooms.
    platform: frozenset[str] = frozenset()


LIBRARIES = {
    "kotlin": Library(ROOT / "android_demo/onpar/src/main/kotlin/org/onpar", ".kt", frozenset({"android"})),
    "swift": Library(ROOT / "ios_demo/Sources/OnPar", ".swift", frozenset({"apple"})),
    "web": Library(ROOT / "web_demo/src/onpar", ".ts"),
}
WEB = ROOT / "web_demo"
# The one file beside the rooms: what the web library shows.
INDEX = LIBRARIES["web"].folder / "index.ts"

_COMMENT = re.compile(r"/\*.*?\*/|(?<!:)//[^\n]*", re.DOTALL)
_TEXT = re.compile(r'"(?:\\.|[^"\\\n])*"')
# Imports with or without names, what is passed on, and imports at run time.
_IMPORT = re.compile(
    r"""^(?:import|export)\b([^;'"]*?)(?:\bfrom\s*)?['"](\.[^'"]*)['"]|\bimport\(\s*['"](\.[^'"]*)['"]""", re.MULTILINE
)
# Kotlin and Swift have no imports inside a library: what ties two files is the name of a type.
_TYPE = re.compile(r"^[\w ]*\b(?:actor|class|enum|interface|object|protocol|struct|typealias) (\w+)", re.MULTILINE)


def _code(path: Path) -> str:
    return _COMMENT.sub("", path.read_text(encoding="utf-8"))


def _room(path: Path, library: Library) -> str:
    return path.relative_to(library.folder).parts[0].lower()


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


class Tie(NamedTuple):
    """One file uses names of another."""

    user: Path
    used: Path
    names: str

    def __str__(self) -> str:
        return f"{_shown(self.user)} uses {self.names or 'something'} of {_shown(self.used)}"


def imported(code: str) -> list[tuple[str, str]]:
    """Relative paths that a script imports, each with the names that it takes."""

    def listed(names: str) -> str:
        plain = re.sub(r"\btype\b|\bas \w+|[{}]", "", names).split(",")
        return ", ".join(name.strip() for name in plain if name.strip())

    return [(path or at_run_time, listed(names)) for names, path, at_run_time in _IMPORT.findall(code)]


def _target(user: Path, path: str) -> Path | None:
    """The script behind a relative import; None for a style sheet or a picture."""
    whole = Path(os.path.normpath(user.parent / path))
    found = [option for option in (whole, Path(f"{whole}.ts"), whole / "index.ts") if option.is_file()]
    return found[0] if found and found[0].suffix in {".ts", ".mjs"} else None


def _web_ties() -> list[Tie]:
    scripts = [
        p for part in ("src", "tests", "tools") for p in sorted((WEB / part).rglob("*")) if p.suffix in {".ts", ".mjs"}
    ]
    assert len(scripts) > 40
    return [
        Tie(script, target, names)
        for script in scripts
        for path, names in imported(_code(script))
        if (target := _target(script, path))
    ]


def _native_ties(library: Library) -> Iterator[Tie]:
    code = {path: _TEXT.sub('""', _code(path)) for path in sorted(library.folder.rglob(f"*{library.suffix}"))}
    homes = {name: path for path, text in code.items() for name in _TYPE.findall(text) if name[0].isupper()}
    for path, text in code.items():
        words = set(re.findall(r"(?<![.\w])[A-Z]\w*", text))
        for name in sorted(words & homes.keys()):
            if homes[name] != path:
                yield Tie(path, homes[name], name)


def circle(ties: Iterable[Tie]) -> list[Tie]:
    """Ties that lead from a file back to itself; empty where there is no such way."""
    after: dict[Path, list[Tie]] = {}
    for tie in ties:
        after.setdefault(tie.user, []).append(tie)
    done: set[Path] = set()

    def walk(file: Path, way: list[Tie]) -> list[Tie]:
        for start, tie in enumerate(way):
            if tie.user == file:
                return way[start:]
        if file in done:
            return []
        for tie in after.get(file, []):
            if found := walk(tie.used, [*way, tie]):
                return found
        done.add(file)
        return []

    return next((found for file in after if (found := walk(file, []))), [])


def upward(ties: Iterable[Tie], library: Library) -> list[Tie]:
    """Ties from a lower room to a higher one; the index and the platform's own room stand above all."""

    def level(path: Path) -> int:
        room = _room(path, library)
        return ROOMS.index(room) if room in ROOMS else len(ROOMS)

    return [tie for tie in ties if level(tie.user) < level(tie.used)]


def _inside(path: Path, library: Library) -> bool:
    return path.is_relative_to(library.folder)


WEB_TIES = _web_ties()


def test_the_rules_see_what_they_forbid() -> None:
    lines = [
        "import './a.css';",
        "import type {",
        "  A,",
        "  b as c,",
        "} from '../x/a';",
        "import b, { type C } from './e';",
    ]
    lines += ["import { Other } from 'package';", "export * from './f';", "const d = await import('./d');"]
    found = [("./a.css", ""), ("../x/a", "A, b"), ("./e", "b, C"), ("./f", "*"), ("./d", "")]
    assert imported("\n".join(lines)) == found
    a, b, c = (INDEX.parent / room / "a.ts" for room in ("bundle", "image", "tasks"))
    ties = [Tie(c, a, "x"), Tie(a, b, "y"), Tie(b, c, "z")]
    assert circle(ties[:2]) == []
    assert {tie.names for tie in circle(ties)} == {"x", "y", "z"}
    assert upward(ties, LIBRARIES["web"]) == ties[1:]
    assert str(ties[1]) == "web_demo/src/onpar/bundle/a.ts uses y of web_demo/src/onpar/image/a.ts"
    assert _TYPE.findall("data class A(\npublic final class B {\nenum class C\n  object D\nfun f(): E") == list("ABCD")
    tasks, faces = INDEX.parent / "tasks", INDEX.parent / "faces"
    assert Tie(tasks / "face_detector.ts", faces / "face_box_pipeline.ts", "FaceBoxPipeline") in WEB_TIES


def test_no_circle_between_scripts() -> None:
    found = circle(WEB_TIES)
    assert not found, "files import each other in a circle:\n" + "\n".join(map(str, found))


def test_scripts_import_no_higher_room() -> None:
    web = LIBRARIES["web"]
    found = upward((tie for tie in WEB_TIES if _inside(tie.user, web) and _inside(tie.used, web)), web)
    assert not found, f"rooms from the lowest to the highest: {', '.join(ROOMS)}\n" + "\n".join(map(str, found))


@pytest.mark.parametrize("language", ["kotlin", "swift"])
def test_types_use_no_higher_room(language: str) -> None:
    ties = list(_native_ties(LIBRARIES[language]))
    assert len(ties) > 100
    found = upward(ties, LIBRARIES[language])
    assert not found, f"rooms from the lowest to the highest: {', '.join(ROOMS)}\n" + "\n".join(map(str, found))


def test_the_library_knows_no_app_and_apps_know_its_index_alone() -> None:
    web = LIBRARIES["web"]
    found = [tie for tie in WEB_TIES if _inside(tie.user, web) and not _inside(tie.used, web)]
    apps = [tie for tie in WEB_TIES if tie.user.is_relative_to(WEB / "src") and not _inside(tie.user, web)]
    found += [tie for tie in apps if _inside(tie.used, web) and tie.used != INDEX]
    assert not found, "\n".join(map(str, found))


@pytest.mark.parametrize("language", LIBRARIES)
def test_every_library_has_the_same_rooms(language: str) -> None:
    library = LIBRARIES[language]
    assert {path.name.lower() for path in library.folder.iterdir() if path.is_dir()} == {*ROOMS, *library.platform}


@pytest.mark.parametrize("language", LIBRARIES)
def test_every_file_lies_in_a_room_and_is_short(language: str) -> None:
    library = LIBRARIES[language]
    files = [path for path in library.folder.rglob("*") if path.is_file() and path != INDEX]
    outside = [_shown(path) for path in files if path.parent.parent != library.folder]
    assert not outside, f"files belong into a room, {', '.join(ROOMS)}: {', '.join(outside)}"
    long = [_shown(path) for path in files if len(path.read_text(encoding="utf-8").splitlines()) > MOST_LINES]
    assert not long, f"more than {MOST_LINES} lines; one file holds one thing: {', '.join(long)}"


@pytest.mark.parametrize("language", LIBRARIES)
def test_a_task_is_one_file(language: str) -> None:
    library = LIBRARIES[language]
    files = [path for path in library.folder.rglob(f"*{library.suffix}") if _room(path, library) == "tasks"]
    assert {_snake(path.stem) for path in files} - SHARED == set(TASKS.values())
    code = {_snake(path.stem): _code(path) for path in files}
    places = {
        result: {name for name, text in code.items() if f'"{result}"' in text or f"'{result}'" in text}
        for result in TASKS
    }
    wrong = {result: sorted(names) for result, names in places.items() if names != {TASKS[result]}}
    assert not wrong, f"{language}: a result is opened in the file that the table names, and there alone: {wrong}"


@pytest.mark.parametrize("language", LIBRARIES)
def test_the_python_that_comments_name_is_there(language: str) -> None:
    library = LIBRARIES[language]
    named = {
        (_shown(path), name)
        for path in library.folder.rglob(f"*{library.suffix}")
        for name in re.findall(r"\b(?:reference|sdk_build)/[\w/]+\.py\b", path.read_text(encoding="utf-8"))
    }
    assert named
    gone = sorted(f"{path} names {name}" for path, name in named if not (ROOT / name).is_file())
    assert not gone, "\n".join(gone)
