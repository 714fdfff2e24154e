"""What an export may use beside the model itself: data for calibration and accuracy, and what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reference.errors import BadInput
from reference.spec import ModelSpec
from sdk_build.backends import RUNTIMES, get_backend
from sdk_build.backends.delegation import Delegation
from sdk_build.backends.quantizers.recipes import Quantization, Ranges, get_recipe
from sdk_build.build.calibration import Calibration
from sdk_build.build.measured import Measured
from sdk_build.bundle.manifest import CalibrationEntry, QuantizationEntry
from sdk_build.errors import DelegationError
from sdk_build.proof.accuracy import Evaluation

if TYPE_CHECKING:
    from torch import nn

# What a network's own forward computes between its modules (mixing templates, gates, coordinates) is little work, and
# 8 bits there are 8 bits of the result.
ALWAYS_FLOAT = ("",)


@dataclass(frozen=True)
class Tuning:
    """Everything optional about quantising one model.

    Attributes:
        calibration: samples; without them the stored ranges are used.
        measured: what is stored for these weights.
        evaluation: validation data; without them the stored accuracy is used.
        max_fallbacks: operations that may stay outside the delegate; None: any number.
        keep_float: overrides the stored choice of parts that stay float.
        observed: ranges by toolchain, filled when they are first needed.
    """

    calibration: Calibration | None = None
    measured: Measured | None = None
    evaluation: Evaluation | None = None
    max_fallbacks: int | None = None
    keep_float: tuple[str, ...] | None = None
    observed: dict[str, Ranges] = field(default_factory=dict)

    def quantization(self, network: nn.Module, spec: ModelSpec, runtime: str, precision: str) -> Quantization:
        """What the backend of a runtime needs for a precision.

        Raises:
            BadInput: ranges are needed, and there are neither samples nor stored ones.
        """
        recipe = get_recipe(precision)
        if not recipe.quantized:
            return Quantization()
        return Quantization(
            self.parts_kept_float(network, runtime, precision),
            self._ranges(network, spec, runtime) if recipe.needs_ranges else {},
        )

    def parts_kept_float(self, network: nn.Module, runtime: str, precision: str) -> tuple[str, ...]:
        """Modules that stay float: given, stored, or what always does."""
        if get_recipe(precision).activations != "static":
            return ()
        if self.keep_float is not None:
            return self.keep_float
        stored = self.measured.find(runtime, precision) if self.measured else None
        return stored.keep_float if stored else always_float(network, runtime)

    def _ranges(self, network: nn.Module, spec: ModelSpec, runtime: str) -> Ranges:
        toolchain = RUNTIMES[runtime].ranges
        if toolchain not in self.observed:
            stored = self.measured.ranges_of(toolchain) if self.measured else None
            if self.calibration is not None:
                self.observed[toolchain] = get_backend(runtime).observe(network, spec, self.calibration.samples)
            elif stored is not None:
                self.observed[toolchain] = stored
            else:
                raise BadInput(
                    f"{spec.name} in w8a8 needs ranges, and none are stored for its present weights; "
                    "give --calibration with a folder of training pictures or depth maps"
                )
        return self.observed[toolchain]

    def entry(self, network: nn.Module, runtime: str, precision: str) -> QuantizationEntry | None:
        """What the manifest says about it."""
        recipe = get_recipe(precision)
        if not recipe.quantized:
            return None
        source = self.calibration_entry() if recipe.needs_ranges else None
        return QuantizationEntry(
            recipe.weights, recipe.activations, self.parts_kept_float(network, runtime, precision), source
        )

    def calibration_entry(self) -> CalibrationEntry | None:
        """Where the ranges are from."""
        if self.calibration is not None:
            c = self.calibration
            return CalibrationEntry(c.source, len(c.samples), c.seed, c.sha256)
        return self.measured.calibration if self.measured else None

    def stored_accuracy(self, network: nn.Module, runtime: str, precision: str) -> Mapping[str, float]:
        """Metrics measured earlier of this very artifact: same weights, same float parts, same calibration."""
        found = self.measured.find(runtime, precision) if self.measured else None
        if found is None or self.measured is None:
            return {}
        if found.keep_float != self.parts_kept_float(network, runtime, precision):
            return {}
        if get_recipe(precision).needs_ranges and self.calibration_entry() != self.measured.calibration:
            return {}
        return {v.name: v.value for v in found.accuracy}

    def require_delegation(self, what: str, delegation: Delegation) -> None:
        """Refuse an artifact that leaves too much to the CPU.

        Raises:
            DelegationError: names the operations.
        """
        outside = delegation.outside
        if self.max_fallbacks is not None and outside > self.max_fallbacks:
            raise DelegationError(
                f"{what}: {outside} of {delegation.total} operations stay outside {delegation.delegate} "
                f"({', '.join(delegation.explained)}), allowed {self.max_fallbacks}; "
                "try another precision or raise --max-fallbacks"
            )


PLAIN = Tuning()


def always_float(network: nn.Module, runtime: str) -> tuple[str, ...]:
    """What no search ever gives 8 bits."""
    return (*ALWAYS_FLOAT, *get_backend(runtime).always_float(network))
