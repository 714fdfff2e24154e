"""Error against depth: a line for each runtime, the step to blame marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from sdk_build.bisect.finding import Finding
from sdk_build.bisect.levels import EQUAL_DB

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 1400, 560, 74, 30, 64, 54
_INK, _PAPER, _GRID, _ALARM = (28, 30, 34), (250, 250, 248), (222, 222, 216), (200, 40, 40)
_LINES = ((0, 122, 204), (20, 150, 90), (190, 110, 0), (120, 70, 180))


def draw_levels(findings: Sequence[Finding], title: str) -> Image.Image:
    """Decibels of every step in its order, for those runtimes that show their inside."""
    image = Image.new("RGB", (_WIDTH, _HEIGHT), _PAPER)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(17)
    pen.text((_LEFT, 14), title, _INK, font)
    for level in range(0, int(EQUAL_DB) + 1, 25):
        pen.line((_LEFT, _y(level), _WIDTH - _RIGHT, _y(level)), _GRID)
        pen.text((14, _y(level) - 11), f"{level:>3} dB", _INK, font)
    at = _LEFT
    for color, finding in zip(_LINES * len(findings), findings, strict=False):
        name = f"{finding.runtime} {finding.held}"
        pen.text((at, 38), name, color, font)
        at += round(pen.textlength(name, font)) + 34
        _draw(pen, font, finding, color)
    steps = max((len(finding.levels) for finding in findings), default=0)
    pen.text(
        (_LEFT, _HEIGHT - 34), f"{steps} steps of the network, in their order; higher is nearer to PyTorch", _INK, font
    )
    return image


def _draw(pen: ImageDraw.ImageDraw, font: Any, finding: Finding, color: tuple[int, int, int]) -> None:
    count = len(finding.levels)
    points = [(_x(i, count), _y(e.level_db)) for i, e in enumerate(finding.levels) if not math.isnan(e.level_db)]
    if len(points) > 1:
        pen.line(points, color, 2)
    pen.line((_LEFT, _y(finding.limit_db), _WIDTH - _RIGHT, _y(finding.limit_db)), color, 1)
    if finding.guilty is None:
        return
    place = finding.levels.index(finding.guilty)
    x, y = _x(place, count), _y(finding.guilty.level_db)
    pen.ellipse((x - 6, y - 6, x + 6, y + 6), outline=_ALARM, width=3)
    text = f"{finding.guilty.step.place} ({finding.guilty.step.operation})"
    width = round(pen.textlength(text, font))
    left = x + 12 if x + 12 + width < _WIDTH - _RIGHT else x - 12 - width
    pen.text((left, max(y - 10, _TOP)), text, _ALARM, font)


def _x(place: int, count: int) -> float:
    return _LEFT + place * (_WIDTH - _LEFT - _RIGHT) / max(count - 1, 1)


def _y(level: float) -> float:
    share = min(max(level if math.isfinite(level) else 0.0, 0.0), EQUAL_DB) / EQUAL_DB
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)
