"""``python -m benchmarks.compare A.json B.json``: is B faster or slower than A, and how sure is that?

Records are paired by model, runtime, precision and threads. Where both have a peer in common (``eager``), each round's
time is taken as a multiple of the peer's in the same round, so that a machine that was busier during one of the runs
does not decide; otherwise times are compared as they are. The interval is a bootstrap of the ratio of medians, over
blocks of rounds, because neighbouring rounds are not independent.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.program import program
from sdk_build.bundle.records import Record, center, read_records
from sdk_build.command import exit_with

CONFIDENCE = 0.95
RESAMPLES = 2000
BLOCK = 5
SAME = 0.03  # a change below this is called none, however sure it is


@dataclass(frozen=True)
class Comparison:
    """One pair.

    Attributes:
        basis: the peer whose time was the unit, or ``milliseconds``.
        ratio: B's median by A's; below 1, B is faster.
        low, high: 95 % interval of the ratio.
        verdict: ``faster``, ``slower``, ``same``, or ``unclear`` where the interval is too wide to say.
    """

    model: str
    runtime: str
    precision: str
    threads: int
    basis: str
    ratio: float
    low: float
    high: float
    verdict: str


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and compare; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=program("benchmarks.compare"),
        description=__doc__.splitlines()[0],
        epilog="Exit codes: 0 done, 1 something is slower and --fail-if-slower was given, 2 wrong use or bad input.",
    )
    parser.add_argument("a", type=Path, metavar="A", help="records before")
    parser.add_argument("b", type=Path, metavar="B", help="records after")
    parser.add_argument("--force", action="store_true", help="compare different devices, delegates or threads")
    parser.add_argument("--fail-if-slower", action="store_true", help="exit 1 if anything is slower")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    return exit_with(lambda: run(a.a, a.b, a.force, a.fail_if_slower, a.json))


def run(a: Path, b: Path, force: bool, fail_if_slower: bool, as_json: bool) -> int:
    """The command's body; returns the exit code."""
    before, after = read_records(a), read_records(b)
    pairs = pair_up(before, after, force)
    found = [compare(*pair) for pair in pairs]
    for name, records, side in (("A", before, 0), ("B", after, 1)):
        alone = [r for r in records if all(r is not pair[side] for pair in pairs)]
        for r in alone:
            threads = f"{r.threads} thread{'s' if r.threads > 1 else ''}"
            print(f"only in {name}: {r.model} {r.runtime} {r.precision}, {threads}", file=sys.stderr)
    if as_json:
        print(json.dumps({"comparisons": [asdict(c) for c in found]}))
    else:
        print(
            f"{'model':<27}{'runtime':<11}{'prec.':<11}{'thr':>3}{'B by A':>8}  {'95 %':<14}{'in units of':<13}verdict"
        )
        for c in found:
            interval = f"{c.low:.3f}-{c.high:.3f}"
            print(
                f"{c.model:<27}{c.runtime:<11}{c.precision:<11}{c.threads:>3}{c.ratio:>8.3f}  "
                f"{interval:<14}{c.basis:<13}{c.verdict}"
            )
    return 1 if fail_if_slower and any(c.verdict == "slower" for c in found) else 0


def pair_up(before: Sequence[Record], after: Sequence[Record], force: bool) -> list[tuple[Record, Record]]:
    """Pairs of one model, runtime, precision and thread count.

    Raises:
        BadInput: nothing fits, or devices, delegates or thread counts differ and ``force`` is not set.
    """
    devices = {r.device for r in (*before, *after)}
    if len(devices) > 1 and not force:
        names = " and ".join(sorted(f"{d.name} ({d.os}, {d.cores} cores)" for d in devices))
        raise BadInput(f"records are of different devices: {names}; their times can't be compared (--force does it)")
    exact = {r.key: r for r in before}
    pairs = [(exact[r.key], r) for r in after if r.key in exact]
    for one, two in pairs:
        if one.delegate != two.delegate and not force:
            raise BadInput(
                f"{two.bundle} in {two.runtime} ran by {one.delegate} in A and by {two.delegate} in B; "
                "measure with the same (--force compares them all the same)"
            )
    if pairs:
        return pairs
    loose = {r.key[:3]: r for r in before}
    others = [(loose[r.key[:3]], r) for r in after if r.key[:3] in loose]
    if not others:
        raise BadInput("the files have no model, runtime and precision in common; measure the same bundles")
    if not force:
        one, two = others[0]
        raise BadInput(
            f"{two.bundle} in {two.runtime} has {one.threads} threads in A and {two.threads} in B; "
            "measure with the same (--force compares them all the same)"
        )
    return others


def compare(before: Record, after: Record) -> Comparison:
    """Compare one pair."""
    shared = [p.name for p in before.peers if after.peer(p.name) is not None]
    basis = shared[0] if shared else "milliseconds"
    one, two = ((r.ratios_to(basis) if shared else r.samples_ms) for r in (before, after))
    low, ratio, high = interval(*(np.reshape(x, (r.launches, -1)) for x, r in ((one, before), (two, after))))
    return Comparison(
        after.model, after.runtime, after.precision, after.threads, basis, ratio, low, high, verdict(low, high)
    )


def interval(one: NDArray[np.float64], two: NDArray[np.float64]) -> tuple[float, float, float]:
    """(low, estimate, high) of center(two) / center(one), each (processes, rounds), bootstrapped with a fixed seed."""
    rng = np.random.default_rng(0)
    centers = [_resampled_centers(samples, rng) for samples in (one, two)]
    low, high = np.quantile(centers[1] / centers[0], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), center(two) / center(one), float(high)


def _resampled_centers(samples: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """(RESAMPLES,) centers of processes drawn anew, and of rounds drawn in whole blocks of neighbours from each."""
    launches, rounds = samples.shape
    block = min(BLOCK, max(1, rounds // 10))  # few blocks would all be alike
    count = -(-rounds // block)
    drawn = rng.integers(0, launches, (RESAMPLES, launches, 1, 1))
    starts = rng.integers(0, rounds - block + 1, (RESAMPLES, launches, count, 1))
    chosen = samples[drawn, starts + np.arange(block)].reshape(RESAMPLES, launches, -1)
    return np.asarray(np.median(chosen, axis=2).mean(axis=1))


def verdict(low: float, high: float) -> str:
    """What an interval of B / A says."""
    if high < 1 - SAME:
        return "faster"
    if low > 1 + SAME:
        return "slower"
    return "same" if low > 1 - 2 * SAME and high < 1 + 2 * SAME else "unclear"


if __name__ == "__main__":
    sys.exit(main())
