"""From a picture to the mask of its figure: given, from transparency, from ink on paper, or from a saliency network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reference.animation.figure.paper import Blank, NoFigure, figure_on_paper
from reference.errors import BadInput
from reference.inputs.preprocess import load_picture

Picture = NDArray[np.uint8]
Bits = NDArray[np.bool_]
# A picture (H, W, 3) uint8 RGB to the probability (H, W) in [0, 1] that a pixel belongs to the salient region, or None.
Saliency = Callable[[Picture], NDArray[np.float32] | None]

SMALLEST_SHARE = 0.005  # of the picture's pixels; less is a speck
SMALLEST_IN_PHOTO = 0.05  # of the pixels of a picture that isn't on paper; less is no subject
LARGEST_SHARE = 0.98
CUT = 0.03  # share of a side of the picture that the figure covers
SMALLEST_SHARP = 48  # pixels of a figure's longer side
SECOND_PART = 0.25  # of the largest part's pixels: from there on another part is worth a note
INK_IN_REGION = 0.75  # share of the ink in the salient region from which on both mean one figure
PALE_SHARE = 0.15  # of the ink, that must be missing in it
LARGEST_OPENING = 0.25  # of a pale piece's outline, that no ink bounds
LEAST_INK = 0.03  # share of a piece from which on it is drawn on
_LONGEST_SIDE = 1024


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


def load_figure(
    image: Path, mask: Path | None = None, saliency: Saliency | None = None, trusted: bool = False
) -> Figure:
    """Reads a picture and finds its figure: from ``mask``, else transparency, else plain paper, else saliency.

    On plain paper the outline of the ink is sharper than a network's mask; of several drawings there the most salient
    is taken.

    Args:
        trusted: take the salient region as it is, on paper too.

    Raises:
        BadInput: unreadable files, sizes that differ, or no usable figure.
    """
    picture = load_picture(image)
    if mask is not None:
        bits, origin = _read_mask(mask, picture.shape[:2]), "mask"
    elif (alpha := _alpha(image)) is not None:
        bits, origin = alpha, "transparency"
    else:
        picture, _ = _limited(picture, np.zeros(picture.shape[:2], bool))
        bits, origin = _found(picture, saliency, trusted)
    picture, bits = _limited(picture, bits)
    clean, notes = clean_mask(bits)
    return Figure(picture, clean, origin, notes)


def _found(picture: Picture, saliency: Saliency | None, trusted: bool) -> tuple[Bits, str]:
    """The figure of a picture that comes without a mask, and where it was found."""
    if trusted and saliency is not None and (known := saliency(picture)) is not None:
        return known >= 0.5, "saliency"
    try:
        bits = figure_on_paper(picture)
    except NoFigure:
        raise
    except Blank as error:  # a network sees something in an empty page, too
        raise BadInput(str(error)) from error
    except BadInput:
        salient = saliency(picture) if saliency is not None else None
        if salient is None:
            raise
        _refuse_scraps(salient >= 0.5)
        return salient_figure(picture, salient), "saliency"
    salient = saliency(picture) if saliency is not None else None
    return (bits if salient is None else _agreed(bits, picture, salient)), "paper"


def _refuse_scraps(region: Bits) -> None:
    """Raises BadInput where only scraps stand out, as in a photograph of a landscape or of nothing."""
    from scipy import ndimage

    labels, _ = ndimage.label(region)
    largest = np.bincount(labels[region], minlength=1).max() / region.size
    if largest < SMALLEST_IN_PHOTO:
        raise BadInput(
            f"no figure found: what stands out most in the picture covers {100 * largest:.1f} % of it; allowed without "
            f"plain paper: {100 * SMALLEST_IN_PHOTO:.0f} % or more; crop the picture to the figure, or give --mask"
        )


def _agreed(bits: Bits, picture: Picture, salient: NDArray[np.float32]) -> Bits:
    """A drawing's ink with what a network saw: the most salient of several parts, and what is pale inside it.

    White shirts and light skin differ too little from paper to be ink; the region is filled where most of the ink lies
    in it, as far as ink encloses it or it holds ink: a network also sees the paper between a tail and a back.
    """
    from scipy import ndimage

    labels, count = ndimage.label(bits, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    if not count:
        return bits
    large = np.flatnonzero(sizes > SECOND_PART * sizes.max())
    weights = [float(salient[labels == 1 + number].sum()) for number in large]
    part: Bits = labels == 1 + int(large[int(np.argmax(weights))]) if max(weights) > 0 else bits
    region: Bits = salient >= 0.5
    if part[region].sum() < INK_IN_REGION * part.sum() or (region & ~part).sum() < PALE_SHARE * part.sum():
        return part
    pale = _belonging(salient_figure(picture, salient) & ~part, part, bits)
    return np.asarray(part | pale) if pale.sum() >= PALE_SHARE * part.sum() else part  # not gaps between paws alone


def _belonging(pale: Bits, part: Bits, ink: Bits) -> Bits:
    """Pieces of ``pale`` whose outline mostly lies along ``part``, or that hold further ink: a body below a head."""
    from scipy import ndimage

    labels, count = ndimage.label(pale)
    sides, opened = np.zeros(count + 1), np.zeros(count + 1)
    padded = np.pad(part.astype(np.uint8) + 2 * pale, 1)
    height, width = pale.shape
    for down, right in ((0, 1), (2, 1), (1, 0), (1, 2)):
        beyond = padded[down : down + height, right : right + width]
        sides += np.bincount(labels[pale & (beyond < 2)], minlength=count + 1)
        opened += np.bincount(labels[pale & (beyond == 0)], minlength=count + 1)
    held = np.bincount(labels[ink & pale], minlength=count + 1) >= LEAST_INK * np.bincount(labels.ravel())
    return np.asarray(pale & (held | (opened <= LARGEST_OPENING * sides))[labels])


def salient_figure(picture: Picture, salient: NDArray[np.float32]) -> Bits:
    """The salient region with its edge moved to the picture's own (GrabCut; Rother et al., 2004).

    Raises:
        BadInput: nothing is salient.
    """
    import cv2

    coarse: Bits = salient >= 0.5
    if coarse.mean() < SMALLEST_SHARE:
        raise BadInput("no figure found: nothing stands out in the picture; give --mask with white where the figure is")
    guess = np.where(coarse, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    guess[salient > 0.95], guess[salient < 0.02] = cv2.GC_FGD, cv2.GC_BGD
    if not (guess % 2 == 0).any():
        return coarse
    cv2.setRNGSeed(0)  # its clusters start at random
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(np.ascontiguousarray(picture), guess, (0, 0, 1, 1), *models, 3, cv2.GC_INIT_WITH_MASK)
    fine: Bits = guess % 2 == 1
    overlap = (fine & coarse).sum() / max((fine | coarse).sum(), 1)
    return fine if overlap > 0.6 else coarse


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
    notes += _doubts(largest)
    holes, number = ndimage.label(~largest)
    areas = np.bincount(holes.ravel(), minlength=number + 1)
    border = set(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]).tolist())
    for hole in range(1, number + 1):
        if hole not in border and areas[hole] < 0.01 * largest.sum():
            largest |= holes == hole
    return largest, tuple(notes)


def _doubts(figure: Bits) -> list[str]:
    """Notes on a figure that is cut off or tiny."""
    edges = figure[0], figure[-1], figure[:, 0], figure[:, -1]
    notes = []
    if any(edge.mean() > CUT for edge in edges):
        notes.append("the figure reaches the picture's border; what is cut off there doesn't move")
    rows, columns = np.flatnonzero(figure.any(axis=1)), np.flatnonzero(figure.any(axis=0))
    size = int(max(np.ptp(rows), np.ptp(columns))) + 1
    if size < SMALLEST_SHARP:
        notes.append(
            f"the figure is {size} pixels large; from {SMALLEST_SHARP} on its outline is sharp enough for limbs"
        )
    return notes


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
