"""The target phones of ``devices.yaml``, and whether any of them was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reference.errors import BadInput
from sdk_build.records import Record

PATH = Path(__file__).with_name("devices.yaml")
UNMEASURED = "no phone measured yet"


@dataclass(frozen=True)
class Phone:
    """One target phone.

    Attributes:
        budget_ms: by model, the median of one inference that we aim for.
    """

    name: str
    chip: str
    arch: str
    os: str
    runtimes: tuple[str, ...]
    budget_ms: Mapping[str, float]


def load_devices(path: Path = PATH) -> list[Phone]:
    """The target phones.

    Raises:
        BadInput: the file is missing or an entry is incomplete.
    """
    import yaml

    try:
        document: Any = yaml.safe_load(path.read_text())
        return [Phone(**{**entry, "runtimes": tuple(entry["runtimes"])}) for entry in document["devices"]]
    except (OSError, yaml.YAMLError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"{path} can't be used ({reason}); its entries are those of benchmarks.devices.Phone") from error


def judge(records: Sequence[Record], phones: Sequence[Phone]) -> list[str]:
    """A line for every record of a target phone against its budget; one line if no phone was measured."""
    lines = []
    for r in records:
        if r.device.kind != "phone":
            continue
        # Android puts the maker first: Google Pixel 8a.
        mine = [phone for phone in phones if r.device.name.endswith(phone.name)]
        budget = mine[0].budget_ms.get(r.model) if mine else None
        aim = "no budget" if budget is None else f"{'within' if r.percentile(50) <= budget else 'OVER'} {budget:g} ms"
        lines.append(f"{r.device.name}: {r.model} {r.runtime} {r.precision} {r.percentile(50):.2f} ms, {aim}")
    return lines or [UNMEASURED]
