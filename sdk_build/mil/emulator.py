"""The emulation's front: opens whatever kind of Core ML model a path holds, and runs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sdk_build.mil.neural_network as neural_network
from sdk_build.errors import BadInput
from sdk_build.mil.executor import ModelState, ProgramExecutor, Trace
from sdk_build.mil.files.package import NETWORKS, PIPELINES, PROGRAM, ModelFile, open_model_file, pipeline_models
from sdk_build.mil.files.reader import program_of
from sdk_build.mil.pipeline import PipelineExecutor
from sdk_build.mil.program import MilProgram, MilTensor

Executor = ProgramExecutor | PipelineExecutor


class EmulatedCoreML:
    """Runs a saved .mlpackage or .mlmodel; an emulation of Core ML.

    ML programs, neural networks (the older format) and pipelines of both.

    Args:
        source: An .mlpackage folder, an .mlmodel file, or what was made of one before: a program or an executor.
        function: The name of the program's function; its default function if None.
        accumulate: ``fp32``, or ``fp16`` for products whose running sums are rounded to half precision.

    Raises:
        BadInput: The model is absent, damaged, or of another kind; or it has no such function.
        LoweringError: One of its constants can't be unpacked.
        UnsupportedOperation: The model holds an operation, or a parameter of one, that the emulation lacks.
    """

    def __init__(
        self, source: Path | MilProgram | Executor, function: str | None = None, accumulate: str = "fp32"
    ) -> None:
        self._executor: Executor
        if isinstance(source, MilProgram):
            self._executor = ProgramExecutor(source, accumulate)
        elif isinstance(source, Path):
            self._executor = executor_of(open_model_file(source), function, accumulate)
        else:
            self._executor = source

    @property
    def program(self) -> MilProgram:
        """The program; of a pipeline, its models' programs as one list of operations."""
        return self._executor.program

    @property
    def inputs(self) -> tuple[MilTensor, ...]:
        """What :meth:`predict` takes."""
        return self._executor.inputs

    @property
    def outputs(self) -> tuple[MilTensor, ...]:
        """What :meth:`predict` returns."""
        return self._executor.outputs

    @property
    def states(self) -> tuple[MilTensor, ...]:
        """What the model keeps from one prediction to the next."""
        return self._executor.states

    @property
    def precision(self) -> str:
        """``fp16`` or ``fp32``: the dtype that most of the float operations write."""
        return self.program.precision

    def op_counts(self) -> dict[str, int]:
        """How often each operation type occurs, the commonest first, constants left out."""
        return self.program.op_counts()

    def make_state(self) -> ModelState:
        """Fresh states, all zero; hand them to every :meth:`predict` that is to continue from the one before."""
        return self._executor.make_state()

    def predict(
        self, inputs: Mapping[str, Any], trace: Trace | None = None, state: ModelState | None = None
    ) -> dict[str, Any]:
        """Runs the model once.

        Args:
            inputs: One array per input. A picture is (H, W, 3) uint8 RGB (also for a program that wants BGR) or
                (H, W); scale and bias are part of the program. An input with a default may be left out.
            trace: Called after every operation, in order.
            state: From :meth:`make_state`, changed in place; fresh ones if None.

        Returns:
            One array per output, in the dtype that the program states. A classifier returns its label and a
            dictionary of probabilities, as coremltools does.

        Raises:
            BadInput: An input has another name, shape or dtype than the program declares.
            UnsupportedOperation: An operation has a setting that the emulation lacks.
            LoweringError: An operation failed, or gave another shape than the program states.
        """
        return self._executor.predict(inputs, trace, state)


def executor_of(file: ModelFile, function: str | None = None, accumulate: str = "fp32", depth: int = 0) -> Executor:
    """The executor for a model's kind; see :class:`EmulatedCoreML`."""
    if file.kind == PROGRAM:
        return ProgramExecutor(program_of(file, function), accumulate)
    if function not in (None, "main"):
        raise BadInput(f"{file.path} has no function '{function}'; allowed: main; leave the function out")
    if file.kind in NETWORKS:
        return neural_network.executor_of(file, accumulate)
    assert file.kind in PIPELINES
    return PipelineExecutor(file, [executor_of(m, None, accumulate, depth + 1) for m in pipeline_models(file, depth)])
