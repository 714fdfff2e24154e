"""``python -m sdk_build.mil.examples FOLDER``: one model of each kind that Core ML has, made by coremltools.

The classifier and the segmentation network are OnPar's own, with their weights; the others are small and untrained.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sdk_build.command import exit_with
from sdk_build.errors import BadInput

LABELS = ("cat", "dog", "bird", "fish", "tree")


class Recurrent(nn.Module):
    """(1, 6, 8) -> the states of a bidirectional LSTM, (1, 6, 32)."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 16, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        """Every step's state."""
        states: Tensor = self.lstm(x)[0]
        return states


class CachedAttention(nn.Module):
    """One token at a time, (1, 16), over the eight before it, whose keys and values are states."""

    keys: Tensor
    values: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 16)
        self.register_buffer("keys", torch.zeros(8, 16))
        self.register_buffer("values", torch.zeros(8, 16))

    def forward(self, x: Tensor) -> Tensor:
        """The attention's output; the oldest token leaves the states."""
        self.keys[:] = torch.cat([self.keys[1:], self.key(x)])
        self.values[:] = torch.cat([self.values[1:], self.value(x)])
        shares = torch.softmax(self.query(x) @ self.keys.T / 4, dim=-1)
        attended: Tensor = shares @ self.values
        return attended


class Head(nn.Module):
    """(1, 16) -> a number per label; ``scale`` is what two functions of one package differ in."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.body, self.scale = nn.Linear(16, len(LABELS)), scale

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities."""
        return torch.softmax(self.body(x) * self.scale, dim=-1)


class Features(nn.Module):
    """(1, 3, 32, 32) -> (1, 16)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """The mean of a convolution's positive part."""
        return torch.relu(self.conv(x)).mean((2, 3))


class Scaled(nn.Module):
    """A network with its mask, 0 to 1, as a gray picture, 0 to 255."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """The mask as a picture."""
        found = self.network(image)
        mask: Tensor = found[0] if isinstance(found, (tuple, list)) else found
        return mask * 255


def seeded(kind: Callable[..., nn.Module], *arguments: Any) -> nn.Module:
    """A network with the same random weights each time."""
    torch.manual_seed(0)
    return kind(*arguments).eval()


def features_of_head() -> nn.Sequential:
    """The network of ``pipeline.mlpackage`` and ``old.mlmodel``, for ``compare --reference``."""
    torch.manual_seed(0)
    return nn.Sequential(Features(), Head()).eval()


def recurrent() -> nn.Module:
    """The network of ``lstm.mlpackage``, for ``compare --reference``."""
    return seeded(Recurrent)


def _convert(network: nn.Module, shape: tuple[int, ...], inputs: Any, **settings: Any) -> Any:
    import coremltools as ct

    traced = torch.jit.trace(network, torch.zeros(shape), check_trace=False)
    settings = {"minimum_deployment_target": ct.target.iOS17, "skip_model_load": True, **settings}
    return ct.convert(traced, inputs=inputs, **settings)


def _own_network(name: str) -> tuple[nn.Module, tuple[int, ...], tuple[str, ...]]:
    from reference.card import MODELS_DIR
    from reference.checkpoint import TRAINING_HEADS, load_weights
    from reference.registry import build_network, get_spec
    from sdk_build.lowering import lower

    spec = get_spec(name)
    network = build_network(spec)
    load_weights(network, MODELS_DIR / name / "weights.safetensors", ignore=TRAINING_HEADS)
    return lower(network.double()).float().eval(), tuple(spec.input.shape), tuple(spec.labels or ())


def _classifier(folder: Path) -> None:
    import coremltools as ct

    logits, shape, labels = _own_network("classifier")
    network = nn.Sequential(logits, nn.Softmax(dim=-1))
    image = [ct.ImageType("image", shape, scale=1 / 255)]
    _convert(network, shape, image, classifier_config=ct.ClassifierConfig(list(labels))).save(
        str(folder / "classifier.mlpackage")
    )


def _segmentation(folder: Path) -> None:
    import coremltools as ct

    network, shape, _ = _own_network("saliency")
    model = _convert(
        Scaled(network),
        shape,
        [ct.ImageType("image", shape, scale=1 / 255)],
        outputs=[ct.ImageType("mask", color_layout=ct.colorlayout.GRAYSCALE)],
    )
    model.save(str(folder / "segmentation.mlpackage"))


def _lstm(folder: Path) -> None:
    import coremltools as ct

    shape = (1, 6, 8)
    settings = {"compute_precision": ct.precision.FLOAT32, "outputs": [ct.TensorType("states")]}
    _convert(recurrent(), shape, [ct.TensorType("x", shape)], **settings).save(str(folder / "lstm.mlpackage"))


def _stateful(folder: Path) -> None:
    import coremltools as ct

    states = [ct.StateType(ct.TensorType(shape=(8, 16), dtype=np.float16), name=name) for name in ("keys", "values")]
    model = _convert(
        seeded(CachedAttention),
        (1, 16),
        [ct.TensorType("token", (1, 16))],
        outputs=[ct.TensorType("attended")],
        states=states,
        minimum_deployment_target=ct.target.iOS18,
    )
    model.save(str(folder / "attention.mlpackage"))


def _functions(folder: Path) -> None:
    import coremltools as ct

    description = ct.utils.MultiFunctionDescriptor()
    parts = []
    for name, scale in (("plain", 1.0), ("sharp", 4.0)):
        model = _convert(
            seeded(Head, scale), (1, 16), [ct.TensorType("x", (1, 16))], minimum_deployment_target=ct.target.iOS18
        )
        parts.append(folder / f".{name}.mlpackage")
        model.save(str(parts[-1]))
        description.add_function(str(parts[-1]), "main", name)
    description.default_function_name = "plain"
    ct.utils.save_multifunction(description, str(folder / "functions.mlpackage"))
    _remove(parts)


def _remove(parts: list[Path]) -> None:
    import shutil

    for part in parts:
        shutil.rmtree(part)


def _pipeline(folder: Path) -> None:
    import coremltools as ct

    features, head = features_of_head()
    shape = (1, 3, 32, 32)
    single = {"compute_precision": ct.precision.FLOAT32}
    first = _convert(
        features, shape, [ct.ImageType("image", shape, scale=1 / 255)], outputs=[ct.TensorType("features")], **single
    )
    second = _convert(head, (1, 16), [ct.TensorType("features", (1, 16))], outputs=[ct.TensorType("shares")], **single)
    ct.utils.make_pipeline(first, second).save(str(folder / "pipeline.mlpackage"))


def _old(folder: Path) -> None:
    import coremltools as ct

    shape = (1, 3, 32, 32)
    model = _convert(
        features_of_head(),
        shape,
        [ct.ImageType("image", shape, scale=1 / 255)],
        classifier_config=ct.ClassifierConfig(list(LABELS)),
        convert_to="neuralnetwork",
        minimum_deployment_target=None,
    )
    model.save(str(folder / "old.mlmodel"))


MAKERS: dict[str, Callable[[Path], None]] = {
    "classifier": _classifier,
    "segmentation": _segmentation,
    "lstm": _lstm,
    "attention": _stateful,
    "functions": _functions,
    "pipeline": _pipeline,
    "old": _old,
}


def make(folder: Path) -> None:
    """Writes every example.

    Raises:
        BadInput: ``folder`` is a file.
    """
    from sdk_build.quiet import quiet

    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file; allowed: a folder, or a new name")
    folder.mkdir(parents=True, exist_ok=True)
    for name, maker in MAKERS.items():
        with quiet():
            maker(folder)
        print(name)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and write the examples; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m sdk_build.mil.examples", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    a = parser.parse_args(arguments)

    def work() -> int:
        make(a.folder)
        return 0

    return exit_with(work)


if __name__ == "__main__":
    sys.exit(main())
