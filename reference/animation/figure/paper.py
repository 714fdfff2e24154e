"""The mask of a drawing on paper, by its ink: unevenly lit, lined or squared paper, outlines with gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput


class NoFigure(BadInput):
    """The picture is on paper and shows no figure: no network need be asked."""


class Blank(BadInput):
    """Nothing in the picture differs from its background."""


Picture = NDArray[np.uint8]
Bits = NDArray[np.bool_]

MOST_OF_INK = 0.8  # of a drawing's ink that its figure must hold
COLOURED = 0.6  # share of the ink in areas from which a drawing counts as coloured all over
THICK = 8  # half the width of what is an area and no line, in pixels of a picture of 512
BRIDGED = (0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36)  # radii in pixels of a picture of 512; twice as wide gaps close
_PAPER_SPREAD = 30.0  # Lab units between border pixels at which the paper isn't plain any more
_MARKS_OF_TEXT, _LARGEST_OF_TEXT = 80, 0.05  # separate marks, and the largest one's share of the ink
_INK_AT_BORDER = 0.12  # share of the border from which on it is shadow rather than ink
_MOST_INK = 0.45  # share of the picture: more is a photograph
_DARKEST_PAPER = 35.0  # lightness in Lab
CLOSE = 6  # radius: strokes over a gap of twice as much belong to the figure
LIMB_OF_INK = 0.05  # share of the ink that a stroke holds which would be missed
_BRIDGED_APART = 4  # radius for several figures, of which none holds most of the ink
_RULE_COLOURS = 25.0  # Lab units that the pixels of one kind of printed line differ
_LEAST_RULES = 3  # straight lines across the page from which on the paper counts as lined


def figure_on_paper(picture: Picture) -> Bits:
    """The mask of a drawing on plain paper: what differs from the border's colour, with its outlines filled.

    Lines that don't close are joined over growing gaps until their inside fills. It knows nothing of objects: on a
    photograph use a mask or the saliency network.

    Raises:
        BadInput: the border isn't of one colour, or nothing differs from it.
    """
    import cv2
    from skimage.color import rgb2lab

    # Small drawings are enlarged: gaps are bridged and specks removed in steps of a pixel.
    scale = 512 / max(picture.shape[:2])
    size = (max(8, round(picture.shape[1] * scale)), max(8, round(picture.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = np.clip(np.asarray(cv2.resize(picture.astype(np.float32), size, interpolation=method)), 0, 255)
    lab = np.asarray(rgb2lab(small / 255), np.float32)
    ink = _without_rules(_ink(lab), lab)
    if not ink.any():
        raise Blank("nothing in the picture differs from its background; give --mask with white on the figure")
    full = cv2.resize(_filled(ink).astype(np.float32), picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(full >= 0.4)  # a pen stroke of a pixel must not fade


def _ink(lab: NDArray[np.float32]) -> Bits:
    """What differs from the paper, the outermost pixels left out; shadows are paper.

    Raises:
        BadInput: the border isn't paper.
    """
    try:
        paper = _plane(lab)
        ink = _differs(lab, paper)
        edge = np.concatenate([ink[2], ink[-3], ink[:, 2], ink[:, -3]])
        shaded = float(edge.mean()) > _INK_AT_BORDER
    except BadInput:
        ink, shaded = np.zeros(lab.shape[:2], bool), True
        paper = None
    if shaded:
        smooth = _smooth(lab)
        other = _differs(lab, smooth)
        edge = np.concatenate([other[2], other[-3], other[:, 2], other[:, -3]])
        if edge.mean() < _INK_AT_BORDER and 0 < other.mean() < _MOST_INK and smooth[..., 0].min() > _DARKEST_PAPER:
            ink = other
        elif paper is None:
            return _refused()
    ink[[0, -1]] = False
    ink[:, [0, -1]] = False
    return ink


def _refused() -> Bits:
    raise BadInput(
        "the picture has no plain background; allowed without a mask: drawings on paper; give --mask, a PNG with "
        "transparency, or --bundle with a saliency bundle"
    )


def _differs(lab: NDArray[np.float32], paper: NDArray[np.float32]) -> Bits:
    import cv2

    level = np.clip(np.linalg.norm(lab - paper, axis=2) * 2.5, 0, 255).astype(np.uint8)
    threshold, _ = cv2.threshold(np.asarray(level), 0.0, 255.0, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return np.asarray(level > max(min(threshold, 70), 20))  # Otsu alone takes only the darkest of several colours


def _smooth(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """Paper's colour at every pixel where it is lit unevenly: the brightest nearby, blurred."""
    import cv2

    bright = cv2.dilate(lab[..., 0], cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (25, 25)))
    light = cv2.GaussianBlur(cv2.erode(bright, np.ones((15, 15))), (0, 0), 8)
    tint = [cv2.GaussianBlur(cv2.medianBlur(np.ascontiguousarray(lab[..., i]), 5), (0, 0), 40) for i in (1, 2)]
    return np.stack([light, *tint], axis=2).astype(np.float32)


def _without_rules(ink: Bits, lab: NDArray[np.float32]) -> Bits:
    """Ink without the lines that paper comes with: straight, thin, from side to side, at least _LEAST_RULES."""
    import cv2

    level = _rules(ink)
    rules = level | _rules(np.ascontiguousarray(ink.T)).T
    if not rules.any():
        return ink
    # Strokes that cross a rule are seen by their colour, or joined again where they have the same.
    colour = np.median(lab[rules], axis=0)
    rules &= np.linalg.norm(lab - colour, axis=2) < _RULE_COLOURS
    rest = (ink & ~rules).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    return np.asarray((cv2.morphologyEx(rest, cv2.MORPH_CLOSE, disc) > 0) & ink)


def _rules(ink: Bits) -> Bits:
    """Pixels of lines that run across the picture, up to 4 degrees from level; none if they are few."""
    import cv2
    from scipy import ndimage

    height, width = ink.shape
    reach = width // 10
    found = np.zeros(ink.shape, bool)
    for slope in np.tan(np.radians(np.arange(-4, 4.1, 1))):
        rise = abs(round(slope * reach))
        kernel = np.zeros((rise + 1, reach), np.uint8)
        ends = (0, 0 if slope >= 0 else rise), (reach - 1, rise if slope >= 0 else 0)
        cv2.line(kernel, ends[0], ends[1], 1, 1)
        found |= cv2.morphologyEx(ink.astype(np.uint8), cv2.MORPH_OPEN, kernel) > 0
    thin = cv2.distanceTransform(ink.astype(np.uint8), cv2.DIST_L2, 3) <= 3
    labels, count = ndimage.label(cv2.dilate((found & thin).astype(np.uint8), np.ones((1, 15))), np.ones((3, 3)))
    across = [
        number + 1
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels))
        if columns.stop - columns.start > 0.7 * width and rows.stop - rows.start < 0.12 * height
    ]
    if len(across) < _LEAST_RULES or count == 0:
        return np.zeros(ink.shape, bool)
    return np.asarray(cv2.dilate((np.isin(labels, across) & found).astype(np.uint8), np.ones((3, 3))) > 0) & ink


def _filled(ink: Bits) -> Bits:
    """The inside of a drawing's outline: gaps are bridged as far as needed for one figure that holds most of the ink.

    Among those, the least bridging is taken whose outlines enclose half of what the widest encloses, with every limb
    that a small gap parts from it; a stick figure encloses nothing and is taken as soon as it hangs together. A figure
    that is coloured all over keeps its holes.
    """
    from scipy import ndimage

    if _thick_share(ink) > COLOURED:
        return np.asarray(ndimage.binary_opening(ink, np.ones((3, 3))))
    _refuse_text(ink)
    found: list[_Outline] = []
    for radius in BRIDGED:
        closed = _closed(ink, radius)
        filled = ndimage.binary_fill_holes(closed)
        labels, _ = ndimage.label(filled, np.ones((3, 3)))
        held = np.bincount(labels[ink], minlength=2)[1:]
        if held.max() >= MOST_OF_INK * ink.sum():
            figure = labels == 1 + int(held.argmax())
            found.append(_Outline(figure, radius, int((figure & ~closed).sum()), float(held.max() / ink.sum())))
    if not found:  # several figures, or strokes far apart
        return np.asarray(ndimage.binary_fill_holes(_closed(ink, _BRIDGED_APART)))
    most = max(outline.enclosed for outline in found)
    near = max((outline.held for outline in found if outline.radius <= CLOSE), default=0.0)
    for outline in found:
        whole = outline.enclosed >= most / 2 or most < 0.2 * outline.figure.sum()
        if whole and outline.held > near - LIMB_OF_INK:
            return outline.figure
    return found[-1].figure


@dataclass(frozen=True, eq=False)
class _Outline:
    """A drawing's figure with gaps bridged.

    Attributes:
        figure: (H, W) bool, filled.
        radius: half of the widest gap that is bridged, in pixels.
        enclosed: pixels that only filling brought.
        held: share of the ink that lies in it.
    """

    figure: Bits
    radius: int
    enclosed: int
    held: float


def _refuse_text(ink: Bits) -> None:
    from scipy import ndimage

    labels, count = ndimage.label(ink, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel())[1:]
    if count >= _MARKS_OF_TEXT and sizes.max() < _LARGEST_OF_TEXT * ink.sum():
        raise NoFigure(
            f"the picture shows {count} separate marks, as a page of text does; allowed: a figure; crop the picture to "
            "it, or give --mask"
        )


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


def _plane(lab: NDArray[np.float32]) -> NDArray[np.float32]:
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
        _refused()
    return (terms @ plane).astype(np.float32)
