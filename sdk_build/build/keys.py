"""What an artifact and a bundle are made from, as keys of :class:`sdk_build.build.cache.Cache`."""

from __future__ import annotations

import functools
import hashlib
import platform
from collections.abc import Collection, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.spec import ModelSpec
from sdk_build.backends.quantizers.recipes import Quantization
from sdk_build.backends.signature import example_inputs
from sdk_build.build.cache import digest, folder_digest
from sdk_build.build.tracing import ONE_AT_A_TIME
from sdk_build.bundle.contents import git_commit
from sdk_build.bundle.files import sha256_of

if TYPE_CHECKING:
    from torch import fx, nn

ROOT = Path(__file__).parents[2]
# What takes part in making an artifact of a lowered network; the rest of the code only judges and packs it.
MAKES_ARTIFACTS = ("sdk_build/backends", "sdk_build/lowering", "sdk_build/mil")
EVERYTHING = ("reference", "sdk_build")


def bundle_key(
    target: str,
    runtimes: Collection[str],
    spec: ModelSpec,
    models_dir: Path,
    precision: str,
    max_fallbacks: int | None,
    signing_key: Path | None,
) -> str:
    """The key of a proved bundle: all code, the models' folders with weights, card and golden files, tools, machine."""
    folders = [models_dir / name for name in (spec.name, spec.refines) if name]
    return digest(
        {
            "kind": "bundle",
            "spec": spec.to_json(),
            "folders": [folder_digest(folder) for folder in folders],
            "target": [target, precision, *runtimes],
            "max_fallbacks": max_fallbacks,
            "signing_key": sha256_of(signing_key) if signing_key else "",
            "code": code_digest(EVERYTHING),
            "commit": _commit(),  # bundle.json names it
            **machine(),
        }
    )


def artifact_key(program: str, spec: ModelSpec, runtime: str, held: str, quantization: Quantization) -> str:
    """The key of one artifact, of which nothing is said about whether it is right.

    Args:
        program: :func:`program_digest` of the lowered network.
        held: the precision that it holds.
    """
    return digest(
        {
            "kind": "artifact",
            "program": program,
            "spec": spec.to_json(),
            "runtime": [runtime, held],
            "keep_float": quantization.keep_float,
            "ranges": {name: list(span) for name, span in quantization.ranges.items()},
            "code": code_digest(MAKES_ARTIFACTS),
            **machine(),
        }
    )


@functools.cache
def _commit() -> str:
    return git_commit()


@functools.cache
def code_digest(folders: tuple[str, ...]) -> str:
    """A digest of the project's own source files in some of its folders."""
    content = hashlib.sha256()
    for path in (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))):
        content.update(f"{path.relative_to(ROOT).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return content.hexdigest()


@functools.cache
def machine() -> dict[str, Any]:
    """Installed packages, Python and processor: whatever else may change what a toolchain writes or how it runs."""
    packages = sorted({f"{d.name}=={d.version}" for d in metadata.distributions()})
    return {"packages": packages, "platform": [platform.python_version(), platform.platform(), platform.machine()]}


def program_digest(network: nn.Module, spec: ModelSpec) -> str:
    """A digest of what a network computes: its exported graph with paths and classes of modules, and every constant."""
    import torch

    with ONE_AT_A_TIME:
        program = torch.export.export(network, example_inputs(spec), strict=False)
    content = hashlib.sha256()
    for node in _nodes(program.graph_module):
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        content.update(repr((node.op, str(node.target), node.name, node.args, node.kwargs, stack)).encode())
    tensors = {**program.state_dict, **program.constants}
    for name in sorted(tensors):
        value = tensors[name]
        if isinstance(value, torch.Tensor):
            content.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            content.update(value.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        else:
            content.update(f"{name} {value!r}".encode())
    return content.hexdigest()


def _nodes(graph: fx.GraphModule) -> Iterator[fx.Node]:
    from torch import fx

    for module in graph.modules():
        if isinstance(module, fx.GraphModule):
            yield from module.graph.nodes
