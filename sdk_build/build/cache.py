"""What an export made before, kept by content: an entry's name is a digest of everything that it was made from.

Safe with several exports at once and after a kill: an entry is filled beside its place and renamed, so it is there
whole or not at all, and its checksums are looked at before it is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sdk_build.bundle.files import hash_files, is_running, sha256_of

LIMIT_BYTES = 4 * 10**9
VERSION = 1  # of the layout below
ENTRY = "entry.json"
CONTENT = "content"
_TEMPORARY = ".tmp-"


def default_folder() -> Path:
    """``ONPAR_CACHE``, else ``onpar/export`` in the user's cache folder."""
    given = os.environ.get("ONPAR_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(given) if given else Path(base).expanduser() / "onpar" / "export"


def digest(parts: Mapping[str, Any]) -> str:
    """The key of what was made from ``parts``, which must be ready for JSON."""
    text = json.dumps({"cache": VERSION, **parts}, sort_keys=True, allow_nan=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Cache:
    """A folder of entries, the least recently used of which go when it grows too large.

    Every method treats a folder that can't be read or written as an empty one: a cache only saves time.

    Args:
        limit_bytes: of all entries together.
    """

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes
        with contextlib.suppress(OSError):
            for left in folder.glob(f"{_TEMPORARY}*"):
                owner = left.name.removeprefix(_TEMPORARY).partition("-")[0]
                if owner.isdecimal() and not is_running(int(owner)):
                    shutil.rmtree(left, ignore_errors=True)

    def get(self, key: str, target: Path) -> dict[str, Any] | None:
        """Copy an entry's files into ``target``, which must not exist, and return its record; None if there is none."""
        place = self.folder / key
        try:
            entry = json.loads((place / ENTRY).read_bytes())
            shutil.copytree(place / CONTENT, target)
            found = {file.relative_to(target).as_posix(): sha256_of(file) for file in _files(target)}
            if found == entry["files"]:
                os.utime(place)
                return dict(entry["record"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # not there, or another export has just removed it, or it is damaged
        shutil.rmtree(target, ignore_errors=True)
        if place.is_dir():
            self._remove(place)
        return None

    def has(self, key: str) -> dict[str, Any] | None:
        """An entry's record without its files, for what the caller finds elsewhere."""
        try:
            record = dict(json.loads((self.folder / key / ENTRY).read_bytes())["record"])
            os.utime(self.folder / key)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return record

    def put(self, key: str, source: Path, record: Mapping[str, Any]) -> None:
        """Keep a folder's files with a record that is ready for JSON."""
        with contextlib.suppress(OSError), self._filling() as folder:
            shutil.copytree(source, folder / CONTENT)
            content = folder / CONTENT
            files = {file.relative_to(content).as_posix(): sha256_of(file) for file in _files(content)}
            (folder / ENTRY).write_text(json.dumps({"files": files, "record": record}))
            with contextlib.suppress(OSError):  # another export was first: its entry is as good
                os.replace(folder, self.folder / key)
            self._shrink()

    @contextlib.contextmanager
    def _filling(self) -> Iterator[Path]:
        folder = self.folder / f"{_TEMPORARY}{os.getpid()}-{uuid.uuid4().hex}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _remove(self, place: Path) -> None:
        """Take an entry away in one step, so that nobody reads half of one."""
        aside = self.folder / f"{_TEMPORARY}{os.getpid()}-{uuid.uuid4().hex}"
        with contextlib.suppress(OSError):
            os.replace(place, aside)
        shutil.rmtree(aside, ignore_errors=True)

    def _shrink(self) -> None:
        entries = []
        for place in self.folder.iterdir():
            with contextlib.suppress(OSError):
                if not place.name.startswith(_TEMPORARY):
                    size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
                    entries.append((place.stat().st_mtime, size, place))
        total = sum(size for _, size, _ in entries)
        for _, size, place in sorted(entries, key=lambda entry: entry[0]):
            if total <= self.limit_bytes:
                return
            self._remove(place)
            total -= size


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def folder_digest(folder: Path) -> str:
    """A digest of every file in a folder with its name."""
    return hashlib.sha256("".join(f"{e.sha256} {e.path}\n" for e in hash_files(folder)).encode()).hexdigest()
