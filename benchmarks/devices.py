"""The target phones of ``devices.yaml``, and whether any of them was measured."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reference.errors import BadInput
from sdk_build.bundle.records import Record

PATH = Path(__file__).with_name("devices.yaml")
UNMEASURED = "no phone measured yet"


@dataclass(frozen=True)
class Phone:
    """One target phone.

    Attributes:
        models: what its system calls it, as patterns: Android and iOS know no marketing name.
        budget_ms: by model, the median of one inference that we aim for.
    """

    name: str
    models: tuple[str, ...]
    chip: str
    arch: str
    os: str
    runtimes: tuple[str, ...]
    budget_ms: Mapping[str, float]

    def is_called(self, name: str) -> bool:
        """Whether a record's device is this phone; Android puts the maker first: Google Pixel 8a."""
        return any(re.fullmatch(f"(.* )?({model})", name) for model in self.models)


def load_devices(path: Path = PATH) -> list[Phone]:
    """The target phones.

    Raises:
        BadInput: the file is missing or an entry is incomplete.
    """
    import yaml

    try:
        document: Any = yaml.safe_load(path.read_text())
        lists = ("models", "runtimes")
        phones = [Phone(**entry | {name: tuple(entry[name]) for name in lists}) for entry in document["devices"]]
        for model in (model for phone in phones for model in phone.models):
            re.compile(model)
        return phones
    except (OSError, yaml.YAMLError, TypeError, KeyError, re.error) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"{path} can't be used ({reason}); its entries are those of benchmarks.devices.Phone") from error


def judge(records: Sequence[Record], phones: Sequence[Phone]) -> list[str]:
    """A line for every record of a target phone against its budget; one line if no phone was measured."""
    lines = []
    for r in records:
        if r.device.kind != "phone":
            continue
        mine = [phone for phone in phones if phone.is_called(r.device.name)]
        budget = mine[0].budget_ms.get(r.model) if mine else None
        aim = "no budget" if budget is None else f"{'within' if r.percentile(50) <= budget else 'OVER'} {budget:g} ms"
        lines.append(f"{r.device.name}: {r.model} {r.runtime} {r.precision} {r.percentile(50):.2f} ms, {aim}")
    return lines or [UNMEASURED]
