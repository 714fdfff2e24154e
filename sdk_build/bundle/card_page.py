"""card.md: a bundle's card for people."""

from __future__ import annotations

from collections.abc import Sequence

from reference.card import Card
from reference.spec import ModelSpec
from sdk_build.backends.delegation import UNKNOWN_HERE, Delegation
from sdk_build.bundle.artifact import Artifact
from sdk_build.bundle.markdown import markdown_table
from sdk_build.proof.parity import Check


def card_page(spec: ModelSpec, card: Card, name: str, artifacts: Sequence[Artifact], checks: Sequence[Check]) -> str:
    """Markdown: what it does, how good it is, how close each artifact is, what it was trained on."""
    lines = [
        f"# {name}",
        "",
        f"{card.summary}",
        "",
        *(f"- Input: `{t.name}` {t.layout} {t.shape}, {t.unit}" for t in spec.inputs),
        *(f"- Output: `{t.name}` {t.layout} {t.shape}, {t.unit}" for t in spec.outputs),
        f"- Weights: {card.weights_license}",
        "- Code: Apache-2.0",
        "",
        f"## Accuracy of the reference ({card.accuracy_data})",
        "",
        *markdown_table(("metric", "value"), [(key, f"{value:.4g}") for key, value in card.accuracy.items()]),
        "",
        *comparison(card),
        "## Parity with the reference",
        "",
        "Emulated means: run by OnPar's own executor of Core ML programs, not by Apple's.",
        "",
        *markdown_table(
            ("run by", "stage", "output", "metric", "value", "limit"),
            [
                (c.runtime, c.stage, c.output, c.metric, f"{c.value:.4g}", f"{c.limit:.4g}")
                for c in checks
                if c.limit is not None
            ],
        ),
        "",
        "## Delegation",
        "",
        *markdown_table(
            ("file", "delegate", "operations", "delegated", "partitions", "outside"),
            [
                (a.path.name, d.delegate, str(d.total), *delegated(d), ", ".join(d.explained) or "-")
                for a in artifacts
                for d in (a.delegation,)
            ],
        ),
        "",
        "## Training",
        "",
        *(f"- {key}: {value}" for key, value in card.training.items()),
        *(f"- Trained on {data}" for data in card.trained_on),
        "",
        "## Limitations",
        "",
        *(f"- {text}" for text in card.limitations),
    ]
    return "\n".join(lines) + "\n"


def comparison(card: Card) -> list[str]:
    """Other ways of training with the same budget; nothing where the card has none."""
    if not card.comparison:
        return []
    header = tuple(card.comparison[0])
    rows = [tuple(str(row.get(key, "-")) for key in header) for row in card.comparison]
    return ["## Ways of training, on one budget", "", *markdown_table(header, rows), ""]


def delegated(d: Delegation) -> tuple[str, str]:
    """Operations and partitions in the delegate, or dashes where only the device knows."""
    return ("-", "-") if d.delegate in UNKNOWN_HERE else (str(d.delegated), str(d.partitions))
