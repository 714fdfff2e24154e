"""What was measured, for people."""

from __future__ import annotations

import textwrap

from reference.card import load_card
from reference.registry import models_dir_of
from reference.spec import ModelSpec
from reference.tasks import budget_of
from sdk_build.backends import TARGETS
from sdk_build.build.measured import Measured, smallest


def print_measured(spec: ModelSpec, measured: Measured) -> None:
    """A table of at most 100 columns, and what ``default`` means for each target."""
    metric = measured.artifacts[0].reference[0].name if measured.artifacts[0].reference else "accuracy"
    print(f"{spec.name}, {metric} on {max(a.samples for a in measured.artifacts)} inputs of {measured.data}")
    card = load_card(spec.name, models_dir_of(spec))
    allowed = ", ".join(f"{name} {change:+g}" for name, change in budget_of(spec, card).items())
    print(f"  budget: {allowed}{'' if card.budget else ' (assumed; budget in card.yaml states another)'}")
    print(
        f"  {'runtime':<19}{'precision':<11}{'MB':>7}{'SQNR dB':>9}{metric[:12]:>13}{'change':>9}  delegated  verdict"
    )
    for a in measured.artifacts:
        value = a.accuracy[0].value if a.accuracy else float("nan")
        change = value - a.reference[0].value if a.accuracy else float("nan")
        share = f"{a.delegated}/{a.total}" if a.partitions else "-"
        verdict = "passed" if a.passed else "FAILED"
        kept = f", {len(a.keep_float)} float" if len(a.keep_float) > 1 else ""
        print(
            f"  {a.runtime:<19}{a.precision:<11}{a.bytes / 1e6:>7.2f}{a.sqnr_db:>9.1f}{value:>13.4g}{change:>+9.3g}"
            f"  {share:<9}  {verdict}{kept}"
        )
        if a.reason:
            print(textwrap.fill(a.reason, 100, initial_indent=" " * 6, subsequent_indent=" " * 6))
    for target in TARGETS:
        choice = smallest(measured, target)
        meaning = f"{choice[0]} ({choice[1] / 1e6:.2f} MB)" if choice else "nothing keeps the budget"
        print(f"  default for {target}: {meaning}")
