"""The log of a training as a picture."""

from __future__ import annotations

import csv
from pathlib import Path


def plot_curves(log: Path, picture: Path) -> None:
    """Draw every column of ``log.csv`` over the epochs: losses left, metrics right, as a PNG.

    Metrics are the columns that are empty where nothing was evaluated or that follow the losses; columns of one image
    type or group (``top1_photo``) are thin lines.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with log.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    columns = [c for c in rows[0] if c not in ("epoch", "seconds")]
    losses = [c for c in columns if "loss" in c]
    figure = Figure(figsize=(10, 4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, names, title in zip(
        figure.subplots(1, 2), (losses, [c for c in columns if c not in losses]), ("losses", "validation"), strict=True
    ):
        for name in names:
            points = [(int(r["epoch"]), float(r[name])) for r in rows if r[name] != ""]
            thick = (name.count("_") < 2 and not name.startswith("top1_")) or name in ("top1_mean", "top1_worst")
            axes.plot(*zip(*points, strict=True), label=name, linewidth=2 if thick else 0.8)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        if names:
            axes.legend(fontsize="small")
    figure.savefig(picture)
