"""``python -m sdk_build.predict BUNDLE FILE...``: raw pictures or depth maps in, results and pictures out."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reference.errors import BadInput
from reference.program import program
from sdk_build.command import exit_with

if TYPE_CHECKING:
    from sdk_build.bundle.files import Bundle
    from sdk_build.predict.base import GivenBundles, Prediction, View

RUNTIMES = ("litert", "executorch", "coreml", "executorch_coreml")
MESHES = (".glb", ".obj", ".ply", ".stl", ".off", ".gif")  # endings of --save that are no picture's
DEPTH_OPTIONS = (
    *(f"depth{name}" for name in ("", "_size", "_type", "_unit", "_scale", "_turn", "_reach", "_fit")),
    *("focal", "principal", "camera", "space", "fuse"),
)
HELPERS = ("--detector", "--refined", "--detector-refined")


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and predict; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=program("sdk_build.predict"),
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
        ".glb, .obj, .ply, .stl, .off or turning .gif",
    )
    parser.add_argument("--label", choices=("beside", "on"), default="beside", help="where the class is drawn")
    parser.add_argument("--sheet", metavar="CxR", help="save pages of C columns and R rows of classified pictures")
    parser.add_argument("--audio", action="store_true", help="play the sound of each class")
    parser.add_argument("--frames", type=int, default=5, metavar="N", help="video: frames in a row that must agree")
    parser.add_argument("--unconfirmed", choices=("suppress", "mark"), default="suppress", help="video: what of others")
    parser.add_argument("--box", metavar="X0,Y0,X1,Y1", help="look at this box of the picture only, in pixels")
    parser.add_argument(
        "--detector", type=Path, metavar="BUNDLE", help="find faces with this; else with OpenCV's cascade"
    )
    parser.add_argument(
        "--refined", type=Path, metavar="BUNDLE", help="keypoints, face detector: the second network of the cascade"
    )
    parser.add_argument(
        "--detector-refined",
        type=Path,
        metavar="BUNDLE",
        help="the detector's second network",
    )
    parser.add_argument(
        "--tiles",
        type=int,
        default=1,
        metavar="N",
        help="faces: look at N x N parts of the picture, too, for small ones",
    )
    parser.add_argument("--any-roll", action="store_true", help="keypoints: look at four quarter turns of the picture")
    parser.add_argument(
        "--smooth",
        action=argparse.BooleanOptionalAction,
        help="keypoints: still points on still faces of a video (the default)",
    )
    depth = parser.add_argument_group("RGB-D frames", "for models that take depth; FILE is then the picture")
    depth.add_argument("--depth", type=Path, metavar="FILE", help=".png in mm, .tif, .npy, .npz, .exr, headerless .raw")
    depth.add_argument("--depth-size", metavar="WxH", help="of a headerless file, e.g. 640x480")
    depth.add_argument("--depth-type", metavar="TYPE", help="of a headerless file: uint16, float32 or float16")
    depth.add_argument("--depth-unit", metavar="UNIT", help="mm, m or 1/m; whole numbers are taken as mm, others as m")
    depth.add_argument(
        "--depth-scale", metavar="S", help="instead of the unit: mm of one, or a length: 0.1, 1/5000m (TUM), 1/256m, cm"
    )
    depth.add_argument("--depth-turn", type=int, default=0, metavar="DEG", help="turn it by 90, 180 or 270, as needed")
    depth.add_argument("--depth-reach", type=float, metavar="MM", help="ignore what lies farther behind the object")
    depth.add_argument(
        "--depth-fit", choices=("scale", "crop"), default="scale", help="crop: cut or pad the box instead of scaling it"
    )
    depth.add_argument("--focal", type=float, metavar="PX", help="focal length in pixels of the depth map")
    depth.add_argument("--principal", metavar="X,Y", help="principal point in its pixels; without it, the middle")
    depth.add_argument("--camera", type=Path, metavar="FILE", help="instead: JSON with focal_px, or fx, fy, cx, cy")
    depth.add_argument(
        "--space",
        choices=("camera", "cube"),
        help="of the mesh: mm before the camera, or the network's cube from -1 to 1",
    )
    depth.add_argument(
        "--fuse", choices=("on", "off"), default="on", help="off: the network without the measured front"
    )
    parser.add_argument("--runtime", metavar="NAME", help=f"run on this one of {', '.join(RUNTIMES)}")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    return exit_with(lambda: run(a))


def run(a: argparse.Namespace) -> int:
    """The command's body; returns the exit code."""
    from reference.pipelines.video import is_video
    from sdk_build.bundle.files import choose_runtime, open_bundle
    from sdk_build.predict.base import Request
    from sdk_build.predict.depth_options import DepthOptions
    from sdk_build.predict.faces import FaceOptions
    from sdk_build.predict.saving import check_save, save_all
    from sdk_build.predict.sheet import parse_grid
    from sdk_build.predict.video import run_video
    from sdk_build.predict.views import get_view

    videos = [file for file in a.files if is_video(file)]
    if videos and len(a.files) > 1:
        raise BadInput(
            f"{videos[0]} is a video, given with {len(a.files) - 1} other files; give one video, or pictures"
        )
    grid = parse_grid(a.sheet) if a.sheet else None
    if grid and a.save is None:
        raise BadInput("--sheet has no place to go; give --save sheet.png")
    box = parse_box(a.box)
    bundle = open_bundle(a.bundle)
    if a.save is not None and not videos and grid is None:
        # Several inputs make one result, which is called after the first.
        check_save(a.save, a.files if len(bundle.manifest.spec.inputs) == 1 else a.files[:1])
    view = get_view(bundle.manifest.spec)
    check_options(bundle, view, a)
    helpers = view.open_helpers(given_bundles(a), box)
    runtime, _ = choose_runtime(bundle, a.runtime)
    request = Request(
        bundle,
        a.files,
        runtime,
        box,
        helpers,
        DepthOptions.of(a),
        FaceOptions(a.any_roll, a.tiles, a.smooth is not False),
    )
    if videos:
        return run_video(view, request, videos[0], a.save, a.frames, a.unconfirmed, a.json)
    predictions = view.predict(request)
    saved = save_all(view, predictions, a.save, grid, a.label == "on") if a.save is not None else []
    sounds = [play_sound(bundle, view, p) for p in predictions] if a.audio else []
    if a.json:
        print(json.dumps({"bundle": bundle.manifest.id, "predictions": [p.to_json() for p in predictions]}))
        return 0
    report(view, predictions, sounds, saved)
    return 0


def report(view: View, predictions: Sequence[Prediction], sounds: Sequence[str], saved: Sequence[Path]) -> None:
    """Print a line for each sound, file and saved picture."""
    for line in filter(None, sounds):
        print(line)
    for prediction in predictions:
        print(f"{prediction.file}: {view.describe(prediction)}  ({prediction.runtime})")
    for target in saved:
        print(f"saved {target}")


def given_bundles(a: argparse.Namespace) -> GivenBundles:
    """The options of other bundles with their folders."""
    named = {option: getattr(a, option.removeprefix("--").replace("-", "_")) for option in HELPERS}
    return {option: path for option, path in named.items() if path is not None}


def check_options(bundle: Bundle, view: View, a: argparse.Namespace) -> None:
    """Refuse options that the bundle's model has no use for.

    Raises:
        BadInput: a sheet, a label's place or sounds of a model without classes, or of a bundle without sounds; other
            bundles, depth maps or meshes that its task does not know.
    """
    from reference.pipelines.video import is_video

    id_ = bundle.manifest.id
    given = [name for name, on in (("--sheet", a.sheet), ("--audio", a.audio), ("--label on", a.label == "on")) if on]
    if given and not bundle.manifest.labels:
        raise BadInput(f"{given[0]} needs a model with classes; {id_} has none: leave it out")
    for option in given_bundles(a):
        if option not in view.helpers:
            raise BadInput(f"{option} is of no use to {id_}; allowed: {', '.join(view.helpers) or 'none'}")
    asked = (("--tiles", a.tiles != 1), ("--any-roll", a.any_roll), ("--smooth", a.smooth is not None))
    for option in (name for name, on in asked if on):
        if option not in view.face_options:
            raise BadInput(f"{option} is of no use to {id_}: leave it out")
    if a.smooth is not None and not any(is_video(file) for file in a.files):
        raise BadInput("--smooth steadies the points of a video; pictures have no frame before: leave it out")
    preprocess = bundle.manifest.spec.preprocess
    takes_depth = preprocess is not None and preprocess.color == "DEPTH"
    for_depth = [o for o in DEPTH_OPTIONS if getattr(a, o) not in (None, 0, "scale", "on")]
    if unknown := [o for o in for_depth if not takes_depth and o not in view.depth_options]:
        name = unknown[0].replace("_", "-")
        raise BadInput(f"--{name} is for models that take depth; {id_} takes pictures: leave it out")
    if for_depth and not takes_depth and a.depth is None:
        raise BadInput(f"--{for_depth[0].replace('_', '-')} says how to read a depth map; give it with --depth")
    if a.depth is not None and any(is_video(file) for file in a.files):
        raise BadInput(f"--depth is one depth map, {a.files[0]} a video; give one picture with it")
    meshes = view.writers or any(is_video(file) for file in a.files)
    if a.save is not None and a.save.suffix.lower() in MESHES and not meshes:
        raise BadInput(f"--save is {a.save}; {id_} gives no solid: give an ending such as .png, or a folder")
    if a.box is not None and preprocess is None:
        raise BadInput(f"--box is for models that look at a picture; {id_} takes tensors: leave it out")
    if a.audio and not bundle.manifest.sounds:
        raise BadInput(f"{id_} carries no sounds; name them in the model's card, or leave out --audio")


def play_sound(bundle: Bundle, view: View, prediction: Prediction) -> str:
    """Play the sound of a prediction's class; returns the line that says so."""
    from sdk_build.predict.sounds import play, sound_of

    assert view.caption is not None
    label, _ = view.caption(prediction)
    file = sound_of(bundle, label)
    if file is None:
        return f"{prediction.file}: no sound for {label}"
    return f"{prediction.file}: {'played' if play(file) else 'no player or sound device here for'} {file}"


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


if __name__ == "__main__":
    sys.exit(main())
