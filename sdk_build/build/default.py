"""Which precision ``default`` means: the smallest that was measured to keep the card's budget."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reference.card import MODELS_DIR, load_card
from reference.spec import ModelSpec
from reference.tasks import budget_of
from sdk_build.build.bundles import Built, Progress, build
from sdk_build.build.measured import load_measured, nearest_miss, smallest
from sdk_build.errors import ParityError


def build_default(
    spec: ModelSpec, progress: Progress, notice: Progress, targets: Iterable[str], **arguments: Any
) -> list[Built]:
    """``--precision default``: per target the smallest precision that was measured to keep the card's budget.

    Without a measurement for the present weights: fp16 if it is proved on every runtime, else fp32, and says so.

    Args:
        notice: told what was not measured, and when it is fp32, and why.
    """
    models_dir = arguments.get("models_dir", MODELS_DIR)
    measured = load_measured(spec.name, models_dir)
    chosen = {target: smallest(measured, target) if measured else None for target in targets}
    unknown = [target for target, choice in chosen.items() if choice is None]
    if unknown:
        notice(
            f"{spec.name}: no quantisation is measured within its budget for {', '.join(unknown)} with these weights; "
            f"fp16 instead (python -m sdk_build.quantize {spec.called} --data DIR measures)"
        )
        budget = budget_of(spec, load_card(spec.name, models_dir)) if measured else {}
        for missed in filter(None, (nearest_miss(measured, target, budget) for target in unknown if measured)):
            notice(f"{spec.name}: nearest to it came {missed}")
    by_precision: dict[str, list[str]] = {}
    for target, choice in chosen.items():
        by_precision.setdefault(choice[0] if choice else "fp16", []).append(target)
    built = []
    for precision, group in by_precision.items():
        try:
            built += build(spec, group, precision, progress=progress, **arguments)
        except ParityError as error:
            if precision != "fp16":
                raise
            notice(f"{spec.name}: fp16 is not close enough ({' '.join(str(error).split())}); fp32 instead")
            built += build(spec, group, "fp32", progress=progress, **arguments)
    return built
