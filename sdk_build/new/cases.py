"""The golden cases that a user gives: pictures, or arrays by the names of the network's inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reference.errors import BadInput
from reference.golden import TENSOR_FILE
from reference.inputs.tensor_files import load_array, load_tensor
from reference.spec import ANY, DTYPES, PreprocessSpec, TensorSpec

if TYPE_CHECKING:
    from torch import nn

FEWEST = 2
UNNAMED = ""
EXAMPLES = "--input a.jpg --input b.jpg, or --input x=a.npy y=c.npy --input x=b.npy y=d.npy"
LARGEST_GOLDEN = 4  # sides of the network's input that a stored golden picture may have


@dataclass(frozen=True)
class Given:
    """The files of the golden cases.

    Attributes:
        cases: for each the files by input; an only input may go without its name.
        names: of the inputs, in the order of the network's arguments.
    """

    cases: tuple[Mapping[str, Path], ...]
    names: tuple[str, ...]


def parse_inputs(texts: Sequence[Sequence[str]], network: nn.Module) -> Given:
    """``--input`` of every case.

    Raises:
        BadInput: there are fewer than two, or they name no input of the network or not the same ones.
    """
    if len(texts) < FEWEST:
        raise BadInput(
            f"{len(texts)} golden inputs were given, {FEWEST} or more are needed, so that a check can tell their "
            f"outputs apart: {EXAMPLES}"
        )
    cases = [_parse_case(case) for case in texts]
    names = tuple(cases[0])
    for case in cases:
        if set(case) != set(names):
            raise BadInput(f"inputs are {', '.join(case)} in one case and {', '.join(names)} in another; name the same")
    from reference.networks.adapter import arguments_of

    known = arguments_of(network)
    if names == (UNNAMED,):
        names = (known[0] if known else "input",)
        return Given(tuple({names[0]: case[UNNAMED]} for case in cases), names)
    unknown = [name for name in names if known and name not in known]
    if unknown:
        raise BadInput(f"the network has no input {unknown[0]!r}; its arguments are {', '.join(known)}")
    ordered = tuple(sorted(names, key=known.index)) if known else names
    return Given(tuple(cases), ordered)


def _parse_case(texts: Sequence[str]) -> dict[str, Path]:
    case: dict[str, Path] = {}
    for text in texts:
        name, sign, file = text.partition("=")
        name, file = (name, file) if sign and name.isidentifier() else (UNNAMED, text)
        if name in case:
            raise BadInput(f"--input gives {name or 'an unnamed input'} twice in one case; {EXAMPLES}")
        case[name] = Path(file)
    if len(case) > 1 and UNNAMED in case:
        raise BadInput(f"--input gives {case[UNNAMED]} without the name of its input; write NAME=FILE")
    for path in case.values():
        if not path.is_file():
            raise BadInput(f"no file {path}; {EXAMPLES}")
    return case


def describe_inputs(
    given: Given, picture: PreprocessSpec | None
) -> tuple[tuple[TensorSpec, ...], PreprocessSpec | None]:
    """Shapes and types of the inputs, the one that is a picture first.

    Args:
        picture: how pictures would be read.

    Raises:
        BadInput: a file is of an unknown kind, several inputs are pictures, or a picture has no known size.
    """
    first = given.cases[0]
    pictures = [name for name in given.names if first[name].suffix.lower() != TENSOR_FILE]
    if len(pictures) > 1:
        raise BadInput(f"{', '.join(pictures)} are pictures; one input may be: give .npy arrays for the others")
    if pictures and picture is None:
        raise BadInput(
            f"{first[pictures[0]]} is a picture; say how large the network sees it: --size 224 or --size 320x240"
        )
    specs = [
        _picture_spec(name, picture) if name in pictures else _array_spec(name, first[name]) for name in given.names
    ]
    specs.sort(key=lambda t: t.name not in pictures)  # stable: the picture goes first
    return tuple(specs), picture if pictures else None


def _picture_spec(name: str, picture: PreprocessSpec | None) -> TensorSpec:
    assert picture is not None
    return TensorSpec(name, (1, picture.channels, *picture.size), "NCHW", "intensity", (0.0, 1.0))


def _array_spec(name: str, path: Path) -> TensorSpec:
    values = load_array(path)
    if str(values.dtype) not in DTYPES:
        raise BadInput(
            f"{path} holds {values.dtype}; allowed: {', '.join(DTYPES)}: convert it with .astype(numpy.float32)"
        )
    return TensorSpec(name, values.shape, ANY, "value", dtype=str(values.dtype))


def check_raw(path: Path, tensor: TensorSpec, is_picture: bool) -> None:
    """Refuse a file that is no such input as the first case's.

    Raises:
        BadInput: says what was there and what is needed.
    """
    if is_picture and path.suffix.lower() == TENSOR_FILE:
        raise BadInput(f"{path} is an array, but {tensor.name} was a picture in the first case; give pictures for it")
    if not is_picture:
        load_tensor(path, tensor)


def store_raw(source: Path, target: Path, spec: PreprocessSpec | None) -> None:
    """A golden input as a model's folder keeps it: an array as it is; a picture upright, without loss, not larger
    than a check needs.

    Raises:
        BadInput: the picture can't be read.
    """
    import shutil

    from PIL import Image

    from reference.inputs.preprocess import load_picture

    if spec is None:
        shutil.copyfile(source, target)
        return
    picture = Image.fromarray(np.ascontiguousarray(load_picture(source)))
    most = LARGEST_GOLDEN * max(spec.size)
    picture.thumbnail((most, most))
    picture.save(target)
