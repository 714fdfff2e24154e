"""Pictures of what happens: frames of the moving character, a sheet of the steps, GIF and MP4."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reference.animation.animate import Character
from reference.animation.figure.skinning import skin, skin_matrices
from reference.animation.motion.rotations import about_y
from reference.animation.motion.skeleton import Array, Clip, forward
from reference.errors import BadInput
from reference.geometry.raster import rasterize

Picture = NDArray[np.uint8]
SMOOTH_FROM = 300  # pixels of a picture's longer side
PAPER = (250, 249, 247)
FLOOR = (226, 225, 224)
USUAL_SIZE = 0.66  # of the picture's side that a figure at rest takes: room to jump
GROUND = 0.9  # of the picture's height
DEPTH = 0.45  # figures are shown flatter than they are: what the drawing's outline covers at the sides stays narrow
OVERSAMPLING = 2
LONGEST_PREVIEW = 300  # frames


def bleed(picture: Picture, mask: NDArray[np.bool_]) -> Picture:
    """The picture with the figure's colours continued outwards, so that no background shows at the mesh's rim."""
    from scipy import ndimage

    # The outermost pixel is half paper; in a small picture it may be the whole outline.
    inside = ndimage.binary_erosion(mask) if max(mask.shape) >= SMOOTH_FROM else mask
    nearest = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    return np.asarray(picture[tuple(nearest)])


def posed_vertices(character: Character, clip: Clip) -> Iterator[Array]:
    """(V, 3) vertices of every frame."""
    matrices = skin_matrices(character.skeleton, forward(character.skeleton, clip))
    for frame in matrices:
        yield skin(character.vertices, character.joints, character.weights, frame)


def render_clip(
    character: Character, clip: Clip, size: int = 320, yaw: float = 0.0, step: int = 1
) -> Iterator[Picture]:
    """Frames (size, size, 3) uint8 of a clip: every ``step``-th, seen from the side by ``yaw`` degrees.

    A figure is as large in every clip as in every other; only what would leave the picture is shown smaller.
    """
    body = character.rig.body
    texture = bleed(character.rig.figure.picture, character.rig.figure.mask)
    turn = about_y(yaw)
    flatter = np.array([1.0, 1.0, DEPTH])
    moved = [(v * flatter) @ turn.T for i, v in enumerate(posed_vertices(character, clip)) if i % step == 0]
    low = np.min([v.min(axis=0) for v in moved], axis=0)
    high = np.max([v.max(axis=0) for v in moved], axis=0)
    tall = float(np.ptp(body.vertices[:, :2], axis=0).max())
    fine = size * OVERSAMPLING
    scale = min(USUAL_SIZE * fine / tall, 0.92 * fine / float((high - low)[:2].max()))
    for vertices in moved:
        large = _render(vertices, body.faces, body.pixels, texture, low, high, fine, scale)
        # The mean of each block of pixels: edges without steps.
        blocks = large.reshape(size, OVERSAMPLING, size, OVERSAMPLING, 3).mean(axis=(1, 3))
        yield (blocks + 0.5).astype(np.uint8)


def _render(
    vertices: Array,
    faces: NDArray[np.int32],
    pixels: Array,
    texture: Picture,
    low: Array,
    high: Array,
    size: int,
    scale: float,
) -> Picture:
    # The ground is at one height in all clips, unless the figure reaches out of the picture.
    ground = min(0.5 * size + 0.5 * (high[1] - low[1]) * scale, GROUND * size)
    ground = max(ground, (high[1] - low[1]) * scale + 0.02 * size)
    points = np.stack(
        [
            (vertices[:, 0] - (low[0] + high[0]) / 2) * scale + size / 2,
            ground - (vertices[:, 1] - low[1]) * scale,
            vertices[:, 2] * scale,
        ],
        axis=1,
    )
    canvas = np.full((size, size, 3), PAPER, np.uint8)
    canvas[int(np.clip(ground, 0, size - 1)) :] = FLOOR
    _, face, weights = rasterize(points, faces, size, size)
    seen = face >= 0
    corners = pixels[faces[face[seen]]]
    spot = np.einsum("pc,pcx->px", weights[seen], corners)
    canvas[seen] = _sampled(texture, spot) * _light(vertices, faces)[face[seen]][:, None]
    return canvas


def _sampled(texture: Picture, spots: Array) -> NDArray[np.float32]:
    """Bilinear colours at (N, 2) x and y in pixels."""
    import cv2

    x, y = spots.astype(np.float32).T
    # remap takes at most 32767 rows.
    side = 512
    rows = -(-len(x) // side)
    maps = [np.pad(a, (0, rows * side - len(a))).reshape(rows, side) for a in (x, y)]
    colors = cv2.remap(texture, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return colors.reshape(-1, 3)[: len(x)].astype(np.float32)


def _light(vertices: Array, faces: NDArray[np.int32]) -> Array:
    """Brightness of each face, from 0.8 to 1: the drawing's own colours should stay."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return np.asarray(0.92 + 0.1 * np.clip(normals @ [-0.4, 0.5, 0.77], -0.8, 0.8))


def view_of(character: Character) -> float:
    """Degrees to look from: a person who walks towards us shows his stride from the side, an animal is drawn so."""
    return 30.0 if character.source.topology == "two_feet" else 0.0


def write_gif(frames: list[Picture], path: Path, frame_rate: float) -> None:
    """An endless GIF; its times are whole hundredths of a second."""
    from PIL import Image

    # One palette for all frames: a palette each flickers and costs most of the time.
    sample = np.concatenate([frame[::4, ::4] for frame in frames[:: max(1, len(frames) // 8)]])
    palette = Image.fromarray(sample).quantize(255, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    pictures = [Image.fromarray(f).quantize(palette=palette, dither=Image.Dither.NONE) for f in frames]
    # At 30 frames a second 3, 3, 4, ...: their sum is right.
    ends = np.round(np.arange(len(frames) + 1) * 100 / frame_rate).astype(int)
    times = (np.maximum(np.diff(ends), 2) * 10).tolist()
    pictures[0].save(path, "GIF", save_all=True, append_images=pictures[1:], duration=times, loop=0)


def write_mp4(frames: list[Picture], path: Path, frame_rate: float) -> None:
    """An MP4 video (MPEG-4 part 2, which OpenCV brings along)."""
    import cv2

    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), frame_rate, (width, height))
    if not writer.isOpened():
        raise BadInput(f"can't write {path}: this OpenCV has no MP4 encoder; use --preview gif")
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
