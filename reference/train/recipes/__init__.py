"""What is trained, one file a model, and what several of them share.

A recipe's module offers ``make(options) -> Recipe``; it is imported when its model is trained.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reference.errors import BadInput
from reference.train.options import Options

if TYPE_CHECKING:
    from reference.train.loop import Recipe


@dataclass(frozen=True)
class Entry:
    """Where a model's recipe is.

    Attributes:
        module: in this package.
        many_backgrounds: it takes more than one folder of background pictures.
        many_folders: it takes more than one data folder.
    """

    module: str
    many_backgrounds: bool = False
    many_folders: bool = False


BACKBONE, OWN_CLASSES = "backbone", "own_classes"
RECIPES = {
    "classifier": Entry("classifier"),
    "saliency": Entry("saliency"),
    "face_detector": Entry("face_detector", many_backgrounds=True),
    "face_detector_refined": Entry("face_detector_refined", many_backgrounds=True),
    "template_keypoints": Entry("template_keypoints"),
    "template_keypoints_refined": Entry("template_keypoints"),
    "hierarchical_keypoints": Entry("hierarchical_keypoints"),
    **{f"voxel{size}": Entry("voxel") for size in (64, 80, 128, 160, 320)},
    "face3d": Entry("face3d"),
    # No registered models: features that others start from, and a classifier of whatever classes a folder has.
    BACKBONE: Entry("backbone", many_folders=True),
    OWN_CLASSES: Entry("own_classes"),
}


def get_entry(name: str) -> Entry:
    """Where the recipe of a model is.

    Raises:
        BadInput: there is none.
    """
    if name not in RECIPES:
        raise BadInput(f"no recipe trains {name!r}; allowed: {', '.join(RECIPES)}")
    return RECIPES[name]


def make_recipe(options: Options) -> Recipe:
    """The recipe of ``options.name``, with its data read.

    Raises:
        BadInput: an option makes no sense, or the data can't be used.
    """
    module = importlib.import_module(f"{__name__}.{get_entry(options.name).module}")
    recipe: Recipe = module.make(options)
    return recipe
