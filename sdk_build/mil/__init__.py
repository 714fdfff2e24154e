"""An emulation of Core ML: runs a saved .mlpackage or .mlmodel on any machine, for checks off a Mac.

Names are loaded when they are first used: those that run a model import torch, those that read one don't. Of
coremltools only the schema of Apple's files is read; it is never imported.

Example:
    model = EmulatedCoreML(Path("classifier-ios-fp16.mlpackage"))
    outputs = model.predict({"image": picture})
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdk_build.mil.compare import OpSqnr, compare_traces, sqnr_db
    from sdk_build.mil.emulator import EmulatedCoreML
    from sdk_build.mil.executor import ModelState, OpTrace
    from sdk_build.mil.files.reader import read_program
    from sdk_build.mil.model import MLModel
    from sdk_build.mil.ops import OPERATIONS
    from sdk_build.mil.program import MilBlock, MilOperation, MilProgram, MilTensor, Ref

__all__ = [
    "OPERATIONS",
    "EmulatedCoreML",
    "MLModel",
    "MilBlock",
    "MilOperation",
    "MilProgram",
    "MilTensor",
    "ModelState",
    "OpSqnr",
    "OpTrace",
    "Ref",
    "compare_traces",
    "read_program",
    "sqnr_db",
]

_HOMES = {
    "OPERATIONS": "ops",
    "EmulatedCoreML": "emulator",
    "MLModel": "model",
    "MilBlock": "program",
    "MilOperation": "program",
    "MilProgram": "program",
    "MilTensor": "program",
    "ModelState": "executor",
    "OpSqnr": "compare",
    "OpTrace": "executor",
    "Ref": "program",
    "compare_traces": "compare",
    "read_program": "files.reader",
    "sqnr_db": "compare",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"sdk_build.mil.{_HOMES[name]}"), name)
