"""The training loop that every model shares: progress, log, checkpoints that resume, best weights.

A recipe brings the network, the batches, the loss and the evaluation; the loop brings everything else.
"""

from __future__ import annotations

import csv
import math
import os
import pickle
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from reference.checkpoint import save_weights
from reference.errors import BadInput


class Recipe(Protocol):
    """What differs between models.

    Attributes:
        monitor: the metric that decides which weights are best.
    """

    epochs: int
    monitor: str
    larger_is_better: bool

    @property
    def network(self) -> nn.Module: ...

    @property
    def optimizer(self) -> torch.optim.Optimizer: ...

    def batches(self, epoch: int) -> DataLoader[Any]:
        """The batches of one epoch; the same for the same epoch number, so that a resumed run repeats them."""

    def loss(self, batch: Any, progress: float) -> tuple[Tensor, dict[str, float]]:
        """Total loss of one batch and the parts to log; ``progress`` runs from 0 to 1 over the training."""

    def evaluate(self) -> dict[str, float]:
        """Metrics on the validation data."""


@dataclass(frozen=True)
class LoopConfig:
    """Where results go and how the learning rate runs: linear warm-up, then a cosine to zero."""

    out: Path
    learning_rate: float
    warmup: float = 0.05
    clip: float = 5.0
    evaluate_every: int = 1
    quiet: bool = False


def rate_at(progress: float, config: LoopConfig) -> float:
    """Learning rate at ``progress`` in [0, 1]."""
    if progress < config.warmup:
        return config.learning_rate * progress / config.warmup
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (progress - config.warmup) / (1 - config.warmup)))


def train(recipe: Recipe, config: LoopConfig) -> dict[str, float]:
    """Run a recipe to its last epoch, resuming from ``checkpoint.pt`` in ``config.out`` if there is one.

    Writes ``log.csv`` (one line an epoch), ``checkpoint.pt`` and ``weights.safetensors`` (the best by the
    recipe's monitor).

    Returns:
        The metrics of the best epoch.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    start, best = _resume(recipe, config.out)
    for epoch in range(start, recipe.epochs):
        began = time.monotonic()
        row: dict[str, float] = {"epoch": epoch + 1, **_one_epoch(recipe, config, epoch)}
        last = epoch + 1 == recipe.epochs
        if last or (epoch + 1) % config.evaluate_every == 0:
            recipe.network.eval()
            with torch.no_grad():
                metrics = recipe.evaluate()
            row |= metrics
            sign = 1 if recipe.larger_is_better else -1
            if not best or sign * metrics[recipe.monitor] >= sign * best[recipe.monitor]:
                best = metrics
                save_weights(recipe.network, config.out / "weights.safetensors")
        row["seconds"] = round(time.monotonic() - began, 1)
        _log(config.out / "log.csv", row)
        _save_checkpoint(recipe, config.out, epoch + 1, best)
    return best


def _one_epoch(recipe: Recipe, config: LoopConfig, epoch: int) -> dict[str, float]:
    recipe.network.train()
    sums: dict[str, float] = {}
    batches = recipe.batches(epoch)
    count = len(batches)
    if count == 0:
        raise BadInput("the training data is less than one batch; use a smaller --batch or more data")
    with tqdm(batches, desc=f"epoch {epoch + 1}/{recipe.epochs}", leave=False, disable=config.quiet or None) as bar:
        for number, batch in enumerate(bar):
            progress = (epoch + number / count) / recipe.epochs
            for group in recipe.optimizer.param_groups:
                group["lr"] = rate_at(progress, config) * group.get("lr_scale", 1.0)
            total, parts = recipe.loss(batch, progress)
            if not torch.isfinite(total):
                raise BadInput(f"loss is {total.item()} in epoch {epoch + 1}; use a smaller --learning-rate")
            recipe.optimizer.zero_grad(set_to_none=True)
            total.backward()
            nn.utils.clip_grad_norm_(recipe.network.parameters(), config.clip)
            recipe.optimizer.step()
            for key, value in {"loss": float(total.detach()), **parts}.items():
                sums[key] = sums.get(key, 0.0) + value
            bar.set_postfix({key: f"{value / (number + 1):.4f}" for key, value in sums.items()}, refresh=False)
    return {key: value / count for key, value in sums.items()}


def _resume(recipe: Recipe, out: Path) -> tuple[int, dict[str, float]]:
    path = out / "checkpoint.pt"
    if not path.is_file():
        return 0, {}
    try:
        # weights_only: a checkpoint from elsewhere must not be able to run code
        state = torch.load(path, weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise BadInput(f"{path} is damaged; remove it to start anew") from error
    try:
        recipe.network.load_state_dict(state["network"])
        recipe.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        return int(state["epoch"]), dict(state["best"])
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        raise BadInput(f"{path} is of another network; give another --out or remove it") from error


def _save_checkpoint(recipe: Recipe, out: Path, epoch: int, best: dict[str, float]) -> None:
    state = {
        "network": recipe.network.state_dict(),
        "optimizer": recipe.optimizer.state_dict(),
        "random": torch.get_rng_state(),
        "epoch": epoch,
        "best": best,
    }
    torch.save(state, out / "checkpoint.tmp")
    os.replace(out / "checkpoint.tmp", out / "checkpoint.pt")


def _log(path: Path, row: dict[str, float]) -> None:
    """Append a line; a metric that was not measured stays empty.

    Lines from this epoch onwards are dropped: they are of a run that was stopped before it saved its checkpoint.
    """
    rows: list[dict[str, Any]] = []
    if path.is_file():
        with path.open(newline="") as lines:
            rows = [old for old in csv.DictReader(lines) if int(old["epoch"]) < row["epoch"]]
    rows.append({key: f"{value:.6g}" for key, value in row.items()})
    columns = list(dict.fromkeys(key for r in rows for key in r))
    with path.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
