"""``python -m reference.train.average WEIGHTS... --out FILE``: the mean of the weights of several runs.

For runs that began at the same weights, so that they lie in one basin of the loss: their mean is often better than
each (Wortsman et al., *Model soups*, ICML 2022), and costs nothing when the network runs. Measure it before use.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reference.checkpoint import save_tensors
from reference.errors import BadInput, OnParError

if TYPE_CHECKING:
    from torch import Tensor


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and average; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m reference.train.average", description=__doc__.splitlines()[0])
    parser.add_argument("weights", nargs="+", type=Path, metavar="WEIGHTS", help=".safetensors files of one network")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where their mean goes")
    a = parser.parse_args(arguments)
    try:
        average(a.weights, a.out)
    except OnParError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    print(f"wrote {a.out}: the mean of {len(a.weights)} files")
    return 0


def average(files: Sequence[Path], out: Path) -> None:
    """Write the mean of every tensor as weights are stored; whole numbers (counts of batches) are the first file's.

    Raises:
        BadInput: fewer than two files, one can't be read, or they are of different networks.
        WeightsError: ``out`` can't be written.
    """
    if len(files) < 2:
        raise BadInput(f"{len(files)} file of weights; a mean needs two or more")
    first, *others = (_read(file) for file in files)
    shapes = {name: tensor.shape for name, tensor in first.items()}
    for file, other in zip(files[1:], others, strict=True):
        if {name: tensor.shape for name, tensor in other.items()} != shapes:
            raise BadInput(f"{file} is of another network than {files[0]}; give weights of the same one")
    mean = {name: _mean([first[name], *(other[name] for other in others)]) for name in first}
    save_tensors(mean, out)


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    if not tensors[0].is_floating_point():
        return tensors[0]
    total = sum(tensor.double() for tensor in tensors)
    return (total / len(tensors)).float()  # type: ignore[union-attr]


def _read(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise BadInput(f"can't read {file} ({error}); give weights.safetensors of a training") from error


if __name__ == "__main__":
    sys.exit(main())
