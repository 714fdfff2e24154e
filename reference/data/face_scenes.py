"""Composed pictures with known faces for the face detector: faces of any size, turn and light over other pictures.

A scene is a background, some patches of other backgrounds (so that a pasted edge alone means nothing), faces, occluders
and a camera's faults: blur, noise, JPEG. Everything is drawn from one generator: a seed names a picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from reference.data import augment
from reference.data.face_sources import Face, Picture, five_points

GROW = 1 / 14  # of the landmarks' box on each side: see reference.networks.face_detector
LARGEST = 0.95  # longer side of a box, in the frame's height
LEAST_VISIBLE = 0.6
LARGEST_TURN = 45.0
MIRRORED = [1, 0, 2, 4, 3]
SHARE_WHOLE, SHARE_COMPOSED = 0.2, 0.52  # of scenes; the rest has no face
SHARE_RENDERED = 0.2  # of composed faces
FACE_COUNTS = (0.4, 0.25, 0.15, 0.1, 0.1)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """A picture with its faces.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        boxes: (N, 4) float32 x0, y0, x1, y1 in pixels, the picture's outer corner at (0, 0); may reach beyond it.
        points: (N, 5, 2) float32, likewise: eye centres, nose tip, corners of the mouth, the image's left first.
    """

    picture: Picture
    boxes: Floats
    points: Floats


@dataclass(frozen=True)
class Sources:
    """What scenes are composed of: photographed faces, rendered heads if any, pictures without faces if any."""

    photos: list[Face]
    backgrounds: list[Picture]
    rendered: list[Face] = field(default_factory=list)


@dataclass(frozen=True)
class Placed:
    """A face in a frame: its grown box (4,), its points (5, 2), and the 2x3 matrix from its own pixels."""

    box: Floats
    points: Floats
    matrix: Floats
    flipped: bool


def compose(
    sources: Sources, frame: tuple[int, int], rng: np.random.Generator, smallest: float, small_share: float = 0.0
) -> Scene:
    """A random scene.

    Args:
        frame: (height, width) in pixels.
        smallest: longer side of the smallest boxes in pixels.
        small_share: of the composed faces, those up to three times as large as the smallest; the others' sizes are
            spread evenly over the logarithm.
    """
    kind = rng.random()
    placed: list[Placed] = []
    if kind < SHARE_WHOLE:
        picture = _whole_picture(sources, frame, placed, rng, smallest)
    else:
        picture = _background(sources.backgrounds, frame, rng)
        for _ in range(int(rng.integers(0, 4))):
            _paste_patch(picture, sources.backgrounds, rng, smallest)
        if kind < SHARE_WHOLE + SHARE_COMPOSED:
            for _ in range(1 + int(rng.choice(len(FACE_COUNTS), p=FACE_COUNTS))):
                several = sources.rendered if sources.rendered and rng.random() < SHARE_RENDERED else sources.photos
                largest = 3 * smallest if small_share and rng.random() < small_share else np.inf
                _paste_face(picture, several[int(rng.integers(len(several)))], placed, rng, (smallest, largest))
    for face in placed:
        if rng.random() < 0.2:
            _occlude(picture, face.box, rng)
    boxes, points = [p.box for p in placed], [p.points for p in placed]
    return Scene(
        _through_camera(picture, rng),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(points, np.float32).reshape(-1, 5, 2),
    )


def grow_box(box: Floats, share: float = GROW) -> Floats:
    """A box (..., 4) grown by a share of its width and height on each side."""
    size = (box[..., 2:] - box[..., :2]) * share
    return np.concatenate([box[..., :2] - size, box[..., 2:] + size], axis=-1)


def place(face: Face, matrix: Floats, flipped: bool) -> Placed:
    """Where a face lies after an optional mirroring in its own picture and a 2x3 matrix."""
    xy = face.landmarks
    if flipped:
        xy = xy * [-1, 1] + [face.levels[0].shape[1], 0]
    xy = (xy @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    points = five_points(xy)[MIRRORED] if flipped else five_points(xy)
    return Placed(grow_box(np.concatenate([xy.min(0), xy.max(0)])), points, matrix, flipped)


def similarity(face: Face, scale: float, angle: float, target: NDArray[np.float64], flipped: bool) -> Floats:
    """2x3 matrix that scales, turns by ``angle`` degrees and moves the middle of the face to ``target``."""
    cos, sin = scale * np.cos(np.radians(angle)), scale * np.sin(np.radians(angle))
    linear = np.array([[cos, -sin], [sin, cos]])
    middle = face.center * [-1, 1] + [face.levels[0].shape[1], 0] if flipped else face.center
    return np.concatenate([linear, (target - linear @ middle)[:, None]], axis=1).astype(np.float32)


def _whole_picture(
    sources: Sources, frame: tuple[int, int], placed: list[Placed], rng: np.random.Generator, smallest: float
) -> Picture:
    """A face's own picture as it is: filling the frame, or lying on it with hard edges."""
    face = sources.photos[int(rng.integers(len(sources.photos)))]
    height, width = frame
    own = face.levels[0].shape[:2]
    longer = face.size * (1 + 2 * GROW)
    fit = min(height / own[0], width / own[1]) * rng.uniform(0.6, 1.6)
    scale = float(np.clip(fit, smallest / longer, LARGEST * height / longer))
    target = np.array([width, height]) * (0.5 + rng.uniform(-0.25, 0.25, 2))
    flipped = bool(rng.random() < 0.5)
    matrix = similarity(face, scale, float(rng.normal(0, 5)), target, flipped)
    placed.append(place(face, matrix, flipped))
    if rng.random() < 0.4:
        return warp(face, placed[-1], (0, 0, width, height), cv2.BORDER_REPLICATE)
    base = _background(sources.backgrounds, frame, rng)
    content = warp(face, placed[-1], (0, 0, width, height), cv2.BORDER_REPLICATE)
    corners = np.array([[0, 0], [own[1], 0], [own[1], own[0]], [0, own[0]]]) @ matrix[:, :2].T + matrix[:, 2]
    inside = cv2.fillConvexPoly(np.zeros(frame, np.uint8), np.round(corners - 0.5).astype(np.int32), 1)
    base[inside > 0] = content[inside > 0]
    return base


def warp(
    face: Face, placed: Placed, window: tuple[int, int, int, int], border: int, cover: bool = False
) -> NDArray[np.uint8]:
    """The face's picture, or its cover, inside a window (x0, y0, x1, y1) of the frame; from the level that fits."""
    x0, y0, x1, y1 = window
    scale = float(np.hypot(placed.matrix[0, 0], placed.matrix[1, 0]))
    level = int(np.clip(np.floor(np.log2(1 / scale) + 0.3), 0, len(face.levels) - 1))
    picture = face.covers[level] if cover and face.covers is not None else face.levels[level]
    matrix = _between_levels(face, placed, level)
    # From outer corners to the centres of pixels, which is what OpenCV counts in.
    shift = matrix[:, :2] @ [0.5, 0.5] - 0.5
    matrix = np.concatenate([matrix[:, :2], (matrix[:, 2] + shift - [x0, y0])[:, None]], axis=1)
    return cv2.warpAffine(picture, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR, borderMode=border)  # type: ignore[return-value]


def _between_levels(face: Face, placed: Placed, level: int) -> NDArray[np.float64]:
    """The matrix from pixels of a level, mirrored or not, to the frame."""
    own, small = face.levels[0].shape, face.levels[level].shape
    factors = np.array([own[1] / small[1], own[0] / small[0]])
    matrix = placed.matrix.astype(np.float64)
    if placed.flipped:
        matrix = np.stack([-matrix[:, 0], matrix[:, 1], matrix[:, 0] * own[1] + matrix[:, 2]], axis=1)
    return np.concatenate([matrix[:, :2] * factors, matrix[:, 2:]], axis=1)


def _paste_face(
    picture: Picture, face: Face, placed: list[Placed], rng: np.random.Generator, limits: tuple[float, float]
) -> None:
    """Blend a face into the picture, with the light of its new place, unless it covers another one."""
    height, width = picture.shape[:2]
    low, high = limits[0], min(limits[1], max(2 * limits[0], LARGEST * height / (1 + 0.6 * len(placed))))
    side = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    angle = float(np.clip(rng.normal(0, 20), -LARGEST_TURN, LARGEST_TURN))
    flipped = bool(rng.random() < 0.5)
    for _ in range(4):
        target = rng.uniform((0.0, 0.0), (width, height))
        new = place(face, similarity(face, side / (face.size * (1 + 2 * GROW)), angle, target, flipped), flipped)
        if visible_share(new.box, picture.shape[:2]) >= LEAST_VISIBLE and not _covers(new.box, placed):
            break
    else:
        return
    reach = np.array([-0.5, -0.6, 0.5, 0.4]) * (new.box[2:] - new.box[:2]).max()
    x0, y0, x1, y1 = _window(new.box + reach, picture.shape[:2])
    content = warp(face, new, (x0, y0, x1, y1), cv2.BORDER_REPLICATE).astype(np.float32)
    under = picture[y0:y1, x0:x1].astype(np.float32)
    content = _relight(content, under, rng)
    if face.covers is None:
        alpha = _face_mask(face, new, (x0, y0, x1, y1), rng)[..., None]
    else:
        covers = warp(face, new, (x0, y0, x1, y1), cv2.BORDER_CONSTANT, True)
        alpha = covers[..., None].astype(np.float32) / np.float32(255)
    picture[y0:y1, x0:x1] = np.clip(under + alpha * (content - under), 0, 255).astype(np.uint8)
    placed.append(new)


def _face_mask(face: Face, placed: Placed, window: tuple[int, int, int, int], rng: np.random.Generator) -> Floats:
    """Soft mask (h, w) in [0, 1]: an ellipse or rounded rectangle around head and some surroundings."""
    x0, y0, x1, y1 = window
    center = (placed.box[:2] + placed.box[2:]) / 2 - [x0, y0]
    cos, sin = placed.matrix[0, 0], placed.matrix[1, 0]
    scale = float(np.hypot(cos, sin))
    own_w, own_h = np.ptp(face.landmarks, axis=0) * scale
    y, x = np.mgrid[: y1 - y0, : x1 - x0].astype(np.float32)
    x, y = x + 0.5 - center[0], y + 0.5 - center[1]
    u, v = (cos * x + sin * y) / scale, (cos * y - sin * x) / scale
    up = rng.uniform(0.0, 0.25) * own_h  # hair
    a, b = own_w * rng.uniform(0.52, 0.8), own_h * rng.uniform(0.52, 0.65) + up / 2
    power = rng.choice((2.0, 2.5, 4.0, 8.0))
    distance = (np.abs(u / a) ** power + np.abs((v + up / 2) / b) ** power) ** (1 / power)
    feather = rng.uniform(0.02, 0.25)
    return np.clip((1 - distance) / feather + 0.5, 0, 1).astype(np.float32)


def _relight(content: Floats, under: Floats, rng: np.random.Generator) -> Floats:
    """Move the colours of a face towards those of its surroundings, and let light fall from one side."""
    strength = rng.uniform(0, 0.7)
    mean, target = content.mean((0, 1)), under.mean((0, 1))
    gain = np.clip((under.std() + 8) / (content.std() + 8), 0.6, 1.4) ** strength
    content = (content - mean) * gain + mean + strength * rng.uniform(0.3, 1.0) * (target - mean)
    if rng.random() < 0.4:
        content = content * float(rng.uniform(0.4, 1.3)) + float(rng.uniform(-20, 30))
    if rng.random() < 0.3:
        content = content * rng.uniform(0.8, 1.2, 3).astype(np.float32)
    if rng.random() < 0.1:
        content = np.repeat(content.mean(2, keepdims=True), 3, axis=2)
    if rng.random() < 0.3:
        ramp = np.linspace(rng.uniform(0.3, 1), rng.uniform(0.8, 1.3), content.shape[1], dtype=np.float32)
        content = content * (ramp if rng.random() < 0.5 else ramp[::-1])[None, :, None]
    return np.clip(content, 0, 255).astype(np.float32)


def visible_share(box: Floats, frame: tuple[int, ...]) -> float:
    """Share of a box's area that lies inside a frame (height, width)."""
    low, high = np.maximum(box[:2], 0), np.minimum(box[2:], (frame[1], frame[0]))
    return float(np.prod(np.maximum(high - low, 0)) / np.prod(box[2:] - box[:2]))


def _covers(box: Floats, placed: list[Placed]) -> bool:
    for other in placed:
        overlap = np.maximum(np.minimum(box[2:], other.box[2:]) - np.maximum(box[:2], other.box[:2]), 0).prod()
        if overlap > 0.1 * min((box[2:] - box[:2]).prod(), (other.box[2:] - other.box[:2]).prod()):
            return True
    return False


def _window(box: Floats, frame: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Whole pixels of a frame that hold a box; at least one."""
    x0, y0 = (int(np.clip(np.floor(v), 0, n - 1)) for v, n in zip(box[:2], (frame[1], frame[0]), strict=True))
    x1, y1 = (int(np.clip(np.ceil(v), 1, n)) for v, n in zip(box[2:], (frame[1], frame[0]), strict=True))
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def _background(backgrounds: list[Picture], frame: tuple[int, int], rng: np.random.Generator) -> Picture:
    """One picture, a mosaic of several, or something plain; always a new array."""
    height, width = frame
    kind = rng.random()
    if kind < 0.08 or not backgrounds:
        return _plain(frame, rng)
    columns, rows = ((1, 1), (2, 1), (2, 2), (3, 2))[int(rng.choice(4, p=(0.4, 0.2, 0.25, 0.15)))]
    picture = np.empty((height, width, 3), np.uint8)
    across = np.linspace(0, width, columns + 1).astype(int)
    down = np.linspace(0, height, rows + 1).astype(int)
    for top, bottom in pairwise(down):
        for left, right in pairwise(across):
            one = backgrounds[int(rng.integers(len(backgrounds)))]
            picture[top:bottom, left:right] = _cover(one, (bottom - top, right - left), rng)
    if rng.random() < 0.3:
        picture = augment.random_color(picture, rng)
    return picture


def _cover(picture: Picture, size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """A random part of a picture that fills ``size`` (height, width)."""
    height, width = picture.shape[:2]
    scale = max(size[0] / height, size[1] / width) * rng.uniform(1.0, 1.6)
    h, w = min(height, int(size[0] / scale) + 1), min(width, int(size[1] / scale) + 1)
    top, left = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
    cut = picture[top : top + h, left : left + w]
    if rng.random() < 0.5:
        cut = cut[:, ::-1]
    interpolation = cv2.INTER_AREA if scale < 1 else int(rng.choice((cv2.INTER_LINEAR, cv2.INTER_CUBIC)))
    return cv2.resize(cut, (size[1], size[0]), interpolation=interpolation)  # type: ignore[return-value]


def _plain(frame: tuple[int, int], rng: np.random.Generator) -> Picture:
    """One colour, a ramp between colours, or coarse clouds of colour."""
    coarse = rng.integers(0, 256, (int(rng.integers(1, 6)), int(rng.integers(1, 6)), 3)).astype(np.uint8)
    return cv2.resize(coarse, (frame[1], frame[0]), interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]


def _paste_patch(picture: Picture, backgrounds: list[Picture], rng: np.random.Generator, smallest: float) -> None:
    """Blend a part of another background in just as a face is: what looks pasted is not always a face."""
    height, width = picture.shape[:2]
    side = float(np.exp(rng.uniform(np.log(smallest), np.log(0.7 * height))))
    center = rng.uniform((0, 0), (width, height))
    size = np.array([side * rng.uniform(0.7, 1.1), side])
    x0, y0, x1, y1 = _window(np.concatenate([center - 0.6 * size, center + 0.6 * size]), picture.shape[:2])
    patch = _background(backgrounds, (y1 - y0, x1 - x0), rng).astype(np.float32)
    under = picture[y0:y1, x0:x1].astype(np.float32)
    y, x = np.mgrid[y0:y1, x0:x1]
    power = rng.choice((2.0, 2.5, 4.0, 8.0))
    u, v = (np.abs((p + 0.5 - c) / s * 2) for p, c, s in zip((x, y), center, size, strict=True))
    alpha = np.clip((1 - (u**power + v**power) ** (1 / power)) / rng.uniform(0.02, 0.25) + 0.5, 0, 1)[..., None]
    patch = _relight(patch, under, rng)
    picture[y0:y1, x0:x1] = (under + alpha * (patch - under)).astype(np.uint8)


def _occlude(picture: Picture, box: Floats, rng: np.random.Generator) -> None:
    """A bar or disc of one colour, or a piece of the picture itself, over up to two fifths of a face."""
    height, width = picture.shape[:2]
    size = box[2:] - box[:2]
    extent = size * rng.uniform(0.25, (0.7, 0.5))
    corner = box[:2] + rng.uniform(0, 1, 2) * (size - extent)
    x0, y0, x1, y1 = _window(np.concatenate([corner, corner + extent]), (height, width))
    kind = rng.random()
    if kind < 0.4:
        picture[y0:y1, x0:x1] = rng.integers(0, 256, 3)
    elif kind < 0.7:
        middle, radii = ((x0 + x1) // 2, (y0 + y1) // 2), (max(1, (x1 - x0) // 2), max(1, (y1 - y0) // 2))
        color = tuple(int(c) for c in rng.integers(0, 256, 3))
        cv2.ellipse(picture, middle, radii, float(rng.uniform(0, 180)), 0, 360, color, -1, cv2.LINE_AA)
    else:
        left, top = int(rng.integers(0, width - (x1 - x0) + 1)), int(rng.integers(0, height - (y1 - y0) + 1))
        # A copy that holds another face would be a face without a label.
        if not (left < box[2] and left + x1 - x0 > box[0] and top < box[3] and top + y1 - y0 > box[1]):
            piece = picture[top : top + y1 - y0, left : left + x1 - x0]
            picture[y0:y1, x0:x1] = cv2.GaussianBlur(piece, (0, 0), max(1.0, float(size.max()) / 12))


def _through_camera(picture: Picture, rng: np.random.Generator) -> Picture:
    """Colour, blur, noise and JPEG."""
    if rng.random() < 0.3:
        picture = augment.random_color(picture, rng)
    if rng.random() < 0.2:
        picture = augment.random_blur(picture, rng, max(0.4, 2 * picture.shape[1] / 640))
    if rng.random() < 0.3:
        picture = _noisy(picture, rng)
    if rng.random() < 0.4:
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 95))])
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)  # type: ignore[assignment]
    return picture


def _noisy(picture: Picture, rng: np.random.Generator) -> Picture:
    """Noise of a fixed strength, the same in all channels or not; int16, because generators are slow in float64."""
    strength = rng.uniform(2, 12)
    channels = int(rng.choice((1, 3)))
    table = np.round(rng.normal(0, strength, 4096)).astype(np.int16)
    noise = table[rng.integers(0, 4096, (*picture.shape[:2], channels), dtype=np.uint16)]
    return np.clip(picture + noise, 0, 255).astype(np.uint8)
