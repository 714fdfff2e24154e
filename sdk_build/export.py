"""``python -m sdk_build.export --target ios``: PyTorch to proved bundles for phones and browsers."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.errors import BadInput, OnParError
from reference.program import program
from sdk_build.command import exit_with

if TYPE_CHECKING:
    from reference.spec import ModelSpec
    from sdk_build.build.bundles import Built
    from sdk_build.build.cache import Cache
    from sdk_build.build.reporter import Reporter
    from sdk_build.build.workers import Workers

TARGETS = ("ios", "android", "web", "all")
PRECISIONS = ("default", "fp32", "fp16", "w8", "dynamic_w8", "w8a8", "w4", "p6")
EXTRA = ("coreai",)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and export; returns the exit code."""
    a = parse(arguments)
    given = {
        "calibration": a.calibration,
        "data": a.data,
        "max_fallbacks": a.max_fallbacks,
        "extra": tuple(a.extra),
        "jobs": a.jobs,
        "cache": (a.cache, a.cache_limit) if a.use_cache else None,
    }
    models = a.model or ["all"]
    return exit_with(lambda: export(a.target, models, a.precision, a.output_dir, a.signing_key, a.json, **given))


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
        action="extend",
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
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="artifacts that are made at once (default the cores that memory suffices for)",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="where what was made before is kept (default $ONPAR_CACHE, else onpar/export in the user's cache folder)",
    )
    parser.add_argument("--no-cache", dest="use_cache", action="store_false", help="make everything anew, keep nothing")
    parser.add_argument("--cache-limit", type=float, default=4.0, metavar="GB", help="size of the cache (default 4)")
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
    jobs: int | None = 1,
    cache: tuple[Path | None, float] | None = None,
) -> int:
    """Export several models; one that fails does not stop the others.

    Args:
        calibration, data, max_fallbacks: see :class:`sdk_build.build.sources.Sources`.
        extra: runtimes beside a target's own.
        jobs: artifacts that are made at once; None: what cores and memory allow.
        cache: where what was made before is kept (None: the user's own place), and its size in GB; None: nowhere.

    Returns:
        0, or the exit code of the first failure.
    """
    check_extra(extra, target)
    targets = check(target, precision, signing_key, calibration, data, max_fallbacks, extra)
    specs = choose_models(models)
    from sdk_build.build.reporter import Reporter

    reporter = Reporter(len(specs), targets, quiet=as_json, extra=extra)
    failed: list[tuple[str, OnParError]] = []
    shared: dict[str, Any] = {
        "targets": targets,
        "output_dir": output_dir,
        "signing_key": signing_key,
        "extra": extra,
        "cache": open_cache(cache),
    }

    def one(spec: ModelSpec, workers: Workers | None) -> list[Built]:
        told = {"progress": partial(reporter.step, spec.name), "artifact_done": partial(reporter.artifact, spec.name)}
        try:
            return _build(spec, precision, reporter, (calibration, data, max_fallbacks), shared | told, workers)
        except OnParError as error:
            failed.append((spec.name, error))
            reporter.failed(spec.name, error)
            return []
        finally:
            reporter.step(spec.name, "")

    with reporter:
        built = run_all(one, specs, targets, extra, jobs)
    failed.sort(key=lambda item: [spec.name for spec in specs].index(item[0]))
    if as_json:
        print(document_of(built, failed))
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


def document_of(built: list[Built], failed: list[tuple[str, OnParError]]) -> str:
    """The document of ``--json``."""
    failures = [{"model": name, "error": type(e).__name__, "message": str(e)} for name, e in failed]
    return json.dumps({"bundles": [b.to_json() for b in built], "failed": failures})


def open_cache(given: tuple[Path | None, float] | None) -> Cache | None:
    """The cache of an export.

    Raises:
        BadInput: its size can't be used, or a file is in its place.
    """
    if given is None:
        return None
    from sdk_build.build.cache import Cache, default_folder

    folder, limit_gb = given[0] or default_folder(), given[1]
    if not 0 < limit_gb < float("inf"):
        raise BadInput(f"--cache-limit is {limit_gb:g}; allowed: more than 0 GB, or --no-cache")
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"--cache is {folder}, which is no folder; give another, or --no-cache")
    return Cache(folder, int(limit_gb * 1e9))


def run_all(
    one: Callable[[ModelSpec, Workers | None], list[Built]],
    specs: list[ModelSpec],
    targets: list[str],
    extra: tuple[str, ...],
    jobs: int | None,
) -> list[Built]:
    """Build every model; several at once, so that workers find something to do while a reference is loaded.

    Raises:
        BadInput: ``jobs`` is less than one.
    """
    from sdk_build.backends import runtimes_of
    from sdk_build.build.side_by_side import families
    from sdk_build.build.workers import Workers, default_jobs

    if jobs is not None and jobs < 1:
        raise BadInput(f"--jobs is {jobs}; allowed: 1 or more")
    runtimes = list(dict.fromkeys(name for target in targets for name in runtimes_of(target, extra)))
    jobs = min(jobs or default_jobs(), len(specs) * len(families(runtimes)))
    if jobs == 1:
        return [bundle for spec in specs for bundle in one(spec, None)]
    with Workers(jobs, runtimes) as workers, ThreadPoolExecutor(min(jobs, len(specs))) as threads:
        futures = [threads.submit(one, spec, workers) for spec in specs]
        try:
            return [bundle for future in futures for bundle in future.result()]
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise


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
    workers: Workers | None,
) -> list[Built]:
    from reference.registry import models_dir_of
    from sdk_build.build.bundles import build
    from sdk_build.build.default import build_default
    from sdk_build.build.sources import Sources

    sources = Sources(*given)
    shared["models_dir"] = models_dir_of(spec)
    if precision == "default":
        return build_default(spec, notice=reporter.notice, sources=sources, workers=workers, **shared)
    return build(spec, precision=precision, sources=sources, workers=workers, **shared)


if __name__ == "__main__":
    sys.exit(main())
