"""``python -m sdk_build.app_vectors``: small inputs with their exact results, for the tests of the apps.

The Kotlin, Swift and web libraries read ``tests/vectors/vectors.json`` and must give what Python gives: orientations,
odd sizes, camera frames with strides, crops at the border, turned crops, faces that are followed, results, face meshes,
metrics, signatures and bad inputs. Byte arrays and tensors (little-endian float32) are base64.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reference.camera import Plane, YuvFrame, picture_from_yuv, upright
from reference.errors import BadInput
from reference.postprocess import FaceBoxes, Keypoints, Mask, postprocess
from reference.preprocess import Box, Region, preprocess_depth, preprocess_picture
from reference.spec import ModelSpec, PostprocessSpec, PreprocessSpec, TensorSpec
from sdk_build.app_encoding import Json, encode, noise
from sdk_build.app_signatures import signatures
from sdk_build.metrics import METRICS

FOLDER = Path(__file__).parent.parent / "tests" / "vectors"
COVER = PreprocessSpec((10, 12))
CONTAIN = PreprocessSpec((14, 9), resize="contain")
STRETCH = PreprocessSpec((16, 16), resize="stretch")
GROWN = PreprocessSpec((8, 8), box_grow=0.2)
DEPTH = PreprocessSpec(
    (9, 9), color="DEPTH", resize="contain", interpolation="nearest", mean=(0.0,), std=(1.0,), box_grow=0.2
)


def build() -> Json:
    """All vectors, the same on every run."""
    from sdk_build.app_face_vectors import (
        face_shapes,
        face_squares,
        judgments,
        squares,
        tracks,
    )  # torch comes with them
    from sdk_build.app_mesh_vectors import meshes, topologies

    return {
        "pictures": [*orientations(), *sizes(), *boxes()],
        "frames": frames(),
        "depths": depths(),
        "bad_pictures": bad_pictures(),
        "bad_frames": bad_frames(),
        "bad_depths": bad_depths(),
        "results": results(),
        "metrics": metrics(),
        "signatures": signatures(),
        "squares": squares(),
        "face_squares": face_squares(),
        "face_shapes": face_shapes(),
        "judgments": judgments(),
        "tracks": tracks(),
        "meshes": meshes(),
        "topologies": topologies(),
    }


def picture_case(
    name: str, picture: NDArray[np.uint8], spec: PreprocessSpec, orientation: int = 1, box: Box | None = None
) -> Json:
    """A picture as stored, and the tensor and region of it turned upright."""
    tensor, region = preprocess_picture(upright(picture, orientation), spec, box)
    return {
        "name": name,
        "width": picture.shape[1],
        "height": picture.shape[0],
        "rgb": encode(picture),
        "orientation": orientation,
        "preprocess": dataclasses.asdict(spec),
        "box": box,
        "region": dataclasses.astuple(region),
        "tensor": encode(tensor),
    }


def orientations() -> list[Json]:
    """The eight EXIF values."""
    return [picture_case(f"orientation {value}", noise(9, 13, 1), COVER, value) for value in range(1, 9)]


def sizes() -> list[Json]:
    """Odd sizes, enlarging, shrinking, every way to fit."""
    shapes = ((8, 8), (9, 41), (53, 17), (10, 12), (11, 12), (31, 47))
    specs = {"cover": COVER, "contain": CONTAIN, "stretch": STRETCH}
    return [
        picture_case(f"{name} {width}x{height}", noise(height, width, 2), spec)
        for name, spec in specs.items()
        for height, width in shapes
    ]


def boxes() -> list[Json]:
    """Boxes inside, at and across the border, with the margin of the spec."""
    chosen: dict[str, Box] = {
        "inside": (8.25, 5.5, 20.75, 19.0),
        "left border": (0.0, 3.0, 7.5, 12.0),
        "across the corner": (-6.0, -4.0, 9.0, 11.0),
        "across the far corner": (24.0, 15.0, 60.0, 40.0),
        "thin": (10.0, 0.0, 10.5, 23.0),
    }
    return [
        picture_case(f"box {name} {spec.resize}", noise(23, 31, 3), dataclasses.replace(spec, box_grow=0.2), box=box)
        for name, box in chosen.items()
        for spec in (GROWN, CONTAIN)
    ]


def camera_frame(width: int, height: int, interleaved: bool, padding: int, value_range: str, matrix: str) -> YuvFrame:
    """A frame of noise. Interleaved: U and V share their bytes, V one byte behind U, as in NV12."""
    generator = np.random.default_rng(width * 1000 + height + padding)
    half_width, half_height = (width + 1) // 2, (height + 1) // 2

    def block(rows: int, stride: int) -> bytes:
        return generator.integers(0, 256, rows * stride, np.uint8).tobytes()

    y = Plane(block(height, width + padding), width + padding)
    stride = half_width * (2 if interleaved else 1) + padding
    first = block(half_height, stride)
    if interleaved:
        return YuvFrame(width, height, y, Plane(first, stride, 2), Plane(first[1:], stride, 2), value_range, matrix)
    return YuvFrame(
        width, height, y, Plane(first, stride), Plane(block(half_height, stride), stride), value_range, matrix
    )


def frame_json(frame: YuvFrame) -> Json:
    """A frame without results."""
    planes = {
        name: {"data": encode(plane.data), "row_stride": plane.row_stride, "pixel_stride": plane.pixel_stride}
        for name, plane in (("y", frame.y), ("u", frame.u), ("v", frame.v))
    }
    sizes = {"width": frame.width, "height": frame.height, "range": frame.range, "matrix": frame.matrix}
    return {**sizes, "planes": planes}


def frames() -> list[Json]:
    """Ranges, matrices, strides, odd sizes, turned cameras."""
    found = []
    for number, (interleaved, padding, value_range, matrix, orientation, size) in enumerate(
        (
            (False, 0, "full", "bt601", 1, (16, 12)),
            (True, 0, "full", "bt601", 6, (16, 12)),
            (True, 7, "limited", "bt601", 8, (18, 10)),
            (False, 5, "limited", "bt709", 1, (17, 11)),
            (True, 3, "full", "bt709", 3, (15, 9)),
            (True, 16, "limited", "bt709", 7, (33, 21)),
        )
    ):
        frame = camera_frame(*size, interleaved, padding, value_range, matrix)
        picture = picture_from_yuv(frame)
        tensor, region = preprocess_picture(upright(picture, orientation), COVER)
        found.append(
            {
                "name": f"frame {number}: {value_range} {matrix}, orientation {orientation}",
                **frame_json(frame),
                "orientation": orientation,
                "rgb": encode(picture),
                "preprocess": dataclasses.asdict(COVER),
                "region": dataclasses.astuple(region),
                "tensor": encode(tensor),
            }
        )
    return found


def depth_map(width: int, height: int) -> NDArray[np.float32]:
    """A tilted plate with holes and an empty border, in whole millimetres."""
    ys, xs = np.mgrid[:height, :width]
    depth = 400.0 + 7 * xs + 11 * ys
    depth[(xs + 2 * ys) % 7 == 0] = 0
    depth[:2], depth[:, :3], depth[-1:], depth[:, -2:] = 0, 0, 0, 0
    return depth.astype(np.float32)


def depths() -> list[Json]:
    """Depth maps with and without a box."""
    cases: dict[str, tuple[NDArray[np.float32], Box | None]] = {
        "own box": (depth_map(23, 17), None),
        "box inside": (depth_map(23, 17), (5.0, 4.0, 15.0, 14.0)),
        "box across the border": (depth_map(24, 16), (-4.0, 6.0, 12.0, 30.0)),
        "one distance": (np.where(depth_map(12, 12) > 0, 700, 0).astype(np.float32), None),
    }
    found = []
    for name, (depth, box) in cases.items():
        tensor, region = preprocess_depth(depth, DEPTH, box)
        found.append({**depth_json(name, depth, box), "region": dataclasses.astuple(region), "tensor": encode(tensor)})
    return found


def depth_json(name: str, depth: NDArray[np.float32], box: Box | None) -> Json:
    """A depth map without results; millimetres as little-endian uint16."""
    return {
        "name": name,
        "width": depth.shape[1],
        "height": depth.shape[0],
        "millimetres": encode(depth.astype("<u2").tobytes()),
        "preprocess": dataclasses.asdict(DEPTH),
        "box": box,
    }


def bad_pictures() -> list[Json]:
    """Every library answers BadInput; what Python's reader refuses by size has no tensor here either."""
    good = {"width": 16, "height": 12, "rgb": encode(noise(12, 16, 4)), "orientation": 1, "box": None}
    changes: dict[str, Json] = {
        "no pixels": {"width": 0, "height": 0, "rgb": ""},
        "too small": {"width": 7, "height": 12, "rgb": encode(noise(12, 7, 4))},
        "too few bytes": {"height": 13},
        "orientation 0": {"orientation": 0},
        "orientation 9": {"orientation": 9},
        "empty box": {"box": (4.0, 4.0, 4.0, 9.0)},
        "box the wrong way round": {"box": (9.0, 4.0, 4.0, 9.0)},
        "box beside the picture": {"box": (17.0, 0.0, 20.0, 5.0)},
        "box above the picture": {"box": (0.0, -9.0, 5.0, -1.0)},
    }
    preprocess = dataclasses.asdict(COVER)
    return [{"name": name, **good, **change, "preprocess": preprocess} for name, change in changes.items()]


def bad_frames() -> list[Json]:
    """Planes that don't hold what the frame says."""
    good = camera_frame(16, 12, True, 2, "full", "bt601")
    replaced = dataclasses.replace
    changed = {
        "short Y": replaced(good, y=replaced(good.y, data=good.y.data[:-3])),
        "short V": replaced(good, v=replaced(good.v, data=good.v.data[:-3])),
        "row stride below the width": replaced(good, y=replaced(good.y, row_stride=15)),
        "pixel stride 0": replaced(good, u=replaced(good.u, pixel_stride=0)),
        "no size": replaced(good, width=0, height=0),
        "unknown range": replaced(good, range="studio"),
        "unknown matrix": replaced(good, matrix="bt2020"),
    }
    for name, frame in changed.items():
        _must_fail(name, frame)
    return [{"name": name, **frame_json(frame), "orientation": 1} for name, frame in changed.items()]


def _must_fail(name: str, frame: YuvFrame) -> None:
    try:
        picture_from_yuv(frame)
    except BadInput:
        return
    raise AssertionError(f"the bad frame {name!r} was accepted")


def bad_depths() -> list[Json]:
    """Depth maps without a measurement where one is needed."""
    plate = depth_map(23, 17)
    return [
        depth_json("nothing measured", np.zeros((12, 12), np.float32), None),
        depth_json("nothing measured in the box", np.where(np.arange(23) > 12, plate, 0), (0.0, 0.0, 4.0, 4.0)),
        depth_json("box beside the map", plate, (30.0, 0.0, 40.0, 9.0)),
    ]


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
        "labels": spec.labels,
        "region": dataclasses.astuple(region),
        "outputs": [{"name": n, "shape": v.shape, "values": encode(v)} for n, v in outputs.items()],
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
    return float(METRICS[metric].function(actual.reshape(shape), expected.reshape(shape)))


def to_text(vectors: Json) -> str:
    """The file's content: one case a line, so that a difference shows which case changed."""
    parts = []
    for name, cases in vectors.items():
        lines = ",\n".join(json.dumps(case) for case in cases)
        parts.append(f"{json.dumps(name)}: [\n{lines}\n]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main(arguments: list[str] | None = None, make: Callable[[], Json] = build) -> int:
    """Write the file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sdk_build.app_vectors", description=__doc__.splitlines()[0])
    parser.add_argument("--output-dir", type=Path, default=FOLDER)
    a = parser.parse_args(arguments)
    text = to_text(make())
    a.output_dir.mkdir(parents=True, exist_ok=True)
    (a.output_dir / "vectors.json").write_text(text, encoding="utf-8")
    print(f"{a.output_dir / 'vectors.json'}: {len(text) / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
