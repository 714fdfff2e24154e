"""bundle.json as frozen data. The apps read the same fields; docs/bundle.schema.json is their schema."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, NoReturn

from reference.errors import BadInput
from reference.spec import ModelSpec, PostprocessSpec, PreprocessSpec, TensorSpec, from_json
from reference.tasks import get_task
from sdk_build.backends import RUNTIMES, TARGETS
from sdk_build.backends.delegation import Delegation
from sdk_build.backends.quantizers.recipes import PRECISIONS
from sdk_build.errors import BundleInvalid
from sdk_build.proof.metrics import known_metrics
from sdk_build.proof.parity import ARTIFACT_STAGES, REPORTED, Check

FORMAT_VERSION = 1


@dataclass(frozen=True)
class FileEntry:
    """One file of the bundle, by its path with forward slashes."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class TensorEntry:
    """An input or output as an app must fill or read it.

    Attributes:
        quantization_parameters: (scale, zero point) of an integer tensor, else None.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str
    unit: str
    value_range: tuple[float, float] | None
    quantization_parameters: tuple[float, int] | None = None


@dataclass(frozen=True)
class CalibrationEntry:
    """What the ranges of activations were taken from.

    Attributes:
        source: name of the data folder.
        sha256: over the digests of the samples' files, one a line.
    """

    source: str
    samples: int
    seed: int
    sha256: str


@dataclass(frozen=True)
class QuantizationEntry:
    """How an artifact was quantised, enough to repeat it.

    Attributes:
        keep_float: paths of modules that stay float; ``""`` is the arithmetic between the network's modules.
        calibration: None where no ranges are needed.
    """

    weights: str
    activations: str
    keep_float: tuple[str, ...]
    calibration: CalibrationEntry | None


@dataclass(frozen=True)
class ModelFile:
    """One artifact.

    Attributes:
        sha256: of the file; of a folder, over its sorted ``<sha256>  <path>`` lines.
        executed_here_by: what ran it for the parity proof: the runtime itself, or an emulation, which says so.
        quantization: None for ``fp32`` and ``fp16``.
        accuracy: the task's own metrics of this artifact; empty where they were not measured.
    """

    file: str
    runtime: str
    precision: str
    sha256: str
    bytes: int
    minimum_runtime: str
    executed_here_by: str
    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]
    delegation: Delegation
    quantization: QuantizationEntry | None
    accuracy: tuple[NamedValue, ...]


@dataclass(frozen=True)
class GoldenTensor:
    """A golden tensor as plain little-endian numbers.

    Attributes:
        dtype: of the numbers; a truth value is a byte.
        shape: of the whole tensor; with ``stride`` > 1 the file holds every stride-th value of it, flat.
    """

    file: str
    case: int
    tensor: str
    shape: tuple[int, ...]
    stride: int
    dtype: str = "float32"


@dataclass(frozen=True)
class GoldenCase:
    """One case: the tensors of its inputs and what they must give.

    Attributes:
        raw: the picture or depth map that preprocessing makes the first input of; empty for a model that takes tensors.
    """

    raw: str
    tensors: tuple[GoldenTensor, ...]


@dataclass(frozen=True)
class NamedValue:
    """A number with its name."""

    name: str
    value: float


@dataclass(frozen=True)
class NamedText:
    """A text with its name."""

    name: str
    value: str


@dataclass(frozen=True)
class Manifest:
    """Everything that an app needs to know about a bundle.

    Attributes:
        sounds: class and sound file of the bundle that belongs to it.
    """

    format_version: int
    id: str
    model: str
    task: str
    target: str
    precision: str
    document: str
    description: str
    labels: tuple[str, ...]
    preprocess: PreprocessSpec | None
    postprocess: PostprocessSpec
    model_files: tuple[ModelFile, ...]
    golden: tuple[GoldenCase, ...]
    parity: tuple[Check, ...]
    accuracy: tuple[NamedValue, ...]
    accuracy_data: str
    tool_versions: tuple[NamedText, ...]
    git_commit: str
    code_license: str
    weights_license: str
    spec: ModelSpec
    files: tuple[FileEntry, ...]
    sounds: tuple[NamedText, ...] = ()

    def to_bytes(self) -> bytes:
        """The content of bundle.json."""
        document = dataclasses.asdict(self) | {"spec": self.spec.to_json()}
        return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()

    @property
    def size_bytes(self) -> int:
        """Size of the artifacts."""
        return sum(entry.bytes for entry in self.model_files)


def parse(content: bytes) -> Manifest:
    """Read bundle.json.

    Raises:
        BundleInvalid: no JSON, another format version, unknown, missing or unusable keys, or entries that
            contradict each other.
    """
    try:
        document: Any = json.loads(content, parse_constant=_no_number)
        version = document.get("format_version") if isinstance(document, dict) else None
        if version != FORMAT_VERSION:
            raise BundleInvalid(f"bundle.json has format_version {version!r}; allowed: {FORMAT_VERSION}; update onpar")
        manifest = from_json(Manifest, document)
        get_task(manifest.spec)
    except (ValueError, RecursionError) as error:
        raise BundleInvalid(f"bundle.json is no JSON ({error}); export the bundle again") from error
    except BadInput as error:
        raise BundleInvalid(f"bundle.json: {error}") from error
    _check_consistent(manifest)
    return manifest


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _check_consistent(m: Manifest) -> None:
    """What types can't say: names that exist, files that are listed, and a proof that could have failed."""
    for what, value, allowed in (
        ("model", m.model, (m.spec.name,)),
        ("task", m.task, (m.spec.task,)),
        ("target", m.target, tuple(TARGETS)),
        ("precision", m.precision, PRECISIONS),
        *(("runtime", entry.runtime, tuple(RUNTIMES)) for entry in m.model_files),
        *(("precision", entry.precision, PRECISIONS) for entry in m.model_files),
        *(("metric", check.metric, tuple(known_metrics())) for check in m.parity),
    ):
        if value not in allowed:
            raise BundleInvalid(f"bundle.json: {what} is {value!r}; allowed: {', '.join(allowed)}; export it again")
    for what in ("preprocess", "postprocess", "labels"):
        if getattr(m, what) != getattr(m.spec, what):
            raise BundleInvalid(f"bundle.json: {what} differs from the spec's {what}; export it again")
    listed = {entry.path for entry in m.files}
    # A folder (.mlpackage) is listed by the files in it.
    listed_artifacts = listed | {path.split("/")[0] for path in listed}
    named = [(entry.file, listed_artifacts) for entry in m.model_files]
    named += [(name, listed) for case in m.golden for name in (case.raw, *(t.file for t in case.tensors)) if name]
    named += [(sound.value, listed) for sound in m.sounds]
    unknown = [sound.name for sound in m.sounds if sound.name not in m.labels]
    if unknown:
        raise BundleInvalid(f"bundle.json has a sound for {unknown[0]!r}, which is no class; export it again")
    for name, known in named:
        if name not in known:
            raise BundleInvalid(f"bundle.json names {name!r} but does not list it in files; export it again")
    wanted = {t.name for t in (*m.spec.inputs, *m.spec.outputs)}
    if not m.model_files or not m.golden or any({t.tensor for t in case.tensors} != wanted for case in m.golden):
        raise BundleInvalid("bundle.json lacks artifacts or golden tensors, so nothing can be proved; export it again")
    for entry in m.model_files:
        checks = [c for c in m.parity if c.runtime == entry.executed_here_by and c.stage in ARTIFACT_STAGES]
        measured, limited = {c.metric for c in checks}, [c for c in checks if c.limit is not None]
        if not limited or not measured.issuperset({*REPORTED, get_task(m.spec).agreement.name}):
            raise BundleInvalid(f"bundle.json has no parity limit or value for {entry.file}; export it again")


def tensor_entry(tensor: TensorSpec, runtime: str) -> TensorEntry:
    """The entry of a tensor that is not quantised, in the type that the runtime has for it."""
    held = RUNTIMES[runtime].types.get(tensor.dtype, tensor.dtype)
    return TensorEntry(tensor.name, tensor.shape, held, tensor.layout, tensor.unit, tensor.value_range)
