"""Points on faces that a detector finds, in pictures and followed through videos (documents T and H)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageDraw

from reference.inputs.preprocess import Box, Region, choose_region, load_picture
from reference.pipelines.faces import DetectedFace
from reference.tasks.base import Result
from reference.tasks.face_keypoints import Keypoints
from sdk_build.predict.base import Clip, FrameResult, GivenBundles, Prediction, Request, View
from sdk_build.predict.canvas import INK, LINE, PAPER, POINT, Picture, banner, enlarge
from sdk_build.predict.faces import Helpers, open_pipeline

# 300-W order: jaw, brows, nose bridge, nostrils, eyes, outer and inner lips; True closes the line.
FACE_LINES = (
    (0, 17, False), (17, 22, False), (22, 27, False), (27, 31, False), (31, 36, False),
    (36, 42, True), (42, 48, True), (48, 60, True), (60, 68, True),
)  # fmt: skip


def describe(prediction: Prediction) -> str:
    """How many faces."""
    count = len(prediction.results)
    return f"{count} face{'s' if count > 1 else ''}, 68 points each" if count else "no face found"


def draw(prediction: Prediction, on_picture: bool) -> Picture:
    """The picture with the points of its faces, beside close-ups."""
    canvas, scale = enlarge(prediction.picture)
    faces = [result for result in prediction.results if isinstance(result, Keypoints)]
    for face in faces:
        _draw_points(canvas, face, scale)
    if not faces:
        banner(canvas, "no face found")
        return np.array(canvas)
    return np.concatenate([np.array(canvas), _close_ups(prediction.picture, faces, canvas.height)], axis=1)


def draw_frame(frame: FrameResult) -> Picture:
    """The frame with the points of its faces and nothing else: it keeps its shape."""
    canvas, scale = enlarge(frame.picture)
    for face in frame.results:
        if isinstance(face, Keypoints):
            _draw_points(canvas, face, scale)
    return np.array(canvas)


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
    from reference.inputs.preprocess import sample_picture
    from reference.pipelines.face_boxes import from_points

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


def open_helpers(given: GivenBundles, box: Box | None) -> Helpers:
    """The detector, its second network, and the second network of the keypoints' cascade.

    Raises:
        BadInput: one is of another task, or the detector's second network has no first.
    """
    return Helpers.open(given.get("--detector"), given.get("--refined"), given.get("--detector-refined"))


def predict(request: Request) -> list[Prediction]:
    """Keypoints of every face of every picture, or in the box.

    Raises:
        BadInput: a picture or the box can't be used.
    """
    pictures = [load_picture(file) for file in request.files]
    spec, box = request.spec.sampling, request.box
    results: list[tuple[Result, ...]] = []
    with open_pipeline(request.bundle, request.runtime, request.helpers, request.faces) as pipeline:
        for picture in pictures:
            if box is None:
                faces = pipeline.detect(picture)
            else:
                face = pipeline.at(picture, choose_region(picture.shape[1], picture.shape[0], spec, box))
                faces = [] if face is None else [face]
            results.append(tuple(as_result(face) for face in faces))
    return request.answer(zip(results, pictures, strict=True))


def follow_frames(request: Request, clip: Clip) -> Iterator[FrameResult]:
    """Track faces from frame to frame; the detector runs only when one is lost or a check is due."""
    with open_pipeline(request.bundle, request.runtime, request.helpers, request.faces) as pipeline:
        for number, (time_ms, picture) in enumerate(clip.pictures):
            faces = pipeline.detect_for_video(picture, time_ms)
            yield FrameResult(number, time_ms, picture, tuple(as_result(face) for face in faces), None, of_faces=True)


def as_result(face: DetectedFace) -> Keypoints:
    """The typed result; its region is the crop's square with the turn left out."""
    return Keypoints(face.points_px, face.template_points_px, face.square.upright)


VIEW = View(
    describe=describe,
    draw=draw,
    draw_frame=draw_frame,
    predict=predict,
    frames=follow_frames,
    face_options=("--any-roll", "--tiles", "--smooth"),
    helpers=("--detector", "--refined", "--detector-refined"),
    open_helpers=open_helpers,
)
