"""``python -m reference.data.solids.frames OUT --data DIR``: RGB-D frames of rendered people.

For ``python -m reference.evaluate voxel64 --data OUT``: ``NAME_rgb.png``, ``NAME_depth.png`` (16-bit millimetres, 0 in
holes) and ``camera.json``. DIR holds ``makehuman_heads.npz`` and ``makehuman_busts.npz``
(:mod:`reference.data.solids.pack_busts`). Skin is painted, so that no photograph is needed; people are drawn with
another seed than the training's.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from reference.data.heads import load_makehuman
from reference.data.rendered_faces import FacePainter
from reference.data.solids.busts import FILE, Busts, load_busts
from reference.data.solids.sensor import measure
from reference.errors import BadInput, OnParError
from reference.geometry.mesh import Mesh, rotation, vertex_normals
from reference.geometry.raster import rasterize
from reference.program import program

HEADS = "makehuman_heads.npz"
WIDTH, HEIGHT, FOCAL_PX = 640, 480, 525.0  # Kinect's
SEED = 2_000_000  # far from the training's and from the held-out heads'
_DISTANCES_MM = (650.0, 1150.0)
_WALLS_MM = (1500.0, 2600.0)
_HAIR_COLORS = ((30, 22, 18), (60, 40, 25), (110, 80, 50), (170, 130, 80), (120, 115, 112))
_COLLAR = 0.45  # decimetres below the chin, where clothes begin

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Frame:
    """A rendered frame.

    Attributes:
        picture: (480, 640, 3) uint8 RGB.
        depth_mm: (480, 640) uint16 as measured, 0 in holes.
        true_mm: (480, 640) float32 before the sensor, 0 where nobody stands.
    """

    picture: NDArray[np.uint8]
    depth_mm: NDArray[np.uint16]
    true_mm: Floats


def main(arguments: list[str] | None = None) -> int:
    """Render a folder of frames; returns the exit code."""
    parser = argparse.ArgumentParser(prog=program("reference.data.solids.frames"), description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help=f"folder with {HEADS} and {FILE}")
    parser.add_argument("--count", type=int, default=60)
    a = parser.parse_args(arguments)
    try:
        if a.count < 1:
            raise BadInput(f"--count is {a.count}; allowed: 1 or more")
        busts, painter = load_busts(a.data / FILE), FacePainter(load_makehuman(a.data / HEADS))
        a.out.mkdir(parents=True, exist_ok=True)
        (a.out / "camera.json").write_text(json.dumps({"focal_px": FOCAL_PX}) + "\n")
        for number in tqdm(range(a.count), desc="rendering frames", leave=False, disable=None):
            frame = render_frame(busts, painter, np.random.default_rng((SEED, number)))
            cv2.imwrite(str(a.out / f"{number:03d}_rgb.png"), frame.picture[..., ::-1])
            cv2.imwrite(str(a.out / f"{number:03d}_depth.png"), frame.depth_mm)
    except OnParError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"can't write into {a.out} ({error.strerror}); give a writable folder", file=sys.stderr)
        return 2
    return 0


def render_frame(busts: Busts, painter: FacePainter, rng: np.random.Generator) -> Frame:
    """A random person before a wall."""
    body, hair = busts.draw(rng)
    mesh = busts.mesh(body, hair)
    posed = _posed(mesh.vertices, body[busts.face68], rng)
    distance = float(rng.uniform(*_DISTANCES_MM))
    away = distance - posed[:, 2]
    pixels = np.stack(
        [WIDTH / 2 + FOCAL_PX * posed[:, 0] / away, HEIGHT / 2 - FOCAL_PX * posed[:, 1] / away, 1e3 / away], axis=1
    )  # 1 / distance is linear over the picture
    near, face, weights = rasterize(pixels, mesh.faces, HEIGHT, WIDTH)
    seen = face >= 0
    true = np.where(seen, 1e3 / np.where(seen, near, 1), 0).astype(np.float32)
    colors = _lit(posed, mesh.faces, _colors(busts, body, len(mesh.vertices), painter, rng), rng)
    drawn = np.einsum("hwk,hwkc->hwc", weights, colors[mesh.faces[np.maximum(face, 0)]])
    wall = rng.uniform(90, 190) * np.linspace(1.05, 0.9, WIDTH)[None, :, None] * np.array([1, 0.98, 0.95])
    picture = np.where(seen[..., None], drawn, wall) + rng.normal(0, 2, (HEIGHT, WIDTH, 3))
    of_hair = seen & (face >= len(busts.faces))
    depth = measure(true, float(rng.uniform(*_WALLS_MM)), of_hair, rng)
    return Frame(np.clip(picture, 0, 255).astype(np.uint8), depth, true)


def _posed(vertices: Floats, face: Floats, rng: np.random.Generator) -> NDArray[np.float64]:
    """Vertices in millimetres around the middle of the face, turned and a little beside the camera's axis."""
    yaw = float(np.clip(rng.normal(0, 14), -35, 35))
    turn = rotation(yaw, float(rng.normal(0, 7)), float(rng.normal(0, 4)))[:3, :3]
    aside = np.array([rng.uniform(-60, 60), rng.uniform(-40, 20), 0])
    turned: NDArray[np.float64] = 100 * (vertices.astype(np.float64) - face.mean(axis=0)) @ turn.T + aside
    return turned


def _colors(busts: Busts, body: Floats, count: int, painter: FacePainter, rng: np.random.Generator) -> Floats:
    """(count, 3) RGB: painted head, skin below it, clothes, hair."""
    painted = painter.paint(rng)
    tone = np.median(painted[painter.landmarks[27:36]], axis=0)
    colors = np.repeat(tone[None], count, axis=0)
    of_head = busts.head_vertices >= 0
    colors[: len(body)][of_head] = painted[busts.head_vertices[of_head]]
    chin = body[busts.face68[8], 1]
    clothes = body[:, 1] < chin - _COLLAR + 0.1 * np.sin(3 * body[:, 0])
    colors[: len(body)][clothes] = rng.uniform(20, 200, 3)
    shade = rng.uniform(0.8, 1.2) * (1 + 0.15 * rng.standard_normal((count - len(body), 1)))
    colors[len(body) :] = np.array(_HAIR_COLORS[int(rng.integers(len(_HAIR_COLORS)))]) * shade
    return colors.astype(np.float32)


def _lit(posed: NDArray[np.float64], faces: NDArray[np.int32], colors: Floats, rng: np.random.Generator) -> Floats:
    """Colours under one lamp beside the camera; hair has no outside, so both of its sides take light."""
    normals = vertex_normals(Mesh(posed.astype(np.float32), faces))
    normals *= np.where(normals[:, 2:] < 0, -1, 1)
    lamp = np.array([rng.normal(-0.3, 0.4), 0.5, 1.0])
    facing = np.clip(normals @ (lamp / np.linalg.norm(lamp)), 0, 1)
    return np.asarray(colors * (0.5 + 0.55 * facing[:, None]), np.float32)


if __name__ == "__main__":
    sys.exit(main())
