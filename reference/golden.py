"""Golden files: raw inputs and the tensors that the reference makes of them.

``golden/`` in a model's folder holds two cases or more: raw inputs, and ``tensors.safetensors`` with
``<tensor>_<number>`` for every input, one intermediate and every output. The raw input of case 0 is ``input_0.png``, or
``input_0.npy`` for a model that takes a tensor; with several inputs it is a file for each, ``<input>_0.npy``. Whoever
reproduces the outputs from the raw inputs computes the same function. Outputs of more than 262,144 values keep every
stride-th one (:func:`stride`).

``python -m reference.golden NAME...`` writes the tensors anew after a training.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reference.card import MODELS_DIR
from reference.errors import BadInput, OnParError, WeightsError
from reference.inputs.preprocess import Box, Region, load_depth, load_picture, preprocess_depth, preprocess_picture
from reference.program import program
from reference.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

LARGEST = 1 << 18
FEWEST = 2
TENSOR_FILE = ".npy"
Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Golden:
    """One golden case.

    Attributes:
        raws: the raw file of every input, by its name.
        inputs: the input tensors by name.
        intermediate: output of the spec's intermediate module; None where it names none.
        outputs: expected outputs by name; large ones are thinned (:func:`thin`).
    """

    raws: Mapping[str, Path]
    inputs: Tensors
    intermediate: NDArray[np.float32] | None
    outputs: Tensors

    @property
    def input(self) -> NDArray[Any]:
        """The first input tensor."""
        return next(iter(self.inputs.values()))

    @property
    def raw(self) -> Path:
        """The raw file of the first input."""
        return next(iter(self.raws.values()))


def stride(size: int) -> int:
    """Step of the stored values of a tensor of ``size`` elements: odd, so that it visits every row and column."""
    if size <= LARGEST:
        return 1
    step = -(-size // LARGEST)
    return step + 1 - step % 2


def thin(tensor: NDArray[Any]) -> NDArray[Any]:
    """The values of a tensor that golden files keep: itself, or every stride-th value, flat, of a large one."""
    step = stride(tensor.size)
    return tensor if step == 1 else np.ascontiguousarray(tensor.reshape(-1)[::step])


def thin_all(tensors: Tensors) -> Tensors:
    """:func:`thin` for each of several tensors."""
    return {name: thin(tensor) for name, tensor in tensors.items()}


def read_input(path: Path, spec: ModelSpec, box: Box | None = None) -> tuple[NDArray[np.float32], Region, NDArray[Any]]:
    """A raw file as (input tensor, region, the picture or depth map itself)."""
    if spec.sampling.color == "DEPTH":
        depth = load_depth(path)
        return *preprocess_depth(depth, spec.sampling, box), depth
    picture = load_picture(path)
    return *preprocess_picture(picture, spec.sampling, box), picture


def read_inputs(raws: Mapping[str, Path], spec: ModelSpec) -> Tensors:
    """Every input tensor of one case: the first through preprocessing where the spec has it, others as they are.

    Raises:
        BadInput: a file can't be read, or holds another shape or type than the spec says.
    """
    from reference.inputs.tensor_files import load_tensor

    return {
        t.name: read_input(raws[t.name], spec)[0]
        if spec.preprocess and t is spec.input and raws[t.name].suffix != TENSOR_FILE
        else load_tensor(raws[t.name], t)
        for t in spec.inputs
    }


def run_reference(network: nn.Module, spec: ModelSpec, inputs: Tensors) -> tuple[Tensors, NDArray[np.float32] | None]:
    """Outputs by name, and the intermediate where the spec names one, of one case's input tensors."""
    import torch

    kept: list[torch.Tensor] = []
    place = network.get_submodule(spec.intermediate) if spec.intermediate else None
    hook = place.register_forward_hook(lambda _m, _i, output: kept.append(output)) if place is not None else None
    try:
        with torch.no_grad():
            outputs = network(*(torch.tensor(inputs[t.name]) for t in spec.inputs))
    finally:
        if hook is not None:
            hook.remove()
    return named_outputs(spec, outputs), np.ascontiguousarray(kept[0].numpy()) if kept else None


def named_outputs(spec: ModelSpec, outputs: Any) -> Tensors:
    """A network's answer, a tensor or a tuple of several, as arrays by the spec's names."""
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    # Not ascontiguousarray alone: it makes one dimension of none.
    return {t.name: np.array(o.detach().numpy(), order="C") for t, o in zip(spec.outputs, outputs, strict=True)}


def golden_folder(spec: ModelSpec, models_dir: Path = MODELS_DIR) -> Path:
    """Where a model's golden files are."""
    return models_dir / spec.name / "golden"


def find_raws(spec: ModelSpec, folder: Path) -> list[dict[str, Path]]:
    """The raw files of every golden case, in their order.

    Raises:
        BadInput: there are fewer than two cases, or a case lacks an input.
    """
    cases: list[dict[str, Path]] = []
    while True:
        found = {t.name: _raw_file(spec, folder, t.name, len(cases)) for t in spec.inputs}
        if not any(found.values()):
            break
        missing = [name for name, path in found.items() if path is None]
        if missing:
            raise BadInput(f"golden case {len(cases)} in {folder} lacks a file for {missing[0]!r}; give one")
        cases.append({name: path for name, path in found.items() if path is not None})
    if len(cases) < FEWEST:
        raise BadInput(
            f"golden files in {folder} are incomplete: {len(cases)} raw inputs, {FEWEST} or more are needed "
            "(input_0.png, input_1.png); restore them, then run python -m reference.golden "
            f"{spec.called}"
        )
    return cases


def _raw_file(spec: ModelSpec, folder: Path, name: str, number: int) -> Path | None:
    stems = [f"{name}_{number}"] + ([f"input_{number}"] if len(spec.inputs) == 1 else [])
    endings = (".png", ".jpg", ".jpeg", ".webp", TENSOR_FILE)
    candidates = [folder / f"{stem}{ending}" for stem in stems for ending in endings]
    return next((path for path in candidates if path.is_file()), None)


def load_golden(spec: ModelSpec, models_dir: Path = MODELS_DIR) -> list[Golden]:
    """The stored golden cases of a model.

    Raises:
        BadInput: a file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    folder = golden_folder(spec, models_dir)
    raws = find_raws(spec, folder)
    try:
        tensors = load_file(folder / "tensors.safetensors")
        cases = []
        for number, files in enumerate(raws):
            inputs = {t.name: tensors[f"{t.name}_{number}"] for t in spec.inputs}
            outputs = {t.name: tensors[f"{t.name}_{number}"] for t in spec.outputs}
            kept = tensors[f"intermediate_{number}"] if spec.intermediate else None
            cases.append(Golden(files, inputs, kept, outputs))
    except (OSError, SafetensorError, KeyError) as error:
        raise BadInput(
            f"golden files in {folder} are incomplete ({error}); run python -m reference.golden {spec.called}"
        ) from error
    return cases


def write_golden(spec: ModelSpec, models_dir: Path = MODELS_DIR) -> None:
    """Run the reference on the raw golden inputs and store the tensors.

    Raises:
        BadInput: a raw file is missing or can't be used.
    """
    from safetensors.numpy import save_file

    from reference.registry import load_network

    folder = golden_folder(spec, models_dir)
    network = load_network(spec, models_dir=models_dir)
    tensors: Tensors = {}
    for number, raws in enumerate(find_raws(spec, folder)):
        inputs = read_inputs(raws, spec)
        outputs, intermediate = run_reference(network, spec, inputs)
        kept = {} if intermediate is None else {"intermediate": thin(intermediate)}
        tensors |= {f"{name}_{number}": value for name, value in (inputs | kept | thin_all(outputs)).items()}
    save_file(tensors, folder / "tensors.safetensors")


def main(arguments: list[str] | None = None) -> int:
    """Write the golden tensors of the named models."""
    parser = argparse.ArgumentParser(prog=program("reference.golden"), description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", metavar="MODEL", help="registered models, or folders of models")
    parser.add_argument("--models-dir", type=Path, default=MODELS_DIR)
    a = parser.parse_args(arguments)
    from reference.registry import find_model, models_dir_of

    try:
        for name in a.names:
            spec = find_model(name, a.models_dir)
            write_golden(spec, models_dir_of(spec, a.models_dir))
            print(f"{name}: golden tensors written")
    except (OnParError, WeightsError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
