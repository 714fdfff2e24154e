"""What a bundle holds beside its artifacts: golden files, sounds, and the entries of its manifest."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from reference.card import Card
from reference.errors import BadInput
from reference.golden import TENSOR_FILE, Golden, stride
from reference.spec import ModelSpec
from sdk_build.backends import RUNTIMES, Tensors
from sdk_build.bundle.artifact import Artifact
from sdk_build.bundle.files import sha256_of, size_of
from sdk_build.bundle.manifest import GoldenCase, GoldenTensor, ModelFile, NamedText, NamedValue, tensor_entry

PYTORCH_PACKAGES = ("torch", "numpy")


def bundle_name(spec: ModelSpec, target: str, precision: str) -> str:
    """Name of a bundle's folder."""
    return f"{spec.name}-{target}-{precision}"


def write_golden_files(spec: ModelSpec, golden: Sequence[Golden], folder: Path) -> tuple[GoldenCase, ...]:
    """Raw inputs, tensors as .bin, and all tensors together as safetensors."""
    from safetensors.numpy import save

    (folder / "golden").mkdir()
    together: Tensors = {}
    cases = []
    for number, case in enumerate(golden):
        # What no preprocessing touches is in the tensors' own files already.
        picture = case.raws[spec.input.name] if spec.preprocess is not None else None
        raw = "" if picture is None or picture.suffix == TENSOR_FILE else f"golden/input_{number}{picture.suffix}"
        if raw and picture is not None:
            shutil.copy2(picture, folder / raw)
        tensors = []
        whole = {t.name: t for t in (*spec.inputs, *spec.outputs)}
        # The input stays whole, however large: whoever verifies a bundle runs the artifact on it.
        for name, values in {**case.inputs, **case.outputs}.items():
            file = f"golden/{name}_{number}.bin"
            dtype = whole[name].dtype
            np.asarray(values, np.dtype(dtype).newbyteorder("<"), order="C").tofile(folder / file)
            step = stride(whole[name].size) if name in case.outputs else 1
            tensors.append(GoldenTensor(file, number, name, whole[name].shape, step, dtype))
            together[f"{name}_{number}"] = values
        if case.intermediate is not None:
            together[f"intermediate_{number}"] = case.intermediate
        cases.append(GoldenCase(raw, tuple(tensors)))
    (folder / "golden" / "tensors.safetensors").write_bytes(save(together))  # save_file hides a full disk's OSError
    return tuple(cases)


def copy_sounds(spec: ModelSpec, card: Card, models: Path, folder: Path) -> tuple[NamedText, ...]:
    """The sounds that the card names for the classes, copied into the bundle.

    Args:
        models: the model's own folder, where they are.
        folder: of the bundle.

    Raises:
        BadInput: a sound is missing or belongs to no class.
    """
    sounds = []
    for label, file in card.sounds.items():
        source = models / file
        if label not in spec.labels or not source.is_file():
            raise BadInput(
                f"the card of {spec.name} names the sound {file} for {label!r}; allowed: a file in "
                f"{models} for one of {', '.join(spec.labels) or 'no classes'}"
            )
        (folder / "sounds").mkdir(exist_ok=True)
        target = f"sounds/{source.name}"
        shutil.copy2(source, folder / target)
        sounds.append(NamedText(label, target))
    return tuple(sounds)


def model_file(spec: ModelSpec, artifact: Artifact) -> ModelFile:
    """The manifest's entry of an artifact."""
    return ModelFile(
        file=artifact.path.name,
        runtime=artifact.runtime,
        precision=artifact.precision,
        sha256=sha256_of(artifact.path),
        bytes=size_of(artifact.path),
        minimum_runtime=RUNTIMES[artifact.runtime].minimum_for(artifact.precision),
        executed_here_by=artifact.executed_by,
        inputs=tuple(tensor_entry(t, artifact.runtime) for t in spec.inputs),
        outputs=tuple(tensor_entry(t, artifact.runtime) for t in spec.outputs),
        delegation=artifact.delegation,
        quantization=artifact.quantization,
        accuracy=tuple(NamedValue(key, float(value)) for key, value in artifact.accuracy.items()),
    )


def tool_versions(runtimes: Iterable[str]) -> tuple[NamedText, ...]:
    """Installed versions of everything that took part."""
    names = {*PYTORCH_PACKAGES, *(package for runtime in runtimes for package in RUNTIMES[runtime].packages)}
    return tuple(NamedText(name, metadata.version(name)) for name in sorted(names))


def git_commit() -> str:
    """Commit of OnPar's working tree, with ``-modified`` if it has changes; ``unknown`` where it is installed."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():  # git would name the repository around an environment as if it were OnPar's
        return "unknown"
    git = ["git", "-C", str(root)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        status = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("-modified" if status.strip() else "")
