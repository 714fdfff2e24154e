"""A model with everything that its artifacts are compared to, proved by itself first."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reference.card import MODELS_DIR, Card, load_card
from reference.errors import BadInput
from reference.golden import Golden, load_golden
from reference.spec import ModelSpec
from reference.tasks import budget_of
from sdk_build.backends import Tensors
from sdk_build.backends.quantizers.recipes import FLOAT_PRECISIONS
from sdk_build.build.measured import Measured, load_measured
from sdk_build.proof import parity
from sdk_build.proof.metrics import known_metrics
from sdk_build.proof.parity import Check

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Reference:
    """A model with everything that its artifacts are compared to.

    Attributes:
        folder: the model's own, with weights, golden files and sounds.
        budget: by how much fewer bits may change the task's metrics, stated in the card or assumed.
        measured: what is stored of its quantised artifacts; None where these weights were not measured.
    """

    spec: ModelSpec
    folder: Path
    card: Card
    budget: Mapping[str, float]
    golden: tuple[Golden, ...]
    lowered: nn.Module
    expected: tuple[Tensors, ...]
    checks: tuple[Check, ...]
    measured: Measured | None = None


def load_reference(spec: ModelSpec, models_dir: Path = MODELS_DIR) -> Reference:
    """Load weights, lower the network, and prove stages 1 and 2.

    Raises:
        WeightsError, BadInput: weights, card or golden files are missing or damaged.
        ParityError: the golden files or the lowering differ from the reference; or a check could not fail.
    """
    from reference.registry import load_network
    from sdk_build.lowering import lower

    card = load_card(spec.name, models_dir)
    check_limits(spec, card)
    golden = tuple(load_golden(spec, models_dir))
    network = load_network(spec, models_dir=models_dir)
    card = parity.with_limits_that_can_fail(network, spec, card, golden)
    # Lowered in float64: folding in float32 would round, and stage 2 could not tell that from a wrong rewrite.
    exact = lower(copy.deepcopy(network).double())
    checks = parity.check_reference(network, exact, spec, card, golden)
    parity.require(checks, spec.name)
    lowered = exact.float()
    expected = tuple(parity.run_lowered(lowered, spec, golden))
    measured = load_measured(spec.name, models_dir)
    budget = budget_of(spec, card)
    return Reference(spec, models_dir / spec.name, card, budget, golden, lowered, expected, tuple(checks), measured)


def check_limits(spec: ModelSpec, card: Card) -> None:
    """Refuse a card whose limits would not be looked at: a typo must not switch a check off.

    Raises:
        BadInput: a stage or precision is missing, a metric is unknown, or a limit is no number.
    """
    missing = sorted({"golden", "lowered", *FLOAT_PRECISIONS} - set(card.parity))
    if missing:
        raise BadInput(
            f"card of {spec.name}: parity lacks {missing[0]!r}; give limits for golden, lowered, fp32 and fp16"
        )
    known = known_metrics()
    for stage, limits in card.parity.items():
        for metric, limit in limits.items():
            if metric not in known:
                raise BadInput(f"card of {spec.name}: parity {stage} has {metric!r}; allowed: {', '.join(known)}")
            if isinstance(limit, bool) or not isinstance(limit, (int, float)):
                raise BadInput(
                    f"card of {spec.name}: {metric} is {limit!r}; a number is needed (YAML reads 1e-4 as text)"
                )


def limits_of(reference: Reference, held: str) -> Mapping[str, float]:
    """The card's parity limits of a precision.

    Raises:
        BadInput: there are none, so nothing could be proved.
    """
    if held not in reference.card.parity:
        raise BadInput(
            f"card of {reference.spec.name}: parity lacks {held!r}; it has {', '.join(reference.card.parity)}: "
            "add limits, or choose one of them"
        )
    return reference.card.parity[held]
