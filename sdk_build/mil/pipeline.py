"""Pipelines: models that run one after the other and hand values on by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sdk_build.errors import BadInput
from sdk_build.mil.executor import ModelState, Trace
from sdk_build.mil.files.package import ModelFile
from sdk_build.mil.program import MilProgram, MilTensor

if TYPE_CHECKING:
    from sdk_build.mil.emulator import Executor


class PipelineExecutor:
    """Runs a pipeline's models in order.

    Args:
        file: The pipeline.
        stages: Its models, ready to run.

    Raises:
        BadInput: A model reads what neither the caller nor a model before it gives.
    """

    def __init__(self, file: ModelFile, stages: Sequence[Executor]) -> None:
        self._stages: Sequence[Executor] = stages
        description = file.spec.description
        made: dict[str, MilTensor] = {}
        taken: dict[str, MilTensor] = {}
        wanted = [feature.name for feature in description.input]
        for stage in stages:
            for tensor in stage.inputs:
                if tensor.name in made:
                    continue
                if tensor.name not in wanted:
                    raise BadInput(f"{file.path}: a model of the pipeline reads '{tensor.name}', which nothing gives")
                taken.setdefault(tensor.name, tensor)
            made.update((tensor.name, tensor) for tensor in stage.outputs)
        self.inputs: tuple[MilTensor, ...] = tuple(taken[name] for name in wanted if name in taken)
        names = [feature.name for feature in description.output]
        for name in names:
            if name not in made and name not in taken:
                raise BadInput(f"{file.path}: no model of the pipeline gives its output '{name}'")
        self.outputs: tuple[MilTensor, ...] = tuple(made.get(name) or taken[name] for name in names)
        self.states: tuple[MilTensor, ...] = ()
        self.program: MilProgram = MilProgram(
            name=file.path.name,
            operations=tuple(operation for stage in stages for operation in stage.program.operations),
            inputs=self.inputs,
            outputs=self.outputs,
            spec_version=file.spec.specificationVersion,
            description=description.metadata.shortDescription,
            metadata=dict(description.metadata.userDefined),
        )

    def make_state(self) -> ModelState:
        """Nothing: Core ML has no states in pipelines."""
        return ModelState(())

    def predict(
        self, inputs: Mapping[str, Any], trace: Trace | None = None, state: ModelState | None = None
    ) -> dict[str, Any]:
        """Runs every model once; see :meth:`sdk_build.mil.EmulatedCoreML.predict`."""
        del state
        unknown = sorted(set(inputs) - {tensor.name for tensor in self.inputs})
        if unknown:
            raise BadInput(
                f"inputs {', '.join(unknown)}; allowed: {', '.join(t.name for t in self.inputs)}; rename or remove them"
            )
        values = dict(inputs)
        for stage in self._stages:
            given = {tensor.name: values[tensor.name] for tensor in stage.inputs if tensor.name in values}
            values.update(stage.predict(given, trace))
        return {tensor.name: values[tensor.name] for tensor in self.outputs}
