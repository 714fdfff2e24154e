"""Tiny .tflite files written by hand: no conversion, and graphs that no converter would make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

FLOAT, INT, BOOL = schema.TensorType.FLOAT32, schema.TensorType.INT32, schema.TensorType.BOOL


class Graph:
    """One subgraph with signature."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.subgraph = schema.SubGraphT()
        self.subgraph.name = "main"
        self.subgraph.tensors, self.subgraph.operators = [], []

    def tensor(self, name: str, shape: list[int], kind: int = FLOAT, values: np.ndarray | None = None) -> int:
        """Add a tensor and return its number."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, kind, 0
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        self.subgraph.tensors.append(tensor)
        return len(self.subgraph.tensors) - 1

    def operation(self, name: str, inputs: list[int], outputs: list[int], options: Any = None) -> None:
        """Add an operation; ``options`` is a generated options object."""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        self.model.operatorCodes.append(code)
        operation = schema.OperatorT()
        operation.opcodeIndex = len(self.model.operatorCodes) - 1
        operation.inputs, operation.outputs = inputs, outputs
        if options is not None:
            operation.builtinOptions = options
            operation.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self.subgraph.operators.append(operation)

    def write(self, path: Path, inputs: list[int], outputs: list[int]) -> Path:
        """Write the file; the signature has the tensors' names."""
        self.subgraph.inputs, self.subgraph.outputs = inputs, outputs
        self.model.subgraphs = [self.subgraph]
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        signature.inputs, signature.outputs = (
            [self._entry(number) for number in several] for several in (inputs, outputs)
        )
        self.model.signatureDefs = [signature]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path

    def _entry(self, number: int) -> Any:
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = self.subgraph.tensors[number].name, number
        return entry


def write_endless(path: Path, name: str = "x") -> Path:
    """A branch that calls its own graph: the interpreter's stack overflows, a segmentation fault."""
    graph = Graph()
    options = schema.IfOptionsT()
    options.thenSubgraphIndex = options.elseSubgraphIndex = 0
    x, y = graph.tensor(name, [4]), graph.tensor("y", [4])
    always = graph.tensor("always", [1], BOOL, np.ones(1, np.uint8))
    graph.operation("IF", [always, x], [y], options)
    return graph.write(path, [x], [y])


def write_sums(path: Path, fill: Callable[[Graph, int], int]) -> Path:
    """``x`` (1, 4), then what ``fill`` adds and returns, as ``y``."""
    graph = Graph()
    x = graph.tensor("x", [1, 4])
    y = fill(graph, x)
    graph.subgraph.tensors[y].name = "y"
    return graph.write(path, [x], [y])
