"""``python -m sdk_build.new FOLDER --network ...``: a folder for a network of your own, ready for export."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from reference.errors import BadInput
from reference.program import other_program, program
from sdk_build.command import exit_with


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and write the folder; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=program("sdk_build.new"),
        description=__doc__,
        epilog="Exit codes: 0 done, 2 wrong use or bad input.",
    )
    parser.add_argument("folder", type=Path, help="is made; its name is the model's")
    parser.add_argument(
        "--network", metavar="WHERE", help="timm:NAME, torchvision:NAME, package.module:function or file.py:function"
    )
    parser.add_argument("--program", type=Path, metavar="FILE", help="instead: a .pt2 file of torch.export.save")
    parser.add_argument(
        "--input",
        dest="inputs",
        nargs="+",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="one golden case: a picture or .npy file per input; give two cases or more",
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help=".safetensors, or a saved state dict")
    parser.add_argument(
        "--task",
        help="image_classification, image_segmentation, object_detection, keypoints, depth_estimation, "
        "image_to_image, embedding or tensors; without it: image_classification where it fits, else tensors",
    )
    parser.add_argument("--size", metavar="N|HxW", help="pixels of the picture that the network sees")
    parser.add_argument("--mean", metavar="R,G,B", help="of pictures in 0 to 1; subtracted inside the exported graph")
    parser.add_argument("--std", metavar="R,G,B", help="divided by, likewise")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="a text with a class per line")
    parser.add_argument(
        "--unit",
        dest="units",
        nargs="+",
        default=[],
        metavar="OUTPUT=UNIT",
        help="what an output's values mean, where a task must know it, e.g. boxes=cxcywh_pixels",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    a = parser.parse_args(arguments)
    return exit_with(lambda: run(a))


def run(a: argparse.Namespace) -> int:
    """The command's body; returns the exit code."""
    size, mean, std = parse_size(a.size), parse_numbers("--mean", a.mean), parse_numbers("--std", a.std)
    from sdk_build.new.folder import Wanted, new_model, summary

    wanted = Wanted(a.network, a.program, a.inputs, a.weights, a.task, size, mean, std, a.labels, parse_units(a.units))
    made = new_model(a.folder, wanted)
    if a.json:
        document = {"folder": str(made.folder), "spec": made.spec.to_json(), "notes": list(made.notes)}
        print(json.dumps(document | {"parameters": made.parameters}))
        return 0
    print(f"{made.folder}: {made.spec.name}")
    for name, text in summary(made).items():
        print(f"  {name:<16} {text}")
    for note in made.notes:
        print(f"  note: {note}")
    export = other_program("sdk_build.export", "export")
    print(f"next: {export} --target ios --model {made.folder}")
    return 0


def parse_units(texts: list[str]) -> dict[str, str]:
    """``OUTPUT=UNIT`` by output.

    Raises:
        BadInput: one has another form.
    """
    bad = [text for text in texts if not re.fullmatch(r"\w+=\w+", text)]
    if bad:
        raise BadInput(f"--unit is {bad[0]!r}; allowed: OUTPUT=UNIT, e.g. boxes=cxcywh_pixels")
    return dict(text.split("=") for text in texts)


def parse_size(text: str | None) -> tuple[int, int] | None:
    """``224`` or ``HxW`` as (height, width).

    Raises:
        BadInput: neither.
    """
    if text is None:
        return None
    parts = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    if parts is None or min(int(p) for p in parts.groups(parts[1])) < 1:
        raise BadInput(f"--size is {text!r}; allowed: pixels of the sides, 224 or HxW such as 240x320")
    return int(parts[1]), int(parts[2] or parts[1])


def parse_numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    """Numbers with commas between them.

    Raises:
        BadInput: they are none.
    """
    if text is None:
        return None
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise BadInput(f"{option} is {text!r}; allowed: a number per channel, e.g. 0.485,0.456,0.406") from error
    return values * 3 if len(values) == 1 else values


if __name__ == "__main__":
    sys.exit(main())
