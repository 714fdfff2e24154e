"""Pictures with masks of their subjects, for the saliency network.

Photos come as ``<split>/images/<name>.*`` with ``<split>/masks/<name>.png`` (white is the subject). Drawings and
cartoons with masks hardly exist, but they need none: the outline of a complete drawing encloses its subject, and a
cartoon on plain paper is what differs from the paper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from reference.data import augment
from reference.data.drawings import Mask, measure_outline
from reference.data.pictures import SUFFIXES
from reference.errors import BadInput
from reference.inputs.preprocess import load_picture

Picture = NDArray[np.uint8]
LARGEST = 256  # longer side of a cached picture
PHOTO, DRAWING, CARTOON, GUESSED = 0, 1, 2, 3  # the last: photos whose mask a network gave
SUREST = 0.85  # least mean of 2 |p - 0.5| over a picture whose guessed mask is learnt from
CERTAIN = 0.02  # farther than this from 0 and 1, the picture's colours decide what a guess means
AGREED = 0.75  # least overlap of a guess with what the colours make of it
MOVED = 0.15  # share of the photos whose subject is put into another scene


@dataclass(frozen=True)
class Pair:
    """A picture file and the file of its mask."""

    picture: Path
    mask: Path


@dataclass(frozen=True)
class Subject:
    """A picture (H, W, 3) uint8 RGB with the mask (H, W) of its subject."""

    picture: Picture
    mask: Mask


def list_pairs(folder: Path, split: str) -> list[Pair]:
    """The pictures of one split with their masks, in a stable order.

    Raises:
        BadInput: the split is missing or empty, or a picture has no mask.
    """
    root = folder / split
    pictures = sorted(p for p in (root / "images").glob("*") if p.suffix.lower() in SUFFIXES)
    if not pictures:
        raise BadInput(f"no pictures in {root / 'images'}; the layout is <split>/images/* and <split>/masks/*.png")
    pairs = [Pair(p, root / "masks" / f"{p.stem}.png") for p in pictures]
    without = [pair.picture for pair in pairs if not pair.mask.is_file()]
    if without:
        raise BadInput(f"{len(without)} pictures have no mask, first {without[0]}; add {root / 'masks'}/<name>.png")
    return pairs


def load_pair(pair: Pair) -> Subject:
    """Read a picture and its mask.

    Raises:
        BadInput: one can't be read, or their sizes differ.
    """
    picture = load_picture(pair.picture)
    mask = load_mask(pair.mask)
    if picture.shape[:2] != mask.shape:
        raise BadInput(f"{pair.mask} is {mask.shape[::-1]}, its picture {picture.shape[1::-1]}; both must be equal")
    return Subject(picture, mask)


def load_mask(path: Path) -> Mask:
    """A mask file (H, W): what is brighter than the middle.

    Raises:
        BadInput: it can't be read.
    """
    return np.asarray(load_picture(path)[..., 0] > 127)


def list_characters(folder: Path) -> list[Pair]:
    """Drawn characters with masks, ``<name>/texture.png`` and ``<name>/mask.png`` anywhere below a folder."""
    found = [Pair(m.with_name("texture.png"), m) for m in sorted(folder.rglob("mask.png"))]
    return [pair for pair in found if pair.picture.is_file()]


def cut_drawing(picture: Picture, smallest: float = 0.7) -> Subject | None:
    """A line drawing with the region that its outline encloses, or None where the outline is not complete."""
    outline = measure_outline(picture)
    share = outline.region.mean()
    return Subject(picture, outline.region) if outline.completeness >= smallest and 0.04 < share < 0.8 else None


def cut_cartoon(picture: Picture) -> Subject | None:
    """A cartoon with what differs from the plain paper around it, or None where the paper is not plain."""
    border = np.concatenate([picture[:2].reshape(-1, 3), picture[-2:].reshape(-1, 3)])
    border = np.concatenate([border, picture[:, :2].reshape(-1, 3), picture[:, -2:].reshape(-1, 3)]).astype(int)
    paper = np.median(border, axis=0)
    if (np.abs(border - paper).max(1) > 24).mean() > 0.15:
        return None
    like_paper = (np.abs(picture.astype(int) - paper).max(2) <= 24).astype(np.uint8)
    _, parts = cv2.connectedComponents(like_paper, connectivity=4)
    at_border = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    mask = ~(np.isin(parts, at_border[at_border > 0]) & (like_paper > 0))
    mask = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    return Subject(picture, np.asarray(mask)) if 0.06 < mask.mean() < 0.8 else None


def cut_all(folder: Path, kind: int, most: int = 1000) -> list[Subject]:
    """Subjects of the drawings or cartoons below a folder that can be cut out.

    Args:
        most: of a larger folder, this many files are tried, evenly spread over their order.
    """
    cut = cut_drawing if kind == DRAWING else cut_cartoon
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    chosen = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, min(most, len(paths))).astype(int))]
    subjects = []
    for path in tqdm(chosen, desc=f"cutting {folder.name}", leave=False, disable=None):
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        subject = None if picture is None else cut(np.ascontiguousarray(picture[..., ::-1]))
        if subject is not None:
            subjects.append(subject)
    return subjects


def guess_masks(network: Callable[[Tensor], Tensor], folders: Sequence[Path], size: int) -> list[Subject]:
    """Pictures below some folders with the mask that a trained network gives them, where it is sure.

    The mask is the mean over the picture and its mirror image (self-training: Lee, *Pseudo-label*, 2013), moved to the
    borders that the picture's colours have (:func:`follow_colors`). A picture is left out where the two disagree: then
    either the network is wrong or the colours tell nothing.

    Args:
        network: (B, 3, size, size) RGB in [0, 1] to a mask (B, 1, size, size) in [0, 1].
    """
    paths = sorted(p for folder in folders for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    subjects = []
    for path in tqdm(paths, desc="guessing masks", leave=False, disable=None):
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if bgr is None:
            continue
        scale = min(1.0, LARGEST / max(bgr.shape[:2]))
        picture = cv2.resize(bgr[..., ::-1], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        square = torch.from_numpy(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)).permute(2, 0, 1)
        with torch.no_grad():
            both = network(torch.stack([square, square.flip(2)]).float() / 255)[:, 0]
        mean = (both[0] + both[1].flip(1)).numpy() / 2
        guess = np.asarray(cv2.resize(mean, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)
        if 2 * np.abs(mean - 0.5).mean() < SUREST or not 0.04 < (guess > 0.5).mean() < 0.7:
            continue
        mask = follow_colors(np.ascontiguousarray(picture, np.uint8), guess)
        if overlap(mask, guess > 0.5) >= AGREED:
            subjects.append(Subject(np.ascontiguousarray(picture, np.uint8), mask))
    return subjects


def follow_colors(picture: Picture, guess: NDArray[np.float32]) -> Mask:
    """A mask (H, W) near a guess (H, W) in [0, 1] that keeps to the picture's edges and colours.

    GrabCut (Rother et al., SIGGRAPH 2004), whose colour models start from the guess; where the guess is within
    :data:`CERTAIN` of 0 or 1 it stays.
    """
    labels = np.where(guess > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[guess < CERTAIN], labels[guess > 1 - CERTAIN] = cv2.GC_BGD, cv2.GC_FGD
    subject = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if subject.all() or not subject.any():
        return subject
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    bgr = np.ascontiguousarray(picture[..., ::-1])
    cv2.grabCut(bgr, labels, None, *models, 3, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))


def overlap(one: Mask, other: Mask) -> float:
    """Intersection over union of two masks; 0 where both are empty."""
    return float((one & other).sum() / max(1, (one | other).sum()))


class MaskDataset(Dataset[tuple[Tensor, Tensor, int]]):
    """Random views of subjects: (picture (3, S, S) float32 RGB in [0, 1], mask (1, S, S) in [0, 1], image type).

    Photos are cropped, flipped and recoloured, and some subjects are moved to another photo from which its own subject
    was painted out (copy and paste: Ghiasi et al., CVPR 2021); drawings and cartoons are placed anew on paper, real or
    coloured.

    Attributes:
        size: side in pixels; may be changed between epochs.
        types: image type of every item, :data:`GUESSED` for photos whose mask is no person's.
    """

    def __init__(
        self, photos: list[Subject], drawings: list[Subject], cartoons: list[Subject], seed: int,
        guessed: Sequence[Subject] = (),
    ) -> None:  # fmt: skip
        self.subjects = [*photos, *drawings, *cartoons, *guessed]
        counts = [len(photos), len(drawings), len(cartoons), len(guessed)]
        self.types = np.repeat([PHOTO, DRAWING, CARTOON, GUESSED], counts)
        self.scenes = [paint_out(photo) for photo in photos] if len(photos) > 1 else []
        self.size = 224
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.subjects)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        rng = np.random.default_rng((self.seed, self.epoch, index))
        subject, kind = self.subjects[index], int(self.types[index])
        kind = PHOTO if kind == GUESSED else kind
        picture, mask = subject.picture, subject.mask.astype(np.float32)
        if kind != PHOTO:
            picture, mask = self._place(picture, mask, kind, rng)
        elif self.scenes and rng.random() < MOVED:
            picture, mask = self._move(picture, mask, rng)
        else:
            picture, mask = crop(picture, mask, self.size, rng)
        if rng.random() < 0.5:
            picture, mask = np.ascontiguousarray(picture[:, ::-1]), mask[:, ::-1]
        if rng.random() < 0.8:
            picture = augment.random_color(picture, rng)
        if rng.random() < 0.15:
            picture = augment.random_blur(picture, rng)
        image = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float() / 255
        return image, torch.from_numpy(np.ascontiguousarray(mask)).float()[None], kind

    def _move(
        self, picture: Picture, mask: NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[Picture, NDArray[np.float32]]:
        """Put a photo's subject into another photo's scene."""
        size = self.size
        scene = cv2.resize(self.scenes[int(rng.integers(len(self.scenes)))], (size, size))
        if rng.random() < 0.5:
            scene = scene[:, ::-1]
        height, width = mask.shape
        matrix = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-15, 15), 1.0), np.float64)
        matrix = np.diag([size / width, size / height]) @ matrix * rng.uniform(0.6, 1.1)
        ys, xs = np.nonzero(mask)
        center = matrix @ [xs.mean(), ys.mean(), 1.0]
        matrix[:, 2] += size * rng.normal(0.5, 0.12, 2) - center
        moved = cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        moved_mask = np.asarray(cv2.warpAffine(mask, matrix, (size, size), flags=cv2.INTER_LINEAR), np.float32)
        if moved_mask.sum() < 0.02 * size * size:
            return crop(picture, mask, size, rng)
        soft = moved_mask[..., None]
        return np.clip(moved * soft + scene * (1 - soft), 0, 255).astype(np.uint8), moved_mask

    def _place(
        self, picture: Picture, mask: NDArray[np.float32], kind: int, rng: np.random.Generator
    ) -> tuple[Picture, NDArray[np.float32]]:
        """Scale, turn and move a subject onto paper of the network's size."""
        size = self.size
        scale = size / max(picture.shape[:2]) * rng.uniform(0.5, 1.05)
        height, width = picture.shape[:2]
        matrix = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-15, 15), scale), np.float64)
        room = max(0.0, size - scale * max(height, width)) / 2 + 0.05 * size
        matrix[:, 2] += size / 2 - np.array([width, height]) / 2 + rng.uniform(-room, room, 2)
        moved = cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        moved_mask = cv2.warpAffine(mask, matrix, (size, size), flags=cv2.INTER_LINEAR)
        paper = self._paper(rng)
        soft = moved_mask[..., None]
        if kind == DRAWING:  # lines darken the paper; the inside may be painted
            inside = paper * (1 - soft) + rng.uniform(90, 255, 3) * soft if rng.random() < 0.6 else paper
            ink = rng.uniform(0, 110, 3)
            lines = moved.astype(np.float32) / 255
            placed = inside * lines + ink * (1 - lines)
        else:
            placed = moved * soft + paper * (1 - soft)
        return np.clip(placed, 0, 255).astype(np.uint8), np.asarray(moved_mask, np.float32)

    def _paper(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """What lies behind a drawing: paper lit from one side, or a blurred photo."""
        size = self.size
        photos = int((self.types == PHOTO).sum())
        if photos and rng.random() < 0.3:
            photo = self.subjects[int(rng.integers(photos))].picture
            blurred = cv2.GaussianBlur(cv2.resize(photo, (size, size)), (0, 0), rng.uniform(4, 16))
            return blurred.astype(np.float32)
        color = rng.uniform(170, 255) + rng.uniform(-25, 25, 3)
        light = rng.uniform(-30, 30, 2)
        ramp = np.linspace(-0.5, 0.5, size)
        shade = light[0] * ramp[:, None] + light[1] * ramp[None, :]
        noise = rng.normal(0, rng.uniform(0, 5), (size, size))
        return np.clip(color + (shade + noise)[..., None], 0, 255).astype(np.float32)


def paint_out(subject: Subject, size: int = 112) -> Picture:
    """A photo's scene (size, size, 3) with its subject painted over from the edges inwards: coarse, as a backdrop."""
    small = cv2.resize(subject.picture, (size, size), interpolation=cv2.INTER_AREA)
    hole = cv2.resize(subject.mask.astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST)
    hole = cv2.dilate(hole, np.ones((5, 5), np.uint8))
    return np.asarray(cv2.inpaint(small, hole, 3, cv2.INPAINT_TELEA), np.uint8)


def crop(
    picture: Picture, mask: NDArray[np.float32], size: int, rng: np.random.Generator
) -> tuple[Picture, NDArray[np.float32]]:
    """The same random rectangle of a picture and its mask, scaled to size x size; it keeps most of the subject."""
    height, width = mask.shape
    for _ in range(4):
        share = rng.uniform(0.6, 1.0, 2)
        h, w = int(height * share[0]), int(width * share[1])
        top, left = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
        if mask[top : top + h, left : left + w].sum() >= 0.6 * mask.sum():
            break
    else:
        top, left, h, w = 0, 0, height, width
    cut, cut_mask = picture[top : top + h, left : left + w], mask[top : top + h, left : left + w]
    method = cv2.INTER_AREA if min(h, w) > size else cv2.INTER_LINEAR
    return cv2.resize(cut, (size, size), interpolation=method), cv2.resize(cut_mask, (size, size), interpolation=method)  # type: ignore[return-value]
