"""An emulation of Core ML: runs a saved .mlpackage (an MLProgram) on any machine, for checks off a Mac.

Importing this package imports torch; coremltools is imported only when a package is read.

Example:
    model = EmulatedCoreML(Path("classifier-ios-fp16.mlpackage"))
    outputs = model.predict({"image": picture})
"""

from sdk_build.mil.compare import OpSqnr, compare_traces, sqnr_db
from sdk_build.mil.executor import EmulatedCoreML, OpTrace
from sdk_build.mil.ops import OPERATIONS
from sdk_build.mil.program import MilOperation, MilProgram, MilTensor, Ref
from sdk_build.mil.reader import read_program

__all__ = [
    "OPERATIONS",
    "EmulatedCoreML",
    "MilOperation",
    "MilProgram",
    "MilTensor",
    "OpSqnr",
    "OpTrace",
    "Ref",
    "compare_traces",
    "read_program",
    "sqnr_db",
]
