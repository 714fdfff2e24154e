"""A bundle's prediction for a picture, through the command that runs bundles: nothing here imports it.

The one place where animation meets trained networks: ``saliency`` bundles give the mask, ``classifier`` bundles the
label that chooses the source skeleton.
"""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.animation.figure.mask import Picture, Saliency
from reference.errors import BadInput

LABEL_TASK, MASK_TASK = "image_classification", "salient_object_detection"


def task_of(bundle: Path) -> str:
    """The task that a bundle's manifest states.

    Raises:
        BadInput: no bundle.
    """
    try:
        task = str(json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))["task"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{bundle} is no bundle ({error!r}); give a folder that sdk_build.export wrote") from error
    if task not in (LABEL_TASK, MASK_TASK):
        raise BadInput(f"the bundle {bundle} is for {task}; allowed: {LABEL_TASK}, {MASK_TASK}")
    return task


def predict(bundle: Path, image: Path) -> dict[str, Any]:
    """The first result of ``python -m sdk_build.predict BUNDLE FILE --json``.

    Raises:
        BadInput: the command failed; the message is its own.
    """
    command = [sys.executable, "-m", "sdk_build.predict", str(bundle), str(image), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BadInput(f"the bundle {bundle} gave no result ({reason}); check it with sdk_build.verify")
    results = json.loads(done.stdout)["predictions"][0]["results"]
    if not results:
        raise BadInput(f"the bundle {bundle} found nothing in {image}; give --mask or --label")
    first: dict[str, Any] = results[0]
    return first


def saliency_from(bundle: Path, image: Path) -> Saliency:
    """A saliency function for :func:`reference.animation.figure.mask.load_figure` from a bundle's ``mask`` result.

    The result's ``mask_png`` is a grey PNG of the whole picture in the network's resolution, base64.

    Raises:
        BadInput: the result has no mask.
    """

    def saliency(picture: Picture) -> NDArray[np.float32]:
        import cv2
        from PIL import Image

        result = predict(bundle, image)
        if "mask_png" not in result:
            raise BadInput(f"the bundle {bundle} gives {', '.join(result)}; allowed: a result with a mask (saliency)")
        with Image.open(io.BytesIO(base64.b64decode(result["mask_png"]))) as opened:
            mask = np.array(opened.convert("L"), np.float32) / 255
        return np.asarray(cv2.resize(mask, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)

    return saliency


def scores_from(bundle: Path, image: Path) -> dict[str, float]:
    """Class to probability as a classifier bundle gives it."""
    result = predict(bundle, image)
    if "label" not in result:
        raise BadInput(f"the bundle {bundle} gives {', '.join(result)}; allowed: a result with a label (classifier)")
    scores: dict[str, float] = result.get("scores") or {str(result["label"]): float(result.get("score", 1.0))}
    return scores
