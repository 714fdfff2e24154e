"""Bundles of which nothing changed: the proved one is taken again, after its checksums were looked at."""

from __future__ import annotations

from pathlib import Path

from reference.errors import OnParError
from sdk_build.build.cache import Cache
from sdk_build.bundle.files import MANIFEST, open_bundle, place, sha256_of
from sdk_build.bundle.manifest import Manifest


def keep_bundle(cache: Cache, key: str, path: Path) -> None:
    """Keep a bundle that was just written."""
    cache.put(key, path, {"manifest": sha256_of(path / MANIFEST)})


def unchanged(cache: Cache, key: str, output_dir: Path, name: str, folder: Path) -> tuple[Path, Manifest] | None:
    """Put a kept bundle into ``output_dir/name``, or leave it there if it is there; None where none is kept.

    Args:
        folder: for temporary files, on the file system of ``output_dir``.
    """
    record = cache.has(key)
    if record is None:
        return None
    there = output_dir / name
    try:
        if (there / MANIFEST).is_file() and sha256_of(there / MANIFEST) == record.get("manifest"):
            return there, open_bundle(there).manifest
    except OnParError:
        pass  # somebody changed a file of it
    copy = folder / name
    if cache.get(key, copy) is None:
        return None
    manifest = open_bundle(copy).manifest
    return place(copy, output_dir, name), manifest
