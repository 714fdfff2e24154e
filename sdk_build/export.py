"""``python -m sdk_build.export --target ios``: PyTorch to proved bundles for phones and browsers."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.errors import BadInput, OnParError
from reference.program import program
from sdk_build.command import error_line, exit_with

if TYPE_CHECKING:
    from reference.spec import ModelSpec
    from sdk_build.build.bundles import Built
    from sdk_build.bundle.artifact import Artifact
    from sdk_build.bundle.manifest import Manifest

TARGETS = ("ios", "android", "web", "all")
PRECISIONS = ("default", "fp32", "fp16", "w8", "dynamic_w8", "w8a8", "w4", "p6")
EXTRA = ("coreai",)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and export; returns the exit code."""
    a = parse(arguments)
    given = {"calibration": a.calibration, "data": a.data, "max_fallbacks": a.max_fallbacks, "extra": tuple(a.extra)}
    return exit_with(lambda: export(a.target, a.model, a.precision, a.output_dir, a.signing_key, a.json, **given))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line; importing nothing heavy, so that --help is instant."""
    parser = argparse.ArgumentParser(
        prog=program("sdk_build.export"),
        description="Export models to bundles whose every artifact is proved equal to the PyTorch reference.",
        epilog="Exit codes: 0 done, 1 a check failed, 2 wrong use or bad input.",
    )
    parser.add_argument("--target", required=True, metavar="{" + ",".join(TARGETS) + "}", help="what to export for")
    parser.add_argument(
        "--model",
        nargs="+",
        default=["all"],
        metavar="MODEL",
        help="built-in models by name, models of your own by their folder (onpar new), or all built-in ones",
    )
    parser.add_argument(
        "--precision",
        default="default",
        metavar="{" + ",".join(PRECISIONS) + "}",
        help="default is the smallest that was measured to keep the card's accuracy budget, else fp16",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="DIR",
        help="training inputs, for w8a8 without stored ranges",
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="validation data: measure the task's metrics of every artifact"
    )
    parser.add_argument(
        "--max-fallbacks", type=int, metavar="N", help="fail if more operations stay outside the delegate"
    )
    parser.add_argument(
        "--with",
        dest="extra",
        nargs="+",
        default=[],
        metavar="RUNTIME",
        help="coreai: also model.aimodel, for iOS 27, in bundles for ios; not by default while its package is a beta",
    )
    parser.add_argument("--output-dir", type=Path, default=Path("dist"), help="where bundles go (default dist)")
    parser.add_argument("--signing-key", type=Path, metavar="PEM", help="P-256 private key that signs the bundles")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    return parser.parse_args(arguments)


def export(
    target: str,
    models: list[str],
    precision: str,
    output_dir: Path,
    signing_key: Path | None,
    as_json: bool,
    calibration: Path | None = None,
    data: Path | None = None,
    max_fallbacks: int | None = None,
    extra: tuple[str, ...] = (),
) -> int:
    """Export several models; one that fails does not stop the others.

    Args:
        calibration, data, max_fallbacks: see :class:`sdk_build.build.sources.Sources`.
        extra: runtimes beside a target's own.

    Returns:
        0, or the exit code of the first failure.
    """
    check_extra(extra, target)
    targets = check(target, precision, signing_key, calibration, data, max_fallbacks, extra)
    specs = choose_models(models)
    reporter = Reporter(len(specs), targets, quiet=as_json, extra=extra)
    built: list[Built] = []
    failed: list[tuple[str, OnParError]] = []
    with reporter:
        for spec in specs:
            try:
                shared = {
                    "targets": targets,
                    "output_dir": output_dir,
                    "signing_key": signing_key,
                    "progress": reporter.step,
                    "artifact_done": reporter.artifact,
                    "extra": extra,
                }
                built += _build(spec, precision, reporter, (calibration, data, max_fallbacks), shared)
            except OnParError as error:
                failed.append((spec.name, error))
                reporter.failed(spec.name, error)
    if as_json:
        document = {
            "bundles": [b.to_json() for b in built],
            "failed": [{"model": name, "error": type(e).__name__, "message": str(e)} for name, e in failed],
        }
        print(json.dumps(document))
    else:
        reporter.summary(built)
    return failed[0][1].exit_code if failed else 0


def check(
    target: str,
    precision: str,
    signing_key: Path | None,
    calibration: Path | None,
    data: Path | None,
    max_fallbacks: int | None,
    extra: tuple[str, ...],
) -> list[str]:
    """The targets, after everything that can be refused before anything is read.

    Raises:
        BadInput: a target, precision, folder, number or key can't be used.
    """
    for what, value, allowed in (("target", target, TARGETS), ("precision", precision, PRECISIONS)):
        if value not in allowed:
            raise BadInput(f"{what} is {value!r}; allowed: {', '.join(allowed)}; see --help")
    for option, folder in (("--calibration", calibration), ("--data", data)):
        if folder is not None and not folder.is_dir():
            raise BadInput(f"{option} is {folder}, which is no folder; give one")
    if max_fallbacks is not None and max_fallbacks < 0:
        raise BadInput(f"--max-fallbacks is {max_fallbacks}; allowed: 0 or more")
    if signing_key is not None:
        from sdk_build.bundle.signing import sign

        sign(b"", signing_key)  # an unusable key is refused before minutes of conversion
    targets = [t for t in TARGETS if t != "all"] if target == "all" else [target]
    if precision != "default":
        from sdk_build.build.bundles import check_precision

        check_precision(targets, precision, extra)
    return targets


def check_extra(extra: tuple[str, ...], target: str) -> None:
    """Refuse ``--with`` for what is not there, before minutes of conversion.

    Raises:
        BadInput: an unknown runtime, or a target whose bundles don't hold it.
        BackendUnavailable: it can't be made on this machine.
    """
    if not extra:
        return
    from sdk_build.backends import ON_REQUEST

    for name in extra:
        if name not in EXTRA:
            raise BadInput(f"--with is {name!r}; allowed: {', '.join(EXTRA)}")
        targets = [which for which, names in ON_REQUEST.items() if name in names]
        if target not in (*targets, "all"):
            raise BadInput(f"--with {name} is for target {', '.join(targets)}, not {target}; leave it out")
    from sdk_build.backends.coreai import require

    require()


def choose_models(names: list[str]) -> list[ModelSpec]:
    """The specs of ``--model``: names, folders of models, or all built-in ones.

    Raises:
        BadInput: a name is unknown, a folder holds no model, or two models have one name.
    """
    from reference.registry import MODELS, find_model

    chosen: dict[str, ModelSpec] = {}
    for given in dict.fromkeys(names):
        for spec in [s for s in MODELS.values() if s.in_all] if given == "all" else [find_model(given)]:
            other = chosen.setdefault(spec.name, spec)
            if other.folder != spec.folder:
                raise BadInput(f"two models are called {spec.name}: {other.folder} and {spec.folder}; rename one")
    return list(chosen.values())


def _build(
    spec: ModelSpec,
    precision: str,
    reporter: Reporter,
    given: tuple[Path | None, Path | None, int | None],
    shared: dict[str, Any],
) -> list[Built]:
    from reference.registry import models_dir_of
    from sdk_build.build.bundles import build
    from sdk_build.build.default import build_default
    from sdk_build.build.sources import Sources

    sources = Sources(*given)
    shared["models_dir"] = models_dir_of(spec)
    if precision == "default":
        return build_default(spec, notice=reporter.notice, sources=sources, **shared)
    return build(spec, precision=precision, sources=sources, **shared)


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

        from sdk_build.backends import runtimes_of

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

    def __enter__(self) -> Reporter:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def step(self, text: str) -> None:
        """Show what is running."""
        self.progress.update(self.task, description=text)

    def artifact(self, artifact: Artifact) -> None:
        """Print one proved artifact."""
        self.progress.advance(self.task)
        if not self.quiet:
            self.progress.console.print(artifact_line(artifact))

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
                f"[bold]{bundle.path}[/]  {megabytes(bundle.manifest.size_bytes)}, proved", soft_wrap=True
            )


def artifact_line(artifact: Artifact) -> str:
    """Model part, runtime, precision, size, the two telling metrics, time."""
    from sdk_build.bundle.files import size_of

    worst = dict.fromkeys(("max_abs_of_range", "sqnr_db")) | {c.metric: c.value for c in reversed(artifact.checks)}
    partitions = artifact.delegation.partitions
    pieces = f"{partitions} partition{'s' if partitions != 1 else ''}" if partitions else ""
    return (
        f"  {artifact.executed_by:<28} {artifact.precision}  {megabytes(size_of(artifact.path)):>9}  "
        f"{worst['sqnr_db']:6.1f} dB  {pieces:<12} {artifact.seconds:5.1f} s"
    )


def agreement_lines(manifest: Manifest) -> list[str]:
    """One line for the artifacts that were held to each other; none where a bundle has only one witness."""
    from sdk_build.proof.witnesses import STAGE

    between = [check for check in manifest.parity if check.stage == STAGE and check.metric == "sqnr_db"]
    if not between:
        return []
    worst = min(check.value for check in between)
    return [f"  {between[0].runtime} agree to {worst:.1f} dB, also on mirrored inputs"]


def megabytes(size_bytes: int) -> str:
    """Size in MB with two decimals."""
    return f"{size_bytes / 1e6:.2f} MB"


if __name__ == "__main__":
    sys.exit(main())
