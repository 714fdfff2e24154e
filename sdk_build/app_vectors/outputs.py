"""Output tensors with their typed results, and metrics."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from reference.inputs.preprocess import Region
from reference.spec import ModelSpec, PostprocessSpec, TensorSpec
from reference.tasks import decode as postprocess
from reference.tasks.face_detection import FaceBoxes
from reference.tasks.face_keypoints import Keypoints
from reference.tasks.salient_object_detection import Mask
from sdk_build.app_vectors.encoding import Json, encode
from sdk_build.app_vectors.pictures import COVER
from sdk_build.proof.metrics import known_metrics


def results() -> list[Json]:
    """Output tensors and the typed results that they give."""
    generator = np.random.default_rng(5)
    region = Region(-3.5, 10.25, 120.0, 90.0)
    logits = np.array([[0.5, 2.25, -1.0, 2.25, 0.0]], np.float32)  # a tie keeps the order of the labels
    points = {name: generator.random((1, 68, 2), np.float32) for name in ("keypoints", "template_keypoints")}
    occupancy = generator.random((1, 4, 4, 4), np.float32)
    occupancy[0, 0, 0, 0] = 0.5  # at the threshold a voxel is filled
    mask = {"mask": generator.random((1, 1, 10, 12), np.float32)}
    cases = [
        (_spec("Classification", {"logits": logits}, ("a", "b", "c", "d", "e")), {"logits": logits}),
        (_spec("Classification", {"logits": logits}, ("a", "b", "c", "d", "e"), 0.5), {"logits": logits}),
        (_spec("Keypoints", points), points),
        (_spec("Keypoints", one := {"keypoints": points["keypoints"]}), one),
        (_spec("VoxelGrid", {"occupancy": occupancy}, threshold=0.5), {"occupancy": occupancy}),
        (_spec("Mask", mask, threshold=0.5), mask),
        (_spec("FaceBoxes", faces := {"faces": face_rows()}, threshold=0.4), faces),
    ]
    return [_result_case(spec, outputs, region) for spec, outputs in cases]


def face_rows() -> NDArray[np.float32]:
    """(1, 12, 15) output of a detector: overlaps, equal scores, and rows that no library may keep."""
    rows = np.random.default_rng(8).random((12, 15), np.float32)
    low, side = rows[:, :2] * np.float32(0.6), np.float32(0.1) + rows[:, 2:4] * np.float32(0.3)
    rows[:, :2], rows[:, 2:4] = low, low + side
    rows[:, 4] = 0.4 + 0.05 * np.arange(12)
    rows[1, :4] = rows[2, :4] + np.float32(0.01)  # nearly the same box
    rows[3, 4] = rows[4, 4]
    rows[5, 4] = 0.39
    rows[6, 7] = np.nan
    rows[7, :4] = (0.9, 0.9, 1.3, 1.3)  # its middle lies outside
    rows[8, :4] = (-0.1, 0.2, 0.3, 0.5)  # beyond the border, its middle inside
    return rows[None]


def _spec(
    result: str, outputs: dict[str, NDArray[np.float32]], labels: tuple[str, ...] = (), threshold: float | None = None
) -> ModelSpec:
    layouts = {"Classification": "NC", "Keypoints": "NPC", "VoxelGrid": "NDHW", "Mask": "NCHW", "FaceBoxes": "NPC"}
    tasks = {
        "Classification": "image_classification",
        "Keypoints": "face_keypoints",
        "VoxelGrid": "depth_to_voxels",
        "Mask": "salient_object_detection",
        "FaceBoxes": "face_detection",
    }
    return ModelSpec(
        "vector", tasks[result], "", "", (TensorSpec("image", (1, 3, 10, 12), "NCHW", "intensity"),),
        tuple(TensorSpec(name, value.shape, layouts[result], "") for name, value in outputs.items()),
        COVER, PostprocessSpec(result, threshold), "", labels,
    )  # fmt: skip


def _result_case(spec: ModelSpec, outputs: dict[str, NDArray[np.float32]], region: Region) -> Json:
    result = postprocess(outputs, spec, region)
    expected = result.to_json()
    if isinstance(result, Keypoints):
        expected = {"points_px": encode(result.points_px), "template_points_px": encode(result.template_points_px)}
    if isinstance(result, FaceBoxes):
        expected = {
            "boxes_px": encode(result.boxes_px),
            "scores": encode(result.scores),
            "points_px": encode(result.points_px),
        }
    width, height = 131, 97  # the region of the vectors lies partly beside this picture, and does not cover all of it
    if isinstance(result, Mask):
        expected = {"values": encode(result.in_picture(width, height))}
    return {
        "postprocess": dataclasses.asdict(spec.postprocess),
        "width": width,
        "height": height,
        "size": spec.sampling.size,
        "labels": spec.labels,
        "region": dataclasses.astuple(region),
        "outputs": [
            {"name": n, "shape": v.shape, "dtype": "float32", "unit": "", "values": encode(v)}
            for n, v in outputs.items()
        ],
        "expected": expected,
    }


def metrics() -> list[Json]:
    """Every metric on the same two arrays, and on equal and broken ones; top-1 takes them as one row of classes."""
    generator = np.random.default_rng(6)
    expected = generator.random((1, 68, 2), np.float32)
    actual = (expected + generator.normal(0, 0.01, expected.shape)).astype(np.float32)
    broken = actual.copy()
    broken[0, 7, 1] = np.nan
    pairs = {"near": actual, "equal": expected, "not finite": broken}
    finite = {float("inf"): 1e300}  # JSON has no infinity
    found = [
        {
            "name": f"{metric} {name}",
            "metric": metric,
            "shape": expected.shape,
            "actual": encode(values),
            "expected": encode(expected),
            "value": finite.get(value := _measure(metric, values, expected), value),
        }
        for metric in ("max_abs_of_range", "sqnr_db", "psnr_db", "cosine", "top1_agreement", "nme_percent", "voxel_iou")
        for name, values in pairs.items()
    ]
    return found + solid_points() + face_metrics()


def solid_points() -> list[Json]:
    """The error of points with three coordinates, as a mesh's vertices have them."""
    generator = np.random.default_rng(9)
    expected = generator.random((1, 70, 3), np.float32)
    actual = (expected + generator.normal(0, 0.01, expected.shape)).astype(np.float32)
    return [
        {
            "name": "nme_percent of solid points",
            "metric": "nme_percent",
            "shape": expected.shape,
            "actual": encode(actual),
            "expected": encode(expected),
            "value": _measure("nme_percent", actual, expected),
        }
    ]


def face_metrics() -> list[Json]:
    """The detector's metric: boxes moved a little, a face too few, none at all."""
    expected = face_rows()
    moved, fewer, none = expected.copy(), expected.copy(), expected.copy()
    moved[0, :, :4] += np.float32(0.02)
    fewer[0, 9:, 4] = 0.1
    none[..., 4] = 0.0
    pairs = {"near": moved, "equal": expected, "fewer": fewer, "none": none}
    return [
        {
            "name": f"face_agreement {name}",
            "metric": "face_agreement",
            "shape": expected.shape,
            "actual": encode(values),
            "expected": encode(expected),
            "value": _measure("face_agreement", values, expected),
        }
        for name, values in pairs.items()
    ]


def _measure(metric: str, actual: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    shape = (1, -1) if metric == "top1_agreement" else expected.shape
    return float(known_metrics()[metric].function(actual.reshape(shape), expected.reshape(shape)))
