"""Python's results of the golden inputs of bundles, for the tests of the apps with real models."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.tasks.base import Result
from sdk_build.app_vectors.encoding import encode
from sdk_build.backends import Tensors
from sdk_build.bundle.files import Bundle


def pipeline_results(
    detector: Bundle, keypoints: Bundle, refined: Bundle | None = None, judge: Bundle | None = None
) -> list[dict[str, Any]]:
    """The pipeline's faces in each golden picture of the detector: points as base64, largest face first."""
    from reference.inputs.preprocess import load_picture
    from sdk_build.predict.faces import Helpers, open_pipeline

    with open_pipeline(keypoints, "litert", Helpers(detector, refined, judge)) as pipeline:
        pictures = [load_picture(detector.path / case.raw) for case in detector.manifest.golden]
        return [{"faces": [encode(face.points_px) for face in pipeline.detect(picture)]} for picture in pictures]


def judged_results(detector: Bundle, keypoints: Bundle, judge: Bundle) -> list[dict[str, Any]]:
    """Likewise, where a second network judges the detector's boxes."""
    return pipeline_results(detector, keypoints, judge=judge)


def box_results(detector: Bundle, judge: Bundle) -> list[dict[str, Any]]:
    """Boxes of the detector's cascade in each golden picture, surest first: corners and points (base64), scores."""
    import numpy as np

    from reference.inputs.preprocess import load_picture
    from sdk_build.predict.faces import open_detector

    found = []
    with open_detector(detector, "litert", judge) as look:
        for case in detector.manifest.golden:
            boxes = look(load_picture(detector.path / case.raw))
            rows = np.concatenate([boxes.boxes_px, boxes.points_px.reshape(-1, 10)], axis=1)
            found.append({"faces": [encode(row) for row in rows], "scores": boxes.scores.tolist()})
    return found


def mesh_results(detector: Bundle, face3d: Bundle) -> list[dict[str, Any]]:
    """The meshes of all faces in each golden picture of the detector, largest first: x, y and z in pixels, as base64.

    As in the apps, the network looks at the detector's square, then at the one around the landmarks found there.
    """
    from reference.inputs.preprocess import load_picture, preprocess_picture, sample_picture
    from reference.inputs.square import square_of_box
    from reference.pipelines.face_boxes import from_points
    from reference.tasks import decode as postprocess
    from reference.tasks.face_detection import FaceBoxes
    from reference.tasks.face_reconstruction import FaceMesh

    detect, reconstruct = (_runner(bundle) for bundle in (detector, face3d))
    found = []
    for case in detector.manifest.golden:
        picture = load_picture(detector.path / case.raw)
        spec = detector.manifest.spec
        tensor, region = preprocess_picture(picture, spec.sampling)
        boxes = postprocess(detect(tensor), spec, region)
        assert isinstance(boxes, FaceBoxes)
        regions = sorted((square_of_box(*map(float, box)) for box in boxes.boxes_px), key=lambda r: -r.width)
        faces = []
        for rough in regions:
            region, vertices = rough, None
            for _ in range(2):
                tensor = sample_picture(picture, region, face3d.manifest.spec.sampling.size)
                face = postprocess(reconstruct(tensor), face3d.manifest.spec, region)
                assert isinstance(face, FaceMesh)
                region, vertices = from_points(face.landmarks_px), face.vertices_px
            assert vertices is not None
            faces.append(encode(vertices))
        found.append({"faces": faces})
    return found


def _runner(bundle: Bundle) -> Callable[[NDArray[np.float32]], Tensors]:
    from sdk_build.proof.sandbox import run_artifact

    spec = bundle.manifest.spec
    artifact = bundle.path / next(e.file for e in bundle.manifest.model_files if e.runtime == "litert")
    return lambda tensor: run_artifact("litert", artifact, spec, [{spec.input.name: tensor}])[0]


def golden_results(bundle: Bundle) -> list[dict[str, Any]]:
    """What the apps must give for each golden input: the result's JSON, but points unrounded and masks as bits."""
    from reference.golden import read_input
    from reference.tasks import decode as postprocess
    from sdk_build.proof.sandbox import run_artifact

    spec = bundle.manifest.spec
    entry = next(e for e in bundle.manifest.model_files if e.runtime == "litert")
    if spec.preprocess is None:
        cases = [bundle.golden_inputs(number) for number in range(len(bundle.manifest.golden))]
        answers = run_artifact("litert", bundle.path / entry.file, spec, cases)
        return [{"tensors": {name: encode(values) for name, values in answer.items()}} for answer in answers]
    read = [read_input(bundle.path / case.raw, spec) for case in bundle.manifest.golden]
    inputs = [{spec.input.name: tensor} for tensor, _, _ in read]
    outputs = run_artifact("litert", bundle.path / entry.file, spec, inputs)
    return [
        _comparable(postprocess(out, spec, region), picture.shape[1], picture.shape[0])
        for out, (_, region, picture) in zip(outputs, read, strict=True)
    ]


def _comparable(result: Result, width: int, height: int) -> dict[str, Any]:
    import numpy as np

    from reference.tasks.depth_estimation import Depth
    from reference.tasks.face_keypoints import Keypoints
    from reference.tasks.face_reconstruction import FaceMesh
    from reference.tasks.image_segmentation import Segmentation
    from reference.tasks.image_to_image import NewPicture
    from reference.tasks.keypoints import Points
    from reference.tasks.salient_object_detection import Mask

    if isinstance(result, FaceMesh):
        yaw = result.pose_degrees["yaw"]
        return {"vertices_px": encode(result.vertices_px), "neutral": encode(result.neutral), "yaw": yaw}
    if isinstance(result, Segmentation):
        return {"classes": encode(result.in_picture(width, height).astype(np.int32))}
    if isinstance(result, NewPicture):
        return {"rgb": encode(result.picture)}
    if isinstance(result, Depth):
        return {"depth": encode(result.in_picture(width, height))}
    if isinstance(result, (Keypoints, Points)):
        return {"points_px": result.points_px.tolist()}
    if isinstance(result, Mask):
        bits = np.packbits(result.filled(width, height), bitorder="little")
        return {"filled_bits": base64.b64encode(bits.tobytes()).decode()}
    return result.to_json()


def write(dist: Path) -> int:
    """Run every bundle that has a .tflite file.

    Raises:
        BadInput: there is none.
    """
    from sdk_build.bundle.files import open_bundle

    bundles = [open_bundle(path.parent) for path in sorted(dist.glob("*/bundle.json"))]
    found = {
        b.manifest.id: golden_results(b) for b in bundles if any(e.runtime == "litert" for e in b.manifest.model_files)
    }
    pipelines: dict[str, tuple[Callable[..., list[dict[str, Any]]], tuple[str, ...]]] = {
        "face_pipeline": (pipeline_results, ("face_detector", "template_keypoints")),
        "face_pipeline_refined": (
            pipeline_results,
            ("face_detector", "template_keypoints", "template_keypoints_refined"),
        ),
        "face_pipeline_judged": (judged_results, ("face_detector", "template_keypoints", "face_detector_refined")),
        "face_boxes_judged": (box_results, ("face_detector", "face_detector_refined")),
        "face_meshes": (mesh_results, ("face_detector", "face3d")),
    }
    # The Kotlin and Swift tests take a model's bundle for the web where there is none for Android.
    for target, kinds in (("android", ("web", "android")), ("web", ("web",))):
        named = {b.manifest.model: b for kind in kinds for b in bundles if b.manifest.target == kind}
        for name, (run, models) in pipelines.items():
            if all(model in named for model in models):
                found[f"{name}-{target}"] = run(*(named[model] for model in models))
    if not found:
        raise BadInput(f"{dist} holds no bundle with a .tflite file; run python -m sdk_build.export --target web first")
    (dist / "results.json").write_text(json.dumps(found), encoding="utf-8")
    return 0
