"""Results drawn into pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from reference.postprocess import Classification, FaceBoxes, FaceMesh, Keypoints, Mask, Result, VoxelGrid

Picture = NDArray[np.uint8]
INK, PAPER, ACCENT = (28, 30, 34), (250, 250, 248), (0, 122, 204)
POINT, LINE = (255, 214, 10), (40, 200, 120)
SMALLEST, LARGEST = 480, 1280
# 300-W order: jaw, brows, nose bridge, nostrils, eyes, outer and inner lips; True closes the line.
FACE_LINES = (
    (0, 17, False), (17, 22, False), (22, 27, False), (27, 31, False), (31, 36, False),
    (36, 42, True), (42, 48, True), (48, 60, True), (60, 68, True),
)  # fmt: skip


Box = tuple[float, float, float, float]


def draw(
    picture: NDArray[Any],
    results: Sequence[Result],
    on_picture: bool = False,
    photo: tuple[Picture, Box] | None = None,
) -> Picture:
    """The picture (or depth map) with all its results.

    Args:
        picture: (H, W, 3) uint8 RGB, or (H, W) float32 depth.
        on_picture: write the class on the picture instead of beside it (row I8).
        photo: the picture that belongs to a depth map, and the object's box on it in pixels.

    Returns:
        (H', W', 3) uint8 RGB, large enough to read.
    """
    if results and isinstance(results[0], VoxelGrid):
        return draw_voxels(picture, results[0], photo=photo)
    if results and isinstance(results[0], FaceMesh):
        return draw_face_meshes(picture, [face for face in results if isinstance(face, FaceMesh)])
    canvas, scale = enlarge(picture)
    if results and isinstance(results[0], Classification):
        if on_picture:
            draw_label(canvas, f"{results[0].label} {100 * results[0].score:.0f} %")
            return np.array(canvas)
        return draw_classification(canvas, results[0])
    if results and isinstance(results[0], Mask):
        return draw_mask(canvas, results[0], scale)
    if results and isinstance(results[0], FaceBoxes):
        return draw_boxes(canvas, results[0], scale)
    faces = [result for result in results if isinstance(result, Keypoints)]
    for face in faces:
        _draw_points(canvas, face, scale)
    if not faces:
        _banner(canvas, "no face found")
        return np.array(canvas)
    return np.concatenate([np.array(canvas), _close_ups(picture, faces, canvas.height)], axis=1)


def draw_points(picture: Picture, results: Sequence[Result]) -> Picture:
    """The picture with the points of its faces and nothing else: a frame of a video keeps its shape."""
    canvas, scale = enlarge(picture)
    for face in results:
        if isinstance(face, Keypoints):
            _draw_points(canvas, face, scale)
    return np.array(canvas)


def draw_classification(canvas: Image.Image, result: Classification) -> Picture:
    """The picture above a panel with the three most probable classes as bars."""
    row = max(34, canvas.width // 16)
    shown = result.scores[:3]
    panel = Image.new("RGB", (canvas.width, row * len(shown) + row // 2), PAPER)
    pen = ImageDraw.Draw(panel)
    font = font_of(int(row * 0.55))
    left, right = int(canvas.width * 0.34), int(canvas.width * 0.84)
    for number, (label, score) in enumerate(shown):
        y = row // 4 + number * row
        ink = INK if number == 0 else (120, 122, 126)
        pen.text((row * 0.4, y + row / 2), label, ink, font, anchor="lm")
        pen.rounded_rectangle((left, y + row * 0.28, right, y + row * 0.72), row * 0.12, (228, 228, 226))
        width = max((right - left) * score, row * 0.24)
        pen.rounded_rectangle(
            (left, y + row * 0.28, left + width, y + row * 0.72), row * 0.12, ACCENT if number == 0 else (160, 176, 190)
        )
        pen.text((canvas.width - row * 0.4, y + row / 2), f"{100 * score:.0f} %", ink, font, anchor="rm")
    return np.concatenate([np.array(canvas), np.array(panel)])


def draw_label(canvas: Image.Image, text: str, certain: bool = True) -> None:
    """A class on the picture itself, in its lower left corner; grey where it is not certain."""
    height = max(26, canvas.height // 14)
    font = font_of(int(height * 0.6))
    pen = ImageDraw.Draw(canvas, "RGBA")
    width = pen.textlength(text, font) + height
    top = canvas.height - 1.4 * height
    box = (0.4 * height, top, 0.4 * height + width, top + height)
    pen.rounded_rectangle(box, height * 0.25, (*(ACCENT if certain else (120, 122, 126)), 225))
    pen.text((box[0] + width / 2, top + height / 2), text, (255, 255, 255), font, anchor="mm")


def draw_boxes(canvas: Image.Image, result: FaceBoxes, scale: float) -> Picture:
    """The picture with the box, the score and the five points of each face."""
    pen = ImageDraw.Draw(canvas)
    line = max(2, canvas.height // 240)
    for box, score, points in zip(result.boxes_px * scale, result.scores, result.points_px, strict=True):
        side = float((box[2:] - box[:2]).max())
        pen.rounded_rectangle(tuple(box), side * 0.06, outline=LINE, width=line)
        radius = max(1.5, side / 45)
        for x, y in (points + 0.5) * scale:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), POINT, INK)
        font = font_of(int(np.clip(side / 7, 11, 22)))
        text = f"{100 * score:.0f} %"
        width, height = pen.textlength(text, font) + 8, font.size + 6
        left, top = max(0.0, float(box[0])), max(0.0, float(box[1]) - height)
        pen.rectangle((left, top, left + width, top + height), LINE)
        pen.text((left + width / 2, top + height / 2), text, INK, font, anchor="mm")
    if not len(result.scores):
        _banner(canvas, "no face found")
    return np.array(canvas)


def draw_mask(canvas: Image.Image, result: Mask, scale: float) -> Picture:
    """The picture with everything but the subject dimmed and the subject's outline, beside the subject alone."""
    import cv2

    region = replace(
        result.region,
        left=result.region.left * scale,
        top=result.region.top * scale,
        width=result.region.width * scale,
        height=result.region.height * scale,
    )
    soft = replace(result, region=region).in_picture(canvas.width, canvas.height)
    picture = np.array(canvas)
    shown = (picture * (0.35 + 0.65 * soft[..., None])).astype(np.uint8)
    filled = (soft >= result.threshold).astype(np.uint8)
    outlines, _ = cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(shown, outlines, -1, LINE, max(2, canvas.height // 240), cv2.LINE_AA)
    alone = picture * soft[..., None] + np.array(PAPER) * (1 - soft[..., None])
    return np.concatenate([shown, alone.astype(np.uint8)], axis=1)


def draw_voxels(
    depth: NDArray[np.float32], result: VoxelGrid, side: int = 400, photo: tuple[Picture, Box] | None = None
) -> Picture:
    """The depth map and the surface of its voxels from the front, three quarters and the side."""
    from reference.depth_voxelizer import to_mesh
    from reference.geometry.surface import shade

    tiles = [] if photo is None else [("picture", _photo_tile(*photo, side))]
    tiles.append(("depth", _depth_tile(depth, side)))
    if result.filled.any():
        mesh = to_mesh(result)
        # Shading and smoothing cost by the face; the view from the network's own side comes first.
        tiles += [(name, shade(mesh, side, yaw)) for name, yaw in (("front", 0), ("three quarters", 40), ("side", 80))]
    else:
        tiles.append(("no voxel filled", np.full((side, side, 3), PAPER, np.uint8)))
    return np.concatenate([_captioned(tile, f"{name}") for name, tile in tiles], axis=1)


def draw_face_meshes(picture: Picture, faces: Sequence[FaceMesh]) -> Picture:
    """The picture, the meshes over it, and the largest face in its own colours from three sides."""
    from reference.face_reconstructor import draw_faces, draw_views

    canvas, _ = enlarge(picture)
    over, _ = enlarge(draw_faces(picture, list(faces)))
    side = canvas.height // 3
    views = [np.asarray(view) for view in draw_views(faces[0], picture, side)]
    views[-1] = np.pad(views[-1], ((0, canvas.height - 3 * side), (0, 0), (0, 0)), constant_values=245)
    return np.concatenate([np.array(canvas), np.array(over), np.concatenate(views)], axis=1)


def _photo_tile(picture: Picture, box: Box, side: int) -> Picture:
    """A picture in a square, with the box on it."""
    scale = side / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small = Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)
    x0, y0, x1, y1 = (value * scale for value in box)
    ImageDraw.Draw(small).rectangle((x0, y0, x1 - 1, y1 - 1), outline=POINT, width=max(2, side // 160))
    square = Image.new("RGB", (side, side), PAPER)
    square.paste(small, ((side - size[0]) // 2, (side - size[1]) // 2))
    return np.array(square)


def _depth_tile(depth: NDArray[np.float32], side: int) -> Picture:
    """Near is bright; holes are dark blue."""
    import cv2

    measured = depth > 0
    tile = np.full((*depth.shape, 3), (24, 28, 44), np.uint8)
    if measured.any():
        near, far = depth[measured].min(), depth[measured].max()
        level = 255 - (depth - near) / max(far - near, 1e-6) * 200
        colored = cv2.applyColorMap(np.clip(level, 0, 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)[..., ::-1]
        tile[measured] = colored[measured]
    scale = side / max(depth.shape)
    size = (max(1, round(depth.shape[1] * scale)), max(1, round(depth.shape[0] * scale)))
    square = np.full((side, side, 3), (24, 28, 44), np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = cv2.resize(tile, size, interpolation=cv2.INTER_NEAREST)
    return square


def _captioned(tile: Picture, text: str) -> Picture:
    height = tile.shape[0] // 10
    strip = Image.new("RGB", (tile.shape[1], height), PAPER)
    ImageDraw.Draw(strip).text((tile.shape[1] / 2, height / 2), text, INK, font_of(int(height * 0.55)), anchor="mm")
    return np.concatenate([tile, np.array(strip)])


def _draw_points(canvas: Image.Image, result: Keypoints, scale: float) -> None:
    """Lines along the face's parts and a dot on every point, four times oversampled so that edges are smooth."""
    points = (result.points_px + 0.5) * scale
    face = float(np.ptp(points, axis=0).max())
    factor = 4
    layer = Image.new("RGBA", (canvas.width * factor, canvas.height * factor), (*LINE, 0))
    pen = ImageDraw.Draw(layer)
    line, radius = max(1.0, face / 160) * factor, max(1.4, face / 110) * factor
    for first, last, closed in FACE_LINES:
        path = [tuple(p * factor) for p in points[first:last]]
        pen.line(path + path[:1] * closed, (*LINE, 220), round(line), joint="curve")
    for x, y in points * factor:
        pen.ellipse(
            (x - radius, y - radius, x + radius, y + radius), (*POINT, 255), (*INK, 255), max(1, round(radius / 4))
        )
    canvas.paste(layer.resize(canvas.size, Image.Resampling.BOX), mask=layer.resize(canvas.size, Image.Resampling.BOX))


def _close_ups(picture: Picture, faces: Sequence[Keypoints], height: int) -> Picture:
    """A column of up to three enlarged faces, as high as the picture beside it."""
    from reference.face_boxes import from_points
    from reference.preprocess import Region, sample_picture

    side = height // min(3, len(faces))
    column = np.full((height, side, 3), PAPER, np.uint8)
    for number, face in enumerate(faces[: max(1, height // side)]):
        tight = from_points(face.points_px)
        inset = 0.1 * tight.width
        region = Region(tight.left + inset, tight.top + inset, 0.8 * tight.width, 0.8 * tight.width)
        pixels = sample_picture(picture, region, (side, side))[0].transpose(1, 2, 0)
        tile = Image.fromarray(np.clip(pixels * 255 + 0.5, 0, 255).astype(np.uint8))
        scale = side / region.width
        moved = face.points_px - np.array([region.left, region.top], np.float32)
        _draw_points(tile, Keypoints(moved, moved, region), scale)
        column[number * side : (number + 1) * side] = np.array(tile)
    return column


def _banner(canvas: Image.Image, text: str) -> None:
    height = max(30, canvas.height // 14)
    pen = ImageDraw.Draw(canvas)
    pen.rectangle((0, canvas.height - height, canvas.width, canvas.height), PAPER)
    pen.text((canvas.width / 2, canvas.height - height / 2), text, INK, font_of(int(height * 0.55)), anchor="mm")


def enlarge(picture: Picture) -> tuple[Image.Image, float]:
    """The picture at a size that shows well, and its scale."""
    longest = max(picture.shape[:2])
    scale = float(np.clip(longest, SMALLEST, LARGEST)) / longest
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS), scale


@lru_cache(maxsize=16)
def font_of(size: int) -> Any:
    """The font that Pillow brings, at a size in pixels."""
    return ImageFont.load_default(max(10, size))
