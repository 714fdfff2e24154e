"""Files that tell a depth camera's focal length and principal point.

``camera.json`` holds ``focal_px`` and, if known, ``principal_px`` ([x, y]) and ``size_px`` ([width, height], of the
pictures that the numbers belong to). The names of other tools are read as well: ``fx``, ``fy``, ``cx`` or ``ppx``,
``cy`` or ``ppy``, ``width``, ``height``, and Open3D's column-wise ``intrinsic_matrix``.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reference.errors import BadInput

_MOST_UNEQUAL = 0.02  # between the focal lengths across and down
_ALLOWED = '{"focal_px": 525, "principal_px": [319.5, 239.5], "size_px": [640, 480]}, the last two if known'


@dataclass(frozen=True)
class Intrinsics:
    """What a file says of a camera, in pixels; the centre of the first pixel is (0, 0).

    Attributes:
        size_px: width and height of the pictures that the other numbers belong to; None: of the depth map itself.
    """

    focal_px: float
    center_px: tuple[float, float] | None = None
    size_px: tuple[float, float] | None = None

    def scaled_to(self, width: int, height: int) -> Intrinsics:
        """The same camera for a depth map of another resolution of the same view.

        Raises:
            BadInput: the aspect ratios differ.
        """
        if self.size_px is None:
            return self
        across, down = width / self.size_px[0], height / self.size_px[1]
        if abs(across / down - 1) > _MOST_UNEQUAL:
            raise BadInput(
                f"the camera file is of {self.size_px[0]:g}x{self.size_px[1]:g} pictures and depth of {width}x{height};"
                " allowed: the same aspect ratio; give the file of this camera"
            )
        center = self.center_px
        if center is not None:
            center = ((center[0] + 0.5) * across - 0.5, (center[1] + 0.5) * down - 0.5)
        return Intrinsics(self.focal_px * across, center)


def read_intrinsics(path: Path) -> Intrinsics:
    """Read a camera file.

    Raises:
        BadInput: missing, no JSON, or without a focal length.
    """
    if not path.is_file():
        raise BadInput(f"no camera file {path}; give JSON: {_ALLOWED}")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is no JSON ({error}); give {_ALLOWED}") from error
    if not isinstance(document, dict):
        raise BadInput(f"{path} holds no object; give {_ALLOWED}")
    matrix = document.get("intrinsic_matrix")
    if isinstance(matrix, list) and len(matrix) == 9:
        document = {**document, "fx": matrix[0], "fy": matrix[4], "cx": matrix[6], "cy": matrix[7]}
    focal = _focal(path, document)
    center = _pair(path, document, ("principal_px",), (("cx", "cy"), ("ppx", "ppy")))
    size = _pair(path, document, ("size_px",), (("width", "height"),))
    if size is not None and min(size) <= 0:
        raise BadInput(f"{path} has a size of {size[0]:g}x{size[1]:g}; allowed: numbers above 0")
    return Intrinsics(focal, center, size)


def _focal(path: Path, document: dict[str, Any]) -> float:
    if "focal_px" in document:
        return _number(path, "focal_px", document["focal_px"])
    if "fx" not in document:
        raise BadInput(f"{path} has no focal_px; give {_ALLOWED}")
    fx = _number(path, "fx", document["fx"])
    fy = _number(path, "fy", document.get("fy", fx))
    if abs(fx / fy - 1) > _MOST_UNEQUAL:
        raise BadInput(f"{path} has fx {fx:g} and fy {fy:g}; allowed: square pixels; scale the depth map to them")
    return (fx + fy) / 2


def _pair(
    path: Path, document: dict[str, Any], joined: tuple[str, ...], single: tuple[tuple[str, str], ...]
) -> tuple[float, float] | None:
    for name in joined:
        if document.get(name) is not None:
            values = document[name]
            if not isinstance(values, list) or len(values) != 2:
                raise BadInput(f"{path} has {name} {values!r}; allowed: two numbers")
            return _finite(path, name, values[0]), _finite(path, name, values[1])
    for first, second in single:
        if first in document and second in document:
            return _finite(path, first, document[first]), _finite(path, second, document[second])
    return None


def _number(path: Path, name: str, value: object) -> float:
    number = _finite(path, name, value)
    if number <= 0:
        raise BadInput(f"{path} has {name} {value!r}; allowed: a number of pixels above 0")
    return number


def _finite(path: Path, name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadInput(f"{path} has {name} {value!r}; allowed: a number of pixels")
    return float(value)
