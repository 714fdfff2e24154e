"""Golden files: raw inputs and the tensors that the reference makes of them.

``models/<name>/golden/`` holds two raw inputs (``input_0.png``, ``input_1.png``) and ``tensors.safetensors`` with
``<tensor>_<number>`` for the input, one intermediate and every output. Whoever reproduces the outputs from the raw
inputs computes the same function. Outputs of more than 262,144 values keep every stride-th one (:func:`stride`).

``python -m reference.golden NAME...`` writes the tensors anew after a training.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reference.card import MODELS_DIR
from reference.errors import BadInput, OnParError, WeightsError
from reference.inputs.preprocess import Box, Region, load_depth, load_picture, preprocess_depth, preprocess_picture
from reference.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

LARGEST = 1 << 18
COUNT = 2
Tensors = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Golden:
    """One golden case.

    Attributes:
        raw: the raw input file.
        input: the preprocessed tensor.
        intermediate: output of the spec's intermediate module.
        outputs: expected outputs by name; large ones are thinned (:func:`thin`).
    """

    raw: Path
    input: NDArray[np.float32]
    intermediate: NDArray[np.float32]
    outputs: Tensors


def stride(size: int) -> int:
    """Step of the stored values of a tensor of ``size`` elements: odd, so that it visits every row and column."""
    if size <= LARGEST:
        return 1
    step = -(-size // LARGEST)
    return step + 1 - step % 2


def thin(tensor: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values of a tensor that golden files keep: itself, or every stride-th value, flat, of a large one."""
    step = stride(tensor.size)
    return tensor if step == 1 else np.ascontiguousarray(tensor.reshape(-1)[::step])


def thin_all(tensors: Tensors) -> Tensors:
    """:func:`thin` for each of several tensors."""
    return {name: thin(tensor) for name, tensor in tensors.items()}


def read_input(path: Path, spec: ModelSpec, box: Box | None = None) -> tuple[NDArray[np.float32], Region, NDArray[Any]]:
    """A raw file as (input tensor, region, the picture or depth map itself)."""
    if spec.preprocess.color == "DEPTH":
        depth = load_depth(path)
        return *preprocess_depth(depth, spec.preprocess, box), depth
    picture = load_picture(path)
    return *preprocess_picture(picture, spec.preprocess, box), picture


def run_reference(
    network: nn.Module, spec: ModelSpec, tensor: NDArray[np.float32]
) -> tuple[Tensors, NDArray[np.float32]]:
    """Outputs by name, and the intermediate, of one input tensor."""
    import torch

    kept: list[torch.Tensor] = []
    hook = network.get_submodule(spec.intermediate).register_forward_hook(lambda _m, _i, output: kept.append(output))
    try:
        with torch.no_grad():
            outputs = network(torch.from_numpy(tensor))
    finally:
        hook.remove()
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    named = {t.name: np.ascontiguousarray(o.numpy()) for t, o in zip(spec.outputs, outputs, strict=True)}
    return named, np.ascontiguousarray(kept[0].numpy())


def load_golden(spec: ModelSpec, models_dir: Path = MODELS_DIR) -> list[Golden]:
    """The stored golden cases of a model.

    Raises:
        BadInput: a file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    folder = models_dir / spec.name / "golden"
    try:
        tensors = load_file(folder / "tensors.safetensors")
        cases = []
        for number in range(COUNT):
            outputs = {t.name: tensors[f"{t.name}_{number}"] for t in spec.outputs}
            raw = folder / f"input_{number}.png"
            if not raw.is_file():
                raise FileNotFoundError(raw)
            cases.append(
                Golden(raw, tensors[f"{spec.input.name}_{number}"], tensors[f"intermediate_{number}"], outputs)
            )
    except (OSError, SafetensorError, KeyError) as error:
        raise BadInput(
            f"golden files in {folder} are incomplete ({error}); run python -m reference.golden {spec.name}"
        ) from error
    return cases


def write_golden(spec: ModelSpec, models_dir: Path = MODELS_DIR) -> None:
    """Run the reference on the raw golden inputs and store the tensors."""
    from safetensors.numpy import save_file

    from reference.registry import load_network

    network = load_network(spec, models_dir=models_dir)
    tensors: Tensors = {}
    for number in range(COUNT):
        tensor, _, _ = read_input(models_dir / spec.name / "golden" / f"input_{number}.png", spec)
        outputs, intermediate = run_reference(network, spec, tensor)
        tensors |= {f"{spec.input.name}_{number}": tensor, f"intermediate_{number}": thin(intermediate)}
        tensors |= {f"{name}_{number}": thin(value) for name, value in outputs.items()}
    save_file(tensors, models_dir / spec.name / "golden" / "tensors.safetensors")


def main(arguments: list[str] | None = None) -> int:
    """Write the golden tensors of the named models."""
    parser = argparse.ArgumentParser(prog="python -m reference.golden", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", help="registered models")
    parser.add_argument("--models-dir", type=Path, default=MODELS_DIR)
    a = parser.parse_args(arguments)
    from reference.registry import get_spec

    try:
        for name in a.names:
            write_golden(get_spec(name), a.models_dir)
            print(f"{name}: golden tensors written")
    except (OnParError, WeightsError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
