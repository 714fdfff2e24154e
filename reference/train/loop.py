"""The training loop that every model shares: progress, log, checkpoints that resume, best weights.

A recipe brings the network, the batches, the loss and the evaluation; the loop brings everything else. Under
``torchrun`` every process computes its share of each batch and the gradients are averaged.
"""

from __future__ import annotations

import copy
import csv
import math
import os
import pickle
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from reference.checkpoint import save_weights
from reference.errors import BadInput
from reference.train import distributed
from reference.train.curves import plot_curves


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

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Metrics of a network, in evaluation mode on the CPU, on the validation data."""


@dataclass(frozen=True)
class LoopConfig:
    """Where results go and how the learning rate runs: linear warm-up, then a cosine to zero.

    Attributes:
        average: decay of a running mean of the weights, which is then what is evaluated and kept; 0: the weights
            themselves. The mean follows faster at the start: after n steps the decay is at most (1 + n) / (10 + n).
        device: where the network trains; evaluation is on the CPU.
        patience: evaluations without a better result after which the training stops; 0: it runs to its end.
        minutes: time that the training may take, resumed parts together; learning rate and pictures' sizes then follow
            the clock instead of the number of epochs. 0: no limit.
        bf16: compute the loss in bfloat16 where torch holds that for exact enough (autocast); weights stay float32.
    """

    out: Path
    learning_rate: float
    warmup: float = 0.05
    clip: float = 5.0
    evaluate_every: int = 1
    quiet: bool = False
    average: float = 0.0
    device: str = "cpu"
    minutes: float = 0.0
    patience: int = 0
    bf16: bool = False


def rate_at(progress: float, config: LoopConfig) -> float:
    """Learning rate at ``progress`` in [0, 1]."""
    if progress < config.warmup:
        return config.learning_rate * progress / config.warmup
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (progress - config.warmup) / (1 - config.warmup)))


def train(recipe: Recipe, config: LoopConfig) -> dict[str, float]:
    """Run a recipe to its last epoch, resuming from ``checkpoint.pt`` in ``config.out`` if there is one.

    Writes ``log.csv`` (one line an epoch), ``curves.png``, ``checkpoint.pt`` and ``weights.safetensors`` (the best by
    the recipe's monitor).

    Returns:
        The metrics of the best epoch.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    recipe.network.to(config.device)
    mean = RunningMean(recipe.network, config.average)
    state = _resume(recipe, mean, config.out)
    clock = Clock(60 * config.minutes, state.seconds)
    with _Progress(recipe, state.epoch, config.quiet or distributed.rank() > 0) as progress:
        while True:
            recipe.epochs = clock.plan(state.epoch, recipe.epochs)
            if state.epoch >= recipe.epochs or _no_longer_better(state, config):
                break
            began = time.monotonic()
            losses = _one_epoch(recipe, mean, config, clock, state.epoch, progress)
            state.epoch += 1
            last = state.epoch == recipe.epochs or clock.share() >= 1
            if distributed.rank() > 0:
                continue
            row: dict[str, float] = {"epoch": state.epoch, **losses}
            if last or state.epoch % config.evaluate_every == 0:
                row |= _judge(recipe, mean.network if config.average else recipe.network, config.out, state)
            row["seconds"] = round(time.monotonic() - began, 1)
            _log(config.out / "log.csv", row)
            state.seconds = clock.spent()
            _save_checkpoint(recipe, mean, config.out, state)
    if distributed.rank() == 0:
        plot_curves(config.out / "log.csv", config.out / "curves.png")
    return state.best


@dataclass
class _State:
    """Where a training stands.

    Attributes:
        epoch: whole epochs done.
        best: metrics of the best epoch so far.
        stale: evaluations since then.
        seconds: time spent.
    """

    epoch: int = 0
    best: dict[str, float] = field(default_factory=dict)
    stale: int = 0
    seconds: float = 0.0


def _judge(recipe: Recipe, network: nn.Module, out: Path, state: _State) -> dict[str, float]:
    """Evaluate, and keep the weights if they are the best so far."""
    metrics = evaluate(recipe, network)
    sign = 1 if recipe.larger_is_better else -1
    before = sign * state.best[recipe.monitor] if state.best else -math.inf
    state.stale = 0 if sign * metrics[recipe.monitor] > before else state.stale + 1
    if sign * metrics[recipe.monitor] >= before:
        state.best = metrics
        save_weights(network, out / "weights.safetensors")
    return metrics


def _no_longer_better(state: _State, config: LoopConfig) -> bool:
    """Whether the patience is at an end; the first process knows."""
    stop = config.patience > 0 and state.stale >= config.patience
    return config.patience > 0 and distributed.least(int(not stop)) == 0


@torch.no_grad()
def evaluate(recipe: Recipe, network: nn.Module) -> dict[str, float]:
    """The recipe's metrics of a network, which is left as it is."""
    if next(network.parameters()).device.type != "cpu":
        network = copy.deepcopy(network).cpu()
    training = network.training
    metrics = recipe.evaluate(network.eval())
    network.train(training)
    return metrics


class Clock:
    """How far a training is: by epochs, or by time where that is limited. All processes see the same time.

    Args:
        limit: seconds in all; 0: none.
        spent: seconds that earlier parts of the training took.
    """

    def __init__(self, limit: float, spent: float = 0.0) -> None:
        self.limit = limit
        self._began = time.monotonic() - spent

    def spent(self) -> float:
        """Seconds since the training began, without the time between a stop and its resumption."""
        return time.monotonic() - self._began

    def share(self) -> float:
        """Share of the limit that is spent; 0 without a limit."""
        return distributed.least(int(1000 * self.spent())) / (1000 * self.limit) if self.limit else 0.0

    def plan(self, epoch: int, epochs: int) -> int:
        """How many epochs there will be, judged at the start of one; ``epochs`` without a limit."""
        share = self.share()
        if not self.limit or epoch == 0:
            return epochs
        return epoch if share >= 1 else max(epoch + 1, math.ceil(epoch / max(share, 1e-6)))

    def progress(self, done: float, epochs: int) -> float:
        """Share of the training in [0, 1] after ``done`` of ``epochs`` epochs."""
        return min(1.0, self.share()) if self.limit else done / epochs


class RunningMean:
    """Exponential mean of a network's weights and batch statistics (Polyak averaging)."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.network = copy.deepcopy(network) if decay else network
        self._pairs = list(zip(self.network.state_dict().values(), network.state_dict().values(), strict=True))

    @torch.no_grad()
    def update(self) -> None:
        """Take in the network's present weights."""
        self.steps += 1
        if not self.decay:
            return
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        for mean, now in self._pairs:
            if mean.is_floating_point():
                mean.lerp_(now, share)
            else:
                mean.copy_(now)


class _Progress:
    """One bar over the whole training, so that the time left is the time until the weights are there."""

    def __init__(self, recipe: Recipe, start: int, quiet: bool) -> None:
        self.recipe, self.start, self.quiet = recipe, start, quiet
        self.bar: tqdm[Any] | None = None

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def step(self, epoch: int, number: int, count: int, sums: dict[str, float]) -> None:
        if self.bar is None:
            total = self.recipe.epochs * count
            # disable=None: silent where standard error is not a terminal
            self.bar = tqdm(total=total, initial=self.start * count, leave=False, disable=self.quiet or None)
        self.bar.set_description(f"epoch {epoch + 1}/{self.recipe.epochs}", refresh=False)
        self.bar.set_postfix({key: f"{value / (number + 1):.4f}" for key, value in sums.items()}, refresh=False)
        self.bar.update()


def _one_epoch(
    recipe: Recipe, mean: RunningMean, config: LoopConfig, clock: Clock, epoch: int, bar: _Progress
) -> dict[str, float]:
    recipe.network.train()
    sums: dict[str, float] = {}
    batches = recipe.batches(epoch)
    count = len(batches)
    if count == 0:
        raise BadInput("the training data is less than one batch; use a smaller --batch or more data")
    for number, batch in enumerate(batches):
        progress = clock.progress(epoch + number / count, recipe.epochs)
        if progress >= 1 and number:  # out of time
            count = number
            break
        for group in recipe.optimizer.param_groups:
            group["lr"] = rate_at(progress, config) * group.get("lr_scale", 1.0)
        with torch.autocast(torch.device(config.device).type, torch.bfloat16, enabled=config.bf16):
            total, parts = recipe.loss([part.to(config.device) for part in batch], progress)
        if not torch.isfinite(total):
            raise BadInput(f"loss is {total.item()} in epoch {epoch + 1}; use a smaller --learning-rate")
        recipe.optimizer.zero_grad(set_to_none=True)
        total.backward()
        distributed.average_gradients(recipe.network)
        nn.utils.clip_grad_norm_(recipe.network.parameters(), config.clip)
        recipe.optimizer.step()
        mean.update()
        for key, value in {"loss": float(total.detach()), **parts}.items():
            sums[key] = sums.get(key, 0.0) + value
        bar.step(epoch, number, count, sums)
    return {key: value / count for key, value in sums.items()}


def _resume(recipe: Recipe, mean: RunningMean, out: Path) -> _State:
    path = out / "checkpoint.pt"
    if not path.is_file():
        return _State()
    try:
        # weights_only: a checkpoint from elsewhere must not be able to run code
        state = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise BadInput(f"{path} is damaged; remove it to start anew") from error
    try:
        recipe.network.load_state_dict(state["network"])
        recipe.optimizer.load_state_dict(state["optimizer"])
        if mean.decay:
            mean.network.load_state_dict(state["mean"])
        mean.steps = int(state["steps"])
        torch.set_rng_state(state["random"])
        stale, seconds = int(state.get("stale", 0)), float(state.get("seconds", 0.0))
        return _State(int(state["epoch"]), dict(state["best"]), stale, seconds)
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        raise BadInput(f"{path} is of another network; give another --out or remove it") from error


def _save_checkpoint(recipe: Recipe, mean: RunningMean, out: Path, state: _State) -> None:
    document = {
        "network": recipe.network.state_dict(),
        "optimizer": recipe.optimizer.state_dict(),
        "random": torch.get_rng_state(),
        "mean": mean.network.state_dict() if mean.decay else {},
        "steps": mean.steps,
        **asdict(state),
    }
    torch.save(document, out / "checkpoint.tmp")
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
