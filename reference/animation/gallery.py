"""``python -m reference.animation.gallery FOLDER OUT.jpg``: one sheet of many characters, as docs/images/animation.jpg.

Every folder in FOLDER holds a picture texture.* and perhaps mask.png.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from reference.animation.animate import animate, rig_figure
from reference.animation.figure.mask import Picture, load_figure
from reference.animation.motion.library import load_motion, read_library, with_motion
from reference.animation.motion.skeleton import forward
from reference.animation.networks import class_scores, salient_region
from reference.animation.output.preview import render_clip, view_of
from reference.animation.output.sheet import captioned, mapping_panel, mask_panel
from reference.animation.retarget.mapping import METHODS
from reference.animation.topology import choose
from reference.errors import BadInput, OnParError


def row(image: Path, mask: Path | None, motions: Sequence[str], tile: int = 200, frames: int = 3) -> Picture:
    """A drawing, its mapped skeleton, and ``frames`` frames of each motion: (tile, (2 + n) tile, 3)."""
    rig = rig_figure(load_figure(image, mask, salient_region))
    library = read_library()
    chosen = choose(rig, class_scores(rig.figure.picture)).figure
    tiles: list[Picture] = []
    for motion in motions:
        figure, clips, _ = with_motion(library, chosen, (motion,))
        character = animate(rig, [load_motion(figure, clips[0])])
        if not tiles:
            tiles = [mask_panel(rig, tile), mapping_panel(character, tile)]
        clip = character.clips[0]
        every = max(1, len(clip) // (frames + 1))
        tiles += list(render_clip(character, clip, tile, view_of(character), every))[1 : frames + 1]
    return np.concatenate(tiles, axis=1)


def mappings(image: Path, mask: Path | None, tile: int = 260) -> Picture:
    """What a picture is taken for, mapped by least error and by order of degree: (tile, 2 tile, 3).

    Raises:
        BadInput: no usable figure, or a motion that isn't finite.
    """
    rig = rig_figure(load_figure(image, mask, salient_region))
    figure = read_library()[choose(rig, class_scores(rig.figure.picture)).figure]
    motion = load_motion(figure, next(iter(figure.clips)))
    panels = []
    for method in METHODS:
        character = animate(rig, [motion], method)
        if not np.isfinite(forward(character.skeleton, character.clips[0]).positions).all():
            raise BadInput(f"{image.name} moves to places that aren't finite by --mapping {method}; report it")
        panels.append(mapping_panel(character, tile))
    return np.concatenate(panels, axis=1)


def _headed(rows: Sequence[Picture], motions: Sequence[str], tile: int = 200, frames: int = 3) -> Picture:
    """Rows of :func:`row` below a line that says what the columns show."""
    sheet = np.concatenate(rows)
    starts = [0, tile, *(tile * (2 + frames * number) for number in range(len(motions) + 1))]
    captions = ["drawing", "what drives it", *motions]
    columns = zip(starts[:-1], starts[1:], captions, strict=True)
    return np.concatenate([captioned(sheet[:, begin:end], text) for begin, end, text in columns], axis=1)


def _sheet(tiles: Sequence[Picture], columns: int) -> Picture:
    """Equal tiles in rows; the last row is filled up with white."""
    empty = np.full_like(tiles[0], 255)
    padded = [*tiles, *[empty] * (-len(tiles) % columns)]
    rows = [np.concatenate(padded[i : i + columns], axis=1) for i in range(0, len(padded), columns)]
    return np.concatenate(rows)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and draw; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m reference.animation.gallery", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--motion", nargs="+", default=["walk", "run", "jump"])
    parser.add_argument("--mappings", action="store_true", help="draw each picture's mapping by both methods instead")
    a = parser.parse_args(arguments)
    try:
        pictures = sorted(p for p in a.folder.glob("*/texture.*")) or sorted(a.folder.glob("*.png"))
        if not pictures:
            raise BadInput(f"no picture {a.folder}/*/texture.* or {a.folder}/*.png; give a folder of characters")
        masks = [p.with_name("mask.png") for p in pictures]
        if a.mappings:
            pairs = zip(pictures, masks, strict=True)
            tiles = [mappings(p, m if m.is_file() else None) for p, m in pairs]
            Image.fromarray(_sheet(tiles, 4)).save(a.out, quality=86)
            return 0
        rows = [row(p, m if m.is_file() else None, a.motion) for p, m in zip(pictures, masks, strict=True)]
    except OnParError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    Image.fromarray(_headed(rows, a.motion)).save(a.out, quality=88)
    return 0


if __name__ == "__main__":
    sys.exit(main())
