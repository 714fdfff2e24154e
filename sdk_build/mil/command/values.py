"""What a command line says about inputs, and what it shows of outputs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from sdk_build.errors import BadInput
from sdk_build.mil.program import MilTensor

_NUMPY = {"fp16": np.float32, "fp32": np.float32, "fp64": np.float64}
_SHOWN = 8


def given_inputs(declared: Sequence[MilTensor], pairs: Sequence[str], seed: int | None) -> dict[str, Any]:
    """The inputs of a model from ``NAME=VALUE`` pairs.

    Args:
        declared: What the model takes.
        pairs: As on the command line.
        seed: For random numbers where nothing is given; None if everything must be given.

    Raises:
        BadInput: A pair can't be read, names no input, or one is missing.
    """
    wanted = {tensor.name: tensor for tensor in declared}
    inputs: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or name not in wanted:
            raise BadInput(f"--input {pair}; allowed: NAME=VALUE with NAME of {', '.join(wanted) or 'none'}")
        inputs[name] = _read(wanted[name], value)
    missing = [t for t in declared if t.name not in inputs and t.default is None]
    if missing and seed is None:
        raise BadInput(
            f"no --input for {', '.join(tensor.name for tensor in missing)}; allowed: one for each input; "
            "add them, or --random SEED"
        )
    rng = np.random.default_rng(seed)
    return inputs | {tensor.name: _random(tensor, rng) for tensor in missing}


def _random(declared: MilTensor, rng: np.random.Generator) -> np.ndarray:
    if declared.dtype in ("str", "dict"):
        raise BadInput(f"input '{declared.name}' is a {declared.dtype}; allowed: one that is given with --input")
    sizes = _some_shape(declared)
    if declared.color is not None and declared.dtype == "uint8":
        return rng.integers(0, 256, sizes, dtype=np.uint8)
    if declared.dtype.startswith(("int", "uint")):
        return np.zeros(sizes, declared.dtype)
    return rng.random(sizes).astype(np.float16 if declared.color else _NUMPY.get(declared.dtype, np.float32))


def _some_shape(declared: MilTensor) -> tuple[int, ...]:
    """A shape that the model takes, the smallest where several are allowed.

    Raises:
        BadInput: No machine holds it: the number is damaged.
    """
    from sdk_build.mil.ops.sizes import checked  # imports torch, which inspect doesn't need

    shape = tuple(1 if size is None else size for size in declared.shape)
    if declared.allowed_shapes:
        shape = declared.allowed_shapes[0]
    elif declared.dim_ranges:
        shape = tuple(max(1, low) for low, _ in declared.dim_ranges)
    try:
        return tuple(checked(shape))
    except ValueError as error:
        raise BadInput(f"input '{declared.name}' is {error}; export the model again") from None


def _read(declared: MilTensor, value: str) -> Any:
    path = Path(value)
    try:
        if path.suffix == ".npy":
            return _cast(declared, np.load(path, allow_pickle=False))
        if path.is_file():
            with Image.open(path) as picture:
                return _picture(declared, picture)
        if declared.dtype == "str":
            return value
        return _cast(declared, np.array(json.loads(value)))
    except UnidentifiedImageError:
        raise BadInput(f"{path} is no picture; allowed: .png, .jpg, .npy, a number, a list of numbers") from None
    except (OSError, ValueError) as error:
        raise BadInput(
            f"input '{declared.name}' can't be read from '{value}' ({str(error).splitlines()[0]}); "
            "allowed: a picture, a .npy file, a number, a list of numbers"
        ) from None


def _cast(declared: MilTensor, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{array.dtype} values")
    if declared.color is not None:
        return array
    array = array.reshape(1) if array.ndim == 0 and len(declared.shape) == 1 else array
    if array.ndim < len(declared.shape) and array.size == math.prod(size or 0 for size in declared.shape):
        array = array.reshape([size or 1 for size in declared.shape])
    return array.astype(_NUMPY.get(declared.dtype, declared.dtype))


def _picture(declared: MilTensor, picture: Image.Image) -> np.ndarray:
    """A file for a picture input, or as numbers from 0 to 1 for an array that has a picture's shape."""
    shape = _some_shape(declared) if declared.color else declared.shape
    if declared.color is None and (len(shape) != 4 or shape[0] != 1 or shape[1] not in (1, 3)):
        raise BadInput(
            f"input '{declared.name}' of shape {shape} can't be a picture; allowed: (1, 3, H, W), (1, 1, H, W); "
            "give a .npy file"
        )
    is_color = declared.color in ("rgb", "bgr") if declared.color else shape[1] == 3
    height, width = shape[:2] if declared.color else shape[2:]
    picture = picture.convert("RGB" if is_color else "L")
    flexible = declared.color is not None and (declared.allowed_shapes or declared.dim_ranges)
    if height and width and not (flexible and _fits(declared, picture)):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(picture)
    if declared.color is not None:
        return pixels.astype(np.float16) if declared.dtype == "fp16" else pixels
    numbers = pixels.astype(np.float32) / 255
    return numbers.transpose(2, 0, 1)[None] if is_color else numbers[None, None]


def _fits(declared: MilTensor, picture: Image.Image) -> bool:
    size = (picture.height, picture.width)
    if declared.allowed_shapes:
        return any(shape[:2] == size for shape in declared.allowed_shapes)
    return all(low <= n and (high < 0 or n <= high) for n, (low, high) in zip(size, declared.dim_ranges, strict=False))


def described(value: Any) -> dict[str, Any]:
    """An output for a JSON document: all of a short array, the range of a long one."""
    if isinstance(value, np.ndarray):
        found: dict[str, Any] = {"dtype": value.dtype.name, "shape": list(value.shape)}
        if value.size:
            numbers = value.astype(np.float64)
            finite = numbers[np.isfinite(numbers)]
            spread = (finite.min(), finite.max(), finite.mean()) if finite.size else (math.nan,) * 3
            found |= {key: _json_number(n) for key, n in zip(("min", "max", "mean"), spread, strict=True)}
        if value.size <= 1000:
            found["values"] = [_json_number(float(n)) for n in value.reshape(-1).tolist()]
        return found
    if isinstance(value, Mapping):
        return {"probabilities": {str(key): _json_number(value[key]) for key in sorted(value, key=lambda k: -value[k])}}
    return {"value": _json_number(value) if isinstance(value, float) else value}


def _json_number(number: float) -> float | str:
    """JSON has no infinity and no NaN."""
    return float(number) if math.isfinite(number) else str(number)


def shown(value: Any) -> str:
    """An output in one line."""
    if isinstance(value, np.ndarray):
        head = ", ".join(f"{n:.5g}" for n in value.reshape(-1)[:_SHOWN].tolist())
        more = ", ..." if value.size > _SHOWN else ""
        span = f", {value.min():.5g} to {value.max():.5g}" if value.size else ""
        return f"{value.dtype.name} {tuple(value.shape)}{span}: {head}{more}"
    if isinstance(value, Mapping):
        best = sorted(value.items(), key=lambda item: -item[1])[:5]
        return ", ".join(f"{label} {share:.4f}" for label, share in best)
    return str(value)


def shortened(text: str, width: int) -> str:
    """The text, cut with dots where it is wider than a column."""
    return text if len(text) <= width else text[: width - 3] + "..."


def save_output(value: Any, path: Path) -> str | None:
    """Writes an array as .npy or a picture as .png; the file's name, or None for what is neither."""
    if not isinstance(value, np.ndarray):
        return None
    if value.dtype == np.uint8 and value.ndim in (2, 3):
        Image.fromarray(value).save(path.with_suffix(".png"))
        return path.with_suffix(".png").name
    np.save(path.with_suffix(".npy"), value)
    return path.with_suffix(".npy").name
