"""``trace``: a table and a picture of every operation's range."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from sdk_build.errors import BadInput
from sdk_build.mil.command.values import given_inputs, shortened
from sdk_build.mil.emulator import EmulatedCoreML
from sdk_build.mil.tracing import FP16_LARGEST, OpRange, trace_ranges

_HEIGHT, _MARGIN, _LEFT, _WIDEST = 420, 40, 74, 1600
_DECADES = (-8, 6)
_INK, _PAPER, _GRID, _BAR, _ALARM = (28, 30, 34), (250, 250, 248), (215, 215, 210), (0, 122, 204), (200, 40, 40)


def run(
    path: Path, function: str | None, pairs: Sequence[str], seed: int | None, out: Path | None, as_json: bool
) -> int:
    """The command's body; returns the exit code."""
    if out is not None and out.exists() and not out.is_dir():
        raise BadInput(f"--out {out} is a file; allowed: a folder, or a new name")
    model = EmulatedCoreML(path, function)
    ranges = trace_ranges(model, given_inputs(model.inputs, pairs, seed))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        _write_table(ranges, out / "trace.csv")
        draw_ranges(ranges, path.name).save(out / "trace.png")
    if as_json:
        print(json.dumps({"model": path.name, "operations": [_plain(entry) for entry in ranges]}))
        return 0
    _print(ranges)
    return 0


def _plain(entry: OpRange) -> dict[str, Any]:
    return {
        key: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in asdict(entry).items()
    }


def _write_table(ranges: Sequence[OpRange], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(asdict(ranges[0])) if ranges else ["name"])
        writer.writeheader()
        for entry in ranges:
            writer.writerow({**asdict(entry), "shape": " x ".join(map(str, entry.shape))})


def _print(ranges: Sequence[OpRange]) -> None:
    print(f"{'operation':<32}{'type':<20}{'dtype':<6}{'lowest':>11}{'highest':>11}{'nan':>6}{'inf':>6}{'> fp16':>8}")
    for entry in ranges:
        print(
            f"{shortened(entry.name, 31):<32}{shortened(entry.op_type, 19):<20}{entry.dtype:<6}{entry.low:>11.4g}"
            f"{entry.high:>11.4g}{entry.nan or '':>6}{entry.infinite or '':>6}{entry.beyond_fp16 or '':>8}"
        )
    bad = [entry.name for entry in ranges if entry.is_suspicious]
    if bad:
        print(f"{len(bad)} of {len(ranges)} operations hold NaN, infinity or what fp16 can't; the first is '{bad[0]}'")
    else:
        print(f"{len(ranges)} operations: all finite, all within fp16's range")


def draw_ranges(ranges: Sequence[OpRange], title: str) -> Image.Image:
    """A bar per operation from its smallest to its largest magnitude, on a logarithmic scale.

    A red bar holds NaN, infinity or what fp16 can't; the line at the top is fp16's largest number, the one at the
    bottom its smallest normal one.
    """
    step = max(4, min(24, (_WIDEST - _LEFT - _MARGIN) // max(len(ranges), 1)))
    width = max(560, _LEFT + step * len(ranges) + _MARGIN)
    image = Image.new("RGB", (width, _HEIGHT), _PAPER)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    pen.text((_LEFT, 12), f"{title}: magnitudes written by {len(ranges)} operations, in order", _INK, font)
    for decade in range(*_DECADES):
        y = _y(10.0**decade)
        pen.line((_LEFT, y, width - _MARGIN, y), _GRID)
        pen.text((12, y - 8), f"1e{decade}", _INK, font)
    for limit in (FP16_LARGEST, 2.0**-14):
        pen.line((_LEFT, _y(limit), width - _MARGIN, _y(limit)), _ALARM)
    for place, entry in enumerate(ranges):
        x = _LEFT + place * step
        largest = max(abs(entry.low), abs(entry.high))
        if entry.is_suspicious:
            pen.rectangle((x, _y(largest if largest > 0 else 1.0), x + step - 2, _y(10.0 ** _DECADES[0])), _ALARM)
        elif largest > 0 and entry.smallest > 0:
            pen.rectangle((x, _y(largest), x + step - 2, max(_y(entry.smallest), _y(largest) + 1)), _BAR)
    pen.text((_LEFT, _HEIGHT - 24), "red lines: fp16's largest and smallest normal number", _INK, font)
    return image


def _y(magnitude: float) -> int:
    low, high = _DECADES
    place = (math.log10(magnitude) - low) / (high - 0.5 - low) if magnitude > 0 and math.isfinite(magnitude) else 0.0
    return round(_HEIGHT - _MARGIN - min(max(place, 0.0), 1.0) * (_HEIGHT - 2 * _MARGIN))
