"""Outputs of the tasks that are for any network, with their typed results, and the metrics that compare them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.inputs.preprocess import Region
from reference.spec import ModelSpec, PostprocessSpec, TensorSpec
from reference.tasks import TASKS
from reference.tasks import decode as postprocess
from reference.tasks.depth_estimation import Depth
from reference.tasks.embedding import Embedding
from reference.tasks.image_segmentation import Segmentation
from reference.tasks.image_to_image import FORMS, NewPicture
from reference.tasks.keypoints import Points
from reference.tasks.object_detection import Detections
from sdk_build.app_vectors.encoding import Json, encode
from sdk_build.app_vectors.pictures import COVER
from sdk_build.proof.metrics import known_metrics

Outputs = dict[str, tuple[NDArray[Any], str]]  # values and unit
REGION = Region(-1.5, 2.25, 20.0, 15.0)
WIDTH, HEIGHT = 21, 16  # the region lies partly beside this picture, and does not cover all of it


def general_results() -> list[Json]:
    """Output tensors of every task for any network in each of its forms, and what they give."""
    return [*detections(), *segmentations(), *depths(), *points(), *embeddings(), *new_pictures()]


def detections() -> list[Json]:
    """Boxes in each form and both kinds of scores: overlaps of one class and of two, equal scores, the threshold."""
    generator = np.random.default_rng(11)
    low, side = generator.random((20, 2), np.float32) * 0.6, 0.1 + generator.random((20, 2), np.float32) * 0.3
    xyxy = np.concatenate([low, low + side], 1).astype(np.float32)
    xyxy[1], xyxy[3], xyxy[5] = xyxy[0] + np.float32(0.01), xyxy[2] + np.float32(0.01), (0.9, 0.9, 1.2, 1.3)
    scores = generator.random((20, 3), np.float32)
    scores[0], scores[1], scores[2], scores[3] = (0.9, 0, 0), (0.8, 0, 0), (0, 0.95, 0), (0, 0, 0.9)
    scores[6:8] = 0.75
    scores[8], scores[9], scores[10, :] = (0.7, 0.1, 0), (0.6999999, 0, 0), np.nan
    xyxy[11, 2] = np.nan
    middle = np.concatenate([(xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]], 1).astype(np.float32)
    pixels = np.array([COVER.size[1], COVER.size[0]] * 2, np.float32)
    with np.errstate(divide="ignore"):
        logits = np.log(scores / (1 - scores)).clip(-30, 30).astype(np.float32)
    best = {
        "scores": (scores.max(1)[None], "probability"),
        "classes": (scores.argmax(1)[None].astype(np.int32), "class"),
    }
    forms: list[Outputs] = [
        {"boxes": (xyxy[None], "xyxy_fraction"), "scores": (scores[None], "probability")},
        {"boxes": (middle[None], "cxcywh_fraction"), "scores": (logits[None], "logit")},
        {"boxes": ((middle * pixels)[None], "cxcywh_pixels"), "scores": (scores[None], "probability")},
        {"boxes": ((xyxy * pixels)[None], "xyxy_pixels"), **best},
        {"boxes": (small_boxes(110), "xyxy_fraction"),
         "scores": (np.linspace(0.71, 0.99, 110, dtype=np.float32).reshape(1, 110, 1), "probability")},
    ]  # fmt: skip
    return [_case("object_detection", outputs, ("a", "b", "c"), 0.7) for outputs in forms]


def small_boxes(count: int) -> NDArray[np.float32]:
    """(1, count, 4) boxes that don't overlap: more than a detector may keep."""
    places = np.tile(np.linspace(0, 0.9, count, dtype=np.float32)[:, None], 4)[None]
    return places + np.array([0, 0, 0.004, 0.004], np.float32)


def segmentations() -> list[Json]:
    """Scores of several classes with a tie, one score, and class numbers."""
    generator = np.random.default_rng(12)
    scores = generator.normal(size=(1, 3, 5, 6)).astype(np.float32)
    scores[0, 1:, 0, 0] = scores[0, 0, 0, 0] + np.float32(1)  # equal: the first counts
    one = generator.normal(size=(1, 1, 5, 6)).astype(np.float32)
    one[0, 0, 0, 0] = 0
    numbers = generator.integers(0, 3, (1, 5, 6)).astype(np.int32)
    forms: list[tuple[Outputs, tuple[str, ...]]] = [
        ({"classes": (scores, "logit")}, ("a", "b", "c")),
        ({"classes": (one, "logit")}, ("a", "b")),
        ({"classes": (numbers, "class")}, ("a", "b", "c")),
    ]
    return [_case("image_segmentation", outputs, labels) for outputs, labels in forms]


def depths() -> list[Json]:
    """Maps in each unit, one of them constant."""
    values = np.random.default_rng(13).random((1, 5, 6), np.float32)
    forms: list[Outputs] = [
        {"depth": (values, "relative_inverse_depth")},
        {"depth": (values[None] * 7, "metres")},
        {"depth": (np.full((1, 2, 2), 3, np.float32), "relative_depth")},
    ]
    return [_case("depth_estimation", outputs) for outputs in forms]


def points() -> list[Json]:
    """Points as pixels, as fractions and as maps; with scores and without, peaks at borders and in plateaus."""
    generator = np.random.default_rng(14)
    maps = generator.random((1, 5, 4, 6), np.float32)
    for number, place in enumerate(((0, 0), (3, 5), (2, 3), (0, 2))):
        maps[0, number][place] = 2
    maps[0, 2, 2, 2] = maps[0, 2, 2, 4]  # neither side is larger
    maps[0, 4] = 1
    few = generator.random((1, 5, 2), np.float32)
    forms: list[tuple[Outputs, tuple[str, ...]]] = [
        ({"points": (generator.random((1, 5, 3), np.float32) * 12, "pixels")}, ()),
        ({"points": (few, "fraction")}, ("a", "b", "c", "d", "e")),
        ({"points": (maps, "map")}, ()),
    ]
    return [_case("keypoints", outputs, labels) for outputs, labels in forms]


def embeddings() -> list[Json]:
    """A vector, one with two sides of one, and zero, which is like nothing."""
    vector = np.random.default_rng(16).normal(size=(1, 7)).astype(np.float32)
    shapes = (vector, vector[..., None, None] * 9, np.zeros((1, 3), np.float32))
    return [_case("embedding", {"embedding": (values, "feature")}) for values in shapes]


def new_pictures() -> list[Json]:
    """Colours and grey in each range, with values beyond it and halfway between two whole ones."""
    found = []
    for number, (unit, (low, high)) in enumerate(FORMS.items()):
        values = np.random.default_rng(17 + number).uniform(-0.1, 1.1, (1, 1 if number == 1 else 3, 4, 6))
        values[0, 0, 0] = (np.arange(6) + 100.5) / 255
        found.append(_case("image_to_image", {"picture": ((low + values * (high - low)).astype(np.float32), unit)}))
    return found


def _case(task: str, outputs: Outputs, labels: tuple[str, ...] = (), threshold: float | None = None) -> Json:
    spec = ModelSpec(
        "vector", task, "", "", (TensorSpec("image", (1, 3, *COVER.size), "NCHW", "intensity"),),
        tuple(TensorSpec(n, v.shape, "any", unit, dtype=str(v.dtype)) for n, (v, unit) in outputs.items()),
        COVER, PostprocessSpec(TASKS[task].result.__name__, threshold), "", labels,
    )  # fmt: skip
    with np.errstate(invalid="ignore"):
        result = postprocess({name: values for name, (values, _) in outputs.items()}, spec, REGION)
    return {
        "postprocess": dataclasses.asdict(spec.postprocess),
        "width": WIDTH,
        "height": HEIGHT,
        "size": COVER.size,
        "labels": labels,
        "region": dataclasses.astuple(REGION),
        "outputs": [
            {"name": n, "shape": v.shape, "dtype": str(v.dtype), "unit": unit, "values": encode(v.astype(np.float32))}
            for n, (v, unit) in outputs.items()
        ],
        "expected": _expected(result),
    }


def _expected(result: Any) -> Json:
    if isinstance(result, Detections):
        boxes = np.array([found.box_px for found in result.objects], np.float32)
        return {
            "labels": [found.label for found in result.objects],
            "scores": encode(np.array([found.score for found in result.objects], np.float32)),
            "boxes_px": encode(boxes),
        }
    if isinstance(result, Segmentation):
        classes = result.in_picture(WIDTH, HEIGHT).astype(np.int32)
        return {"shares": result.shares(), "classes": encode(classes)}
    if isinstance(result, Depth):
        laid = result.in_picture(WIDTH, HEIGHT)
        return {"unit": result.unit, "values": encode(laid), "nearness": encode(result.nearness.astype(np.float32))}
    if isinstance(result, Embedding):
        mirrored = Embedding(result.vector[::-1])
        return {"vector": encode(result.vector), "similarity": result.similarity(mirrored)}
    if isinstance(result, NewPicture):
        height, width = result.picture.shape[:2]
        return {"width": width, "height": height, "rgb": encode(result.picture)}
    assert isinstance(result, Points)
    return {"points_px": encode(result.points_px), "scores": encode(result.scores), "labels": result.labels}


def general_metrics() -> list[Json]:
    """What compares the outputs of any network's tasks: near, equal and broken ones, in every shape that counts."""
    generator = np.random.default_rng(15)
    wide, maps, flat = (generator.random(shape, np.float32) for shape in ((1, 3, 4, 5), (1, 3, 4, 5), (1, 40)))
    one, numbers = wide[:, :1] - np.float32(0.5), generator.integers(0, 4, (1, 4, 5)).astype(np.float32)
    pairs: list[tuple[str, NDArray[np.float32]]] = [
        ("exact_share", numbers), ("finite_share", flat), ("pixel_agreement", wide), ("pixel_agreement", one),
        ("pixel_agreement", numbers), ("coordinate_agreement", flat), ("point_agreement", flat.reshape(1, 20, 2)),
        ("point_agreement", maps), ("depth_correlation", wide), ("angle_degrees", flat), ("picture_agreement", wide),
    ]  # fmt: skip
    found = []
    for metric, expected in pairs:
        near = (expected + generator.normal(0, 0.02, expected.shape)).astype(np.float32)
        broken = near.copy()
        broken.reshape(-1)[7] = np.nan
        for name, actual in (("near", near), ("equal", expected), ("not finite", broken)):
            found.append(_metric(f"{metric} of {'x'.join(map(str, expected.shape))}, {name}", metric, actual, expected))
    constant = np.full((1, 40), 2, np.float32)
    found += [_metric(f"{m} of a constant", m, flat, constant) for m in ("depth_correlation", "coordinate_agreement")]
    return [*found, _metric("angle_degrees of zero", "angle_degrees", 0 * flat, flat)]


def _metric(name: str, metric: str, actual: NDArray[np.float32], expected: NDArray[np.float32]) -> Json:
    with np.errstate(invalid="ignore"):
        value = float(known_metrics()[metric].function(actual, expected))
    return {
        "name": name,
        "metric": metric,
        "shape": expected.shape,
        "actual": encode(actual),
        "expected": encode(expected),
        "value": value,
    }
