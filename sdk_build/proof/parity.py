"""Proof that an artifact computes what the reference computes.

Stages, so that a failure names its place:

1. ``golden_vs_reference``: today's reference reproduces the stored golden outputs;
2. ``reference_vs_lowered``: both in float64, so that only a wrong rewrite can differ;
3. ``lowered_vs_artifact``: the lowered network against each saved file, run by its own runtime in a child process;
   ``float_vs_quantized`` where the file is quantised, under limits of its own.

Every check must be able to fail: :func:`check_sensitivity` first proves that the two golden inputs give outputs so
different that swapping them would break the limits.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from reference.card import Card
from reference.golden import Golden, Tensors, named_outputs, run_reference, thin_all
from reference.spec import ModelSpec
from reference.tasks import get_task
from sdk_build.backends.signature import as_tensors
from sdk_build.errors import InsensitiveCheck, ParityError
from sdk_build.proof.metrics import known_metrics, max_abs_of_range

if TYPE_CHECKING:
    from torch import nn

SENSITIVITY_FACTOR = 100
ARTIFACT_STAGES = ("lowered_vs_artifact", "float_vs_quantized")
REPORTED = ("max_abs_of_range", "sqnr_db", "psnr_db", "cosine")
EXACT = "exact_share"  # of outputs of whole numbers


@dataclass(frozen=True)
class Check:
    """One measured value.

    Attributes:
        limit: None where the card sets none: reported, not judged.
    """

    runtime: str
    stage: str
    output: str
    metric: str
    value: float
    limit: float | None
    passed: bool

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return asdict(self)

    def describe(self) -> str:
        """One line: where, what, how much."""
        metric = known_metrics()[self.metric]
        unit, sign = metric.unit, "<" if metric.larger_is_better else ">"
        bound = f" {sign} {self.limit:.4g} {unit}".rstrip() if self.limit is not None and not self.passed else ""
        return f"{self.runtime} {self.stage} {self.output!r}: {self.metric} {self.value:.4g} {unit}".rstrip() + bound


def compare(
    runtime: str,
    stage: str,
    spec: ModelSpec,
    limits: Mapping[str, float],
    pairs: Sequence[tuple[Tensors, Tensors]],
) -> list[Check]:
    """Checks of every output over several (actual, expected) pairs; the worst pair counts.

    The task's own metric applies to the first output. A metric without a limit in ``limits`` is reported only. Of an
    output of whole numbers the share that is the same is judged, and nothing else.

    Raises:
        ParityError: an output has another shape than it should.
    """
    checks = []
    metrics = known_metrics()
    for position, tensor in enumerate(spec.outputs):
        for actual, expected in pairs:
            got, needed = actual[tensor.name].shape, expected[tensor.name].shape
            if got != needed:
                where = f"{runtime} {stage} {tensor.name!r}"
                raise ParityError(f"{where}: shape is {got}, needed {needed}; make the artifact and golden files anew")
        names = [*REPORTED] if tensor.is_float else [*REPORTED, EXACT]
        names += [get_task(spec).agreement.name] if position == 0 else []
        for name in names:
            metric = metrics[name]
            values = [metric.function(actual[tensor.name], expected[tensor.name]) for actual, expected in pairs]
            value = min(values) if metric.larger_is_better else max(values)
            limit = limits.get(name) if tensor.is_float or name not in REPORTED else None
            checks.append(
                Check(runtime, stage, tensor.name, name, value, limit, limit is None or metric.passes(value, limit))
            )
    return checks


def check_sensitivity(spec: ModelSpec, limits: Mapping[str, float], first: Tensors, second: Tensors) -> None:
    """Prove that a check under ``limits`` could fail.

    Raises:
        InsensitiveCheck: the outputs of the two golden inputs differ by less than 100 x the limit on the largest
            difference, or they would pass for each other.
    """
    bound = SENSITIVITY_FACTOR * limits.get("max_abs_of_range", 0.0)
    responds = [t for t in spec.outputs if t.is_float or (first[t.name] != second[t.name]).any()]
    if not responds:
        raise InsensitiveCheck(f"{spec.name}: two golden inputs give equal outputs; choose golden inputs that differ")
    for tensor in responds:
        difference = max_abs_of_range(first[tensor.name], second[tensor.name])
        if difference < bound or difference == 0:
            raise InsensitiveCheck(
                f"{spec.name} output {tensor.name!r}: two golden inputs differ by {difference:.2g} of the range, "
                f"needed {bound:.2g}; train the model or choose golden inputs that differ more"
            )
    swapped = compare("", "", spec, limits, [(first, second)])
    if all(check.passed for check in swapped):
        raise InsensitiveCheck(
            f"{spec.name}: two different golden inputs pass for each other under {dict(limits)}; tighten the limits"
        )


def with_limits_that_can_fail(network: nn.Module, spec: ModelSpec, card: Card, golden: Sequence[Golden]) -> Card:
    """The card without those assumed limits that the golden inputs can't test; a precision without limits is refused.

    Limits that somebody wrote into the card stay, and :func:`check_reference` refuses the card over them.
    """
    if not card.assumed:
        return card
    first, second = (run_reference(network, spec, case.inputs)[0] for case in golden[:2])
    blind = []
    for stage in card.assumed:
        try:
            check_sensitivity(spec, card.parity[stage], first, second)
        except InsensitiveCheck:
            blind.append(stage)
    if {"golden", "lowered"} & set(blind):
        return card
    return replace(card, parity={stage: limits for stage, limits in card.parity.items() if stage not in blind})


def check_reference(
    network: nn.Module, lowered: nn.Module, spec: ModelSpec, card: Card, golden: Sequence[Golden]
) -> list[Check]:
    """Stages 1 and 2, and the sensitivity of every limit in the card.

    Args:
        lowered: in float64.
    """
    outputs = [run_reference(network, spec, case.inputs)[0] for case in golden]
    for limits in card.parity.values():
        check_sensitivity(spec, limits, outputs[0], outputs[1])
    pairs = [(thin_all(now), case.outputs) for now, case in zip(outputs, golden, strict=True)]
    checks = compare("pytorch", "golden_vs_reference", spec, card.parity["golden"], pairs)
    return checks + check_lowering(network, lowered, spec, card.parity["lowered"], golden)


def check_lowering(
    network: nn.Module, lowered: nn.Module, spec: ModelSpec, limits: Mapping[str, float], golden: Sequence[Golden]
) -> list[Check]:
    """Stage 2, in float64; the models outside ``--model all`` run one input only, for time and memory."""
    import torch

    exact = (copy.deepcopy(network).double(), lowered)
    cases = golden if spec.in_all else golden[:1]
    pairs = []
    for case in cases:
        wide = [x.double() if x.is_floating_point() else x for x in as_tensors(spec, case.inputs)]
        with torch.no_grad():
            before, after = (named_outputs(spec, module(*wide)) for module in exact)
        pairs.append((after, before))
    return compare("pytorch", "reference_vs_lowered", spec, limits, pairs)


def check_artifact(
    runtime: str,
    spec: ModelSpec,
    limits: Mapping[str, float],
    actual: Sequence[Tensors],
    expected: Sequence[Tensors],
    quantized: bool = False,
) -> list[Check]:
    """Stage 3: an artifact's outputs against the lowered network's."""
    stage = ARTIFACT_STAGES[quantized]
    return compare(runtime, stage, spec, limits, list(zip(actual, expected, strict=True)))


def run_lowered(lowered: nn.Module, spec: ModelSpec, golden: Sequence[Golden]) -> list[Tensors]:
    """The lowered network's float32 outputs of every golden input."""
    import torch

    with torch.no_grad():
        return [named_outputs(spec, lowered(*as_tensors(spec, case.inputs))) for case in golden]


def require(checks: Sequence[Check], what: str) -> None:
    """Raise if a check failed.

    Raises:
        ParityError: names the first failed check and says what to do.
    """
    failed = [check for check in checks if not check.passed]
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise ParityError(
            f"{what} {failed[0].describe()}{more}; try another precision, or compare the runtimes' versions"
        )
