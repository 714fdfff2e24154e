"""``python -m sdk_build.predict BUNDLE FILE...``: raw pictures or depth maps in, results and pictures out."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.errors import BadInput
from sdk_build.command import exit_with

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reference.postprocess import Result
    from reference.preprocess import Region
    from sdk_build.bundle import Bundle
    from sdk_build.predict_faces import Helpers

SOLID_SUFFIXES = (".glb", ".obj", ".ply", ".gif")
DEPTH_OPTIONS = ("depth", "depth_size", "depth_type", "depth_unit", "depth_turn", "depth_reach", "depth_fit")
HELPERS = {"face_keypoints": ("--detector", "--refined", "--detector-refined"), "face_detection": ("--refined",)}
PREFERRED = ("litert", "executorch", "coreml", "executorch_coreml")


@dataclass(frozen=True)
class Prediction:
    """One file's results: several faces, or one class or solid.

    Attributes:
        picture: the input as read, for drawing; of a depth map only what the network saw.
        photo: the picture that belongs to a depth map, and the box of the object on it in pixels.
    """

    file: Path
    results: tuple[Result, ...]
    picture: NDArray[Any]
    runtime: str
    photo: tuple[NDArray[np.uint8], tuple[float, float, float, float]] | None = None

    def to_json(self) -> dict[str, Any]:
        """The entry of ``predict --json``."""
        return {"file": str(self.file), "runtime": self.runtime, "results": [r.to_json() for r in self.results]}


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and predict; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m sdk_build.predict",
        description=__doc__,
        epilog="Exit codes: 0 done, 1 the bundle or an artifact failed, 2 wrong use or bad input.",
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="pictures, 16-bit PNG depth maps in mm, or one video: a file or a folder of frames",
    )
    parser.add_argument(
        "--save",
        type=Path,
        metavar="PATH",
        help="picture or video of the result; a folder for several; a face mesh also as .glb or .obj, a solid also as "
        ".glb, .obj, .ply or turning .gif",
    )
    parser.add_argument("--label", choices=("beside", "on"), default="beside", help="where the class is drawn")
    parser.add_argument("--sheet", metavar="CxR", help="save pages of C columns and R rows of classified pictures")
    parser.add_argument("--audio", action="store_true", help="play the sound of each class")
    parser.add_argument("--frames", type=int, default=5, metavar="N", help="video: frames in a row that must agree")
    parser.add_argument("--unconfirmed", choices=("suppress", "mark"), default="suppress", help="video: what of others")
    parser.add_argument("--box", metavar="X0,Y0,X1,Y1", help="look at this box of the picture only, in pixels")
    parser.add_argument(
        "--detector", type=Path, metavar="BUNDLE", help="keypoints: find faces with this; else with OpenCV's cascade"
    )
    parser.add_argument(
        "--refined", type=Path, metavar="BUNDLE", help="keypoints, face detector: the second network of the cascade"
    )
    parser.add_argument(
        "--detector-refined",
        type=Path,
        metavar="BUNDLE",
        help="keypoints: the detector's second network",
    )
    depth = parser.add_argument_group("RGB-D frames", "for models that take depth; FILE is then the picture")
    depth.add_argument("--depth", type=Path, metavar="FILE", help="16-bit .png in mm, .tif, .npy, or headerless .raw")
    depth.add_argument("--depth-size", metavar="WxH", help="of a headerless file, e.g. 640x480")
    depth.add_argument("--depth-type", metavar="TYPE", help="of a headerless file: uint16, float32 or float16")
    depth.add_argument("--depth-unit", metavar="UNIT", help="mm, m or 1/m; whole numbers are taken as mm, others as m")
    depth.add_argument("--depth-turn", type=int, default=0, metavar="DEG", help="turn it by 90, 180 or 270, as needed")
    depth.add_argument("--depth-reach", type=float, metavar="MM", help="ignore what lies farther behind the object")
    depth.add_argument(
        "--depth-fit", choices=("scale", "crop"), default="scale", help="crop: cut or pad the box instead of scaling it"
    )
    parser.add_argument("--runtime", metavar="NAME", help=f"run on this one of {', '.join(PREFERRED)}")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    return exit_with(lambda: run(a))


def run(a: argparse.Namespace) -> int:
    """The command's body; returns the exit code."""
    from reference.video import is_video
    from sdk_build.bundle import open_bundle
    from sdk_build.sheet import parse_grid

    videos = [file for file in a.files if is_video(file)]
    if videos and len(a.files) > 1:
        raise BadInput(
            f"{videos[0]} is a video, given with {len(a.files) - 1} other files; give one video, or pictures"
        )
    grid = parse_grid(a.sheet) if a.sheet else None
    if grid and a.save is None:
        raise BadInput("--sheet has no place to go; give --save sheet.png")
    if a.save is not None and not videos and grid is None:
        check_save(a.save, a.files)
    parsed = parse_box(a.box)
    bundle = open_bundle(a.bundle)
    check_options(bundle, a)
    helpers = None
    if bundle.manifest.task in ("face_keypoints", "face_detection"):
        from sdk_build.predict_faces import Helpers, open_judge

        if bundle.manifest.task == "face_keypoints":
            helpers = Helpers.open(a.detector, a.refined, a.detector_refined)
        elif a.refined:
            helpers = Helpers(detector_refined=open_judge("--refined", a.refined))
    if videos:
        from sdk_build.predict_video import run_video

        chosen, _ = choose_runtime(bundle, a.runtime)
        return run_video(bundle, videos[0], chosen, a.save, a.frames, a.unconfirmed, a.json, helpers)
    if bundle.manifest.spec.preprocess.color == "DEPTH":
        from sdk_build.predict_depth import DepthOptions, predict_depth

        predictions = predict_depth(bundle, a.files, a.runtime, parsed, DepthOptions.of(a))
    else:
        predictions = predict(bundle, a.files, a.runtime, parsed, helpers)
    saved = save_all(predictions, a.save, grid, a.label == "on") if a.save is not None else []
    sounds = [play_sound(bundle, p) for p in predictions] if a.audio else []
    if a.json:
        print(json.dumps({"bundle": bundle.manifest.id, "predictions": [p.to_json() for p in predictions]}))
        return 0
    for line in filter(None, sounds):
        print(line)
    for prediction in predictions:
        print(f"{prediction.file}: {describe(prediction)}  ({prediction.runtime})")
    for target in saved:
        print(f"saved {target}")
    return 0


def check_options(bundle: Bundle, a: argparse.Namespace) -> None:
    """Refuse options that the bundle's model has no use for.

    Raises:
        BadInput: a sheet, a label's place or sounds of a model without classes, or of a bundle without sounds.
    """
    from reference.video import is_video

    given = [name for name, on in (("--sheet", a.sheet), ("--audio", a.audio), ("--label on", a.label == "on")) if on]
    if given and not bundle.manifest.labels:
        raise BadInput(f"{given[0]} needs a model with classes; {bundle.manifest.id} has none: leave it out")
    pairs = (("--detector", a.detector), ("--refined", a.refined), ("--detector-refined", a.detector_refined))
    useful = HELPERS.get(bundle.manifest.task, ())
    for option, path in pairs:
        if path is not None and option not in useful:
            raise BadInput(f"{option} is of no use to {bundle.manifest.id}; allowed: {', '.join(useful) or 'none'}")
    if a.box and a.refined and bundle.manifest.task == "face_detection":
        raise BadInput("--box and --refined were given; two networks look at the whole picture: leave one out")
    takes_depth = bundle.manifest.spec.preprocess.color == "DEPTH"
    for_depth = [o for o in DEPTH_OPTIONS if getattr(a, o) not in (None, 0, "scale")]
    if for_depth and not takes_depth:
        name = for_depth[0].replace("_", "-")
        raise BadInput(f"--{name} is for models that take depth; {bundle.manifest.id} takes pictures: leave it out")
    meshes = takes_depth or bundle.manifest.task == "face_reconstruction" or any(is_video(file) for file in a.files)
    if a.save is not None and a.save.suffix.lower() in SOLID_SUFFIXES and not meshes:
        raise BadInput(
            f"--save is {a.save}; {bundle.manifest.id} gives no solid: give an ending such as .png, or a folder"
        )
    if a.audio and not bundle.manifest.sounds:
        raise BadInput(f"{bundle.manifest.id} carries no sounds; name them in the model's card, or leave out --audio")


def play_sound(bundle: Bundle, prediction: Prediction) -> str:
    """Play the sound of a prediction's class; returns the line that says so."""
    from reference.postprocess import Classification
    from sdk_build.sounds import play, sound_of

    first = prediction.results[0]
    assert isinstance(first, Classification)
    file = sound_of(bundle, first.label)
    if file is None:
        return f"{prediction.file}: no sound for {first.label}"
    return f"{prediction.file}: {'played' if play(file) else 'no player or sound device here for'} {file}"


def check_save(save: Path, files: Sequence[Path]) -> None:
    """Refuse a ``--save`` that would overwrite an input or one of its own pictures.

    Raises:
        BadInput: two results would go to one file, or a result to an input.
    """
    if len(files) > 1 and save.suffix:
        raise BadInput(f"--save is {save} for {len(files)} files; give a folder, or one file")
    inputs = {file.resolve() for file in files}
    taken: set[Path] = set()
    for file in files:
        target = save_target(file, save)
        if target.resolve() in inputs:
            raise BadInput(f"--save would overwrite the input {target}; give another folder")
        if target in taken:
            raise BadInput(f"--save would write {target} twice; give files with different names, or one at a time")
        taken.add(target)


def save_target(file: Path, save: Path) -> Path:
    """Where the picture of a file goes."""
    return save if save.suffix else save / f"{file.stem}.png"


def parse_box(text: str | None) -> tuple[float, float, float, float] | None:
    """``X0,Y0,X1,Y1`` as numbers.

    Raises:
        BadInput: not four numbers.
    """
    if text is None:
        return None
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
        if not all(map(math.isfinite, (x0, y0, x1, y1))):
            raise ValueError("not finite")
    except ValueError as error:
        raise BadInput(f"--box is {text!r}; allowed: four numbers X0,Y0,X1,Y1 in pixels") from error
    return x0, y0, x1, y1


def choose_runtime(bundle: Bundle, wanted: str | None) -> tuple[str, Path]:
    """The runtime and artifact to use: the wanted one, or the first of ``PREFERRED`` in the bundle.

    Raises:
        BadInput: the bundle has no artifact for the wanted runtime.
    """
    held = {entry.runtime: entry.file for entry in bundle.manifest.model_files}
    if wanted is not None and wanted not in held:
        raise BadInput(f"runtime is {wanted!r}; {bundle.path.name} holds: {', '.join(held)}")
    runtime = wanted or next(name for name in PREFERRED if name in held)
    return runtime, bundle.path / held[runtime]


def predict(
    bundle: Bundle,
    files: Sequence[Path],
    runtime: str | None = None,
    box: tuple[float, float, float, float] | None = None,
    helpers: Helpers | None = None,
) -> list[Prediction]:
    """Results of several raw files; the artifact runs in a child process.

    Args:
        box: part of the picture to look at; without one, a keypoint model looks for faces first.
        helpers: bundles that a keypoint model or a detector works with.

    Raises:
        BadInput: a file or the box can't be used.
        ArtifactCrashed: the runtime died.
    """
    from reference.golden import read_input

    spec = bundle.manifest.spec
    chosen, artifact = choose_runtime(bundle, runtime)
    if spec.task == "face_keypoints":
        from sdk_build.predict_faces import Helpers, predict_faces

        faces = predict_faces(bundle, chosen, helpers or Helpers(), files, box)
        grouped: list[tuple[tuple[Result, ...], NDArray[Any]]] = [(found, picture) for found, picture in faces]
    elif helpers is not None and helpers.detector_refined is not None:
        from sdk_build.predict_faces import predict_boxes

        grouped = list(predict_boxes(bundle, chosen, helpers.detector_refined, files))
    elif spec.task == "face_reconstruction":
        from sdk_build.predict_face import predict_face_meshes

        grouped = list(predict_face_meshes(spec, chosen, artifact, files, box))
    else:
        read = [read_input(file, spec, box) for file in files]
        outputs = run_inputs(spec, chosen, artifact, [(tensor, region) for tensor, region, _ in read])
        grouped = [((result,), picture) for result, (_, _, picture) in zip(outputs, read, strict=True)]
    from sdk_build.build import execution_name

    name = execution_name(chosen)
    return [Prediction(file, results, picture, name) for file, (results, picture) in zip(files, grouped, strict=True)]


def run_inputs(
    spec: Any, runtime: str, artifact: Path, inputs: list[tuple[NDArray[np.float32], Region]]
) -> list[Result]:
    """Typed results of input tensors with the regions that they show."""
    from reference.postprocess import postprocess
    from sdk_build.sandbox import run_artifact

    if not inputs:
        return []
    outputs = run_artifact(runtime, artifact, spec, [{spec.input.name: tensor} for tensor, _ in inputs])
    return [postprocess(out, spec, region) for out, (_, region) in zip(outputs, inputs, strict=True)]


def describe(prediction: Prediction) -> str:
    """One line for people."""
    from reference.postprocess import Classification, FaceBoxes, FaceMesh, Mask, VoxelGrid

    if not prediction.results:
        return "no face found"
    first = prediction.results[0]
    if isinstance(first, FaceBoxes):
        scores = ", ".join(f"{100 * score:.0f} %" for score in first.scores)
        count = len(first.scores)
        return f"{count} face{'s' if count > 1 else ''} ({scores})" if count else "no face found"
    if isinstance(first, Classification):
        return ", ".join(f"{label} {100 * score:.1f} %" for label, score in first.scores[:3])
    if isinstance(first, Mask):
        return f"the subject covers {100 * first.to_json()['coverage']:.0f} % of the picture"
    if isinstance(first, VoxelGrid):
        size = len(first.occupancy)
        return f"{int(first.filled.sum())} of {size**3} voxels filled"
    count = len(prediction.results)
    if isinstance(first, FaceMesh):
        pose = ", ".join(f"{name} {round(value)}" for name, value in first.pose_degrees.items())
        return f"{count} face{'s' if count > 1 else ''}; the largest: {pose} degrees"
    return f"{count} face{'s' if count > 1 else ''}, 68 points each"


def save_all(
    predictions: Sequence[Prediction], save: Path, grid: tuple[int, int] | None, on_picture: bool
) -> list[Path]:
    """Draw every prediction: one picture each, or all of them on the pages of a contact sheet.

    Raises:
        BadInput: a picture can't be written, or a solid holds nothing.
    """
    from reference.postprocess import VoxelGrid
    from sdk_build.draw import draw
    from sdk_build.predict_face import MESH_SUFFIXES, save_mesh_file
    from sdk_build.sheet import make_pages, page_paths

    if grid is None and save.suffix.lower() in SOLID_SUFFIXES and isinstance(predictions[0].results[0], VoxelGrid):
        from sdk_build.predict_depth import save_solid

        return [save_solid(predictions[0], save)]
    if grid is None and save.suffix.lower() in MESH_SUFFIXES:
        return [save_mesh_file(predictions[0], save)]
    if grid is None:
        drawn = [(draw(p.picture, p.results, on_picture, p.photo), save_target(p.file, save)) for p in predictions]
        return [save_picture(picture, target) for picture, target in drawn]
    tiles = [(p.picture, *_caption(p)) for p in predictions]
    pages = make_pages(tiles, grid)
    targets = page_paths(save if save.suffix else save / "sheet.png", len(tiles), grid)
    return [save_picture(page, target) for page, target in zip(pages, targets, strict=True)]


def _caption(prediction: Prediction) -> tuple[str, str]:
    from reference.postprocess import Classification

    first = prediction.results[0]
    assert isinstance(first, Classification)
    return first.label, f"{100 * first.score:.0f} %"


def save_picture(picture: NDArray[np.uint8], target: Path) -> Path:
    """Write a picture file.

    Raises:
        BadInput: it can't be written.
    """
    from PIL import Image

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(target)
    except (OSError, ValueError) as error:
        raise BadInput(f"can't write {target} ({error}); give a path ending in .png in a writable folder") from error
    return target


if __name__ == "__main__":
    sys.exit(main())
