"""How complete the outline of a line drawing is (document I, row I5), and the region that it encloses.

Drawings are dark lines on light paper, (H, W, 3) uint8 RGB. The document removes drawings whose outline of the salient
region is too incomplete from the training set, but gives no measure. Ours: the area that the lines enclose when only
small gaps are bridged, over the area when wide gaps are. A closed outline gives 0.7 to 1 (the wide bridges fill the
space between legs), a head whose neck ends in the open 0.2 to 0.4, lines that enclose nothing about 0.1.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
SMALL_GAP = 0.04  # a slip of the pen: bridged without counting, as a share of the picture's longer side
WIDE_GAP = 0.3  # a missing part of the outline


@dataclass(frozen=True)
class Outline:
    """What the lines of a drawing enclose.

    Attributes:
        region: (H, W) the largest region that the lines enclose, small gaps bridged, and the lines around it.
        completeness: 0 to 1; 0 where there are no lines.
    """

    region: Mask
    completeness: float


def find_lines(picture: NDArray[np.uint8]) -> Mask:
    """Pixels of the lines: clearly darker than the paper around them.

    Args:
        picture: (H, W, 3) uint8 RGB.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    # The paper: what is left when everything narrower than a tenth of the picture is wiped out.
    size = max(3, max(grey.shape) // 10 | 1)
    paper = cv2.medianBlur(cv2.dilate(grey, np.ones((size, size), np.uint8)), min(size, 255))
    return np.asarray(paper.astype(np.int16) - grey > 40)


def measure_outline(picture: NDArray[np.uint8]) -> Outline:
    """Region and completeness of a drawing's outline.

    Args:
        picture: (H, W, 3) uint8 RGB, dark lines on light paper.
    """
    lines = find_lines(picture)
    longest = max(lines.shape)
    region = enclosed(lines, round(SMALL_GAP * longest / 2))
    whole = enclosed(lines, round(WIDE_GAP * longest / 2))
    return Outline(region, min(1.0, float(region.sum()) / max(1.0, float(whole.sum()))))


def enclosed(lines: Mask, radius: int) -> Mask:
    """The largest region that lines enclose after gaps up to twice ``radius`` were bridged, with its lines.

    Closing (grow, fill, shrink) leaves straight and convex contours where they are.
    """
    padded = np.pad(lines, radius + 2)
    if radius:
        padded = ndimage.distance_transform_edt(~padded) <= radius
    filled = ndimage.binary_fill_holes(padded)
    if radius:
        filled = ndimage.distance_transform_edt(filled) > radius
    filled = filled[radius + 2 : radius + 2 + lines.shape[0], radius + 2 : radius + 2 + lines.shape[1]] | lines
    parts, count = ndimage.label(filled, np.ones((3, 3)))
    if count == 0:
        return filled
    largest = 1 + int(np.argmax(ndimage.sum_labels(filled, parts, range(1, count + 1))))
    return np.asarray(parts == largest)


def report_removed(removed: Sequence[tuple[Path, float]], folder: Path) -> None:
    """Write what the filter took out: ``removed_drawings.csv``, and up to 60 of them as ``removed_drawings.png``.

    Args:
        removed: (file, completeness), in any order.
    """
    ordered = sorted(removed, key=lambda item: (item[1], item[0]))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "removed_drawings.csv").open("w", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(("file", "completeness"))
        writer.writerows((path.as_posix(), f"{value:.3f}") for path, value in ordered)
    step = max(1, -(-len(ordered) // 60))
    tiles = [_tile(path, value) for path, value in ordered[::step]]
    columns = 10
    tiles += [np.full((150, 120, 3), 255, np.uint8)] * (-len(tiles) % columns)
    if tiles:
        rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
        cv2.imwrite(str(folder / "removed_drawings.png"), np.vstack(rows)[..., ::-1])


def _tile(path: Path, completeness: float) -> NDArray[np.uint8]:
    """A drawing with its enclosed region in colour and its completeness below."""
    picture = np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR), np.uint8)[..., ::-1].copy()
    region = measure_outline(picture).region
    picture[region] = (0.6 * picture[region] + 0.4 * np.array([255, 90, 60])).astype(np.uint8)
    tile = np.full((150, 120, 3), 255, np.uint8)
    tile[2:118, 2:118] = cv2.resize(picture, (116, 116), interpolation=cv2.INTER_AREA)
    cv2.putText(tile, f"{completeness:.2f}", (36, 140), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (40, 40, 40), 1, cv2.LINE_AA)
    return tile
