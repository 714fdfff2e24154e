"""The class through which coremltools predicts, with the emulation behind it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sdk_build.errors import OnParError
from sdk_build.mil import MLModel, ModelState

NOT_APPLICABLE = "not applicable: "


@dataclass
class Happened:
    """What one test did.

    Attributes:
        predictions: calls of ``predict``.
        operations: types of the programs' operations that were opened to predict.
        error: name and message of the last error that the emulation raised, and where.
    """

    predictions: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    error: tuple[str, str, str] | None = None


class EmulatedProxy:
    """The interface of ``coremltools.libcoremlpython._MLModelProxy``.

    Attributes:
        happened: of the test that runs now; the plugin replaces it for every test.
        corrupt: make every output wrong, to see that a test compares.
    """

    happened = Happened()
    corrupt = False

    def __init__(
        self, filename: str, compute_units: str = "ALL", function_name: str = "", hints: Any = None, asset: Any = None
    ) -> None:
        # At once, as Core ML does: a test may remove the file before it predicts.
        self.opened: MLModel | OnParError
        try:
            self.opened = MLModel(filename, function_name=function_name or None)
        except OnParError as error:
            self.opened = error

    @staticmethod
    def maximum_supported_specification_version() -> int:
        return 10

    @staticmethod
    def auto_set_specification_version(spec: bytes) -> bytes:
        return spec

    @staticmethod
    def _compiled(*_: Any) -> Any:
        pytest.skip(f"{NOT_APPLICABLE}compiled models (.mlmodelc) and what Core ML says about them")

    compileModel = create_model_asset_from_path = create_model_asset_from_memory = _compiled  # noqa: N815
    get_model_structure = get_compute_plan = get_all_compute_devices = _compiled
    get_compiled_model_path = _compiled

    def newState(self) -> ModelState:  # noqa: N802
        return self._model().make_state()

    def predict(self, data: dict[str, Any], state: ModelState | None = None) -> dict[str, Any]:
        self.happened.predictions += 1
        self.happened.operations.update(self._watched(self._model)._loaded().op_counts())
        found = self._watched(lambda: self._model().predict(data, state))
        return {name: wrong(value) for name, value in found.items()} if self.corrupt else found

    def batchPredict(self, data: list[dict[str, Any]]) -> list[dict[str, Any]]:  # noqa: N802
        return [self.predict(one) for one in data]

    def holds_half(self) -> bool:
        """True if a value of the program is float16."""
        operations = self._model()._loaded().program.operations
        return any(output.dtype == "fp16" for operation in operations for output in operation.outputs)

    def _model(self) -> MLModel:
        if isinstance(self.opened, OnParError):
            raise self.opened
        return self.opened

    def _watched(self, call: Any) -> Any:
        try:
            return call()
        except Exception as error:
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            place = "" if trace is None else f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
            self.happened.error = (type(error).__name__, str(error)[:500], place)
            raise


def wrong(value: Any) -> Any:
    """An output that no comparison may take for the right one."""
    if isinstance(value, Image.Image):
        return Image.fromarray(wrong(np.asarray(value)))
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype == bool:
        return ~value
    with np.errstate(all="ignore"):
        return (value * 3 + 100).astype(value.dtype)
