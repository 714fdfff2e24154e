"""Numbers of a depth map as distances in millimetres: units, scales, and numbers that can't be in their unit.

Whole numbers are millimetres for most sensors and data sets, but not for all, and a wrong unit makes a wrong solid:

==================  ===========  ==============================================
millimetres a unit  as a scale   written by
==================  ===========  ==============================================
1                   ``mm``       Azure Kinect, RealSense D4xx, Android, iPhones as 16-bit PNG
0.1                 ``0.1mm``    RealSense D405
0.2                 ``1/5000m``  TUM RGB-D, ICL-NUIM
3.90625             ``1/256m``   KITTI, VOID
10                  ``cm``       some scanners and simulators
==================  ===========  ==============================================
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput

UNITS = ("mm", "m", "1/m")
# No phone's sensor measures nearer or farther than this; what seems to is in another unit.
NEAREST_MM, FARTHEST_MM = 50.0, 20_000.0
# Where millimetres are only a guess, the object in front of the rest must be as far away as objects are that one scans.
LIKELY_NEAREST_MM, LIKELY_FARTHEST_MM = 200.0, 3_000.0
FEWEST_STEPS = 16  # different numbers, from which on their common divisor is no accident
ENDLESS_MM = 1e6  # a kilometre: what renderers write where nothing was hit, and half floats' largest number of metres
_SCALES = {"0.1mm": 0.1, "1/5000m": 0.2, "1/256m": 3.90625, "cm": 10.0}
_LENGTHS = {"": 1.0, "um": 1e-3, "mm": 1.0, "cm": 10.0, "dm": 100.0, "m": 1000.0, "in": 25.4, "ft": 304.8}
_NAMES = {"mm": "millimetres", "m": "metres", "1/m": "1/metres (disparity)"}


def parse_scale(text: str) -> float:
    """Millimetres of one unit: a number, a length, or both, e.g. ``0.1``, ``cm``, ``1/5000m``.

    Raises:
        BadInput: something else, or not above 0.
    """
    match = re.fullmatch(r"([\d.]+(?:e[+-]?\d+)?)?(?:/([\d.]+))?\s*([a-z]*)", text.strip().lower())
    try:
        if match is None or not text.strip() or (match[2] and not match[1]):
            raise ValueError("other letters")
        scale = float(match[1] or 1) / float(match[2] or 1) * _LENGTHS[match[3]]
        if not 0 < scale < math.inf:
            raise ValueError("not above 0")
    except (ValueError, KeyError, ZeroDivisionError) as error:
        raise BadInput(
            f"depth scale is {text!r}; allowed: millimetres of one unit, e.g. 0.1, or a length, e.g. cm, 1/5000m"
        ) from error
    return scale


def to_millimetres(
    values: NDArray[Any], unit: str | None, name: str, scale: float | None = None
) -> NDArray[np.float32]:
    """Distances (H, W) of any numeric type as float32 millimetres; what is no distance becomes 0.

    No distance are NaN, infinity, numbers below or at 0, the largest number of an integer type (which sensors write
    where they were blinded), and more than a kilometre.

    Args:
        unit: ``mm``, ``m`` or ``1/m`` (disparity); None: whole numbers are mm and others are m.
        name: of the map, for messages.
        scale: millimetres of one unit, instead of ``unit``.

    Raises:
        BadInput: nothing was measured, or the distances only make sense in another unit.
    """
    guessed = unit is None and scale is None
    unit = unit or ("m" if values.dtype.kind == "f" else "mm")
    numbers = values.astype(np.float64)
    positive = np.isfinite(numbers) & (numbers > 0)
    if values.dtype.kind in "ui":
        positive &= values != np.iinfo(values.dtype).max
    if not positive.any():
        nan = int(np.isnan(numbers).sum())
        what = f"NaN at {nan} of {numbers.size} pixels and 0 at the others" if nan else "0 everywhere"
        raise BadInput(f"{name} is {what}: no depth was measured; give a map with distances")
    exact = np.zeros(numbers.shape)
    with np.errstate(over="ignore", under="ignore"):  # 1 / 1e-45 m is as far away as 1 / 0
        if scale is None and unit == "1/m":
            exact[positive] = 1000 / numbers[positive]
        else:
            exact[positive] = numbers[positive] * (scale or _LENGTHS[unit])
        distances = np.where(exact > ENDLESS_MM, 0, exact).astype(np.float32)
    where = distances > 0 if distances.any() else positive
    measured = numbers[where]
    read_as = _NAMES[unit] if scale is None else f"units of {scale:.6g} mm"
    if guessed and values.dtype.kind == "f" and float(measured.max()) == 1:
        raise BadInput(
            f"{name} ends at exactly 1, as maps without a unit do that networks estimate from one picture; allowed: "
            "distances; if they are metres, give --depth-unit m"
        )
    if guessed and values.dtype.kind != "f":
        _check_guess(measured, read_as, name)
    _check_median(float(np.median(exact[where])), float(np.median(measured)), read_as, name)
    return distances


def _check_guess(numbers: NDArray[np.float64], read_as: str, name: str) -> None:
    """Whole numbers taken for millimetres: what lies nearest decides, a wall behind it may be anywhere."""
    near = float(np.percentile(numbers, 10))
    if LIKELY_NEAREST_MM <= near <= LIKELY_FARTHEST_MM:
        _check_steps(numbers, name)
        return
    advice = _advice(near, read_as)
    if NEAREST_MM <= float(np.median(numbers)) <= FARTHEST_MM:
        advice += "; if they are millimetres all the same, give --depth-unit mm"
    raise BadInput(
        f"{name} has a median of {np.median(numbers):.4g}, read as {read_as}, its nearest tenth ends at {near:.4g}; "
        f"allowed without a unit: {LIKELY_NEAREST_MM:.0f} to {LIKELY_FARTHEST_MM:.0f} millimetres; {advice}"
    )


def _check_steps(numbers: NDArray[np.float64], name: str) -> None:
    """A sensor's whole millimetres in a finer unit show: every number is a multiple of 5 or of 10."""
    several = np.unique(numbers).astype(np.int64)
    step = int(np.gcd.reduce(several))
    if len(several) < FEWEST_STEPS or step % 5:
        return
    scale = "0.1mm" if step % 10 == 0 else "1/5000m"
    raise BadInput(
        f"{name} holds multiples of {step} only, as millimetres do that were written in units of {scale}; allowed: "
        f"distances of a known unit; give --depth-scale {scale}, or --depth-unit mm if they are millimetres"
    )


def _check_median(middle_mm: float, middle: float, read_as: str, name: str) -> None:
    """The median decides: single values may be noise."""
    if not NEAREST_MM <= middle_mm <= FARTHEST_MM:
        raise BadInput(
            f"{name} has a median of {middle:.4g}, read as {read_as}; allowed: {NEAREST_MM:.0f} to {FARTHEST_MM:.0f} "
            f"millimetres; {_advice(middle, read_as)}"
        )


def _advice(number: float, read_as: str) -> str:
    """The units in which a number would be a likely distance, the likeliest first."""
    found = [
        (abs(math.log(number * _LENGTHS[unit] / 700)), f"{_NAMES[unit]}: give --depth-unit {unit}")
        for unit in ("mm", "m")
        if NEAREST_MM <= number * _LENGTHS[unit] <= FARTHEST_MM and read_as != _NAMES[unit]
    ]
    found += [
        (abs(math.log(number * mm / 700)), f"{scale} ({number * mm / 1000:.2f} m): give --depth-scale {scale}")
        for scale, mm in _SCALES.items()
        if LIKELY_NEAREST_MM <= number * mm <= LIKELY_FARTHEST_MM and read_as != f"units of {mm:.6g} mm"
    ]
    return "they look like " + ", or like ".join(text for _, text in sorted(found)) if found else "check the file"
