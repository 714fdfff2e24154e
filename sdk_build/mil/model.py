"""The interface of ``coremltools.models.MLModel``, so that what was written for a Mac runs here.

Example:
    from sdk_build.mil import MLModel  # was: from coremltools.models import MLModel

    model = MLModel("classifier.mlpackage")
    result = model.predict({"image": Image.open("photo.jpg").resize((224, 224))})
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import sdk_build.mil.files.schema as schema
from sdk_build.errors import (
    BadInput,
    LoweringError,
    PredictionFailed,
    UnfitInput,
    UnknownInput,
    UnsupportedOperation,
)
from sdk_build.mil.emulator import EmulatedCoreML, executor_of
from sdk_build.mil.executor import ModelState
from sdk_build.mil.files.package import model_bytes, open_model_file, split_model
from sdk_build.mil.program import MilTensor

_DTYPES = {"fp16": np.float32, "fp32": np.float32, "fp64": np.float64, "int32": np.int32, "int8": np.int8}


class MLModel:
    """A Core ML model that predicts on any machine.

    What coremltools' class takes and the emulation has no use for (compute units, hints) is accepted and kept.

    Args:
        model: The path of an .mlpackage or .mlmodel, or a Model message; an ML program's message needs
            ``weights_dir``.
        compute_units: Kept in ``compute_unit``; the emulation runs on the CPU.
        weights_dir: The folder of a message's weight files.
        function_name: The function to run, of a package that has several.
        skip_model_load: Whether to leave the model closed, so that only its description can be read.

    Raises:
        BadInput: The model is absent, damaged, or of a kind that is not run here.
        UnsupportedOperation: It holds an operation that is not emulated.
    """

    def __init__(
        self,
        model: str | Path | Any,
        is_temp_package: bool = False,
        mil_program: Any = None,
        skip_model_load: bool = False,
        compute_units: Any = None,
        weights_dir: str | None = None,
        function_name: str | None = None,
        optimization_hints: dict[str, Any] | None = None,
    ) -> None:
        del is_temp_package, mil_program
        self.compute_unit, self.optimization_hints = compute_units, optimization_hints
        self.package_path: str | None = None
        self._weights_dir = weights_dir
        if isinstance(model, (str, Path)):
            path = Path(model).expanduser()
            file = open_model_file(path)
            self._bytes = model_bytes(path)
            self.package_path = str(path)
        else:
            self._bytes = memoryview(model.SerializeToString())
            file = split_model(Path("model"), Path(weights_dir or ".").parent, self._bytes)
        self._description = file.spec.description
        self.function_name = function_name or self._description.defaultFunctionName or None
        self._model = None if skip_model_load else _opened(executor_of(file, function_name))

    def predict(
        self, data: dict[str, Any] | list[dict[str, Any]], state: ModelState | None = None
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Runs the model on one set of inputs, or on each of a list.

        Args:
            data: Input name -> picture (PIL), array, tensor, list or number; cast to the dtype that the model states.
            state: From :meth:`make_state`; a stateful model starts from zero without.

        Returns:
            Output name -> array, PIL picture, number, label, or dictionary of probabilities. Arrays have at least one
            dimension, as Core ML's.

        Raises:
            UnknownInput: The model has no input of that name; also a KeyError.
            UnfitInput: An input is missing, or has another shape than the model states; also a RuntimeError.
            PredictionFailed: The model could not compute its outputs.
            TypeError: ``data`` is no dictionary or list of dictionaries; or an input that is a picture is given as
                something else.
        """
        if isinstance(data, list) and all(isinstance(entry, dict) for entry in data):
            return [self._predict_one(entry, state) for entry in data]
        if not isinstance(data, dict):
            raise TypeError(f'"data" parameter must be either a dict or list of dict, but got {type(data)}.')
        return self._predict_one(data, state)

    def make_state(self) -> ModelState:
        """Fresh states, all zero, with ``read_state`` and ``write_state``."""
        return self._loaded().make_state()

    def get_spec(self) -> Any:
        """The Model message: of coremltools' own class where coremltools was imported, else of the same schema."""
        if "coremltools.proto.Model_pb2" in sys.modules:
            return sys.modules["coremltools.proto.Model_pb2"].Model.FromString(bytes(self._bytes))
        return schema.parse("Model", self._bytes)

    def save(self, save_path: str | Path) -> None:
        """Copies the package or file as it is.

        Raises:
            BadInput: The model was made from a message and has no file.
        """
        if self.package_path is None:
            raise BadInput("a model made from a message has no file to save; allowed: one opened from a path")
        source = Path(self.package_path)
        if source.is_dir():
            shutil.copytree(source, save_path, dirs_exist_ok=True)
        else:
            shutil.copy(source, save_path)

    @property
    def input_description(self) -> FeatureTexts:
        """Input name -> its text."""
        return FeatureTexts(self._features("input"))

    @property
    def output_description(self) -> FeatureTexts:
        """Output name -> its text."""
        return FeatureTexts(self._features("output"))

    @property
    def short_description(self) -> str:
        """What the model is."""
        return str(self._description.metadata.shortDescription)

    @property
    def author(self) -> str:
        """Who made it."""
        return str(self._description.metadata.author)

    @property
    def license(self) -> str:
        """Under which terms it may be used."""
        return str(self._description.metadata.license)

    @property
    def version(self) -> str:
        """The model's own version."""
        return str(self._description.metadata.versionString)

    @property
    def user_defined_metadata(self) -> Mapping[str, str]:
        """What the model's maker added."""
        return dict(self._description.metadata.userDefined)

    @property
    def weights_dir(self) -> str | None:
        """The folder of the weight files."""
        if self._weights_dir is None and self.package_path is not None:
            found = next(Path(self.package_path).glob("Data/*/weights"), None)
            return None if found is None else str(found)
        return self._weights_dir

    def __repr__(self) -> str:
        return str(self._description)

    def _features(self, side: str) -> dict[str, str]:
        parts = [part for part in self._description.functions if part.name == self.function_name]
        return {f.name: f.shortDescription for f in getattr((parts or [self._description])[0], side)}

    def _loaded(self) -> EmulatedCoreML:
        if self._model is None:
            raise PredictionFailed("the model was opened with skip_model_load=True; open it without to predict")
        return self._model

    def _predict_one(self, data: Mapping[str, Any], state: ModelState | None) -> dict[str, Any]:
        model = self._loaded()
        declared = {tensor.name: tensor for tensor in model.inputs}
        unknown = [name for name in data if name not in declared]
        if unknown:
            raise UnknownInput(f"no input '{unknown[0]}'; the model has {', '.join(declared)}; rename it")
        inputs = {name: _given(declared[name], value) for name, value in data.items()}
        try:
            found = model.predict(inputs, state=state)
        except UnsupportedOperation:
            raise
        except BadInput as error:
            raise UnfitInput(str(error)) from error
        except LoweringError as error:
            raise PredictionFailed(f"Unable to compute the prediction using ML Program. {error}") from error
        return {tensor.name: _returned(tensor, found[tensor.name]) for tensor in model.outputs}


class FeatureTexts(Mapping[str, str]):
    """Feature name -> text, printed as coremltools prints it."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __repr__(self) -> str:
        return f"Features({','.join(self._texts)})"


def _opened(executor: Any) -> EmulatedCoreML:
    return EmulatedCoreML(executor)


def _given(declared: MilTensor, value: Any) -> Any:
    """A value as Core ML's binding takes it, as the array that the emulation takes."""
    if declared.color is not None:
        return _pixels(declared, value)
    if isinstance(value, (str, dict)):
        return value
    array = np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)
    if array.ndim == 0 and declared.shape:
        array = array.reshape(1)
    return array.astype(_DTYPES.get(declared.dtype, array.dtype), copy=False)


def _pixels(declared: MilTensor, value: Any) -> np.ndarray:
    if not isinstance(value, Image.Image):
        raise TypeError(f"Image input, '{declared.name}' must be of type PIL.Image.Image in the input dict")
    if declared.color in ("rgb", "bgr"):
        return np.asarray(value.convert("RGB"))
    if declared.color == "grayscale":
        return np.asarray(value.convert("L"))
    return np.asarray(value.convert("F")).astype(np.float16)


def _returned(declared: MilTensor, value: Any) -> Any:
    """An output as Core ML's binding returns it."""
    if not isinstance(value, np.ndarray):
        return value
    if declared.color is not None:
        return Image.fromarray(value.astype(np.float32) if value.dtype.kind == "f" else value)
    if declared.dtype in ("fp64", "int64") and declared.is_ranked and not declared.shape and value.ndim == 0:
        return value.item()
    return value.reshape(1) if value.ndim == 0 else value
