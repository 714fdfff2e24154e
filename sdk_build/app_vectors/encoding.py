"""What the writers of the apps' vectors share: base64, and pixels that show every mistake."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

Json = dict[str, Any]


def noise(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Pixels in which every mistake of position, channel or scale shows."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def encode(values: bytes | NDArray[Any]) -> str:
    """Base64 of bytes, or of an array's values in order."""
    content = values if isinstance(values, bytes) else np.ascontiguousarray(values).tobytes()
    return base64.b64encode(content).decode()
