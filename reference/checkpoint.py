"""Weights on disk: safetensors, checked against the network they are loaded into.

Matrices and kernels are stored as float16 and computed with as float32. The stored values *are* the reference:
every accuracy in a card is measured after this rounding, and an fp16 artifact carries the weights exactly.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from reference.errors import WeightsError

# Parts of a network that only training has; stored weights may hold them.
TRAINING_HEADS = ("type_head.", "attribute_head.", "appearance.")


def save_weights(network: nn.Module, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a network's parameters and buffers as :func:`save_tensors` does."""
    save_tensors(network.state_dict(), path, metadata)


def save_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write tensors as weights are stored; the file appears whole or not at all.

    Raises:
        WeightsError: it can't be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    temporary = path.with_suffix(".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: stored(tensor) for name, tensor in tensors.items()}, temporary, metadata)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise WeightsError(f"can't write {path} ({error}); give a file in a writable folder") from error


def stored(tensor: Tensor) -> Tensor:
    """float16 for kernels and matrices; vectors (biases, batch statistics) keep float32, they need its range."""
    if tensor.ndim >= 2 and tensor.is_floating_point():
        return tensor.detach().half().contiguous()
    return tensor.detach().contiguous()


def load_weights(network: nn.Module, path: Path, ignore: tuple[str, ...] = ()) -> None:
    """Fill a network from a file.

    Args:
        ignore: prefixes of stored names that the network may lack (a training-only head).

    Raises:
        WeightsError: the file is missing or damaged, or holds other tensors than the network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise WeightsError(f"no weights at {path}; train the model or restore the file from the repository")
    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"can't read weights {path}: {error}; restore the file from the repository") from error
    wanted = network.state_dict()
    stored = {name: tensor for name, tensor in stored.items() if name in wanted or not name.startswith(ignore or "\0")}
    missing, extra = sorted(set(wanted) - set(stored)), sorted(set(stored) - set(wanted))
    if missing or extra:
        raise WeightsError(
            f"{path} is of another network than {type(network).__name__}: {differing(missing, extra)}; "
            "use the weights of this very model"
        )
    for name, tensor in stored.items():
        if tensor.shape != wanted[name].shape:
            raise WeightsError(
                f"{path}: {name} is {tuple(tensor.shape)}, the network needs {tuple(wanted[name].shape)}; "
                "use the weights of this very model"
            )
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise WeightsError(f"{path}: {name} holds values that are not finite; restore the file from the repository")
        stored[name] = tensor.to(wanted[name].dtype)
    network.load_state_dict(stored)


def differing(missing: Sequence[str], extra: Sequence[str]) -> str:
    """How two sets of tensors' names differ: how many, and the first three of each."""
    parts = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for what, names in (("missing", missing), ("unexpected", extra))
        if names
    ]
    return ", ".join(parts)


def find_weights(name: str, models_dir: Path) -> Path:
    """The weights that ``--init`` names: a file, or a folder of ``models/``, e.g. ``backbone``.

    Raises:
        WeightsError: it is neither.
    """
    if Path(name).is_file():
        return Path(name)
    stored = models_dir / name / "weights.safetensors"
    if not stored.is_file():
        known = sorted(p.parent.name for p in models_dir.glob("*/weights.safetensors"))
        raise WeightsError(f"no weights {name!r}; --init takes a weights.safetensors or one of: {', '.join(known)}")
    return stored


def start_from(network: nn.Module, path: Path, ignore: tuple[str, ...] = ()) -> None:
    """Start from a network's own weights or, where the file holds nothing but features, from a backbone's.

    Args:
        ignore: see :func:`load_weights`.

    Raises:
        WeightsError: the file is missing or damaged, or of another network.
    """
    if holds_features_alone(path):
        load_features(network, path)
    else:
        load_weights(network, path, ignore)


def holds_features_alone(path: Path) -> bool:
    """Whether a file of weights is a backbone's; False if it can't be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return all(name.startswith("features.") for name in file.keys())  # noqa: SIM118
    except (SafetensorError, OSError):
        return False


def load_features(network: nn.Module, path: Path) -> int:
    """Start a network's feature extractor from another network's weights; everything else stays as it is.

    The other network may have more features: a detector takes the first blocks of a backbone.

    Returns:
        The number of tensors taken.

    Raises:
        WeightsError: the file is missing or damaged, or its features are of another kind.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"can't read weights {path}: {error}; --init names a weights.safetensors") from error
    wanted = {name: tensor for name, tensor in network.state_dict().items() if name.startswith("features.")}
    missing = [name for name in wanted if name not in stored]
    unlike = [name for name in wanted if name in stored and stored[name].shape != wanted[name].shape]
    if missing or unlike or not wanted:
        unknown = sum(name.startswith("features.") and name not in wanted for name in stored)
        first = f", first {[*missing, *unlike][0]}" if missing or unlike else ""
        raise WeightsError(
            f"{path} does not fit {type(network).__name__}: of its {len(wanted)} features {len(missing)} are missing "
            f"and {len(unlike)} have another shape{first}; {unknown} are unknown to it; --init names a network with "
            "the same features, of the same width"
        )
    for name in wanted:
        if stored[name].is_floating_point() and not torch.isfinite(stored[name]).all():
            raise WeightsError(f"{path}: {name} holds values that are not finite; restore the file from the repository")
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(stored[name])
    return len(wanted)
