"""What the face detector takes for faces in composed scenes, cut out, with how right it is.

The second network of the detector's cascade learns from it. A file of a few hundred scenes takes about 25 MB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from reference.data.face_files import FRAME, SMALLEST
from reference.data.face_scenes import Floats, Scene, Sources, compose
from reference.inputs.preprocess import Region, sample_picture
from reference.inputs.square import square_of_box
from reference.networks.face_detector import SPEC
from reference.networks.face_detector_refined import SIZE
from reference.tasks.box_figures import overlaps
from reference.tasks.face_detection import detect

LOWEST_SCORE = 0.2  # of the detector; what is below it stays below the cascade's threshold, whatever the second says
CANVAS = 64  # pixels a side; the network's SIZE of them shows the square, the rest is room for shifts and turns
Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Candidates:
    """Boxes that the detector gave.

    Attributes:
        canvases: (N, CANVAS, CANVAS, 3) uint8 RGB, a square of CANVAS / SIZE times what the second network sees.
        overlaps: (N,) float32 in [0, 1], intersection over union with the best face; 0 where there is none.
        scores: (N,) float32, the detector's.
    """

    canvases: NDArray[np.uint8]
    overlaps: Floats
    scores: Floats

    @classmethod
    def join(cls, parts: list[Candidates]) -> Candidates:
        """All of several sets."""
        return cls(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("canvases", "overlaps", "scores")))

    def save(self, file: Path) -> None:
        """Write an .npz, whole or not at all."""
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".tmp.npz")
        np.savez(unfinished, canvases=self.canvases, overlaps=self.overlaps, scores=self.scores)
        unfinished.replace(file)

    @classmethod
    def load(cls, file: Path) -> Candidates:
        """Read what :meth:`save` wrote."""
        with np.load(file) as stored:
            return cls(stored["canvases"], stored["overlaps"], stored["scores"])


def cut_out(scene: Scene, detector: Network) -> Candidates:
    """The candidates of one scene."""
    found = detect(SPEC, detector, scene.picture, LOWEST_SCORE)
    canvases = [_canvas(scene.picture, square_of_box(*map(float, box))) for box in found.boxes_px]
    table = overlaps(found.boxes_px, scene.boxes)
    return Candidates(
        np.array(canvases, np.uint8).reshape(-1, CANVAS, CANVAS, 3),
        table.max(1, initial=0).astype(np.float32),
        found.scores,
    )


def _canvas(picture: NDArray[np.uint8], square: Region) -> NDArray[np.uint8]:
    more = square.width * (CANVAS / SIZE - 1) / 2
    wide = Region(square.left - more, square.top - more, square.width + 2 * more, square.height + 2 * more)
    crop = sample_picture(picture, wide, (CANVAS, CANVAS))[0].transpose(1, 2, 0)
    return np.round(crop * 255).astype(np.uint8)


def collect(sources: Sources, detector: Network, count: int, seed: int, first: int = 0) -> Candidates:
    """The candidates of ``count`` scenes of 640 x 480 pixels; scene numbers start at ``first``."""
    numbers = range(first, first + count)
    scenes = (compose(sources, FRAME, np.random.default_rng((seed, n)), SMALLEST) for n in numbers)
    return Candidates.join([cut_out(scene, detector) for scene in scenes])
