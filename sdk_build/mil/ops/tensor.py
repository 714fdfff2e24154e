"""Operations that build tensors or move elements by shape: reshape, concat, pad, split, fill, ..."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sdk_build.errors import UnsupportedOperation
from sdk_build.mil.ops.conv import pad_spatial
from sdk_build.mil.ops.sizes import checked


def _const(val: Any) -> Any:
    return val


def _identity(x: Any) -> Any:
    return x


def _classify(probabilities: Tensor, classes: np.ndarray) -> tuple[Any, dict[Any, float]]:
    """The most probable label and every label's probability, as coremltools' ``predict`` returns them."""
    values = probabilities.reshape(-1).tolist()
    labels = classes.tolist()
    return labels[int(np.argmax(values))], dict(zip(labels, values, strict=True))


def _reshape(x: Tensor, shape: Tensor) -> Tensor:
    """A 0 inherits the size of ``x`` at the same place from the right, or is 1 beyond its rank."""
    wanted = [int(size) for size in shape.tolist()]
    sizes = [1] * max(0, len(wanted) - x.dim()) + list(x.shape)
    inherited = sizes[len(sizes) - len(wanted) :]
    return x.reshape([size or old for size, old in zip(wanted, inherited, strict=True)])


def _reshape_like(
    x: Tensor, ref_tensors: list[Tensor], begins: list[Tensor], ends: list[Tensor], end_masks: list[Tensor]
) -> Tensor:
    """The shape is put together from stretches of other tensors' shapes."""
    sizes: list[int] = []
    for reference, begin, end, to_end in zip(ref_tensors, begins, ends, end_masks, strict=True):
        sizes.extend(reference.shape[int(begin) : None if bool(to_end) else int(end)])
    return x.reshape(sizes)


def _flatten2d(x: Tensor, axis: Tensor | int = 1) -> Tensor:
    rows = int(np.prod(x.shape[: int(axis)]))
    return x.reshape(rows, x.numel() // rows)


def _transpose(x: Tensor, perm: Tensor) -> Tensor:
    return x.permute(perm.tolist())


def _expand_dims(x: Tensor, axes: Tensor) -> Tensor:
    rank = x.dim() + axes.numel()
    for axis in sorted(int(axis) % rank for axis in axes.tolist()):
        x = x.unsqueeze(axis)
    return x


def _squeeze(x: Tensor, axes: Tensor | None = None) -> Tensor:
    """Leaves axes that are longer than one alone, as torch does."""
    return x.squeeze() if axes is None else x.squeeze(tuple(axes.tolist()))


def _concat(values: list[Tensor], axis: Tensor, interleave: Tensor | bool = False) -> Tensor:
    if values[0].dim() == 0:  # MIL builds shapes from scalars this way
        return torch.stack(values)
    dim = int(axis) % values[0].dim()
    if bool(interleave):
        return torch.stack(values, dim + 1).flatten(dim, dim + 1)
    return torch.cat(values, dim)


def _stack(values: list[Tensor], axis: Tensor) -> Tensor:
    return torch.stack(values, int(axis))


def _split(
    x: Tensor, axis: Tensor, num_splits: Tensor | None = None, split_sizes: Tensor | None = None
) -> tuple[Tensor, ...]:
    dim = int(axis)
    if split_sizes is not None:
        return torch.split(x, split_sizes.tolist(), dim)
    if num_splits is None:
        raise UnsupportedOperation("split without sizes; allowed: num_splits or split_sizes")
    return torch.split(x, x.shape[dim] // int(num_splits), dim)


def _pad(x: Tensor, pad: Tensor, mode: str = "constant", constant_val: Tensor | float = 0.0) -> Tensor:
    """``pad`` lists (before, after) from the first padded dimension on, the reverse of torch."""
    flat = [int(size) for size in pad.tolist()]
    pairs = list(zip(flat[::2], flat[1::2], strict=True))
    checked([n + sum(pair) for n, pair in zip(x.shape[x.dim() - len(pairs) :], pairs, strict=True)])
    if mode == "constant":
        return pad_spatial(x, pairs, float(constant_val))
    numpy_modes: dict[str, Any] = {"reflect": "reflect", "replicate": "edge"}
    if mode not in numpy_modes:
        raise UnsupportedOperation(f"mode '{mode}' is not emulated; allowed: constant, reflect, replicate")
    # torch reflects and replicates at most three dimensions; picking by index has no such limit.
    for axis, pair in enumerate(pairs, start=x.dim() - len(pairs)):
        if any(pair):
            index = np.pad(np.arange(x.shape[axis]), pair, mode=numpy_modes[mode])
            x = x.index_select(axis, torch.from_numpy(index))
    return x


def _tile(x: Tensor, reps: Tensor) -> Tensor:
    repeats = [int(count) for count in reps.tolist()]
    checked([size * count for size, count in zip(x.shape[-len(repeats) :], repeats, strict=False)])
    return x.repeat(repeats)


def _fill(shape: Tensor, value: Tensor | float = 0.0) -> Tensor:
    return torch.full(checked(shape.tolist()), torch.as_tensor(value).item())


def _fill_like(ref_tensor: Tensor, value: Tensor | float = 0.0) -> Tensor:
    return _fill(torch.tensor(ref_tensor.shape), value)


def _shape(x: Tensor) -> Tensor:
    return torch.tensor(x.shape, dtype=torch.int32)


def _range_1d(end: Tensor, start: Tensor, step: Tensor) -> Tensor:
    checked([int(abs(end.item() - start.item()) / abs(step.item())) + 1])
    return torch.arange(start.item(), end.item(), step.item(), dtype=start.dtype)


def _reverse(x: Tensor, axes: Tensor | None = None) -> Tensor:
    return x.flip(tuple(range(x.dim())) if axes is None else tuple(axes.tolist()))


def _reverse_sequence(x: Tensor, lengths: Tensor, seq_axis: Tensor | int = 0, batch_axis: Tensor | int = 0) -> Tensor:
    """Reverses the first ``lengths[i]`` steps of the i-th entry."""
    steps, batch = int(seq_axis) % x.dim(), int(batch_axis) % x.dim()
    place = torch.arange(x.shape[steps])
    last = lengths.long().reshape(-1, 1) - 1
    index = torch.where(place <= last, last - place, place)  # (batch, steps)
    index = index if batch < steps else index.T
    shape = [x.shape[axis] if axis in (batch, steps) else 1 for axis in range(x.dim())]
    return torch.gather(x, steps, index.reshape(shape).expand_as(x))


def _one_hot(
    indices: Tensor,
    one_hot_vector_size: Tensor,
    axis: Tensor | int = -1,
    on_value: Tensor | int = 1,
    off_value: Tensor | int = 0,
) -> Tensor:
    """An index outside the vector gives a vector of ``off_value``."""
    dim = int(axis) % (indices.dim() + 1)
    classes = torch.arange(int(one_hot_vector_size)).reshape(-1, *[1] * (indices.dim() - dim))
    return torch.where(indices.unsqueeze(dim) == classes, torch.as_tensor(on_value), torch.as_tensor(off_value))


def _sliding_windows(x: Tensor, axis: Tensor, size: Tensor, stride: Tensor | int = 1) -> Tensor:
    """Puts the window behind its axis; torch's unfold puts it last."""
    dim = int(axis) % x.dim()
    return x.unfold(dim, int(size), int(stride)).movedim(-1, dim + 1)


TENSOR_OPERATIONS: dict[str, Callable[..., Any]] = {
    "classify": _classify,
    "concat": _concat,
    "const": _const,
    "expand_dims": _expand_dims,
    "fill": _fill,
    "fill_like": _fill_like,
    "flatten2d": _flatten2d,
    "identity": _identity,
    "one_hot": _one_hot,
    "pad": _pad,
    "range_1d": _range_1d,
    "reshape": _reshape,
    "reshape_like": _reshape_like,
    "reverse": _reverse,
    "reverse_sequence": _reverse_sequence,
    "shape": _shape,
    "sliding_windows": _sliding_windows,
    "split": _split,
    "squeeze": _squeeze,
    "stack": _stack,
    "tile": _tile,
    "transpose": _transpose,
}
