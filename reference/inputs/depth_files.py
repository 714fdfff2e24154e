"""Depth files of phones and sensors, as distances in millimetres.

=====================  =======================  =================  ====================================
file                   values                   unit if not given  comes from
=====================  =======================  =================  ====================================
.png                   16-bit grey              mm                 Azure Kinect, RealSense, Android, RGB-D data sets
.tif, .tiff            16-bit grey or float32   mm, m              Photoshop, scientific tools
.npy                   integers or floats       mm, m              numpy
.raw, .bin, .depth     headerless, row by row,  mm, m              ``AVDepthData``, ``ARFrame.sceneDepth`` (float32 or
                       little endian                               float16 metres, NaN where nothing was measured)
=====================  =======================  =================  ====================================

Repaired: NaN, infinite and negative distances become holes (0). Refused: a map without a single measurement, and one
whose distances only make sense in another unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.inputs.preprocess import LARGEST_AREA, LARGEST_SIDE, SMALLEST_SIDE, load_depth

UNITS = ("mm", "m", "1/m")
TYPES = ("uint16", "float32", "float16")
HEADERLESS = (".raw", ".bin", ".depth")
# No phone's sensor measures nearer or farther than this; what seems to is in another unit.
NEAREST_MM, FARTHEST_MM = 50.0, 20_000.0
_FORMATS = f".png, .tif, .npy, or headerless {', '.join(HEADERLESS)}"


@dataclass(frozen=True)
class DepthFormat:
    """What a file does not say itself.

    Attributes:
        unit: of the values: ``mm``, ``m`` or ``1/m`` (disparity); None: whole numbers are mm and others are m.
        size: (width, height) of a headerless file.
        dtype: of a headerless file; None: whichever of 2 bytes (uint16) or 4 bytes (float32) fits the size.
        quarter_turns: counter-clockwise, for sensors that lie on their side in the phone.
    """

    unit: str | None = None
    size: tuple[int, int] | None = None
    dtype: str | None = None
    quarter_turns: int = 0

    def __post_init__(self) -> None:
        if self.unit is not None and self.unit not in UNITS:
            raise BadInput(f"depth unit is {self.unit!r}; allowed: {', '.join(UNITS)}")
        if self.dtype is not None and self.dtype not in TYPES:
            raise BadInput(f"depth type is {self.dtype!r}; allowed: {', '.join(TYPES)}")


def read_depth(path: Path, form: DepthFormat = DepthFormat()) -> NDArray[np.float32]:
    """Read a depth map as (H, W) float32 millimetres from the viewer, 0 where nothing was measured.

    Raises:
        BadInput: unreadable, of another size than stated, without a measurement, or in another unit than stated.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise BadInput(f"no depth map {path}; give a file of distances: {_FORMATS}")
    if suffix == ".png":
        values: NDArray[Any] = load_depth(path).astype(np.uint16)
    elif suffix in (".tif", ".tiff"):
        values = _read_tiff(path)
    elif suffix == ".npy":
        values = _read_npy(path)
    elif suffix in HEADERLESS:
        values = _read_headerless(path, form)
    else:
        raise BadInput(f"{path} has the ending {suffix or '(none)'}; allowed for depth: {_FORMATS}")
    if form.size is not None and values.shape != form.size[::-1]:
        raise BadInput(
            f"{path} is {values.shape[1]}x{values.shape[0]} values, but {form.size[0]}x{form.size[1]} was given;"
            " leave the size out, a file with a header has its own"
        )
    return to_millimetres(np.rot90(values, form.quarter_turns), form.unit, str(path))


def _read_tiff(path: Path) -> NDArray[Any]:
    from PIL import Image

    try:
        with Image.open(path, formats=("TIFF",)) as opened:
            if not (opened.mode.startswith("I;16") or opened.mode == "F"):
                raise BadInput(f"{path} is {opened.mode}; allowed: 16-bit grey or float32; save it as one of these")
            _check_size(path, opened.width, opened.height)
            return np.array(opened)
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(f"{path} is damaged ({error}); give a file of distances: {_FORMATS}") from error


def _read_npy(path: Path) -> NDArray[Any]:
    try:
        with path.open("rb") as file:
            values: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)  # a pickle could run code
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(f"{path} is no .npy file of numbers ({error}); give one that numpy.save wrote") from error
    if values.ndim != 2 or values.dtype.kind not in "uif":
        what = f"shape {values.shape} of {values.dtype}"
        raise BadInput(f"{path} holds {what}; allowed: (H, W) whole numbers or floats; save one map alone")
    _check_size(path, values.shape[1], values.shape[0])
    return values


def _read_headerless(path: Path, form: DepthFormat) -> NDArray[Any]:
    if form.size is None:
        raise BadInput(f"{path} has no header that states its size; give it, e.g. --depth-size 640x480")
    width, height = form.size
    _check_size(path, width, height)
    size_bytes, count = path.stat().st_size, width * height
    kinds = [form.dtype] if form.dtype else ["uint16", "float32"]
    for kind in kinds:
        if size_bytes == count * np.dtype(kind).itemsize:
            return np.fromfile(path, np.dtype(kind).newbyteorder("<")).reshape(height, width)
    wanted = " or ".join(f"{count * np.dtype(kind).itemsize} ({kind})" for kind in kinds)
    raise BadInput(f"{path} has {size_bytes} bytes; {width}x{height} values need {wanted}; give its true size and type")


def _check_size(path: Path, width: int, height: int) -> None:
    if min(width, height) < SMALLEST_SIDE or max(width, height) > LARGEST_SIDE or width * height > LARGEST_AREA:
        raise BadInput(
            f"{path} is {width}x{height} values; allowed: sides of {SMALLEST_SIDE} to {LARGEST_SIDE} and"
            f" {LARGEST_AREA // 1_000_000} million values in all; scale it"
        )


def to_millimetres(values: NDArray[Any], unit: str | None, name: str) -> NDArray[np.float32]:
    """Distances (H, W) of any numeric type as float32 millimetres; what is no distance becomes 0.

    Args:
        unit: see :class:`DepthFormat`.
        name: of the map, for messages.

    Raises:
        BadInput: nothing was measured, or the distances only make sense in another unit.
    """
    unit = unit or ("m" if values.dtype.kind == "f" else "mm")
    numbers = values.astype(np.float64)
    positive = np.isfinite(numbers) & (numbers > 0)
    if not positive.any():
        nan = int(np.isnan(numbers).sum())
        what = f"NaN at {nan} of {numbers.size} pixels and 0 at the others" if nan else "0 everywhere"
        raise BadInput(f"{name} is {what}: no depth was measured; give a map with distances")
    factors = {"mm": 1.0, "m": 1000.0}
    exact = np.zeros(numbers.shape)
    with np.errstate(over="ignore", under="ignore"):  # 1 / 1e-45 m is as far away as 1 / 0
        exact[positive] = 1000 / numbers[positive] if unit == "1/m" else numbers[positive] * factors[unit]
        distances = exact.astype(np.float32)
    distances[np.isinf(distances)] = 0
    measured = distances > 0 if distances.any() else positive
    _check_unit(exact[measured], numbers[measured], unit, name)
    return distances


def _check_unit(distances_mm: NDArray[np.float64], numbers: NDArray[np.float64], unit: str, name: str) -> None:
    """The median decides: single values may be noise."""
    middle, raw = float(np.median(distances_mm)), float(np.median(numbers))
    if NEAREST_MM <= middle <= FARTHEST_MM:
        return
    as_unit = {"mm": raw, "m": 1000 * raw}
    fitting = [u for u, mm in as_unit.items() if u != unit and NEAREST_MM <= mm <= FARTHEST_MM]
    names = {"mm": "millimetres", "m": "metres", "1/m": "1/metres (disparity)"}
    advice = f"they look like {names[fitting[0]]}: give --depth-unit {fitting[0]}" if fitting else "check the file"
    raise BadInput(
        f"{name} has a median of {raw:.4g}, read as {names[unit]}; allowed: {NEAREST_MM:.0f} to {FARTHEST_MM:.0f}"
        f" millimetres; {advice}"
    )
