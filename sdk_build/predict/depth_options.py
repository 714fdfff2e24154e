"""What ``predict`` is told about depth maps."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, field
from pathlib import Path

from reference.errors import BadInput
from reference.inputs.depth_files import DepthFormat
from reference.inputs.depth_units import parse_scale
from reference.inputs.pinhole import Intrinsics, read_intrinsics


@dataclass(frozen=True)
class DepthOptions:
    """What ``predict`` was told about depth maps.

    Attributes:
        file: the depth map that belongs to a picture; None: the given files are depth maps themselves.
        reach_mm: see :func:`reference.pipelines.depth.clean_depth`; None: a head's reach around a face that was
            found, and no limit around a box that was given.
        crop: cut or pad instead of scaling (row V4).
        camera: as told; None: assumed.
        space: of the mesh; None: the camera's where a camera was told, the network's cube otherwise.
        fuse: join the network's solid with the measured front.
    """

    file: Path | None = None
    form: DepthFormat = field(default_factory=DepthFormat)
    reach_mm: float | None = None
    crop: bool = False
    camera: Intrinsics | None = None
    space: str | None = None
    fuse: bool = True

    @property
    def chosen_space(self) -> str:
        """``camera`` or ``cube``."""
        return self.space or ("cube" if self.camera is None else "camera")

    @classmethod
    def of(cls, a: argparse.Namespace) -> DepthOptions:
        """From the command line.

        Raises:
            BadInput: an option has a value that makes no sense.
        """
        if a.depth_turn not in (0, 90, 180, 270):
            raise BadInput(f"--depth-turn is {a.depth_turn}; allowed: 90, 180 or 270 degrees counter-clockwise")
        if a.depth_reach is not None and not 0 < a.depth_reach < float("inf"):
            raise BadInput(f"--depth-reach is {a.depth_reach}; allowed: a distance above 0 in millimetres")
        if a.depth is not None and len(a.files) > 1:
            raise BadInput(f"--depth is one depth map for {len(a.files)} pictures; give one picture with it")
        scale = None if a.depth_scale is None else parse_scale(a.depth_scale)
        form = DepthFormat(a.depth_unit, parse_size(a.depth_size), a.depth_type, a.depth_turn // 90, scale)
        camera = parse_camera(a.focal, a.principal, a.camera)
        return cls(a.depth, form, a.depth_reach, a.depth_fit == "crop", camera, a.space, a.fuse == "on")


def parse_camera(focal: float | None, principal: str | None, file: Path | None) -> Intrinsics | None:
    """The camera of ``--focal`` and ``--principal``, or of a ``--camera`` file.

    Raises:
        BadInput: both were given, a principal point without a focal length, or numbers that make no sense.
    """
    if file is not None:
        if focal is not None or principal is not None:
            raise BadInput(f"--camera is {file}, given with --focal or --principal; leave out one of them")
        return read_intrinsics(file)
    if focal is None:
        if principal is not None:
            raise BadInput(f"--principal is {principal} without --focal; give the focal length in pixels as well")
        return None
    if not 0 < focal < float("inf"):
        raise BadInput(f"--focal is {focal}; allowed: a number of pixels above 0, e.g. 525")
    if principal is None:
        return Intrinsics(focal)
    try:
        x, y = (float(part) for part in principal.split(","))
    except ValueError as error:
        raise BadInput(f"--principal is {principal!r}; allowed: X,Y in pixels, e.g. 319.5,239.5") from error
    return Intrinsics(focal, (x, y))


def parse_size(text: str | None) -> tuple[int, int] | None:
    """``WxH`` as (width, height).

    Raises:
        BadInput: not two whole numbers above 0.
    """
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", text)
    if match is None:
        raise BadInput(f"--depth-size is {text!r}; allowed: WIDTHxHEIGHT, e.g. 640x480")
    return int(match[1]), int(match[2])
