"""What an export tells while it runs: a line for each artifact, what runs now, and where the bundles are."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from reference.errors import OnParError
from sdk_build.backends import runtimes_of
from sdk_build.bundle.artifact import Artifact
from sdk_build.bundle.files import size_of
from sdk_build.bundle.manifest import Manifest
from sdk_build.command import error_line
from sdk_build.proof.witnesses import STAGE

if TYPE_CHECKING:
    from sdk_build.build.bundles import Built

DESCRIPTION = 60  # columns for what runs now, beside the bar and the times


class Reporter:
    """One line and one step of a progress bar per artifact; the bar shows on a terminal only."""

    def __init__(self, models: int, targets: list[str], quiet: bool, extra: tuple[str, ...] = ()) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self.quiet = quiet
        # On a terminal rich adapts to its width; a pipe gets 100 columns.
        self.console = Console(stderr=quiet, width=None if sys.stdout.isatty() else 100, highlight=False)
        per_model = len({runtime for target in targets for runtime in runtimes_of(target, extra)})
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=quiet or not sys.stdout.isatty(),
        )
        self.task = self.progress.add_task("", total=models * per_model)
        self.running: dict[str, str] = {}
        self.lock = threading.Lock()

    def __enter__(self) -> Reporter:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def step(self, model: str, text: str) -> None:
        """Show what is running; an empty text ends a model."""
        with self.lock:
            self.running = (
                {**self.running, model: text} if text else {m: t for m, t in self.running.items() if m != model}
            )
            self.progress.update(self.task, description="; ".join(self.running.values())[:DESCRIPTION])

    def artifact(self, model: str, artifact: Artifact) -> None:
        """Print one proved artifact."""
        self.progress.advance(self.task)
        if not self.quiet:
            self.progress.console.print(artifact_line(model, artifact))

    def notice(self, text: str) -> None:
        """Print what the user must know although nothing failed."""
        self.progress.stop()
        print(text, file=sys.stderr)
        self.progress.start()

    def failed(self, model: str, error: OnParError) -> None:
        """Print one failure."""
        self.progress.stop()
        print(f"{model}: {error_line(error)}", file=sys.stderr)
        self.progress.start()

    def summary(self, built: list[Built]) -> None:
        """Print where the bundles are, and how well two witnesses agree."""
        for bundle in built:
            for line in agreement_lines(bundle.manifest):
                self.console.print(line)
            self.console.print(
                f"[bold]{bundle.path}[/]  {megabytes(bundle.manifest.size_bytes)}, "
                f"{'unchanged since it was proved' if bundle.cached else 'proved'}",
                soft_wrap=True,
            )


def artifact_line(model: str, artifact: Artifact) -> str:
    """Model, what ran it, precision, size, the telling metric, pieces, time; within 100 columns."""
    worst = dict.fromkeys(("max_abs_of_range", "sqnr_db")) | {c.metric: c.value for c in reversed(artifact.checks)}
    partitions = artifact.delegation.partitions
    pieces = f"{partitions} part{'s' if partitions != 1 else ''}" if partitions else ""
    return (
        f"{shorten(model, 26):<26} {artifact.executed_by:<28} {artifact.precision:<4} "
        f"{megabytes(size_of(artifact.path)):>9} {worst['sqnr_db']:5.1f} dB {pieces:<8} {artifact.seconds:5.1f} s"
    )


def shorten(text: str, length: int) -> str:
    """A text in at most ``length`` characters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def agreement_lines(manifest: Manifest) -> list[str]:
    """One line for the artifacts that were held to each other; none where a bundle has only one witness."""
    between = [check for check in manifest.parity if check.stage == STAGE and check.metric == "sqnr_db"]
    if not between:
        return []
    worst = min(check.value for check in between)
    return [f"  {between[0].runtime} agree to {worst:.1f} dB, also on a mirrored input"]


def megabytes(size_bytes: int) -> str:
    """Size in MB with two decimals."""
    return f"{size_bytes / 1e6:.2f} MB"
