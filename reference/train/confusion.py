"""What a classifier takes for what, as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

LARGEST_COUNT = 40  # classes that can still be read


def plot_confusion(confusion: Mapping[str, Mapping[str, int]], picture: Path) -> None:
    """Draw a confusion matrix as a PNG: rows are the truth, columns the answers, shares of each row in percent.

    Of more than 40 classes the 40 with most mistakes are drawn.

    Args:
        confusion: {true class: {answered class: count}}.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(confusion)
    counts = np.array([[row[name] for name in names] for row in confusion.values()], float)
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    shown = most_confused(counts)
    shares, names = shares[np.ix_(shown, shown)], [names[i] for i in shown]
    side = 3.5 + 0.33 * len(names)
    figure = Figure(figsize=(side + 1, side), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    axes.set_title(f"{len(names)} of {len(confusion)} classes" if len(names) < len(confusion) else "validation")
    if len(names) <= 20:
        for (i, j), share in np.ndenumerate(shares):
            if share >= 0.5:
                color = "white" if share > 50 else "black"
                axes.text(j, i, f"{share:.0f}", ha="center", va="center", fontsize="x-small", color=color)
    figure.colorbar(image, label="percent of the truth", shrink=0.7)
    figure.savefig(picture)


def most_confused(counts: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> list[int]:
    """Numbers of the classes to draw, in order: all, or those with most mistakes, their own and others'."""
    if len(counts) <= LARGEST_COUNT:
        return list(range(len(counts)))
    wrong = counts.sum(0) + counts.sum(1) - 2 * np.diag(counts)
    return sorted(np.argsort(-wrong, kind="stable")[:LARGEST_COUNT].tolist())
