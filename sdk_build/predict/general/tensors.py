"""Raw tensors: told by shape and range, saved as .npz, drawn as maps of grey."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from reference.errors import BadInput
from reference.golden import TENSOR_FILE, Tensors, read_input
from reference.inputs.preprocess import Region
from reference.inputs.tensor_files import load_tensor
from reference.tasks import decode
from reference.tasks.tensors import RawTensors
from sdk_build.backends import execution_name
from sdk_build.predict.base import Prediction, Request, View
from sdk_build.predict.canvas import INK, PAPER, Picture, font_of
from sdk_build.proof.sandbox import run_artifact

ROW, WIDTH = 260, 640  # pixels of a row for each output


def _first(prediction: Prediction) -> RawTensors:
    first = prediction.results[0]
    assert isinstance(first, RawTensors)
    return first


def describe(prediction: Prediction) -> str:
    """Every output with its shape and range."""
    parts = [
        f"{name} {entry['dtype']} {'x'.join(map(str, entry['shape'])) or '1'} "
        f"from {entry['minimum']:.4g} to {entry['maximum']:.4g}"
        for name, entry in _first(prediction).to_json().items()
    ]
    return ", ".join(parts)


def predict(request: Request) -> list[Prediction]:
    """One result of all files together, an input each in the spec's order; of one input, a result for each file.

    Raises:
        BadInput: there are other files than inputs, or one can't be used.
    """
    spec, files = request.spec, list(request.files)
    inputs, several = spec.inputs, len(spec.inputs) > 1
    if several and len(files) != len(inputs):
        wanted = ", ".join(t.name for t in inputs)
        raise BadInput(f"{len(files)} files were given, {request.bundle.manifest.id} takes {wanted}; give one for each")
    cases = [files] if several else [[file] for file in files]
    read = [_read(request, case) for case in cases]
    outputs = run_artifact(request.runtime, request.artifact, spec, [tensors for tensors, _ in read])
    runtime = execution_name(request.runtime)
    return [
        Prediction(case[0], (decode(out, spec, region),), np.full((1, 1, 3), 255, np.uint8), runtime)
        for case, out, (_, region) in zip(cases, outputs, read, strict=True)
    ]


def _read(request: Request, files: list[Path]) -> tuple[Tensors, Region]:
    """The input tensors of one case, and the region of its picture, of which there may be none."""
    spec, region, tensors = request.spec, Region(0.0, 0.0, 1.0, 1.0), {}
    for t, file in zip(spec.inputs, files, strict=True):
        if spec.preprocess is not None and t is spec.input and file.suffix.lower() != TENSOR_FILE:
            tensors[t.name], region, _ = read_input(file, spec, request.box)
        else:
            tensors[t.name] = load_tensor(file, t)
    return tensors, region


def draw(prediction: Prediction, on_picture: bool) -> Picture:
    """Every output as a map of grey with its name and range, below each other."""
    rows = []
    for name, values in _first(prediction).values.items():
        flat = np.asarray(values, np.float64)
        flat = flat.reshape(-1, flat.shape[-1]) if flat.ndim else flat.reshape(1, 1)
        low, high = float(flat.min()), float(flat.max())
        tile = Image.new("RGB", (WIDTH, ROW), PAPER)
        pen = ImageDraw.Draw(tile)
        pen.text((16, 12), f"{name}  {' x '.join(map(str, values.shape)) or 'one number'}", INK, font_of(18))
        pen.text((16, 38), f"{low:.4g} (black) to {high:.4g} (white)", (120, 122, 126), font_of(14))
        shades = np.uint8(255 * (flat - low) / ((high - low) or 1.0))
        tile.paste(Image.fromarray(shades).resize((WIDTH - 32, ROW - 84), Image.Resampling.NEAREST), (16, 68))
        rows.append(np.array(tile))
    return np.concatenate(rows)


def write_npz(prediction: Prediction, target: Path) -> Path:
    """Every output by name.

    Raises:
        BadInput: the file can't be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            np.savez(file, **_first(prediction).values)  # type: ignore[arg-type]
    except OSError as error:
        raise BadInput(f"can't write {target} ({error.strerror}); give a path in a writable folder") from error
    return target


VIEW = View(describe=describe, draw=draw, predict=predict, frames=None, writers={".npz": write_npz})
