"""From a picture to the mask of its figure: given, from transparency, from a saliency network, or from plain paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.inputs.preprocess import load_picture

Picture = NDArray[np.uint8]
Bits = NDArray[np.bool_]
# A picture (H, W, 3) uint8 RGB to the probability (H, W) in [0, 1] that a pixel belongs to the salient region.
Saliency = Callable[[Picture], NDArray[np.float32]]

SMALLEST_SHARE = 0.005  # of the picture's pixels; less is a speck
LARGEST_SHARE = 0.98
SECOND_PART = 0.25  # of the largest part's pixels: from there on another part is worth a note
MOST_OF_INK = 0.8  # of a drawing's ink that its figure must hold
COLOURED = 0.6  # share of the ink in areas from which a drawing counts as coloured all over
THICK = 8  # half the width of what is an area and no line, in pixels of a picture of 512
BRIDGED = (0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36)  # radii in pixels of a picture of 512; twice as wide gaps close
_LONGEST_SIDE = 1024
_PAPER_SPREAD = 30.0  # Lab units between border pixels at which the paper isn't plain any more


@dataclass(frozen=True, eq=False)
class Figure:
    """A picture with the mask of its figure.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, one connected part.
        origin: where the mask came from: 'mask', 'transparency', 'saliency' or 'paper'.
        notes: what was done to the mask that a user should know.
    """

    picture: Picture
    mask: Bits
    origin: str
    notes: tuple[str, ...] = ()


def load_figure(image: Path, mask: Path | None = None, saliency: Saliency | None = None) -> Figure:
    """Reads a picture and finds its figure: from ``mask``, else transparency, else saliency, else plain paper.

    Raises:
        BadInput: unreadable files, sizes that differ, or no usable figure.
    """
    picture = load_picture(image)
    if mask is not None:
        bits, origin = _read_mask(mask, picture.shape[:2]), "mask"
    elif (alpha := _alpha(image)) is not None:
        bits, origin = alpha, "transparency"
    elif saliency is not None:
        bits, origin = saliency(picture) >= 0.5, "saliency"
    else:
        bits, origin = figure_on_paper(picture), "paper"
    picture, bits = _limited(picture, bits)
    clean, notes = clean_mask(bits)
    return Figure(picture, clean, origin, notes)


def _alpha(path: Path) -> Bits | None:
    """Opaque pixels, or None where nothing is transparent."""
    from PIL import Image, ImageOps

    with path.open("rb") as file, Image.open(file) as opened:  # not by its name: see load_picture
        if "A" not in opened.getbands() and "transparency" not in opened.info:
            return None
        alpha = np.array(ImageOps.exif_transpose(opened).convert("RGBA"))[..., 3]
    return None if (alpha >= 128).all() else alpha >= 128


def _read_mask(path: Path, size: tuple[int, ...]) -> Bits:
    bits: Bits = load_picture(path).mean(axis=2) >= 128
    if bits.shape != size:
        raise BadInput(
            f"mask {path} is {bits.shape[1]}x{bits.shape[0]}, the picture {size[1]}x{size[0]}; allowed: the same size"
        )
    if not bits.any():
        raise BadInput(f"mask {path} is empty; allowed: white where the figure is; check that it isn't inverted")
    return bits


def _limited(picture: Picture, mask: Bits) -> tuple[Picture, Bits]:
    """Scales large pictures down: more pixels than a phone shows only cost time and memory."""
    import cv2

    scale = _LONGEST_SIDE / max(picture.shape[:2])
    if scale >= 1:
        return picture, mask
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    share = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return small, np.asarray(share >= 0.5)


def clean_mask(mask: Bits) -> tuple[Bits, tuple[str, ...]]:
    """The largest part, without pinholes; holes that belong to the figure (an arm on the hip) stay.

    Returns:
        The mask and notes about what was left out or changed.

    Raises:
        BadInput: empty, too small or filling the picture.
    """
    from scipy import ndimage

    share = float(mask.mean())
    if not mask.any():
        raise BadInput("no figure found: the mask is empty; give --mask with white where the figure is")
    if share > LARGEST_SHARE:
        raise BadInput(f"the mask fills {100 * share:.0f} % of the picture; allowed: up to 98 %; give another --mask")
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel())[1:]
    largest: Bits = labels == 1 + int(sizes.argmax())
    notes = []
    others = int((np.delete(sizes, sizes.argmax()) > SECOND_PART * sizes.max()).sum())
    if others:
        notes.append(f"the mask has {others + 1} large parts; the largest is used")
    elif count > 1:
        notes.append(f"{count - 1} small parts of the mask are left out")
    largest, thickened = _thick_enough(largest)
    if thickened:
        notes.append("the figure is a thin line; it was thickened to be animated")
    if largest.sum() < SMALLEST_SHARE * mask.size:
        raise BadInput(
            f"the figure covers {100 * largest.mean():.2f} % of the picture; allowed: 0.5 % or more; crop the picture"
        )
    holes, number = ndimage.label(~largest)
    areas = np.bincount(holes.ravel(), minlength=number + 1)
    border = set(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]).tolist())
    for hole in range(1, number + 1):
        if hole not in border and areas[hole] < 0.01 * largest.sum():
            largest |= holes == hole
    return largest, tuple(notes)


def _thick_enough(mask: Bits) -> tuple[Bits, bool]:
    """Thickens a figure that is a line everywhere to about a fiftieth of its size."""
    import cv2

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    size = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    thickness = float(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5).max())
    wanted = max(2.0, size / 100)
    if thickness >= wanted:
        return mask, False
    radius = int(np.ceil(wanted - thickness)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0), True


def figure_on_paper(picture: Picture) -> Bits:
    """The mask of a drawing on plain paper: what differs from the border's colour, with its outlines filled.

    Lines that don't close are joined over growing gaps until their inside fills. It knows nothing of objects: on a
    photograph use a mask or the saliency network.

    Raises:
        BadInput: the border isn't of one colour, or nothing differs from it.
    """
    import cv2

    # Small drawings are enlarged: gaps are bridged and specks removed in steps of a pixel.
    scale = 512 / max(picture.shape[:2])
    size = (max(8, round(picture.shape[1] * scale)), max(8, round(picture.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = np.clip(np.asarray(cv2.resize(picture, size, interpolation=method), np.float32), 0, 255)
    lab = np.asarray(cv2.cvtColor(small / 255, cv2.COLOR_RGB2LAB), np.float32)
    level = np.clip(np.linalg.norm(lab - _paper(lab), axis=2) * 2.5, 0, 255).astype(np.uint8)
    threshold, _ = cv2.threshold(np.asarray(level), 0.0, 255.0, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    ink = level > max(min(threshold, 70), 20)  # Otsu alone takes only the darkest of several colours
    ink[[0, -1]] = False
    ink[:, [0, -1]] = False
    if not ink.any():
        raise BadInput("nothing in the picture differs from its background; give --mask with white on the figure")
    full = cv2.resize(_filled(ink).astype(np.float32), picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(full >= 0.4)  # a pen stroke of a pixel must not fade


def _filled(ink: Bits) -> Bits:
    """The inside of a drawing's outline: gaps are bridged as far as needed for one figure that holds most of the ink.

    Among those, the least bridging is taken whose outlines enclose half of what the widest encloses; a stick figure
    encloses nothing and is taken as soon as it hangs together. A figure that is coloured all over keeps its holes.
    """
    from scipy import ndimage

    if _thick_share(ink) > COLOURED:
        return np.asarray(ndimage.binary_opening(ink, np.ones((3, 3))))
    found: list[tuple[Bits, int]] = []
    for radius in BRIDGED:
        closed = _closed(ink, radius)
        filled = ndimage.binary_fill_holes(closed)
        labels, _ = ndimage.label(filled, np.ones((3, 3)))
        held = np.bincount(labels[ink], minlength=2)[1:]
        if held.max() >= MOST_OF_INK * ink.sum():
            figure = labels == 1 + int(held.argmax())
            found.append((figure, int((figure & ~closed).sum())))
    if not found:  # several figures, or strokes far apart
        return np.asarray(ndimage.binary_fill_holes(ink))
    most = max(enclosed for _, enclosed in found)
    return next(figure for figure, enclosed in found if enclosed >= most / 2 or most < 0.2 * figure.sum())


def _thick_share(ink: Bits) -> float:
    """Share of the ink that no pen's line holds: it lies within discs of THICK pixels' radius."""
    import cv2

    core = cv2.distanceTransform(ink.astype(np.uint8), cv2.DIST_L2, 5) > THICK
    grown = cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, 5) <= THICK
    return float((grown & ink).sum() / ink.sum())


def _closed(ink: Bits, radius: int) -> Bits:
    """Morphological closing by a disc, through distances: as fast for a large disc as for a small one."""
    import cv2

    if radius == 0:
        return ink
    padded = np.pad(ink, radius + 2)
    grown = cv2.distanceTransform((~padded).astype(np.uint8), cv2.DIST_L2, 5) <= radius
    closed = cv2.distanceTransform(grown.astype(np.uint8), cv2.DIST_L2, 5) > radius
    return np.asarray(closed | padded)[radius + 2 : -radius - 2, radius + 2 : -radius - 2]


def _paper(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """Background colour at every pixel: a plane through the border's pixels, since paper is seldom lit evenly."""
    height, width = lab.shape[:2]
    y, x = np.mgrid[:height, :width]
    edge = max(2, min(height, width) // 50)
    border = np.ones((height, width), bool)
    border[edge:-edge, edge:-edge] = False
    terms = np.stack([np.ones_like(x), x / width, y / height], axis=-1).astype(np.float64)
    rows, colors = terms[border], lab[border].astype(np.float64)
    kept = np.ones(len(rows), bool)
    for _ in range(5):  # the figure may touch the border: what is far from the plane doesn't count
        plane, *_ = np.linalg.lstsq(rows[kept], colors[kept], rcond=None)
        distance = np.linalg.norm(colors - rows @ plane, axis=1)
        kept = distance <= max(np.median(distance) * 3, 3.0)
    if np.median(distance) > _PAPER_SPREAD / 3 or np.quantile(distance, 0.7) > _PAPER_SPREAD:
        raise BadInput(
            "the picture has no plain background; allowed without a mask: drawings on paper; give --mask, a PNG with "
            "transparency, or --bundle with a saliency bundle"
        )
    return (terms @ plane).astype(np.float32)
