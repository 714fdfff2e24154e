"""Weights of any usual file as a plain state dict; nothing that could run code is read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.checkpoint import differing
from reference.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor, nn

NESTED = ("state_dict", "model_state_dict", "model", "model_ema", "ema")  # where trainings put it in a checkpoint
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and torch.compile


def load_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a file: .safetensors, or what ``torch.save(network.state_dict(), file)`` wrote.

    Raises:
        WeightsError: it is missing or damaged, or holds more than tensors.
    """
    if not path.is_file():
        raise WeightsError(f"no weights at {path}; give a .safetensors file or a saved state dict")
    state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    for prefix in PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"can't read weights {path} ({error}); give a whole .safetensors file") from error


def _read_torch(path: Path) -> dict[str, Tensor]:
    import pickle

    import torch

    advice = "save the tensors alone: torch.save(network.state_dict(), 'weights.pt'), where the network can be loaded"
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(f"{path} holds pickled Python objects, which can run code; {advice}") from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise WeightsError(f"can't read weights {path} ({' '.join(str(error).split())[:120]}); {advice}") from error
    for key in NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content or not all(isinstance(v, torch.Tensor) for v in content.values()):
        raise WeightsError(f"{path} holds {type(content).__name__}, no state dict; {advice}")
    return dict(content)


def load_into(network: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Fill a network.

    Raises:
        WeightsError: the tensors are of another network.
    """
    wanted = network.state_dict()
    missing, extra = sorted(set(wanted) - set(state)), sorted(set(state) - set(wanted))
    if missing or extra:
        raise WeightsError(f"{path} is of another network: {differing(missing, extra)}; use the weights of this one")
    unlike = [name for name in wanted if wanted[name].shape != state[name].shape]
    if unlike:
        first = unlike[0]
        raise WeightsError(
            f"{path} is of another network: {len(unlike)} tensors have another shape, first {first} "
            f"{tuple(state[first].shape)}, needed {tuple(wanted[first].shape)}; use the weights of this one"
        )
    network.load_state_dict(state)


def check_finite(network: nn.Module, what: str) -> None:
    """Refuse weights that hold NaN or infinity.

    Raises:
        WeightsError: names the first tensor.
    """
    import torch

    for name, tensor in network.state_dict().items():
        if tensor.layout is not torch.strided:
            raise WeightsError(f"{what}: {name} is sparse; no converter takes that: store it by its to_dense()")
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise WeightsError(f"{what}: {name} holds values that are not finite; mend or train the weights again")
