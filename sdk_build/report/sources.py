"""What is reported: the bundles of a folder, and latency records about them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reference.errors import BadInput, OnParError
from sdk_build.bundle.files import Bundle
from sdk_build.bundle.records import Record
from sdk_build.command import error_line


def read_bundles(folder: Path) -> tuple[list[Bundle], list[str]]:
    """The intact bundles in a folder, and a line for each damaged one.

    Raises:
        BundleNotFound: there is none.
    """
    from sdk_build.bundle.files import MANIFEST, open_bundle
    from sdk_build.errors import BundleNotFound

    paths = sorted(p.parent for p in folder.glob(f"[!.]*/{MANIFEST}"))
    if not paths:
        raise BundleNotFound(f"no bundle in {folder}; run python -m sdk_build.export --target ios first")
    bundles, broken = [], []
    for path in paths:
        try:
            bundles.append(open_bundle(path))
        except OnParError as error:
            broken.append(error_line(error))
    return bundles, broken


def read_latency(path: Path, bundles: Sequence[Bundle]) -> list[Record]:
    """Latency records of a file that are about these very bundles.

    Raises:
        BadInput: missing, truncated or no records; none is about one of the bundles, or one is about another export.
    """
    from sdk_build.bundle.records import bundle_digest, read_records

    known = {bundle.manifest.id: bundle_digest(bundle.path) for bundle in bundles}
    records = [record for record in read_records(path) if record.bundle in known]
    if not records:
        raise BadInput(f"{path} has no record about {', '.join(known) or 'any bundle here'}; measure these bundles")
    for record in records:
        if record.bundle_sha256 != known[record.bundle]:
            raise BadInput(
                f"{path}: the record of {record.bundle} is about another export ({record.bundle_sha256[:12]}, here "
                f"{known[record.bundle][:12]}); measure this bundle again"
            )
    return records
