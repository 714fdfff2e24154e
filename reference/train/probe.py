"""``python -m reference.train.probe --weights NAME|FILE --data DIR``: what features know, read by a linear classifier.

The features stay as they are; a softmax regression on their pooled values is fitted to the training pictures and judged
on the validation pictures. It compares backbones before any network is trained from them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reference.errors import BadInput, OnParError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from reference.data.pictures import PictureFiles
    from reference.train.recipes.backbone import Backbone

DECAY = 1e-3  # weight of the squared coefficients, on features of spread 1
STEPS = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, fit, print the figures; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m reference.train.probe", description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True, metavar="NAME|FILE", help="e.g. backbone or classifier")
    parser.add_argument("--data", type=Path, required=True, help="a folder of class folders, as for training")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    try:
        metrics = probe(a.weights, a.data)
    except OnParError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    document = {"weights": a.weights, "data": str(a.data), "metrics": metrics}
    print(json.dumps(document) if a.json else "\n".join(f"{k:>20}  {v:.4g}" for k, v in metrics.items()))
    return 0


def probe(weights: str, data: Path) -> dict[str, float]:
    """Top-1 in percent of linear classifiers on the features: of the class (mean, each image type) and of the type.

    Raises:
        BadInput, WeightsError: the folder or the weights can't be used.
    """
    from reference.card import MODELS_DIR
    from reference.checkpoint import find_weights, load_features
    from reference.data.own_pictures import list_own_pictures
    from reference.train.recipes.backbone import Backbone, width_of

    path = find_weights(weights, MODELS_DIR)
    network = Backbone({}, width=width_of(path)).eval()
    load_features(network, path)
    files = {"train": list_own_pictures(data, "train")}
    files["val"] = list_own_pictures(data, "val", files["train"].class_names)
    return compare({split: (embed(network, listed), listed) for split, listed in files.items()})


def embed(network: Backbone, files: PictureFiles) -> Tensor:
    """Pooled features (N, C) of pictures as the classifier's apps prepare them; not finite where one can't be read."""
    import torch
    from torch.utils.data import DataLoader

    from reference.data.pictures import PreparedPictures
    from reference.networks import classifier

    found = []
    with torch.no_grad():
        for images, labels, _ in DataLoader(PreparedPictures(files, classifier.SPEC.sampling), batch_size=64):
            features = network.embed(images)
            found.append(features.masked_fill(labels[:, None] < 0, float("nan")))
    return torch.cat(found)


def compare(parts: dict[str, tuple[Tensor, PictureFiles]]) -> dict[str, float]:
    """The figures of :func:`probe`, of features with their files by split."""
    import numpy as np
    import torch

    (x, files), (y, held_out) = (_readable(*parts[split]) for split in ("train", "val"))
    mean, spread = x.mean(0), x.std(0) + 1e-6
    x, y = (x - mean) / spread, (y - mean) / spread
    guess: Tensor = fit(x, torch.from_numpy(files.labels))(y).argmax(1)
    right = guess.numpy() == held_out.labels
    by_type = {
        f"top1_{name}": 100 * float(right[held_out.types == number].mean())
        for number, name in enumerate(held_out.type_names)
    }
    result = {"top1_mean": sum(by_type.values()) / len(by_type), **by_type}
    if len(files.type_names) > 1 and files.type_names == held_out.type_names:
        guess = fit(x, torch.from_numpy(files.types))(y).argmax(1)
        result["image_type"] = 100 * float((guess.numpy() == held_out.types).mean())
        result["image_type_chance"] = 100 * float(np.bincount(held_out.types).max()) / len(held_out.types)
    return result


def fit(x: Tensor, labels: Tensor) -> nn.Linear:
    """Softmax regression of (N,) labels on (N, C) features, by L-BFGS from zero: the same result every time."""
    import torch
    from torch import nn

    layer = nn.Linear(x.shape[1], int(labels.max()) + 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(layer(x), labels) + DECAY * layer.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return layer.requires_grad_(False)


def _readable(features: Tensor, files: PictureFiles) -> tuple[Tensor, PictureFiles]:
    from dataclasses import replace

    good = features.isfinite().all(1)
    if not good.any():
        raise BadInput(f"none of the {len(files.paths)} pictures can be read, first {files.paths[0]}; restore them")
    kept = good.numpy()
    paths = tuple(path for path, keep in zip(files.paths, kept, strict=True) if keep)
    return features[good], replace(files, paths=paths, labels=files.labels[kept], types=files.types[kept])


if __name__ == "__main__":
    sys.exit(main())
