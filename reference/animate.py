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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference.errors import BadInput, OnParError

if TYPE_CHECKING:
    from reference.animation.animate import Character, Rig
    from reference.animation.motion.library import Labels, Motion

PREVIEWS = ("gif", "mp4", "both", "none")
MAPPINGS = ("error", "degree")
TOPOLOGIES = ("auto", "two_feet", "four_feet")
FACINGS = ("auto", "front", "left", "right")
STEPS = ("figure", "mesh and skeleton", "motion", "mapping and transfer", "GLB and character file", "preview", "sheet")


@dataclass(frozen=True)
class Request:
    """What the command was asked for; the arguments of :func:`run`."""

    image: Path
    motions: tuple[str, ...]
    out: Path
    mask: Path | None = None
    bundles: tuple[Path, ...] = ()
    label: str | None = None
    topology: str = "auto"
    labels: Path | None = None
    mapping: str = "error"
    keep: float | None = None
    travel: bool = False
    preview: str = "gif"
    size: int = 320
    yaw: float | None = None
    up: str = "y"
    angles: str = "degrees"
    facing: str = "auto"
    clip: str | None = None


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, animate, print; returns the exit code."""
    a = _parser().parse_args(arguments)
    request = Request(
        a.image, tuple(a.motion), a.out or Path(f"{a.image.stem}_animated"), a.mask, tuple(a.bundle), a.label,
        a.topology, a.labels, a.mapping, a.keep, a.travel, a.preview, a.size, a.yaw, a.up, a.angles, a.facing, a.clip,
    )  # fmt: skip
    try:
        report = run(request, quiet=a.json or not sys.stderr.isatty())
    except OnParError as error:
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    if a.json:
        print(json.dumps(report))
        return 0
    for note in report["notes"]:
        print(f"note: {note}", file=sys.stderr)
    print(f"{report['joints']} joints, driven by '{report['source']}' ({', '.join(report['clips'])})")
    print("\n".join(report["files"]))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reference.animate",
        description=__doc__.splitlines()[0],
        epilog="Exit codes: 0 done, 2 wrong use or bad input.",
    )
    add = parser.add_argument
    add("image", type=Path, help="a drawing or cartoon: PNG (transparency serves as mask), JPEG, WebP, HEIC ...")
    add("--motion", nargs="+", default=["walk"], metavar="M", help="names of the library, or one .bvh or .glb file")
    add("--mask", type=Path, help="picture of the same size, white where the figure is")
    add("--bundle", type=Path, action="append", default=[], help="a saliency or classifier bundle; may be repeated")
    add("--label", help="class of the figure, which chooses the source, e.g. horse; see models/motions/labels.yaml")
    add("--topology", choices=TOPOLOGIES, default="auto", help="what the figure walks on; auto takes the better fit")
    add("--facing", choices=FACINGS, default="auto", help="where the figure looks in the picture")
    add("--labels", type=Path, help="another label map than models/motions/labels.yaml")
    add("--mapping", choices=MAPPINGS, default="error", help="least mapping error, or order of degree")
    add("--keep", type=float, help="share of the drawn pose that stays, 0 to 1; default by topology")
    add("--travel", action="store_true", help="keep the source's way over the ground instead of moving on the spot")
    add("--preview", choices=PREVIEWS, default="gif")
    add("--size", type=int, default=320, help="sides of the preview in pixels")
    add("--yaw", type=float, help="degrees that the preview looks from the side; default by topology")
    add("--clip", help="name of the clip in a .glb motion file; default: its first")
    add("--up", choices=("y", "z"), default="y", help="upwards axis of a motion file")
    add("--angles", choices=("degrees", "radians"), default="degrees", help="unit of a .bvh file's rotations")
    add("--out", type=Path, help="folder for the results; default IMAGE_animated")
    add("--json", action="store_true", help="print one JSON document and nothing else")
    return parser


def run(request: Request, quiet: bool = True) -> dict[str, Any]:
    """Animates one picture and writes the results, all or none.

    Raises:
        BadInput: see the functions of :mod:`reference.animation`.
    """
    from reference.animation.animate import animate, rig_figure
    from reference.animation.figure.mask import load_figure

    _check(request)
    with _Progress(quiet) as step:
        step("figure")
        figure = load_figure(request.image, request.mask, _saliency(request))
        step("mesh and skeleton")
        rig = rig_figure(figure)
        step("motion")
        motions = _motions(request, rig)
        step("mapping and transfer")
        facing = None if request.facing == "auto" else request.facing
        character = animate(rig, motions, request.mapping, request.keep, request.travel, facing)
        notes = [*figure.notes, *_notes(rig)]
        files = _write(request, character, step)
    return {
        "image": str(request.image),
        "mask_from": figure.origin,
        "source": character.source.source,
        "topology": character.source.topology,
        "clips": [clip.name for clip in character.clips],
        "joints": len(character.skeleton),
        "vertices": len(rig.body.vertices),
        "mapping_error": character.mapping.error if character.mapping.error == character.mapping.error else None,
        "notes": notes,
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


def _saliency(request: Request) -> Any:
    """The saliency function of the first bundle of that task, or None."""
    from reference.animation.bundles import MASK_TASK, saliency_from, task_of

    for bundle in request.bundles:
        if task_of(bundle) == MASK_TASK:
            return saliency_from(bundle, request.image)
    return None


def _label(request: Request) -> str | None:
    from reference.animation.bundles import LABEL_TASK, label_from, task_of

    if request.label is not None:
        return request.label
    for bundle in request.bundles:
        if task_of(bundle) == LABEL_TASK:
            return label_from(bundle, request.image)
    return None


def _motions(request: Request, rig: Rig) -> list[Motion]:
    """The clips asked for: of a file, of the label's figure, or of the figure whose skeleton fits best (row I10)."""
    from reference.animation.motion.library import (
        MOTIONS_DIR,
        figure_for,
        load_file,
        load_motion,
        read_labels,
        read_library,
        with_motion,
    )  # fmt: skip

    files = [m for m in request.motions if Path(m).suffix.lower() in (".bvh", ".glb", ".gltf") or "/" in m]
    if files:
        if len(request.motions) > 1:
            raise BadInput(f"--motion names {len(request.motions)} motions, one of them a file; give one file alone")
        return [load_file(Path(files[0]), request.clip, request.up, request.angles)]
    labels = read_labels(request.labels or MOTIONS_DIR / "labels.yaml")
    library = read_library()
    label = _label(request)
    name = figure_for(label, labels) if label is not None else _fitting_figure(request, rig, labels)
    figure = with_motion(library, name, request.motions)
    wanted = tuple(figure.clips) if request.motions == ("all",) else request.motions
    return [load_motion(figure, motion) for motion in wanted]


def _fitting_figure(request: Request, rig: Rig, labels: Labels) -> str:
    from reference.animation.animate import choose_topology
    from reference.animation.motion.library import load_motion, read_library

    if request.topology != "auto":
        return labels.topology[request.topology]
    library = read_library()
    candidates = {
        topology: load_motion(library[figure], next(iter(library[figure].clips)))
        for topology, figure in labels.topology.items()
    }
    return labels.topology[choose_topology(rig, candidates)]


def _write(request: Request, character: Character, step: Callable[[str], None]) -> list[Path]:
    """Writes everything into a hidden folder first, so that a failure leaves nothing behind."""
    from PIL import Image

    from reference.animation.output.character import SUFFIX, save_character
    from reference.animation.output.glb import write_glb
    from reference.animation.output.preview import render_clip, view_of, write_gif, write_mp4
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
        every = max(1, round(clip.frame_rate / 15), len(clip) // 60)
        frames = list(render_clip(character, clip, request.size, yaw, every))
        if request.preview in ("gif", "both"):
            write_gif(frames, folder / f"{name}.gif", clip.frame_rate / every)
        if request.preview in ("mp4", "both"):
            write_mp4(frames, folder / f"{name}.mp4", clip.frame_rate / every)
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
