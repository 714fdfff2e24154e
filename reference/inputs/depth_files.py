"""Depth files of phones and sensors, as distances in millimetres.

=====================  =======================  =================  ====================================
file                   values                   unit if not given  comes from
=====================  =======================  =================  ====================================
.png                   16-bit grey              mm                 Azure Kinect, RealSense, Android, RGB-D data sets
.tif, .tiff            16 or 32-bit grey        mm, m              Photoshop, scientific tools
.npy, .npz             integers or floats       mm, m              numpy; of an archive the one map in it
.exr                   one channel, or Z        m                  Blender, renderers, ARKit recorders
.raw, .bin, .depth     headerless, row by row,  mm, m              ``AVDepthData``, ``ARFrame.sceneDepth`` (float32 or
                       little endian                               float16 metres, NaN where nothing was measured)
=====================  =======================  =================  ====================================

Repaired: NaN, infinite and negative distances become holes (0). Refused: a map without a single measurement, one whose
distances only make sense in another unit, and bytes that may be two kinds of numbers.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.inputs.depth_units import FARTHEST_MM, NEAREST_MM, UNITS, to_millimetres
from reference.inputs.preprocess import LARGEST_AREA, LARGEST_SIDE, SMALLEST_SIDE, load_depth

TYPES = ("uint16", "float32", "float16")
HEADERLESS = (".raw", ".bin", ".depth")
_FORMATS = f".png, .tif, .npy, .npz, .exr, or headerless {', '.join(HEADERLESS)}"


@dataclass(frozen=True)
class DepthFormat:
    """What a file does not say itself.

    Attributes:
        unit: of the values: ``mm``, ``m`` or ``1/m`` (disparity); None: whole numbers are mm and others are m.
        size: (width, height) of a headerless file.
        dtype: of a headerless file; None: whichever of 2 bytes (uint16) or 4 bytes (float32) fits the size.
        quarter_turns: counter-clockwise, for sensors that lie on their side in the phone.
        scale: millimetres of one unit, instead of ``unit``; see :func:`reference.inputs.depth_units.parse_scale`.
    """

    unit: str | None = None
    size: tuple[int, int] | None = None
    dtype: str | None = None
    quarter_turns: int = 0
    scale: float | None = None

    def __post_init__(self) -> None:
        if self.unit is not None and self.scale is not None:
            raise BadInput(f"depth unit {self.unit} and a scale of {self.scale:.6g} mm were given; leave out one")
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
    elif suffix == ".npz":
        values = _read_npz(path)
    elif suffix == ".exr":
        values = _read_exr(path)
    elif suffix in HEADERLESS:
        values = _read_headerless(path, form)
    else:
        raise BadInput(f"{path} has the ending {suffix or '(none)'}; allowed for depth: {_FORMATS}")
    if form.size is not None and values.shape != form.size[::-1]:
        raise BadInput(
            f"{path} is {values.shape[1]}x{values.shape[0]} values, but {form.size[0]}x{form.size[1]} was given;"
            " leave the size out, a file with a header has its own"
        )
    return to_millimetres(np.rot90(values, form.quarter_turns), form.unit, str(path), form.scale)


def _read_tiff(path: Path) -> NDArray[Any]:
    from PIL import Image

    try:
        # Not by its name: see load_picture.
        with path.open("rb") as file, Image.open(file, formats=("TIFF",)) as opened:
            if not (opened.mode.startswith("I") or opened.mode == "F"):
                raise BadInput(f"{path} is {opened.mode}; allowed: 16-bit grey or float32; save it as one of these")
            _check_size(str(path), opened.width, opened.height)
            return np.array(opened)
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(f"{path} is damaged ({error}); give a file of distances: {_FORMATS}") from error


def _read_npy(path: Path) -> NDArray[Any]:
    try:
        with path.open("rb") as file:
            return _read_array(file, str(path))
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise BadInput(f"{path} is no .npy file of numbers ({error}); give one that numpy.save wrote") from error


def _read_array(file: IO[bytes], name: str) -> NDArray[Any]:
    """An array of checked size: the header is judged before memory is taken for what it promises."""
    form = np.lib.format
    header = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}[form.read_magic(file)]
    shape, _, dtype = header(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    if len(shape) != 2 or dtype.kind not in "uif":
        what = f"shape {shape} of {dtype}"
        raise BadInput(f"{name} holds {what}; allowed: (H, W) whole numbers or floats; save one map alone")
    _check_size(name, shape[1], shape[0])
    file.seek(0)
    values: NDArray[Any] = form.read_array(file, allow_pickle=False)  # a pickle could run code
    return values


def _read_npz(path: Path) -> NDArray[Any]:
    """The archive's one array, or the one that is called depth."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            called = [name for name in names if name.lower() == "depth.npy"]
            if len(called or names) != 1:
                held = ", ".join(name.removesuffix(".npy") for name in names) or "none"
                raise BadInput(
                    f"{path} holds the arrays {held[:200]}; allowed: one, or one called depth; save it alone"
                )
            (name,) = called or names
            with archive.open(name) as file:
                return _read_array(file, f"{path}: {name.removesuffix('.npy')}")
    except (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise BadInput(f"{path} is no .npz file of numbers ({error}); give one that numpy.savez wrote") from error


def _read_exr(path: Path) -> NDArray[Any]:
    import OpenEXR

    try:
        with OpenEXR.File(str(path), header_only=True) as opened:
            for part in opened.parts:
                low, high = part.header["dataWindow"]
                width, height = (int(side) for side in high.astype(np.int64) - low + 1)
                _check_size(str(path), width, height)
        if not OpenEXR.InputFile(str(path)).isComplete():  # File would print what it misses, and go on
            raise ValueError("it is cut short")
        with OpenEXR.File(str(path), separate_channels=True) as opened:
            channels = {name: np.array(c.pixels) for part in opened.parts for name, c in part.channels.items()}
        if not channels:
            raise ValueError("its pixels can't be read")
    except BadInput:
        raise
    except Exception as error:  # its reader raises several kinds on damaged bytes
        raise BadInput(f"{path} is no OpenEXR file ({error}); give a file of distances: {_FORMATS}") from error
    values = channels[_depth_channel(path, channels)]
    if values.ndim != 2:
        raise BadInput(f"{path} holds deep pixels; allowed: one distance a pixel; flatten it")
    return values


def _depth_channel(path: Path, channels: dict[str, NDArray[Any]]) -> str:
    """The only channel, the one that is named after depth, or one of three equal ones."""
    named = [name for name in channels if {"z", "depth"} & set(name.lower().split("."))]
    if len(named) == 1 or len(channels) == 1:
        return (named or list(channels))[0]
    colors = [channels[name] for name in ("R", "G", "B") if name in channels]
    if not named and len(colors) == 3 and all(np.array_equal(colors[0], c, equal_nan=True) for c in colors):
        return "R"
    raise BadInput(f"{path} has the channels {', '.join(channels)[:200]}; allowed: one, or one named Z; save it alone")


def _read_headerless(path: Path, form: DepthFormat) -> NDArray[Any]:
    if form.size is None:
        raise BadInput(f"{path} has no header that states its size; give it, e.g. --depth-size 640x480")
    width, height = form.size
    _check_size(str(path), width, height)
    size_bytes, count = path.stat().st_size, width * height
    kinds = [form.dtype] if form.dtype else ["uint16", "float32"]
    for kind in kinds:
        if size_bytes == count * np.dtype(kind).itemsize:
            values = np.fromfile(path, np.dtype(kind).newbyteorder("<")).reshape(height, width)
            if form.dtype is None and kind == "uint16":
                _refuse_halves(path, values)
            return values
    wanted = " or ".join(f"{count * np.dtype(kind).itemsize} ({kind})" for kind in kinds)
    raise BadInput(f"{path} has {size_bytes} bytes; {width}x{height} values need {wanted}; give its true size and type")


def _refuse_halves(path: Path, values: NDArray[np.uint16]) -> None:
    """Two bytes may be a whole number or a half float: phones write both, and each reads as the other."""
    halves = values.view(values.dtype.newbyteorder("<").str.replace("u", "f")).astype(np.float64)
    found = halves[np.isfinite(halves) & (halves > 0)]
    middle = float(np.median(found)) if len(found) else 0.0
    if NEAREST_MM / 1000 <= middle <= FARTHEST_MM:  # in metres or in millimetres
        raise BadInput(
            f"{path} has 2 bytes a value, which may be uint16 (median {np.median(values[values > 0]):.0f}) or float16 "
            f"(median {middle:.4g}); give --depth-type uint16 or --depth-type float16"
        )


def _check_size(name: str, width: int, height: int) -> None:
    if min(width, height) < SMALLEST_SIDE or max(width, height) > LARGEST_SIDE or width * height > LARGEST_AREA:
        raise BadInput(
            f"{name} is {width}x{height} values; allowed: sides of {SMALLEST_SIDE} to {LARGEST_SIDE} and"
            f" {LARGEST_AREA // 1_000_000} million values in all; scale it"
        )
