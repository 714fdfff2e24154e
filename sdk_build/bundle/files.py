"""The bundle: one folder that an app embeds. Written whole or not at all, and only after parity has passed.

A bundle is assembled in a hidden folder beside its place and renamed; a killed export leaves only such a folder,
which the next export removes.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from sdk_build.bundle import signing
from sdk_build.bundle.manifest import FileEntry, Manifest, parse
from sdk_build.errors import BundleInvalid, BundleNotFound, ChecksumMismatch, ParityError

MANIFEST = "bundle.json"
SIGNATURE = "SIGNATURE"
_TEMPORARY = ".onpar-tmp-"
_REPLACED = ".onpar-old-"
PREFERRED = ("litert", "executorch", "coreml", "executorch_coreml")  # on a machine that has all of them


@dataclass(frozen=True)
class Bundle:
    """An opened bundle whose files were checked.

    Attributes:
        signature: what :func:`sdk_build.bundle.signing.verify` said.
    """

    path: Path
    manifest: Manifest
    signature: str

    def golden_inputs(self, case: int) -> dict[str, NDArray[Any]]:
        """Every input of a golden case, by name."""
        return {t.name: self.golden_tensor(case, t.name) for t in self.manifest.spec.inputs}

    def golden_tensor(self, case: int, name: str) -> NDArray[Any]:
        """A golden tensor: in its shape, or flat and thinned if it is large."""
        for entry in self.manifest.golden[case].tensors:
            if entry.tensor == name:
                values = np.fromfile(self.path / entry.file, np.dtype(entry.dtype).newbyteorder("<"))
                size = math.prod(entry.shape)
                if entry.stride < 1 or len(values) != -(-size // entry.stride):
                    raise BundleInvalid(
                        f"{self.path.name}: {entry.file} holds {len(values)} values, its shape {entry.shape} with "
                        f"stride {entry.stride} needs another number; export it again"
                    )
                return values.reshape(entry.shape) if entry.stride == 1 else values
        raise BundleInvalid(f"{self.path.name} has no golden tensor {name!r} in case {case}; export it again")


def open_bundle(path: Path, trusted_key: Path | None = None) -> Bundle:
    """Open a bundle after checking its signature, the set of its files and every checksum.

    Raises:
        BundleNotFound, BundleInvalid, ChecksumMismatch, SignatureInvalid: see :mod:`sdk_build.errors`.
    """
    if not (path / MANIFEST).is_file():
        what = "is no bundle: it has no bundle.json" if path.is_dir() else "does not exist"
        raise BundleNotFound(
            f"{path} {what}; give the folder that sdk_build.export wrote, e.g. dist/classifier-ios-fp16"
        )
    content = (path / MANIFEST).read_bytes()
    manifest = parse(content)
    if not (path / SIGNATURE).is_file():
        raise ChecksumMismatch(f"{path.name} lacks {SIGNATURE}; export the bundle again")
    state = signing.verify(content, (path / SIGNATURE).read_bytes(), trusted_key)
    _check_files(path, manifest)
    return Bundle(path, manifest, state)


def _check_files(path: Path, manifest: Manifest) -> None:
    links = sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_symlink())
    if links:  # what it points to may change after the check
        raise BundleInvalid(f"{path.name}: {links[0]} is a symbolic link; a bundle holds files only: export it again")
    listed = {entry.path: entry for entry in manifest.files}
    for name, entry in listed.items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise BundleInvalid(f"{path.name} lists {name!r}, which lies outside the bundle; don't use this bundle")
        if not (path / name).is_file():
            raise ChecksumMismatch(f"{path.name} lacks {name}; export the bundle again")
        if sha256_of(path / name) != entry.sha256:
            raise ChecksumMismatch(f"{path.name}: {name} differs from its sha256; export the bundle again")
    unlisted = sorted({f.path for f in hash_files(path, hashed=False)} - set(listed))
    if unlisted:
        raise BundleInvalid(f"{path.name} holds {unlisted[0]}, which bundle.json does not list; remove it")


def hash_files(folder: Path, hashed: bool = True) -> list[FileEntry]:
    """Every file of a bundle folder but manifest and signature, sorted."""
    entries = []
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = file.relative_to(folder).as_posix()
        if name not in (MANIFEST, SIGNATURE):
            entries.append(FileEntry(name, sha256_of(file) if hashed else "", file.stat().st_size))
    return entries


def sha256_of(path: Path) -> str:
    """Hex digest of a file; of a folder, over its sorted ``<sha256>  <path>`` lines."""
    if path.is_dir():
        lines = [f"{entry.sha256}  {entry.path}\n" for entry in hash_files(path)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with path.open("rb") as file:
        return (
            hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file.read())
        )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.rglob("*") if f.is_file())


@contextlib.contextmanager
def workspace(output_dir: Path, name: str) -> Iterator[Path]:
    """A hidden folder beside the bundles; whatever is still in it at the end vanishes.

    Raises:
        BadInput: something can't be written.
    """
    folder = output_dir / f"{_TEMPORARY}{name}-{os.getpid()}"
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder
    except OSError as error:
        # shutil's own error holds (source, target, reason) triples instead of a reason.
        reason = error.args[0][0][2].split(":")[0] if isinstance(error, shutil.Error) else error.strerror or str(error)
        raise BadInput(f"can't write {output_dir / name}: {reason}; choose another --output-dir") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def place(folder: Path, output_dir: Path, name: str) -> Path:
    """Move a finished folder to ``output_dir/name``; an older bundle steps aside first, as no folder is overwritten."""
    final, old = output_dir / name, output_dir / f"{_REPLACED}{name}"
    if final.exists() and not (final / MANIFEST).is_file():
        raise BadInput(f"{final} is in the way and is no bundle; move it elsewhere or choose another --output-dir")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        os.replace(final, old)
    try:
        os.replace(folder, final)
    except OSError:
        if old.exists():
            os.replace(old, final)
        raise
    shutil.rmtree(old, ignore_errors=True)
    return final


def clean_up(output_dir: Path) -> None:
    """Remove what killed exports left, and put back a bundle that was about to be replaced.

    Raises:
        BadInput: the folder can't be read or written.
    """
    try:
        for folder in output_dir.glob(f"{_TEMPORARY}*"):
            pid = folder.name.rpartition("-")[2]
            if pid.isdecimal() and not is_running(int(pid)):
                shutil.rmtree(folder, ignore_errors=True)
        for old in output_dir.glob(f"{_REPLACED}*"):
            final = output_dir / old.name.removeprefix(_REPLACED)
            if final.exists():
                shutil.rmtree(old, ignore_errors=True)
            else:
                os.replace(old, final)
    except OSError as error:
        raise BadInput(f"can't write {output_dir}: {error.strerror or error}; choose another --output-dir") from error


def is_running(pid: int) -> bool:
    """True if a process of that number is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def seal(folder: Path, manifest: Manifest, signing_key: Path | None) -> None:
    """Write bundle.json and SIGNATURE into a filled folder.

    Raises:
        ParityError: a check of the manifest failed: such a bundle must not exist.
    """
    failed = [check for check in manifest.parity if not check.passed]
    if failed:
        raise ParityError(f"{manifest.id} {failed[0].describe()}; no bundle was written")
    content = manifest.to_bytes()
    (folder / MANIFEST).write_bytes(content)
    (folder / SIGNATURE).write_bytes(signing.sign(content, signing_key))


def choose_runtime(bundle: Bundle, wanted: str | None) -> tuple[str, Path]:
    """The runtime and artifact to use: the wanted one, or the first in the bundle that runs here best.

    Raises:
        BadInput: the bundle has no artifact for the wanted runtime.
    """
    held = {entry.runtime: entry.file for entry in bundle.manifest.model_files}
    if wanted is not None and wanted not in held:
        raise BadInput(f"runtime is {wanted!r}; {bundle.path.name} holds: {', '.join(held)}")
    runtime = wanted or next(name for name in PREFERRED if name in held)
    return runtime, bundle.path / held[runtime]
