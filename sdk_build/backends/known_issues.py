"""What converters get wrong or refuse (known_issues.yaml), held against a network before it is converted."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sdk_build.errors import LoweringError

if TYPE_CHECKING:
    from torch import Tensor, fx, nn

FILE = Path(__file__).with_name("known_issues.yaml")
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')


@dataclass(frozen=True)
class Issue:
    """One entry; the file says what the fields mean."""

    name: str
    tool: str
    versions: str
    runtimes: tuple[str, ...]
    operation: str
    symptom: str
    silent: bool
    upstream: str
    answer: str
    remedy: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def concerns(self, node: fx.Node, runtime: str) -> bool:
        """True if an operation of a graph is the one that this is about."""
        return runtime in self.runtimes and str(node.target) == self.operation and self._has_arguments(node)

    def _has_arguments(self, node: fx.Node) -> bool:
        """The entry's value is an example: any but the default counts."""
        return all(_given(node, name) not in (None, _default(node, name)) for name in self.arguments)


_ANY_SHAPE = {"coreml"}  # runtimes whose tensors may have any size


@functools.cache
def load_issues() -> tuple[Issue, ...]:
    """Every entry of the list."""
    entries = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return tuple(Issue(**{**entry, "runtimes": tuple(entry["runtimes"])}) for entry in entries)


def prepare(network: nn.Module, examples: tuple[Tensor, ...], runtime: str) -> nn.Module:
    """The network in operations that a runtime takes, or itself where nothing is to be rewritten.

    Raises:
        LoweringError: what is left of it would be converted wrongly, or not at all; names the module and the line.
    """
    from sdk_build.lowering.graph import lower_graph

    return lower_graph(
        network, examples, runtime, lambda graph: refuse(graph, runtime), lambda graph: refuse_shapes(graph, runtime)
    )


def refuse_shapes(graph: fx.GraphModule, runtime: str) -> None:
    """Refuse a graph with shapes that depend on values, where the runtime has none of them.

    Raises:
        LoweringError: in one line.
    """
    for node in graph.graph.nodes if runtime not in _ANY_SHAPE else ():
        if _is_shapeless(node):
            raise LoweringError(
                f"{place(node)} gives a shape that depends on values ({node.target}); {runtime} needs fixed ones: "
                "weigh with a mask, or take torch.topk"
            )


def refuse(graph: fx.GraphModule, runtime: str) -> None:
    """Refuse a graph in which an operation of the list is left, or numbers are drawn at random.

    Raises:
        LoweringError: in one line.
    """
    for node in graph.graph.nodes:
        if is_random(node):
            raise LoweringError(random_line(node))
        for issue in load_issues():
            if issue.concerns(node, runtime):
                raise LoweringError(
                    f"{runtime} can't hold {place(node)}: with {issue.tool} {issue.versions}, {issue.operation}: "
                    f"{issue.symptom}; {issue.remedy}"
                )


def place(node: fx.Node) -> str:
    """Where a user finds an operation: its module's path, and the line of the source where it is known."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = re.sub(r"^L\['self'\]\.?|@\d+$", "", str(stack[-1][0])) if stack else ""
    frames = [f for f in _FRAME.findall(node.meta.get("stack_trace") or "") if "torch" not in Path(f[0]).parts]
    line = f" ({Path(frames[-1][0]).name}:{frames[-1][1]})" if frames else ""
    return f"module {path!r}{line}" if path else f"the network's forward{line}"


def random_line(node: fx.Node) -> str:
    """Why a network that draws random numbers is refused."""
    return (
        f"{place(node)} draws random numbers ({node.target}), so no artifact can be held to a reference; "
        "call eval(), and give functions training=self.training"
    )


def _is_shapeless(node: fx.Node) -> bool:
    shape = getattr(node.meta.get("val"), "shape", ())
    return node.op == "call_function" and any(not isinstance(size, int) for size in shape)


def is_random(node: fx.Node) -> bool:
    """True where an operation gives other numbers at every call: noise, and dropout that was left on."""
    import torch

    if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
        return False
    if torch.Tag.nondeterministic_seeded not in node.target.tags:
        return False
    switches = [_given(node, name) for name in ("train", "training", "dropout_p")]
    return all(bool(switch) for switch in switches if switch is not None)


def _given(node: fx.Node, name: str) -> Any:
    """An operation's argument by its name; its default where it isn't given."""
    for number, argument in enumerate(node.target._schema.arguments):  # type: ignore[union-attr]
        if argument.name == name:
            at = node.args[number] if number < len(node.args) else node.kwargs.get(name, argument.default_value)
            return list(at) if isinstance(at, (list, tuple)) else at
    return None


def _default(node: fx.Node, name: str) -> Any:
    for argument in node.target._schema.arguments:  # type: ignore[union-attr]
        if argument.name == name:
            value = argument.default_value
            size = len(_given(node, name)) if isinstance(_given(node, name), list) else 0
            return [value] * size if size and isinstance(value, int) else value
    return None
