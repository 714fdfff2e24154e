"""``python -m reference.animate IMAGE --motion walk``: a drawing becomes a moving character (document I, I9 to I14)."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.errors import BadInput, OnParError
from reference.program import program

if TYPE_CHECKING:
    from reference.animation.animate import Character, Rig
    from reference.animation.figure.mask import Figure
    from reference.animation.motion.source import Motion
    from reference.animation.topology import Choice

PREVIEWS = ("gif", "mp4", "both", "none")
MAPPINGS = ("error", "degree")
TOPOLOGIES = ("auto", "two_feet", "four_feet", "winged", "two_feet_tail", "no_feet", "many_feet")
FACINGS = ("auto", "front", "left", "right")
STEPS = ("figure", "mesh and skeleton", "motion", "mapping and transfer", "GLB and character file", "preview", "sheet")
SHEET_FRAMES = 6  # that the sheet shows; without a preview no others are drawn
MOTION_FILES = (".bvh", ".glb", ".gltf")


@dataclass(frozen=True)
class Request:
    """What the command was asked for; the arguments of :func:`run`, described by ``--help``."""

    image: Path
    out: Path
    motion: tuple[str, ...] = ()
    mask: Path | None = None
    bundle: tuple[Path, ...] = ()
    label: str | None = None
    topology: str = "auto"
    labels: Path | None = None
    mapping: str = "error"
    keep: float | None = None
    travel: bool = False
    preview: str = "both"
    size: int = 320
    yaw: float | None = None
    facing: str = "auto"
    clip: str | None = None
    up: str = "auto"
    angles: str = "degrees"
    rest: str = "auto"
    root: str | None = None
    drop: tuple[str, ...] = ()
    feet: tuple[str, ...] = ()
    heading: str = "auto"
    scale: float = 1.0


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, animate, print; returns the exit code."""
    given = vars(_parser().parse_args(arguments))
    as_json = given.pop("json")
    given["out"] = given["out"] or Path(f"{given['image'].stem}_animated")
    values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in given.items()}
    request = Request(**values)
    try:
        report = run(request, quiet=as_json or not sys.stderr.isatty())
    except OnParError as error:
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    if as_json:
        print(json.dumps(report))
    else:
        for note in report["notes"]:
            print(f"note: {note}", file=sys.stderr)
        print(
            f"{report['topology']} ({100 * report['confidence']:.0f} %), facing {report['facing']}; {report['joints']} "
            f"joints, driven by '{report['source']}' ({', '.join(report['clips'])})"
        )
        print("\n".join(report["files"]))
    return 0 if report["plausible"] else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("reference.animate"),
        description=__doc__.splitlines()[0],
        epilog="Exit codes: 0 done; 1 done, but the motion doesn't suit the figure; 2 wrong use or bad input.",
    )
    add = parser.add_argument
    add("image", type=Path, help="a drawing or cartoon: PNG (transparency serves as mask), JPEG, WebP, HEIC ...")
    add(
        "--motion", nargs="+", default=[], metavar="M",
        help="names of the library, or one .bvh or .glb file; default: the source's first, such as walk",
    )  # fmt: skip
    add("--mask", type=Path, help="picture of the same size, white where the figure is")
    add("--bundle", type=Path, action="append", default=[], help="a saliency or classifier bundle; may be repeated")
    add("--label", help="class of the figure, which chooses the source, e.g. horse; see models/motions/labels.yaml")
    add("--topology", choices=TOPOLOGIES, default="auto", help="what the figure moves on; auto predicts it")
    add("--facing", choices=FACINGS, default="auto", help="where the figure looks in the picture")
    add("--labels", type=Path, help="another label map than models/motions/labels.yaml")
    add("--mapping", choices=MAPPINGS, default="error", help="least mapping error, or order of degree")
    add("--keep", type=float, help="share of the drawn pose that stays, 0 to 1; default by topology")
    add("--travel", action="store_true", help="keep the source's way over the ground instead of moving on the spot")
    add("--preview", choices=PREVIEWS, default="both", help="pictures of the first clip, 30 frames a second")
    add("--size", type=int, default=320, help="sides of the preview in pixels")
    add("--yaw", type=float, help="degrees that the preview looks from the side; default by topology")
    add("--out", type=Path, help="folder for the results; default IMAGE_animated")
    add("--json", action="store_true", help="print one JSON document and nothing else")
    _add_file_options(parser)
    return parser


def _add_file_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what a motion file doesn't say").add_argument
    add("--clip", help="name of the clip in a .glb; default: its first")
    add("--up", choices=("auto", "y", "z"), default="auto", help="upwards axis; auto looks where the legs hang")
    add("--angles", choices=("degrees", "radians"), default="degrees", help="unit of a .bvh's rotations")
    add("--rest", default="auto", help="rest pose: file, first, or the number of a frame, such as one in T-pose")
    add("--root", help="joint that becomes the root; what isn't below it is left out")
    add("--drop", nargs="+", default=[], metavar="JOINT", help="joints to leave out, as shell patterns")
    add("--feet", nargs="+", default=[], metavar="JOINT", help="joints that touch the ground, as shell patterns")
    add("--heading", default="auto", help="where the figure looks: file (towards +z), or degrees from +z to +x")
    add("--scale", type=float, default=1.0, help="factor on the root's way, where its unit isn't the bones'")


def run(request: Request, quiet: bool = True) -> dict[str, Any]:
    """Animates one picture and writes the results, all or none.

    Raises:
        BadInput: see the functions of :mod:`reference.animation`.
    """
    from reference.animation.animate import animate, facing_of, rig_figure
    from reference.animation.figure.mask import load_figure
    from reference.animation.plausible import doubts

    _check(request)
    with _Progress(quiet) as step:
        step("figure")
        figure = load_figure(request.image, request.mask, *_saliency(request))
        step("mesh and skeleton")
        rig = rig_figure(figure)
        step("motion")
        choice, motions, notes = _motions(request, rig)
        step("mapping and transfer")
        facing = None if request.facing == "auto" else request.facing
        character = animate(rig, motions, request.mapping, request.keep, request.travel, facing)
        doubted = doubts(character)
        files = _write(request, character, step)
    return {
        "image": str(request.image),
        "mask_from": figure.origin,
        "source": character.source.source,
        "topology": choice.topology,
        "confidence": round(choice.confidence, 3),
        "facing": facing_of(character.mapping),
        "clips": [clip.name for clip in character.clips],
        "joints": len(character.skeleton),
        "vertices": len(rig.body.vertices),
        "mapping_error": character.mapping.error,
        "plausible": not doubted,
        "notes": [*figure.notes, *_notes(rig), *choice.notes, *notes, *doubted],
        "files": [str(file) for file in files],
    }


def _check(request: Request) -> None:
    if request.keep is not None and not 0 <= request.keep <= 1:
        raise BadInput(f"--keep is {request.keep}; allowed: 0 (the motion's pose) to 1 (the drawn pose)")
    if not 32 <= request.size <= 2048:
        raise BadInput(f"--size is {request.size}; allowed: 32 to 2048 pixels")
    if request.out.exists() and not request.out.is_dir():
        raise BadInput(f"--out {request.out} is a file; give a folder")


def _notes(rig: Rig) -> list[str]:
    return [] if rig.has_limbs else ["no limbs found: the figure gets a skeleton of one bone and moves as a whole"]


def _saliency(request: Request) -> tuple[Any, bool]:
    """The saliency function of the first bundle of that task, to be trusted, else of the network that ships."""
    from reference.animation.bundles import MASK_TASK, saliency_from, task_of
    from reference.animation.networks import salient_region

    for bundle in request.bundle:
        if task_of(bundle) == MASK_TASK:
            return saliency_from(bundle, request.image), True
    return salient_region, False


def _scores(request: Request, figure: Figure) -> dict[str, float] | None:
    """Class to probability by the first classifier bundle, else by the network that ships; None without either."""
    from reference.animation.bundles import LABEL_TASK, scores_from, task_of
    from reference.animation.networks import class_scores

    for bundle in request.bundle:
        if task_of(bundle) == LABEL_TASK:
            return scores_from(bundle, request.image)
    return class_scores(figure.picture)


def _motions(request: Request, rig: Rig) -> tuple[Choice, list[Motion], list[str]]:
    """What the figure is taken for and its clips: of a file, of the label's figure or the predicted one's (row I10)."""
    from reference.animation.motion.library import MOTIONS_DIR, load_motion, read_labels, read_library, with_motion
    from reference.animation.topology import choose

    labels = read_labels(request.labels or MOTIONS_DIR / "labels.yaml")
    files = [m for m in request.motion if Path(m).suffix.lower() in MOTION_FILES or "/" in m]
    if files:
        return _of_file(request, files)
    scores = _scores(request, rig.figure) if request.label is None else None
    choice = choose(rig, scores, request.label, None if request.topology == "auto" else request.topology, labels)
    figure, wanted, notes = with_motion(read_library(), choice.figure, request.motion)
    return choice, [load_motion(figure, motion) for motion in wanted], notes


def _of_file(request: Request, files: list[str]) -> tuple[Choice, list[Motion], list[str]]:
    from reference.animation.motion.files import FileOptions, load_file
    from reference.animation.topology import Choice

    if len(request.motion) > 1:
        raise BadInput(f"--motion names {len(request.motion)} motions, one of them a file; give one file alone")
    topology = None if request.topology == "auto" else request.topology
    options = FileOptions(
        request.clip, request.up, request.angles, request.rest, request.root, request.drop, request.feet,
        request.heading, topology, request.scale,
    )  # fmt: skip
    motion = load_file(Path(files[0]), options)
    assert motion.topology is not None
    return Choice(motion.topology, 1.0, motion.source), [motion], list(motion.notes)


def _write(request: Request, character: Character, step: Callable[[str], None]) -> list[Path]:
    """Writes everything into a hidden folder first, so that a failure leaves nothing behind."""
    from PIL import Image

    from reference.animation.output.character import SUFFIX, save_character
    from reference.animation.output.glb import write_glb
    from reference.animation.output.preview import LONGEST_PREVIEW, render_clip, view_of, write_gif, write_mp4
    from reference.animation.output.sheet import draw_sheet

    name = request.image.stem
    try:
        request.out.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".onpar-tmp-", dir=request.out))
    except OSError as error:
        raise BadInput(f"can't write into {request.out} ({error.strerror}); choose another --out") from error
    try:
        step("GLB and character file")
        write_glb(character, folder / f"{name}.glb")
        save_character(character, folder / f"{name}{SUFFIX}")
        step("preview")
        yaw = view_of(character) if request.yaw is None else request.yaw
        clip = character.clips[0]
        count = min(len(clip), LONGEST_PREVIEW)
        step_by = max(1, (count - 1) // (SHEET_FRAMES - 1)) if request.preview == "none" else 1
        frames = list(islice(render_clip(character, clip, request.size, yaw, step_by), -(-count // step_by)))
        if request.preview in ("gif", "both"):
            write_gif(frames, folder / f"{name}.gif", clip.frame_rate)
        if request.preview in ("mp4", "both"):
            write_mp4(frames, folder / f"{name}.mp4", clip.frame_rate)
        step("sheet")
        Image.fromarray(draw_sheet(character, frames)).save(folder / f"{name}_steps.png")
        done = []
        for file in sorted(folder.iterdir()):
            os.replace(file, request.out / file.name)
            done.append(request.out / file.name)
        return done
    except OSError as error:
        raise BadInput(f"can't write into {request.out} ({error.strerror or error}); choose another --out") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Progress:
    """A bar over STEPS with the time left, on a terminal only."""

    def __init__(self, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description:<24}"), BarColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet)
        self.task = self.bar.add_task("", total=len(STEPS))

    def __enter__(self) -> Callable[[str], None]:
        self.bar.start()
        return lambda name: self.bar.update(self.task, description=name, completed=STEPS.index(name))

    def __exit__(self, *_: object) -> None:
        self.bar.stop()


if __name__ == "__main__":
    sys.exit(main())
