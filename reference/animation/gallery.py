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

from reference.animation.animate import animate, choose_topology, rig_figure
from reference.animation.figure.mask import Picture, load_figure
from reference.animation.motion.library import load_motion, read_labels, read_library, with_motion
from reference.animation.output.preview import render_clip, view_of
from reference.animation.output.sheet import mapping_panel, mask_panel
from reference.errors import BadInput, OnParError


def row(image: Path, mask: Path | None, motions: Sequence[str], tile: int = 200, frames: int = 3) -> Picture:
    """A drawing, its mapped skeleton, and ``frames`` frames of each motion: (tile, (2 + n) tile, 3)."""
    rig = rig_figure(load_figure(image, mask))
    library, labels = read_library(), read_labels()
    candidates = {t: load_motion(library[f], "walk") for t, f in labels.topology.items()}
    figure = library[labels.topology[choose_topology(rig, candidates)]]
    tiles: list[Picture] = []
    for motion in motions:
        character = animate(rig, [load_motion(with_motion(library, figure.name, (motion,)), motion)])
        if not tiles:
            tiles = [mask_panel(rig, tile), mapping_panel(character, tile)]
        clip = character.clips[0]
        every = max(1, len(clip) // (frames + 1))
        tiles += list(render_clip(character, clip, tile, view_of(character), every))[1 : frames + 1]
    return np.concatenate(tiles, axis=1)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and draw; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m reference.animation.gallery", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--motion", nargs="+", default=["walk", "run", "jump"])
    a = parser.parse_args(arguments)
    try:
        pictures = sorted(p for p in a.folder.glob("*/texture.*"))
        if not pictures:
            raise BadInput(f"no picture {a.folder}/*/texture.*; give a folder of characters")
        masks = [p.with_name("mask.png") for p in pictures]
        rows = [row(p, m if m.is_file() else None, a.motion) for p, m in zip(pictures, masks, strict=True)]
    except OnParError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    Image.fromarray(np.concatenate(rows)).save(a.out, quality=88)
    return 0


if __name__ == "__main__":
    sys.exit(main())
