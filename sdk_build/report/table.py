"""One row an artifact: what a bundle says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reference.tasks import get_task
from sdk_build.backends.delegation import UNKNOWN_HERE
from sdk_build.bundle.manifest import Manifest, ModelFile
from sdk_build.proof.metrics import known_metrics
from sdk_build.proof.parity import ARTIFACT_STAGES

HEADER = (
    "model",
    "target",
    "file",
    "prec.",
    "MB",
    "run by",
    "SQNR dB",
    "task metric",
    "accuracy",
    "delegated",
    "parts",
)


def _run_by(executed_by: str) -> str:
    """In one word: OnPar's emulation of Core ML, Apple's interpreter of Core AI, or the phone's own runtime."""
    return next((word for sign, word in _STAND_INS.items() if sign in executed_by), "runtime")


_STAND_INS = {"(emulated)": "emulation", "interpreter": "interpreter"}


@dataclass(frozen=True)
class Row:
    """One artifact of one bundle, as measured when it was proved.

    Attributes:
        sqnr_db: the worst output's.
        max_abs_of_range: the worst output's.
        accuracy: the task's first metric of this artifact on validation data; None where it was not measured.
        accuracy_metric: its name.
        delegated: share of operations that the delegate took, e.g. ``151/151``.
        fallbacks: operations outside the delegate.
    """

    model: str
    target: str
    file: str
    precision: str
    size_mb: float
    executed_by: str
    sqnr_db: float
    max_abs_of_range: float
    task_metric: str
    task_value: float
    delegated: str
    partitions: int
    fallbacks: tuple[str, ...]
    accuracy: float | None = None
    accuracy_metric: str = ""

    @property
    def _short_metric(self) -> str:
        metric = known_metrics().get(self.task_metric)
        return metric.short if metric and metric.short else self.task_metric

    def cells(self) -> tuple[str, ...]:
        """Texts in the order of ``HEADER``."""
        return (
            self.model,
            self.target,
            self.file,
            self.precision,
            f"{self.size_mb:.2f}",
            _run_by(self.executed_by),
            f"{self.sqnr_db:.1f}",
            f"{self._short_metric} {self.task_value:.4g}",
            "-" if self.accuracy is None else f"{self.accuracy:.4g}",
            self.delegated,
            str(self.partitions) if self.partitions else "-",
        )


def rows_of(manifest: Manifest) -> list[Row]:
    """One row per artifact."""
    return [_row(manifest, entry) for entry in manifest.model_files]


def _row(manifest: Manifest, entry: ModelFile) -> Row:
    mine = [c for c in manifest.parity if c.runtime == entry.executed_here_by and c.stage in ARTIFACT_STAGES]
    task = get_task(manifest.spec).agreement.name
    d = entry.delegation
    return Row(
        model=manifest.model,
        target=manifest.target,
        file=entry.file,
        precision=entry.precision,
        size_mb=entry.bytes / 1e6,
        executed_by=entry.executed_here_by,
        sqnr_db=min(c.value for c in mine if c.metric == "sqnr_db"),
        max_abs_of_range=max(c.value for c in mine if c.metric == "max_abs_of_range"),
        task_metric=task,
        task_value=next(c.value for c in mine if c.metric == task),
        delegated="on device" if d.delegate in UNKNOWN_HERE else f"{d.delegated}/{d.total}",
        partitions=d.partitions,
        fallbacks=d.explained,
        accuracy=entry.accuracy[0].value if entry.accuracy else None,
        accuracy_metric=entry.accuracy[0].name if entry.accuracy else "",
    )


def print_table(rows: Sequence[Row]) -> None:
    """A table of at most 100 columns: each bundle is a line, its artifacts stand below."""
    from rich.console import Console

    console = Console(width=100, highlight=False)
    cells = [HEADER[2:], *(row.cells()[2:] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEADER) - 2)]

    def line(texts: Sequence[str]) -> str:
        # Names to the left, numbers to the right.
        padded = [
            t.ljust(w) if i in (0, 1, 3, 5) else t.rjust(w) for i, (t, w) in enumerate(zip(texts, widths, strict=True))
        ]
        return "  " + "  ".join(padded)

    console.print(f"[bold]{line(HEADER[2:])}[/]", soft_wrap=True)
    previous = None
    for row in rows:
        if (row.model, row.target) != previous:
            console.print(f"[bold]{row.model}[/] for {row.target}{_accuracy_name(row)}")
        previous = (row.model, row.target)
        console.print(line(row.cells()[2:]), soft_wrap=True)
        if row.fallbacks:
            console.print(f"    outside the delegate: {', '.join(row.fallbacks)}")
    console.print("[dim]emulation: OnPar's executor of Core ML programs, not Apple's. No phone measured yet.[/]")
    if any(row.executed_by == "Core AI interpreter" for row in rows):
        console.print("[dim]interpreter: Apple's own for Core AI programs, on this machine's CPU.[/]")


def _accuracy_name(row: Row) -> str:
    return f", accuracy is {row.accuracy_metric}" if row.accuracy_metric else ""
