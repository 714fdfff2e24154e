"""One artifact, looked into: how far each step of the network is off in it, and which one is to blame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdk_build.backends import Tensors, execution_name
from sdk_build.backends.quantizers.recipes import get_recipe
from sdk_build.bisect.inside import LOOKED_INTO, values_inside
from sdk_build.bisect.levels import EQUAL_DB, Level, costliest, first_below, measure_levels
from sdk_build.bisect.steps import step_values, trace_steps
from sdk_build.bisect.stored import changed_parameters
from sdk_build.build.reference import Reference, limits_of
from sdk_build.errors import OnParError
from sdk_build.proof.first_difference import first_difference
from sdk_build.proof.parity import REPORTED

# Where a card limits no signal to noise: float32's rounding leaves 110 dB and more, float16's about 60.
_LIMITS_DB = {"fp32": 80.0, "fp16": 40.0}
_QUANTIZED_DB = 25.0
# What rounding alone leaves at best; more says nothing about an operation.
_CEILINGS_DB = {"fp32": EQUAL_DB, "fp16": 62.0}
_QUANTIZED_CEILING_DB = 42.0


@dataclass(frozen=True)
class Finding:
    """What was found in one artifact.

    Attributes:
        runtime, held: whose artifact it is and what it holds.
        looked: what computed the values that were compared.
        limit_db: agreement below which an operation counts as different.
        levels: every step in its order; empty where a runtime shows nothing of its inside.
        guilty: the step to blame, None where every step keeps the limit.
        blame: it in words, where the runtime shows no steps or weights differ; empty if nothing differs.
        changed: parameters whose stored bytes are not those of a new export, by module path.
    """

    runtime: str
    held: str
    looked: str
    limit_db: float
    levels: tuple[Level, ...]
    guilty: Level | None
    blame: str
    changed: tuple[str, ...]

    @property
    def differs(self) -> bool:
        return bool(self.guilty or self.blame)

    def to_json(self) -> dict[str, Any]:
        """For a JSON document, which has no infinity and no NaN."""

        def number(value: float) -> float | None:
            return round(value, 2) if math.isfinite(value) else None

        steps = [
            {
                "step": e.step.name,
                "operation": e.step.operation,
                "module": e.step.module,
                "line": e.step.line,
                "artifact_value": e.value,
                "artifact_operation": e.operation,
                "level_db": number(e.level_db),
                "cost_db": number(e.drop_db),
            }
            for e in self.levels
        ]
        return {
            "runtime": self.runtime,
            "precision": self.held,
            "looked_at": self.looked,
            "limit_db": self.limit_db,
            "differs": self.differs,
            "guilty": self.guilty.step.name if self.guilty else None,
            "module": self.guilty.step.module if self.guilty else None,
            "blame": self.blame,
            "changed_parameters": list(self.changed),
            "steps": steps,
        }


def look_into(
    reference: Reference,
    runtime: str,
    held: str,
    path: Path,
    fresh: Path | None,
    inputs: Sequence[Tensors],
    folder: Path,
) -> Finding:
    """Compare an artifact with the network, operation by operation.

    Args:
        path: the artifact.
        fresh: one that was exported just now, if ``path`` is another; weights of both are compared.
        inputs: of the network; the worst counts.
        folder: for artifacts of cut networks.

    Raises:
        ArtifactCrashed: the artifact can't be run.
    """
    limits = dict(limits_of(reference, held))
    limit = limits.get("sqnr_db", _LIMITS_DB.get(held, _QUANTIZED_DB))
    changed = changed_parameters(reference.lowered, fresh, path) if fresh is not None else ()
    if runtime in LOOKED_INTO:
        whole, steps = trace_steps(reference.lowered, reference.spec)
        cases = [
            (step_values(whole, steps, reference.spec, x), values_inside(runtime, path, reference.spec, x))
            for x in inputs
        ]
        ceiling = _CEILINGS_DB.get(held, _QUANTIZED_CEILING_DB)
        levels = tuple(measure_levels(steps, cases, ceiling))
        guilty = _guilty(levels, limit)
        blame = "" if guilty or not changed else _of_weights(changed)
        return Finding(runtime, held, LOOKED_INTO[runtime], limit, levels, guilty, blame, changed)
    blame = _of_weights(changed) if changed else _by_cutting(reference, runtime, held, limits, inputs, folder)
    return Finding(runtime, held, f"{execution_name(runtime)}, cut networks", limit, (), None, blame, changed)


def _guilty(levels: Sequence[Level], limit: float) -> Level | None:
    """Of the steps up to the first below the limit, the one that costs most: what follows only passes it on."""
    first = first_below(levels, limit)
    if first is None:
        return None
    costly = costliest(levels[: levels.index(first) + 1])
    return costly[0] if costly else first


def _of_weights(changed: Sequence[str]) -> str:
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return f"the artifact's {changed[0]}{more} is not what this network has"


def _by_cutting(
    reference: Reference, runtime: str, held: str, limits: dict[str, float], inputs: Sequence[Tensors], folder: Path
) -> str:
    general = {name: limit for name, limit in limits.items() if name in REPORTED}
    # A cut network has ranges of its own, which nobody measured.
    precision = "fp16" if get_recipe(held).needs_ranges else held
    try:
        found = first_difference(reference.lowered, reference.spec, {runtime: precision}, general, inputs, folder)
    except OnParError as error:
        return str(error)
    return found.describe() if found else ""
