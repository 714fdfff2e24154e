"""The operation to blame as a network of its own, in a folder that can be attached to a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reference.spec import ModelSpec, TensorSpec
from sdk_build.backends import RUNTIMES, Inner, Tensors, get_backend
from sdk_build.bisect.finding import Finding
from sdk_build.bisect.levels import nearest
from sdk_build.mil.compare import sqnr_db
from sdk_build.proof.sandbox import run_artifact
from sdk_build.quiet import quiet

if TYPE_CHECKING:
    from torch import nn

_SCRIPT = '''"""{operation} of {model}, by itself: {about}"""

import numpy as np
import torch
from safetensors.numpy import load_file

inputs, values = load_file("inputs.safetensors"), load_file("values.safetensors")
program = torch.export.load("operation.pt2").module()
with torch.no_grad():
    expected = program(*(torch.from_numpy(inputs[name]) for name in {names})).numpy()
print(f"values reach {{np.abs(expected).max():.4g}}")
print(f"PyTorch as it is here: off by {{np.abs(expected - values['expected']).max():.4g}}")
for name in sorted(set(values) - {{"expected"}}):
    off = np.abs(values[name] - values["expected"]).max()
    print(f"{{name}}: off by {{off:.4g}}")
'''


def write_case(
    whole: Any,
    finding: Finding,
    spec: ModelSpec,
    values: Tensors,
    inputs: Tensors,
    inside: Sequence[Inner],
    folder: Path,
) -> float | None:
    """Write operation.pt2, its inputs and values, its own artifact, and a script that reads them.

    Args:
        whole: the exported network.
        finding: names the step to blame.
        values: of every step for ``inputs``, the network's inputs.
        inside: the values of the artifact that was looked at, for the same inputs.
        folder: exists.

    Returns:
        Decibels to which the operation alone, converted and run by the same tools, agrees; None where they refuse it.
    """
    import torch
    from safetensors.numpy import save_file

    assert finding.guilty is not None
    name, runtime, held = finding.guilty.step.name, finding.runtime, finding.held
    alone, given = _alone(whole, name, spec, {**values, **inputs})
    with torch.no_grad():
        tensors = tuple(torch.tensor(v) for v in given.values())
        torch.export.save(torch.export.export(alone, tensors), folder / "operation.pt2")
        expected = alone(*tensors).numpy()
    inner = replace(
        spec, inputs=tuple(TensorSpec(n, v.shape, "any", "value") for n, v in given.items()), preprocess=None,
        outputs=(TensorSpec("result", expected.shape, "any", "value"),), intermediate="",
    )  # fmt: skip
    actual, about = _converted(alone, inner, runtime, held, given, folder)
    kept = {"expected": expected, **({"alone": actual} if actual is not None else {})}
    whole_actual = nearest(values[name], inside)[2]
    if whole_actual is not None:
        kept["in_the_artifact"] = whole_actual
    save_file({n: np.array(v, order="C") for n, v in given.items()}, folder / "inputs.safetensors")
    save_file({n: np.array(v, order="C") for n, v in kept.items()}, folder / "values.safetensors")
    text = _SCRIPT.format(operation=name, model=spec.name, about=about, names=list(given))
    (folder / "reproduce.py").write_text(text, encoding="utf-8")
    return None if actual is None else sqnr_db(expected, actual)


def _converted(
    alone: nn.Module, inner: ModelSpec, runtime: str, held: str, given: Tensors, folder: Path
) -> tuple[NDArray[Any] | None, str]:
    """What the runtime computes for the operation alone, and in words what was done."""
    path = folder / f"operation{Path(RUNTIMES[runtime].file).suffix}"
    try:
        with quiet():
            get_backend(runtime).lower(alone, inner, held, path)
        return run_artifact(runtime, path, inner, [given])[0]["result"], f"as {runtime} in {held} computes it."
    except Exception as error:  # noqa: BLE001 - toolchains raise anything, and the refusal is what a report wants to hold
        return None, f"{runtime} in {held} refuses it ({' '.join(str(error).split())[:300]})."


def _alone(whole: Any, name: str, spec: ModelSpec, values: Mapping[str, NDArray[Any]]) -> tuple[nn.Module, Tensors]:
    """One operation as a network, and what it reads: steps and inputs are arguments, weights stay inside."""
    import torch

    nodes = {node.name: node for node in whole.graph.nodes}
    placeholders = [node.name for node in whole.graph.nodes if node.op == "placeholder"]
    known = dict(values) | {n: values[t.name] for n, t in zip(placeholders, spec.inputs, strict=True)}
    inside: list[Any] = []  # what has to be computed again, such as a choice of one part of a split

    def need(node: Any) -> None:
        for before in node.all_input_nodes:
            if before.name not in known and before not in inside:
                need(before)
        inside.append(node)

    need(nodes[name])
    read = dict.fromkeys(n for node in inside for n in node.all_input_nodes if n not in inside)
    graph = torch.fx.Graph()
    copies = {node: graph.placeholder(f"value_{i}") for i, node in enumerate(read)}
    for node in inside:
        copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(copies[nodes[name]])
    given = {f"value_{i}": np.array(known[node.name]) for i, node in enumerate(read)}
    return torch.fx.GraphModule(whole, graph), given
