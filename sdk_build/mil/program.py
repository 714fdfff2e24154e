"""An MLProgram as plain frozen dataclasses: what the emulation runs, free of coremltools types.

A value is either computed (a :class:`Ref` names the operation output or program input that holds it) or
constant (a numpy array, or a ``str`` for settings such as ``pad_type``). MIL's dtype names are kept:
``fp16``, ``fp32``, ``int32``, ``uint8``, ``bool``, ... and ``str``, ``dict`` or ``list`` for what is no
tensor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

FLOAT_DTYPES = ("fp16", "fp32")
MINIMUM_IOS = {1: 11, 2: 11, 3: 12, 4: 13, 5: 14, 6: 15, 7: 16, 8: 17, 9: 18, 10: 26}


@dataclass(frozen=True)
class Ref:
    """The name of a computed value."""

    name: str


Constant = np.ndarray | str
Value = Ref | Constant | tuple[Ref | Constant, ...]


@dataclass(frozen=True)
class MilTensor:
    """A named value of the program: an input, an output, or what an operation writes.

    Attributes:
        name: The name in the program, and for inputs and outputs the name the caller uses.
        shape: Its sizes; ``None`` where a size is flexible. A picture is ``(H, W, 3)`` or ``(H, W)``.
        dtype: MIL's dtype name.
        color: ``rgb``, ``bgr`` (the program's own order; the caller always hands over RGB), ``grayscale`` or
            ``grayscale_float16`` for a picture, ``None`` for a plain array.
        allowed_shapes: The enumerated shapes, if the input has them.
        dim_ranges: ``(lowest, highest)`` per dimension, if the input has ranges; highest -1 means no limit.
        description: The text that the package carries for this input or output.
        is_ranked: False where even the number of dimensions is open; ``shape`` is then empty.
        default: What an input that may be left out is filled with; ``None`` where it must be given.
        default_shape: The shape of that filling.
        takes_sequences: Whether sequence and batch may stand in front of the shape, as in neural networks.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    color: str | None = None
    allowed_shapes: tuple[tuple[int, ...], ...] = ()
    dim_ranges: tuple[tuple[int, int], ...] = ()
    description: str = ""
    is_ranked: bool = True
    default: float | None = None
    default_shape: tuple[int, ...] = ()
    takes_sequences: bool = False


@dataclass(frozen=True)
class MilBlock:
    """What a branch or a loop runs: it may also read values from around its operation.

    Attributes:
        inputs: The names that the operation binds, such as a loop's variables.
        operations: In the order in which they run.
        outputs: The names of what the block gives back.
        is_shared: Whether what it writes stays behind it, as in neural networks.
    """

    inputs: tuple[str, ...]
    operations: tuple[MilOperation, ...]
    outputs: tuple[str, ...]
    is_shared: bool = False

    def references(self) -> Iterator[str]:
        """Yields the names of the values that the block reads from around it."""
        own = set(self.inputs)
        for operation in self.operations:
            yield from (name for name in operation.references() if name not in own)
            own.update(output.name for output in operation.outputs)
        yield from (name for name in self.outputs if name not in own)


@dataclass(frozen=True)
class MilOperation:
    """One operation: its type, its name, what it reads and writes, and the blocks that it runs."""

    op_type: str
    name: str
    inputs: Mapping[str, Value]
    outputs: tuple[MilTensor, ...]
    blocks: tuple[MilBlock, ...] = ()

    def references(self) -> Iterator[str]:
        """Yields the names of the computed values that this operation reads."""
        for value in self.inputs.values():
            for part in value if isinstance(value, tuple) else (value,):
                if isinstance(part, Ref):
                    yield part.name
        for block in self.blocks:
            yield from block.references()


def walk(operations: Iterable[MilOperation]) -> Iterator[MilOperation]:
    """Yields operations and those of their blocks, in the order of the program."""
    for operation in operations:
        yield operation
        for block in operation.blocks:
            yield from walk(block.operations)


@dataclass(frozen=True)
class MilProgram:
    """One function of an MLProgram.

    Attributes:
        name: The package's file name, for messages.
        operations: In the order in which they run.
        inputs: What the caller hands over.
        outputs: What the caller gets back.
        states: What is kept from one prediction to the next.
        function: The function's name.
        functions: The names of all functions of the package, the default one first.
        spec_version: Core ML's specification version (6 = iOS 15, 7 = iOS 16, 8 = iOS 17, 9 = iOS 18, 10 = iOS 26).
        description: The package's short description.
        metadata: The user-defined metadata.
    """

    name: str
    operations: tuple[MilOperation, ...]
    inputs: tuple[MilTensor, ...]
    outputs: tuple[MilTensor, ...]
    states: tuple[MilTensor, ...] = ()
    function: str = "main"
    functions: tuple[str, ...] = ("main",)
    spec_version: int = 0
    description: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def minimum_ios(self) -> int | None:
        """The lowest iOS release that loads the package, or None for an unknown specification version."""
        return MINIMUM_IOS.get(self.spec_version)

    def op_counts(self) -> dict[str, int]:
        """How often each operation type occurs, the commonest first, constants left out."""
        counts = Counter(operation.op_type for operation in walk(self.operations) if operation.op_type != "const")
        return dict(counts.most_common())

    @property
    def precision(self) -> str:
        """``fp16`` or ``fp32``: the dtype that most of the float operations write."""
        dtypes = Counter(
            output.dtype
            for operation in walk(self.operations)
            if operation.op_type not in ("const", "cast") and not operation.op_type.startswith("constexpr_")
            for output in operation.outputs
            if output.dtype in FLOAT_DTYPES
        )
        return "fp16" if dtypes["fp16"] > dtypes["fp32"] else "fp32"
