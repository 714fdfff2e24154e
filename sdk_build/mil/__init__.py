"""An emulation of Core ML: runs a saved .mlpackage or .mlmodel on any machine, for checks off a Mac.

Importing this package imports torch. Of coremltools only the schema of Apple's files is read; it is never imported.

Example:
    model = EmulatedCoreML(Path("classifier-ios-fp16.mlpackage"))
    outputs = model.predict({"image": picture})
"""

from sdk_build.mil.compare import OpSqnr, compare_traces, sqnr_db
from sdk_build.mil.emulator import EmulatedCoreML
from sdk_build.mil.executor import ModelState, OpTrace
from sdk_build.mil.ops import OPERATIONS
from sdk_build.mil.program import MilBlock, MilOperation, MilProgram, MilTensor, Ref
from sdk_build.mil.reader import read_program

__all__ = [
    "OPERATIONS",
    "EmulatedCoreML",
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
