"""From a PyTorch network to verified bundles for phones and browsers.

Commands: ``python -m sdk_build.new``, ``.export``, ``.verify``, ``.predict``, ``.report``. In Python the same by the
four functions below. Importing this package is cheap; toolchains are imported inside the backend that needs them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdk_build.build.bundles import Built
    from sdk_build.bundle.files import Bundle
    from sdk_build.new.folder import NewModel
    from sdk_build.verify import Verified

__all__ = ["build_bundles", "new_model", "open_bundle", "verify_bundle"]


def new_model(folder: str | Path, **wanted: Any) -> NewModel:
    """Write a folder for a network: model.py with its SPEC, weights, golden files.

    Args:
        folder: is made; its name is the model's.
        wanted: fields of :class:`sdk_build.new.folder.Wanted`: ``network`` or ``program``, ``inputs``, ``weights``, ...

    Raises:
        BadInput, WeightsError: something given can't be used.
    """
    from sdk_build.new.folder import Wanted
    from sdk_build.new.folder import new_model as make

    return make(Path(folder), Wanted(**wanted))


def build_bundles(
    model: str | Path, target: str, output_dir: str | Path = "dist", precision: str = "default"
) -> list[Built]:
    """Export a model: every artifact proved equal to the reference, or no bundle at all.

    Args:
        model: a built-in model's name, or a model's folder.
        target: ``ios``, ``android``, ``web`` or ``all``.
        precision: ``default``, or one of :data:`sdk_build.backends.PRECISIONS`.

    Raises:
        OnParError: a check failed, or something given can't be used; see :mod:`sdk_build.errors`.
    """
    from reference.registry import find_model, models_dir_of
    from sdk_build.build.bundles import build
    from sdk_build.build.default import build_default
    from sdk_build.export import check

    spec = find_model(str(model))
    targets = check(target, precision, None, None, None, None, ())
    if precision == "default":
        return build_default(
            spec, lambda line: None, lambda line: None, targets,
            output_dir=Path(output_dir), models_dir=models_dir_of(spec),
        )  # fmt: skip
    return build(spec, targets, precision, Path(output_dir), models_dir=models_dir_of(spec))


def open_bundle(path: str | Path, public_key: str | Path | None = None) -> Bundle:
    """Open a bundle after checking its signature, the set of its files and every checksum.

    Args:
        public_key: demand a signature by this P-256 key (PEM).

    Raises:
        BundleNotFound, BundleInvalid, ChecksumMismatch, SignatureInvalid: it can't be trusted.
    """
    from sdk_build.bundle.files import open_bundle as open_

    return open_(Path(path), Path(public_key) if public_key else None)


def verify_bundle(path: str | Path, public_key: str | Path | None = None) -> Verified:
    """Open a bundle and replay its golden cases on every runtime that is installed.

    Returns:
        Every check; ``passed`` is true if all of them are.

    Raises:
        BundleNotFound, BundleInvalid, ChecksumMismatch, SignatureInvalid: it can't be trusted.
        ArtifactCrashed, BackendUnavailable: nothing could run it.
    """
    from sdk_build.verify import verify

    return verify(Path(path), Path(public_key) if public_key else None)
