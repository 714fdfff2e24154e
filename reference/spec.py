"""What a model promises, as frozen data: tensors, preprocessing, postprocessing. Standard library only.

A :class:`ModelSpec` is the single source for the reference network, the exported graph, ``bundle.json`` and the
apps. ``to_json`` and ``from_json`` are exact inverses; an unknown key is an error.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from reference.errors import BadInput

ANY = "any"  # of a tensor whose dimensions have no names here: any rank
LAYOUTS = ("NCHW", "NC", "NPC", "NDHW", ANY)  # P: points, D: depth slices from the viewer away
FLOATS = ("float32", "float16")
DTYPES = (*FLOATS, "int32", "int64", "uint8", "bool")
RESIZES = ("cover", "contain", "stretch")
INTERPOLATIONS = ("bilinear_antialias", "nearest")
COLORS = ("RGB", "DEPTH")

T = TypeVar("T")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise BadInput(message)


def _one_of(what: str, value: str, allowed: tuple[str, ...]) -> None:
    _require(value in allowed, f"{what} is {value!r}; allowed: {', '.join(allowed)}")


@dataclass(frozen=True)
class TensorSpec:
    """One input or output tensor.

    Attributes:
        shape: sizes in the order of ``layout``; fixed, the batch among them.
        layout: one letter a dimension, or ``any``.
        unit: what a value means, e.g. ``intensity``, ``logit``, ``crop_fraction``, ``occupancy``.
        value_range: smallest and largest value that is expected, or None when unbounded.
    """

    name: str
    shape: tuple[int, ...]
    layout: str
    unit: str
    value_range: tuple[float, float] | None = None
    dtype: str = "float32"

    def __post_init__(self) -> None:
        _require(self.name.isidentifier(), f"tensor name {self.name!r} is no identifier; use letters, digits and _")
        _one_of(f"layout of tensor {self.name}", self.layout, LAYOUTS)
        _one_of(f"dtype of tensor {self.name}", self.dtype, DTYPES)
        rank = len(self.shape) if self.layout == ANY else len(self.layout)
        _require(
            len(self.shape) == rank and all(n >= 1 for n in self.shape),
            f"tensor {self.name} has shape {self.shape}; layout {self.layout} needs {rank} positive sizes",
        )
        if self.value_range is not None:
            what = f"value_range of tensor {self.name} is {self.value_range}"
            _require(len(self.value_range) == 2, f"{what}; give two numbers")
            low, high = self.value_range
            _require(low < high, f"{what}; the first must be smaller")

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def is_float(self) -> bool:
        """Values of which one may be a little off; others are right or wrong."""
        return self.dtype in FLOATS


@dataclass(frozen=True)
class PreprocessSpec:
    """How a picture or depth map becomes the input tensor; :mod:`reference.inputs.preprocess` is its only meaning.

    Attributes:
        size: (height, width) of the network input in pixels.
        resize: ``cover`` scales the shorter side to the target, ``contain`` the longer one, ``stretch`` both.
        crop: ``center`` cuts or zero-pads around the centre to ``size`` (document V, row V4).
        interpolation: ``bilinear_antialias`` or ``nearest`` (depth: surfaces must not be mixed).
        color: ``RGB`` in [0, 1], or ``DEPTH`` (nearest 1, farthest 1/16, hole 0).
        mean, std: per channel, applied inside the exported graph, never by the app.
        box_grow: the caller's box grows by this share of its own side on each side (row V1).
        orientation: ``exif``: the picture is turned upright first.
    """

    size: tuple[int, int]
    color: str = "RGB"
    resize: str = "cover"
    crop: str = "center"
    interpolation: str = "bilinear_antialias"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    box_grow: float = 0.0
    layout: str = "NCHW"
    orientation: str = "exif"
    normalization: str = "in_graph"

    def __post_init__(self) -> None:
        _one_of("color", self.color, COLORS)
        _one_of("resize", self.resize, RESIZES)
        _one_of("crop", self.crop, ("center",))
        _one_of("interpolation", self.interpolation, INTERPOLATIONS)
        _one_of("layout", self.layout, ("NCHW",))
        _one_of("orientation", self.orientation, ("exif",))
        _one_of("normalization", self.normalization, ("in_graph",))
        _require(len(self.size) == 2 and min(self.size) >= 1, f"size is {self.size}; give a positive height and width")
        _require(len(self.mean) == len(self.std) == self.channels, f"mean and std need {self.channels} values each")
        _require(all(s > 0 for s in self.std), f"std is {self.std}; every value must be positive")
        _require(0 <= self.box_grow <= 1, f"box_grow is {self.box_grow}; allowed: 0 to 1")

    @property
    def channels(self) -> int:
        return 3 if self.color == "RGB" else 1


@dataclass(frozen=True)
class PostprocessSpec:
    """How output tensors become a typed result (:mod:`reference.tasks`).

    Attributes:
        result: name of the task's result type.
        threshold: occupancy, mask or score threshold where one applies.
    """

    result: str
    threshold: float | None = None


@dataclass(frozen=True)
class ModelSpec:
    """Everything that is known about a model without its weights.

    Attributes:
        task: one of :data:`reference.tasks.TASKS`, which checks it: a spec knows no task.
        network: ``module:function`` that builds the network without arguments, or ``module:function(N)``, which builds
            it with N outputs; a module without a dot lies in ``reference.networks``.
        inputs: in the order of the network's arguments, the one that ``preprocess`` makes first.
        preprocess: how a picture or depth map becomes the first input; None: every input is a tensor as it is.
        intermediate: name of the submodule whose output is kept in the golden files; empty: none is.
        labels: class names in output order, empty where there are none.
        in_all: False leaves the model out of ``--model all`` (it still exports when named).
        folder: where the model lies, for a model that is not a registered one; no part of a bundle.
        refines: name of the model whose results this one looks at as the second network of a cascade, empty where it
            stands alone. It is measured and calibrated with that one's data, and is no part of a bundle.
    """

    name: str
    task: str
    document: str
    network: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    preprocess: PreprocessSpec | None
    postprocess: PostprocessSpec
    intermediate: str = ""
    labels: tuple[str, ...] = ()
    in_all: bool = True
    description: str = field(default="", compare=False)
    refines: str = field(default="", compare=False, metadata={"in_json": False})
    folder: str = field(default="", compare=False, metadata={"in_json": False})

    def __post_init__(self) -> None:
        _require(len(self.inputs) >= 1, f"model {self.name} has no inputs; name at least one")
        _require(len(self.outputs) >= 1, f"model {self.name} has no outputs; name at least one")
        names = [t.name for t in (*self.inputs, *self.outputs)]
        _require(len(set(names)) == len(names), f"model {self.name} repeats a tensor name: {names}")
        if self.preprocess is not None:
            wanted = (1, self.preprocess.channels, *self.preprocess.size)
            _require(
                self.inputs[0].shape == wanted and self.inputs[0].dtype == "float32",
                f"model {self.name}: input is {self.inputs[0].dtype} {self.inputs[0].shape}; preprocessing makes "
                f"float32 {wanted}",
            )

    @property
    def input(self) -> TensorSpec:
        """The first input, which is the only one of every model that looks at nothing but a picture."""
        return self.inputs[0]

    @property
    def called(self) -> str:
        """What a command line calls the model: its name, or the folder of one of the user's own, seen from here."""
        folder, here = Path(self.folder), Path.cwd()
        return str(folder.relative_to(here) if folder.is_relative_to(here) else folder) if self.folder else self.name

    @property
    def sampling(self) -> PreprocessSpec:
        """How a picture or depth map becomes the first input.

        Raises:
            BadInput: the model takes tensors as they are.
        """
        if self.preprocess is None:
            raise BadInput(f"model {self.name} takes tensors, no picture; give a .npy file for each of its inputs")
        return self.preprocess

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict; ``from_json`` gives the same spec back."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name in _json_fields(type(self))}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> ModelSpec:
        """Build a spec from ``to_json``'s dict.

        Raises:
            BadInput: a key is unknown or missing, or a value breaks a rule.
        """
        return from_json(cls, document)


def from_json(kind: type[T], document: Any) -> T:
    """Build the frozen dataclass ``kind`` from parsed JSON: lists become tuples, unknown keys are refused."""
    if not isinstance(document, dict):
        raise BadInput(f"{kind.__name__} is a {type(document).__name__}; a JSON object is needed")
    fields = _json_fields(kind)
    unknown = sorted(set(document) - set(fields))
    _require(not unknown, f"{kind.__name__} has unknown keys {unknown}; allowed: {', '.join(fields)}")
    hints = typing.get_type_hints(kind)
    values = {key: _convert(f"{kind.__name__}.{key}", hints[key], value) for key, value in document.items()}
    try:
        return kind(**values)
    except TypeError as error:  # a missing field
        raise BadInput(f"{kind.__name__} is incomplete: {error}; allowed: {', '.join(fields)}") from error


def _json_fields(kind: type) -> list[str]:
    return [f.name for f in dataclasses.fields(kind) if f.metadata.get("in_json", True)]


def _convert(what: str, hint: Any, value: Any) -> Any:
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        _require(isinstance(value, (list, tuple)), f"{what} is {value!r}; a JSON array is needed")
        if arguments[-1] is Ellipsis:
            return tuple(_convert(what, arguments[0], item) for item in value)
        _require(len(value) == len(arguments), f"{what} is {value!r}; allowed: {len(arguments)} values")
        return tuple(_convert(what, a, item) for a, item in zip(arguments, value, strict=True))
    if type(None) in arguments:  # Optional[X]
        return None if value is None else _convert(what, next(a for a in arguments if a is not type(None)), value)
    if dataclasses.is_dataclass(hint):
        return from_json(typing.cast(type, hint), value)
    plain = (int, float) if hint is float else hint
    if plain in (str, bool, int, (int, float)):  # True is an int to Python, but no number in JSON
        good = isinstance(value, plain) and isinstance(value, bool) == (hint is bool)
        _require(good, f"{what} is {value!r}; a {hint.__name__} is needed")
    return value
