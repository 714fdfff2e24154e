"""From a picture or a depth map to the network's input tensor: the only definition in Python.

The apps implement the same few rules, and the golden files prove it:

1. turn upright (EXIF), RGB, 8 bit;
2. choose a region with the network's aspect ratio: ``cover`` lies inside the picture, ``contain`` around it,
   ``stretch`` is the picture itself; a box from the caller replaces the picture as the frame;
3. sample the region on a regular grid. ``bilinear_antialias``: output pixel i looks at position
   c = start + (i + 0.5) * scale, with scale = region / size; input pixel j weighs
   max(0, 1 - abs(j + 0.5 - c) / max(scale, 1)), weights are normalised, and beyond the border edge pixels repeat.
   ``nearest`` takes pixel floor(c), and 0 beyond the border;
4. pictures: divide by 255. Mean and standard deviation are inside the graph.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reference.errors import BadInput
from reference.geometry.depth import normalize_depth
from reference.spec import PreprocessSpec

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

SMALLEST_SIDE = 8
LARGEST_SIDE = 16384
LARGEST_AREA = 100_000_000
OBJECT_MARGIN = 0.03  # 1 / 0.95 of the object's side, rounded up
PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "HEIF", "AVIF", "TIFF", "GIF", "BMP")  # Pillow's names
PICTURE_SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".webp",
    ".heic",
    ".heif",
    ".hif",
    ".avif",
    ".tif",
    ".tiff",
    ".gif",
    ".bmp",
)
_PICTURE_FILE = "a PNG, JPEG, WebP, HEIC, AVIF, TIFF, GIF or BMP file"
_DNG_VERSION, _SUBFILE_TYPE = 50706, 254  # TIFF tags
_SIZES = f"allowed: sides up to {LARGEST_SIDE} and {LARGEST_AREA // 1_000_000} megapixels in all"
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Region:
    """The rectangle of the picture that the network sees, in pixels; (0, 0) is the picture's outer corner."""

    left: float
    top: float
    width: float
    height: float

    def scaled(self, factor: float) -> Region:
        """The same rectangle of a picture that is ``factor`` times as large."""
        return Region(self.left * factor, self.top * factor, self.width * factor, self.height * factor)

    def to_picture(self, fractions: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fractions of the region (..., 2), x then y, to pixels; the centre of the first pixel is (0, 0)."""
        size = np.array([self.width, self.height])
        return (fractions * size + [self.left, self.top] - 0.5).astype(np.float32)


def load_picture(path: Path) -> NDArray[np.uint8]:
    """Read a picture as (H, W, 3) uint8 RGB, upright.

    Grey becomes RGB, transparency is laid over white, 16-bit colour is scaled to 8 bit. Of several frames or pages the
    first counts. HEIC and AVIF say themselves how they are turned; their EXIF orientation is only a copy of that.

    Raises:
        BadInput: unreadable, too small or large, 16-bit or float grey (which is a depth map), or a camera's raw file.
    """
    from PIL import Image, ImageOps

    with _open(path, "picture", _PICTURE_FILE, PICTURE_FORMATS) as opened:
        if opened.mode.startswith("I") or opened.mode == "F":
            what = "float" if opened.mode == "F" else "16-bit"
            raise BadInput(f"{path} is {opened.mode}: {what} grey, a depth map; this model takes 8-bit pictures")
        _refuse_raw(path, opened)
        upright = ImageOps.exif_transpose(opened).convert("RGBA")
    white = Image.new("RGBA", upright.size, "white")
    return np.array(Image.alpha_composite(white, upright).convert("RGB"))


def load_depth(path: Path) -> NDArray[np.float32]:
    """Read a depth map as (H, W) float32 millimetres from the viewer, 0 where nothing was measured.

    Raises:
        BadInput: not a 16-bit grey PNG, too small or large, or without a single measurement.
    """
    with _open(path, "depth map", "a 16-bit grey PNG in millimetres", ("PNG",)) as opened:
        if not opened.mode.startswith("I;16"):
            raise BadInput(f"{path} is {opened.mode}; a depth map is 16-bit grey: give a PNG in millimetres")
        depth = np.array(opened)
    if not depth.any():
        raise BadInput(f"{path} is 0 everywhere: no depth was measured; give a map with distances in millimetres")
    return depth.astype(np.float32)


@contextmanager
def _open(path: Path, what: str, wanted: str, formats: tuple[str, ...]) -> Iterator[ImageFile]:
    """A file of checked size, opened but not decoded; whatever its bytes make fail becomes BadInput."""
    from PIL import Image, UnidentifiedImageError

    if not path.is_file():
        raise BadInput(f"no {what} {path}; give {wanted}")
    try:
        # Only the named formats: Pillow hands some others to programs outside.
        known = _known(path, formats)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes that are allowed here, of odd but readable files
            # Not by its name: Pillow 13.0 maps such files into memory, and mixes up rows and columns of turned TIFF.
            with path.open("rb") as file, Image.open(file, formats=known) as opened:
                _check_size(path, opened.width, opened.height)
                yield opened
    except BadInput:
        raise
    except UnidentifiedImageError as error:
        raise BadInput(f"{path} is not a {what}; give {wanted}") from error
    except Image.DecompressionBombError as error:
        raise BadInput(f"{path} is too large ({error}); {_SIZES}; scale it down") from error
    except Exception as error:  # Pillow's readers raise many kinds on damaged bytes
        raise BadInput(f"{path} is damaged ({error}); give {wanted}") from error


def _known(path: Path, formats: tuple[str, ...]) -> tuple[str, ...]:
    """The formats that Pillow can be asked for; it learns HEIC when the first such file comes, which takes a while."""
    with path.open("rb") as file:
        if file.read(8)[4:] != b"ftyp":
            return tuple(name for name in formats if name != "HEIF")
    import pi_heif

    pi_heif.register_heif_opener()
    return formats


def _refuse_raw(path: Path, opened: ImageFile) -> None:
    """Cameras' raw files are TIFF whose first page is a small preview: no picture to judge by."""
    tags = getattr(opened, "tag_v2", {})
    if _DNG_VERSION in tags or tags.get(_SUBFILE_TYPE, 0) & 1:
        raise BadInput(f"{path} is a camera's raw file and shows a preview only; develop it, give {_PICTURE_FILE}")


def _check_size(path: Path, width: int, height: int) -> None:
    if min(width, height) < SMALLEST_SIDE:
        raise BadInput(f"{path} is {width}x{height} pixels; allowed: at least {SMALLEST_SIDE} on each side")
    if max(width, height) > LARGEST_SIDE or width * height > LARGEST_AREA:
        raise BadInput(f"{path} is {width}x{height} pixels; {_SIZES}; scale it down")


def choose_region(width: int, height: int, spec: PreprocessSpec, box: Box | None = None) -> Region:
    """Rule 2.

    Args:
        box: (x0, y0, x1, y1) in pixels; grown by ``spec.box_grow`` of its side on each side, clipped to the picture
            (row V1).

    Raises:
        BadInput: the box is empty or lies outside the picture.
    """
    left, top, right, bottom = 0.0, 0.0, float(width), float(height)
    if box is not None:
        x0, y0, x1, y1 = box
        if not (x0 < x1 and y0 < y1 and x0 < width and y0 < height and x1 > 0 and y1 > 0):
            raise BadInput(f"box is {box}; allowed: x0 < x1, y0 < y1, inside the {width}x{height} picture")
        grow_x, grow_y = spec.box_grow * (x1 - x0), spec.box_grow * (y1 - y0)
        left, right = max(0.0, x0 - grow_x), min(float(width), x1 + grow_x)
        top, bottom = max(0.0, y0 - grow_y), min(float(height), y1 + grow_y)
    w, h = right - left, bottom - top
    if spec.resize != "stretch":
        pick = min if spec.resize == "cover" else max
        scale = pick(w / spec.size[1], h / spec.size[0])
        w2, h2 = scale * spec.size[1], scale * spec.size[0]
        left, top, w, h = left + (w - w2) / 2, top + (h - h2) / 2, w2, h2
    return Region(left, top, w, h)


def preprocess_picture(
    picture: NDArray[np.uint8], spec: PreprocessSpec, box: Box | None = None
) -> tuple[NDArray[np.float32], Region]:
    """Input tensor (1, 3, H, W) float32 RGB in [0, 1] of an (H, W, 3) uint8 picture, and the region it shows."""
    region = choose_region(picture.shape[1], picture.shape[0], spec, box)
    return sample_picture(picture, region, spec.size), region


def sample_picture(picture: NDArray[np.uint8], region: Region, size: tuple[int, int]) -> NDArray[np.float32]:
    """Rules 3 and 4: the region of a picture as (1, 3, H, W) float32 RGB in [0, 1]."""
    rows, y0, y1 = bilinear_weights(region.top, region.height, size[0], picture.shape[0])
    columns, x0, x1 = bilinear_weights(region.left, region.width, size[1], picture.shape[1])
    cut = picture[y0:y1, x0:x1].astype(np.float32)
    narrow = np.einsum("ow,hwc->hoc", columns, cut, optimize=True)
    sampled = np.einsum("oh,hwc->cow", rows, narrow, optimize=True)
    return np.ascontiguousarray(sampled[None] / np.float32(255))


def bilinear_weights(start: float, length: float, size: int, pixels: int) -> tuple[NDArray[np.float32], int, int]:
    """Rule 3 along one axis.

    Returns:
        Weights (size, last - first) float32 whose rows sum to 1, and the range [first, last) of pixels they apply to.
    """
    scale = length / size
    support = max(scale, 1.0)
    centers = start + (np.arange(size) + 0.5) * scale
    first = int(np.floor(centers[0] - support))
    positions = np.arange(first, int(np.ceil(centers[-1] + support)) + 1)
    weights = np.maximum(0.0, 1.0 - np.abs(positions + 0.5 - centers[:, None]) / support)
    weights /= weights.sum(1, keepdims=True)
    inside = np.clip(positions, 0, pixels - 1)
    low, high = int(inside[0]), int(inside[-1]) + 1
    folded = np.zeros((high - low, size))
    np.add.at(folded, inside - low, weights.T)  # what fell outside goes to the edge pixel
    return folded.T.astype(np.float32), low, high


def preprocess_depth(
    depth: NDArray[np.float32], spec: PreprocessSpec, box: Box | None = None
) -> tuple[NDArray[np.float32], Region]:
    """Input tensor (1, 1, H, W) float32 in [0, 1] of an (H, W) depth map in millimetres, and the region it shows.

    Without a box, the box of all measured pixels is taken. It holds the whole object already, so it grows only by
    the margin that objects have in the training cube. Near and far come from the crop alone.

    Raises:
        BadInput: nothing was measured inside the region.
    """
    if box is None:
        ys, xs = np.nonzero(depth > 0)
        if len(ys) == 0:
            raise BadInput("the depth map is 0 everywhere; give a map with distances in millimetres")
        box = (float(xs.min()), float(ys.min()), xs.max() + 1.0, ys.max() + 1.0)
        spec = replace(spec, box_grow=OBJECT_MARGIN)
    region = choose_region(depth.shape[1], depth.shape[0], spec, box)
    rows = nearest_indices(region.top, region.height, spec.size[0], depth.shape[0])
    columns = nearest_indices(region.left, region.width, spec.size[1], depth.shape[1])
    padded = np.pad(depth, ((0, 1), (0, 1)))  # index -1 reads the zero border
    cut = padded[rows[:, None], columns[None, :]]
    if not cut.any():
        raise BadInput(f"the depth map is 0 inside {region}; choose a box where distances were measured")
    return normalize_depth(cut, cut > 0)[None, None], region


def nearest_indices(start: float, length: float, size: int, pixels: int) -> NDArray[np.int64]:
    """Rule 3 for ``nearest``: the pixel of each output position, -1 beyond the border."""
    positions = np.floor(start + (np.arange(size) + 0.5) * (length / size)).astype(np.int64)
    return np.where((positions >= 0) & (positions < pixels), positions, -1)
