"""Vectors for the face pipeline: turned crops, squares of points, judged boxes, and scripted faces that are followed.

A script holds what the detector and the networks answer, call by call: the apps' pipelines run on it without a model.
A network's answer is a move ``[grow, right, down, turn, apart]``: the shape, which fills its crop exactly,
grown, turned by degrees and shifted by shares of the crop; the template lies ``apart`` shares to the right of it.
``grow`` is None where the answer is not a number. ``seen`` are four values of the tensor that the network is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.inputs.camera import upright
from reference.inputs.preprocess import Region
from reference.inputs.square import CROP_SCALE, Square, square_from_points, square_of_box
from reference.pipelines.faces import DetectedFace, FaceKeypointDetector
from reference.tasks.face_detection import FaceBoxes, refine
from sdk_build.app_vectors.encoding import Json, encode, noise

Move = tuple[float | None, float, float, float, float]
Floats = NDArray[np.float32]

STILL: Move = (1.0, 0.0, 0.0, 0.0, 0.05)
SIZE = 32
JUDGE_SIZE = 12
WIDTH, HEIGHT = 96, 72
LEFT, RIGHT = (6.0, 20.0, 36.0, 36.0), (54.0, 18.0, 30.0, 30.0)


def squares() -> list[Json]:
    """Turned crops: odd sizes, borders, all quarters, one pixel of the crop from less and from much more than one."""
    places: dict[str, tuple[Square, int, int]] = {
        "upright": (Square(20.0, 15.0, 16.0), 8, 1),
        "between pixels": (Square(20.25, 14.625, 16.0), 8, 1),
        "turned a little": (Square(22.0, 13.5, 14.5, 17.0), 7, 1),
        "turned back": (Square(19.0, 14.0, 18.75, -60.0), 9, 1),
        "a quarter": (Square(21.5, 16.5, 17.0, 90.0), 8, 1),
        "upside down": (Square(21.0, 15.25, 20.0, 180.0), 5, 1),
        "across the corner": (Square(2.0, 1.5, 19.0, -135.0), 8, 1),
        "across the far corner": (Square(40.5, 29.0, 23.0, 33.0), 8, 1),
        "beside the picture": (Square(-30.0, 60.0, 12.0, 40.0), 6, 1),
        "smaller than its crop": (Square(17.2, 9.1, 3.5, -25.0), 11, 1),
        "larger than the picture": (Square(20.0, 15.0, 130.0, 71.0), 8, 1),
        "so large that samples are left out": (Square(24.0, 11.0, 400.0, 8.0), 8, 1),
        "of a turned picture": (Square(12.0, 22.0, 15.0, 28.0), 8, 6),
        "of a mirrored picture": (Square(23.0, 12.0, 15.0, -28.0), 8, 2),
    }
    picture = noise(31, 43, 11)
    return [
        {
            "name": f"square {name}",
            "width": 43,
            "height": 31,
            "rgb": encode(picture),
            "orientation": orientation,
            "size": size,
            "square": _square_json(square),
            "tensor": encode(square.sample(upright(picture, orientation), size)),
        }
        for name, (square, size, orientation) in places.items()
    ]


def face_squares() -> list[Json]:
    """The square of 68 points: faces of any roll and size."""
    found = []
    for angle, side, x, y in (
        (0, 100, 60, 50),
        (23, 40, 30.5, 22),
        (-71, 312, 400, 301),
        (135, 18, 3, -4),
        (180, 55, 9, 9),
    ):
        points = Square(x, y, side * CROP_SCALE, -angle).to_picture(_answer(STILL)[0])
        found.append(
            {
                "name": f"points turned by {angle} degrees",
                "points_px": encode(points),
                "square": _square_json(square_from_points(points)),
                "box": (box := (x - side / 3, y - side / 2, x + side / 4, y + side / 5)),
                "region": _region_json(square_of_box(*box)),
            }
        )
    return found


def judgments() -> list[Json]:
    """Boxes of a detector, what a second network answers to each that it sees, and the boxes that stay.

    ``calls`` are in the order of the boxes; ``kept`` are numbers of boxes with their new scores, the surest first.
    """
    near, far, cut = (10.0, 12.0, 34.0, 40.0), (50.25, 20.5, 66.0, 41.0), (80.0, 50.0, 110.0, 90.0)
    sure, unsure, never = (3.0, -2.0), (-0.4, 0.3), (-6.0, 5.0)
    return [
        _judgment("all are faces", [(near, 0.75), (far, 0.7), (cut, 0.6)], [sure, sure, sure]),
        _judgment("the order changes", [(near, 0.75), (far, 0.7), (cut, 0.6)], [unsure, sure, (9.0, -9.0)]),
        _judgment("one is none", [(near, 0.79), (far, 0.78), (cut, 0.6)], [sure, never, sure]),
        _judgment("none is one", [(near, 0.75), (cut, 0.7)], [never, never]),
        _judgment("the detector is sure of one", [(near, 0.81), (cut, 0.79)], [never]),
        _judgment("a weak box of a sure face", [(near, 0.26)], [sure]),
        _judgment("a box that can't reach the threshold is not looked at", [(near, 0.3), (far, 0.24)], [sure]),
        _judgment("another threshold", [(near, 0.3), (far, 0.2), (cut, 0.1)], [unsure, sure], 0.35),
        _judgment("no box", [], []),
    ]


def _judgment(name: str, boxes: Sequence[Any], logits: Sequence[tuple[float, float]], threshold: float = 0.5) -> Json:
    calls: list[Json] = []

    def judge(crop: Floats) -> Floats:
        answer = logits[len(calls)]
        calls.append({"seen": encode(_seen(crop)), "logits": answer})
        return np.array(answer, np.float32)

    # Points tell the boxes apart afterwards.
    points = np.arange(len(boxes), dtype=np.float32)[:, None, None] + np.zeros((1, 5, 2), np.float32)
    found = FaceBoxes(
        np.array([box for box, _ in boxes], np.float32).reshape(-1, 4),
        np.array([score for _, score in boxes], np.float32),
        points,
    )
    kept = refine(found, scene("plain"), judge, JUDGE_SIZE, threshold)
    assert len(calls) == len(logits)
    return {
        "name": f"judgment, {name}",
        "width": WIDTH,
        "height": HEIGHT,
        "size": JUDGE_SIZE,
        "threshold": threshold,
        "boxes": [{"box": box, "score": score} for box, score in boxes],
        "calls": calls,
        "kept": [
            {"box": int(xy[0, 0]), "score": float(score)} for xy, score in zip(kept.points_px, kept.scores, strict=True)
        ],
    }


def _seen(crop: Floats) -> Floats:
    """Four values of a (1, 3, S, S) crop."""
    last = crop.shape[-1] - 1
    return crop[0, [0, 1, 2, 0], [0, 0, last, last // 2], [0, last, 0, last // 2]].astype(np.float32)


def face_shapes() -> list[Json]:
    """The one shape of all scripts: (68, 2) fractions of a crop."""
    return [{"name": "shape", "points": encode(_shape())}]


def tracks() -> list[Json]:
    """Scripts of a detector and two networks, with the faces that come out, frame by frame."""
    still = ([LEFT],)
    right, grown, shrunk = ((1.0, 0.1, -0.05, 3.0, 0.08), (1.5, 0, 0, 0, 0.05), (1 / 1.5, 0, 0, 0, 0.05))
    other, lost, huge = [(50.0, 20.0, 30.0, 30.0)], (None, 0, 0, 0, 0), (60.0, 0.0, 0.0, 0.0, 0.05)
    both = [LEFT, RIGHT]
    shifts = np.random.default_rng(5).normal(0, 0.004, (2, 2)).round(4).tolist()
    noises: list[Move] = [(1.0, dx, dy, 0.0, 0.05) for dx, dy in shifts]
    return [
        _track("a face is followed", [still, ([], right), ([], right), ([], STILL)]),
        _track("one network alone", [still, ([], right), ([], (1.1, 0, 0.05, -9, 0.1))], refined=False),
        _track("pictures, not a video", [(both,), ([],), ([RIGHT], right, right)], video=False),
        _track("growth", [still, ([], grown), (other, (1.7, 0.0, 0.0, 0.0, 0.05)), ([],)]),
        _track("shrinking", [([(4.0, 4.0, 60.0, 60.0)],), ([], shrunk), (other, (1 / 1.7, 0.0, 0.0, 0.0, 0.05))]),
        _track("a shift", [still, ([], (1.0, 0.5, 0.2, 0.0, 0.05)), (other, (1.0, -0.5, -0.4, 0.0, 0.05))]),
        _track("disagreement", [still, ([], (1.0, 0, 0, 0, 0.12)), (other, (1.0, 0.0, 0.0, 0.0, 0.16))]),
        _track("out of the frame", [still, *[([], (1.0, -0.4, 0.0, 0.0, 0.05))] * 3, ([],), (other,)]),
        _track("below the frame", [still, *[([], (1.0, 0.0, 0.55, 0.0, 0.05))] * 3]),
        _track("too small", [([(30.0, 30.0, 20.0, 20.0)],), ([], (0.7, 0.0, 0.0, 0.0, 0.05)), ([],)]),
        _track("another picture", [still, ([],), (other,), ([],)], pictures={2: "inverted", 3: "inverted"}),
        _track("darkness", [still, ([],), ([],), (other,)], pictures={1: "dark", 2: "dark", 3: "flat"}),
        _track("turning over", [still, *[([], (1.0, 0.0, 0.0, 38.0, 0.05))] * 4]),
        _track("turning back", [still, *[([], (1.0, 0.02, 0.03, -27.0, 0.05))] * 3]),
        _track("no number", [still, ([LEFT], lost), ([LEFT], STILL, lost, lost)]),
        _track("no number in pictures", [(both, lost)], video=False),
        _track("beyond all bounds", [([(0, 0, 800, 800), LEFT, (9, 9, 0, 0)], huge), ([RIGHT], STILL, huge)]),
        _track("a check every 3 frames", [still, ([],), ([],), (both,), ([],), ([],), ([RIGHT],)], check_every=3),
        _track("drifted off", [still, ([],), (other,), ([],), ([],)], check_every=2),
        _track("two faces", [(both,), ([], right), ([], STILL, right), (both,), ([],)], check_every=3),
        _track("one of two is lost", [(both,), ([LEFT], STILL, (1.8, 0.0, 0.0, 0.0, 0.05)), ([],)]),
        _track("the larger first", [([RIGHT, LEFT],), ([], (0.8, 0, 0, 0, 0.05), (1.3, 0, 0, 0, 0.05)), ([],)]),
        _track("no more than one", [([RIGHT, LEFT],), ([],), ([RIGHT, LEFT],)], most=1, check_every=2),
        _track("two tracks on one face", [([LEFT, (8.0, 22.0, 30.0, 30.0)],), ([],), ([LEFT],), ([],)], check_every=2),
        _track("trembling", [still, *[([], m) for m in (*noises, right, STILL)]], smooth=True),
        _track("uneven", [still, *[([], (1.0, 0.02, 0.03, -17.0, 0.05))] * 2], smooth=True,
               times=(0, 16, 300)),
        _track("found anew", [still, (other, (1.7, 0, 0, 0, 0.05)), ([],)],
               smooth=True),
        _track("two steady", [(both,), ([], right), ([], STILL, right), (both,)],
               smooth=True, check_every=3),
        _track("late and repeated frames", [still, ([],), ([],), ([],)], times=(10, 30, 30, 20)),
    ]  # fmt: skip


class _Script:
    """A detector and networks that answer by a script and write down what they were asked."""

    def __init__(self) -> None:
        self.regions: list[Any] = []
        self.moves: list[Move] = []
        self.calls: list[Json] = []

    def find(self, _: NDArray[np.uint8]) -> list[Region]:
        return [Region(*values) for values in self.regions]

    def network(self, name: str) -> Any:
        def run(tensor: Floats) -> tuple[Floats, Floats]:
            move = self.moves.pop(0) if self.moves else STILL
            self.calls.append({"network": name, "move": move, "seen": encode(_seen(tensor))})
            return _answer(move)

        return run


def scene(name: str) -> NDArray[np.uint8]:
    """A ramp with a fine pattern, which every test builds anew, or what became of it."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    ramp = columns + rows + (columns * 37 + rows * 101 + columns * rows * 7) % 16
    plain = ramp[..., None] + np.arange(3) * 15
    return {"plain": plain, "dark": plain // 2, "inverted": 255 - plain, "flat": plain * 0 + 90}[name].astype(np.uint8)


def _track(
    name: str,
    frames: Sequence[Sequence[Any]],
    refined: bool = True,
    most: int = 8,
    check_every: int = 30,
    video: bool = True,
    times: Sequence[float] | None = None,
    pictures: Mapping[int, str] = MappingProxyType({}),
    smooth: bool = False,
) -> Json:
    """One script: frames of (regions, move, move, ...); missing moves are ``STILL``, all pictures plain but a few."""
    script = _Script()
    second = script.network("second") if refined else None
    pipeline = FaceKeypointDetector(script.find, script.network("first"), second, SIZE, most, check_every, smooth)
    found: list[Json] = []
    newest = -1.0
    for number, (regions, *moves) in enumerate(frames):
        script.regions, script.moves, script.calls = list(regions), list(moves), []
        time = times[number] if times else 33 * number
        picture = scene(shown := pictures.get(number, "plain"))
        faces: list[DetectedFace] | None
        if video and time <= newest:
            faces = None  # the apps drop such a frame; Python refuses it
        else:
            faces = pipeline.detect_for_video(picture, time) if video else pipeline.detect(picture)
            newest = time
        found.append(
            {
                "timestamp_ms": time,
                "picture": shown,
                "regions": regions,
                "calls": script.calls,
                "detector_runs": pipeline.detector_runs,
                "faces": None if faces is None else [_face_json(face, number == len(frames) - 1) for face in faces],
            }
        )
    return {
        "name": name,
        "width": WIDTH,
        "height": HEIGHT,
        "size": SIZE,
        "most": most,
        "check_every": check_every,
        "refined": refined,
        "video": video,
        "smooth": smooth,
        "frames": found,
    }


def _shape() -> Floats:
    """(68, 2) fractions of a crop: points that no exchange leaves as they are, upright, filling the crop exactly."""
    generator = np.random.default_rng(12)
    points = generator.uniform(-0.4, 0.4, (68, 2))
    points[42:48, 1] = points[36:42, 1]
    points[36:42, 0], points[42:48, 0] = generator.uniform(-0.35, -0.15, 6), generator.uniform(0.15, 0.35, 6)
    points[3:7] = [[-0.5, 0.1], [0.5, -0.07], [0.13, -0.45], [-0.02, 0.45]]
    return np.asarray(points / CROP_SCALE + 0.5, np.float32)


def _answer(move: Move) -> tuple[Floats, Floats]:
    """Points and those of the template, (68, 2) fractions of the crop."""
    grow, right, down, turn, apart = move
    if grow is None:
        nothing = np.full((68, 2), np.nan, np.float32)
        return nothing, nothing
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    turned = (_shape().astype(np.float64) - 0.5) * grow @ np.array([[cos, sin], [-sin, cos]])
    points = (turned + np.array([0.5 + right, 0.5 + down])).astype(np.float32)
    return points, (points + np.array([apart, 0])).astype(np.float32)


def _face_json(face: DetectedFace, with_points: bool) -> Json:
    return {
        "square": _square_json(face.square),
        "disagreement": face.disagreement,
        "tracked": face.tracked,
        "points_px": encode(face.points_px) if with_points else None,  # the square of the next frame tells of them too
    }


def _square_json(square: Square) -> list[float]:
    return [square.x, square.y, square.side, square.angle]


def _region_json(region: Region) -> list[float]:
    return [region.left, region.top, region.width, region.height]
