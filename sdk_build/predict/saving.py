"""Where results go: one picture each, a contact sheet, or a mesh."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from sdk_build.predict.base import Prediction, View
from sdk_build.predict.sheet import make_pages, page_paths


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


def save_all(
    view: View, predictions: Sequence[Prediction], save: Path, grid: tuple[int, int] | None, on_picture: bool
) -> list[Path]:
    """Draw every prediction: one picture each, or all of them on the pages of a contact sheet.

    Raises:
        BadInput: a picture can't be written, or a solid holds nothing.
    """
    if grid is None and save.suffix.lower() in view.writers:
        return [view.writers[save.suffix.lower()](predictions[0], save)]
    if grid is None:
        drawn = [(view.draw(p, on_picture), save_target(p.file, save)) for p in predictions]
        return [save_picture(picture, target) for picture, target in drawn]
    assert view.caption is not None
    tiles = [(p.picture, *view.caption(p)) for p in predictions]
    pages = make_pages(tiles, grid)
    targets = page_paths(save if save.suffix else save / "sheet.png", len(tiles), grid)
    return [save_picture(page, target) for page, target in zip(pages, targets, strict=True)]


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
