"""The sheet of the steps: one PNG that shows what was found in a picture and how it moves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from reference.animation.animate import Character, Rig
from reference.animation.figure.mask import Picture
from reference.animation.motion.skeleton import Array
from reference.animation.output.preview import PAPER

INK = (38, 40, 46)
BONE = (201, 71, 43)
JOINT = (23, 96, 160)
MESH = (70, 84, 110)
AXIS = (240, 150, 30)
# Colours of the branches of a mapping, far apart and readable on paper.
BRANCHES = ((201, 71, 43), (23, 96, 160), (30, 130, 76), (145, 70, 160), (190, 130, 10), (20, 140, 150), (120, 90, 60))
_OVER = 2  # oversampling of lines


def draw_sheet(character: Character, frames: Sequence[Picture], tile: int = 300) -> Picture:
    """Panels of mask, contour, mesh, skeleton and mapping, above ``frames`` of the clip."""
    rig = character.rig
    panels = [
        ("mask", mask_panel(rig, tile)),
        ("contour and medial axis", _contour_panel(rig, tile)),
        ("mesh", _mesh_panel(rig, tile)),
        ("skeleton", _skeleton_panel(rig, tile)),
        ("source", _source_panel(character, tile)),
        ("mapping", mapping_panel(character, tile)),
    ]
    top = np.concatenate([captioned(picture, text) for text, picture in panels], axis=1)
    if not frames:
        return top
    count = len(panels)
    chosen = [frames[i] for i in np.linspace(0, len(frames) - 1, count).round().astype(int)]
    strip = [np.array(Image.fromarray(f).resize((tile, tile), Image.Resampling.LANCZOS)) for f in chosen]
    return np.concatenate([top, np.concatenate(strip, axis=1)], axis=0)


class _Panel:
    """A pale picture to draw on, in picture pixels."""

    def __init__(self, rig: Rig, tile: int, paleness: float = 0.65) -> None:
        picture = rig.figure.picture
        self.scale = tile * _OVER / max(picture.shape[:2])
        size = (max(1, round(picture.shape[1] * self.scale)), max(1, round(picture.shape[0] * self.scale)))
        pale = (picture * (1 - paleness) + 250 * paleness).astype(np.uint8)
        self.canvas = Image.new("RGB", (tile * _OVER, tile * _OVER), PAPER)
        self.shift = np.array([(tile * _OVER - size[0]) // 2, (tile * _OVER - size[1]) // 2])
        self.canvas.paste(Image.fromarray(pale).resize(size, Image.Resampling.LANCZOS), tuple(self.shift.tolist()))
        self.pen = ImageDraw.Draw(self.canvas)

    def place(self, pixels: Array) -> list[tuple[float, float]]:
        return [(float(x), float(y)) for x, y in (pixels + 0.5) * self.scale + self.shift]

    def done(self) -> Picture:
        side = self.canvas.width // _OVER
        return np.array(self.canvas.resize((side, side), Image.Resampling.BOX))


def mask_panel(rig: Rig, tile: int) -> Picture:
    """The picture with everything outside the mask dimmed, (tile, tile, 3)."""
    panel = _Panel(rig, tile, 0.0)
    size = tuple(max(1, round(s * panel.scale)) for s in rig.figure.mask.shape[::-1])
    outside = Image.fromarray((~rig.figure.mask).astype(np.uint8) * 190).resize((size[0], size[1]))
    panel.canvas.paste(Image.new("RGB", (size[0], size[1]), (70, 84, 110)), tuple(panel.shift.tolist()), outside)
    return panel.done()


def _contour_panel(rig: Rig, tile: int) -> Picture:
    panel = _Panel(rig, tile)
    for x, y in panel.place(rig.contours.to_picture(rig.medial.line_points)):
        panel.pen.rectangle((x - 1, y - 1, x + 1, y + 1), AXIS)
    for line in rig.contours.lines:
        points = panel.place(rig.contours.to_picture(line))
        panel.pen.line([*points, points[0]], INK, 2 * _OVER)
    return panel.done()


def _mesh_panel(rig: Rig, tile: int) -> Picture:
    panel = _Panel(rig, tile, 0.5)
    points = panel.place(rig.body.pixels)
    for a, b, c in rig.body.flat_faces.tolist():
        panel.pen.line([points[a], points[b], points[c], points[a]], MESH, 1)
    return panel.done()


def _skeleton_panel(rig: Rig, tile: int) -> Picture:
    panel = _Panel(rig, tile)
    points = panel.place(rig.body.to_pixels(rig.skeleton.positions))
    _draw_bones(panel.pen, points, rig.skeleton.parents, [BONE] * len(points))
    return panel.done()


def _source_panel(character: Character, tile: int) -> Picture:
    """The source at rest in the view that fits the target, in the colours of its branches."""
    skeleton = character.source.skeleton
    seen = skeleton.positions @ character.mapping.view.T
    low, extent = seen.min(axis=0), np.ptp(seen, axis=0)
    side = tile * _OVER
    scale = 0.86 * side / max(float(extent[:2].max()), 1e-9)
    shift = (side - extent * scale) / 2
    points = [((x - low[0]) * scale + shift[0], side - (y - low[1]) * scale - shift[1]) for x, y, _ in seen]
    canvas = Image.new("RGB", (side, side), PAPER)
    numbers = {name: i for i, name in enumerate(skeleton.names)}
    colors = [(190, 192, 196)] * len(skeleton)
    for joint, partners in enumerate(character.partners):
        for name in partners:
            colors[numbers[name]] = _branch_color(character, joint)
    _draw_bones(ImageDraw.Draw(canvas), points, skeleton.parents, colors)
    return np.array(canvas.resize((tile, tile), Image.Resampling.BOX))


def mapping_panel(character: Character, tile: int) -> Picture:
    """The skeleton in the colours of its branches, its root and ends named after their source nodes."""
    panel = _Panel(character.rig, tile, 0.75)
    skeleton = character.skeleton
    points = panel.place(character.rig.body.to_pixels(skeleton.positions))
    _draw_bones(panel.pen, points, skeleton.parents, [_branch_color(character, j) for j in range(len(skeleton))])
    wanted = [(character.partners[joint][-1], points[joint]) for joint in [0, *skeleton.leaves]]
    _label(panel, wanted)
    return panel.done()


def _label(panel: _Panel, wanted: list[tuple[str, tuple[float, float]]]) -> None:
    """Writes names beside their places, the root's first; a line leads to what had to move."""
    font, height = _font(9 * _OVER), 11 * _OVER
    sizes = [(float(panel.pen.textlength(text, font)), float(height)) for text, _ in wanted]
    corners = spread([place for _, place in wanted], sizes, panel.canvas.width, 5 * _OVER)
    for (text, (x, y)), (width, _), (left, top) in zip(wanted, sizes, corners, strict=True):
        middle = top + height / 2
        if abs(middle - y) > height / 2:
            panel.pen.line([(x, y), (left if left > x else left + width, middle)], (150, 152, 158), _OVER)
        panel.pen.text((left, middle), text, INK, font, anchor="lm", stroke_width=2, stroke_fill=(255, 255, 255))


def spread(
    places: Sequence[tuple[float, float]], sizes: Sequence[tuple[float, float]], side: float, gap: float
) -> list[tuple[float, float]]:
    """Left upper corners for names beside their places: away from the first place, inside the picture, and apart.

    Args:
        places: (x, y) of what is named.
        sizes: (width, height) of the names, all of one height.
        side: of the square picture.
        gap: between a place and its name, and between two names.
    """
    corners = dict.fromkeys(range(len(places)), (0.0, 0.0))
    taken: list[tuple[float, float, float, float]] = []
    for number in sorted(corners, key=lambda i: places[i][1]):
        (x, y), (width, height) = places[number], sizes[number]
        beside = x + gap if x >= places[0][0] - gap else x - gap - width
        left = min(max(beside, 2), side - width - 2)
        for step in (0, 1, -1, 2, -2, 3, -3, 4, -4):
            top = min(max(y - height / 2 + step * height, 2), side - height - 2)
            box = (left - gap, top, left + width + gap, top + height)
            if not any(a < box[2] and box[0] < c and b < box[3] and box[1] < d for a, b, c, d in taken):
                break
        taken.append((left, top, left + width, top + height))
        corners[number] = (left, top)
    return list(corners.values())


def _branch_color(character: Character, joint: int) -> tuple[int, int, int]:
    """One colour per branch: that of the first leaf below the joint; the body's joints are ink."""
    skeleton = character.skeleton
    below = [number for number, leaf in enumerate(skeleton.leaves) if joint in skeleton.path_to_root(leaf)]
    return BRANCHES[below[0] % len(BRANCHES)] if len(below) == 1 else INK


def _draw_bones(
    pen: Any, points: list[tuple[float, float]], parents: NDArray[np.int32], colors: list[tuple[int, int, int]]
) -> None:
    for joint, parent in enumerate(parents):
        if parent >= 0:
            pen.line([points[joint], points[parent]], colors[joint], 2 * _OVER)
    for joint, (x, y) in enumerate(points):
        r = (4 if parents[joint] < 0 else 2.5) * _OVER
        pen.ellipse((x - r, y - r, x + r, y + r), (255, 255, 255), colors[joint], round(1.5 * _OVER))


def captioned(tile: Picture, text: str) -> Picture:
    """A picture below a line of text, (H + 26, W, 3)."""
    strip = Image.new("RGB", (tile.shape[1], 26), PAPER)
    ImageDraw.Draw(strip).text((tile.shape[1] / 2, 13), text, INK, _font(14), anchor="mm")
    return np.concatenate([np.array(strip), tile])


@lru_cache(maxsize=8)
def _font(size: int) -> Any:
    return ImageFont.load_default(size)
