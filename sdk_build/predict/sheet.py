"""Contact sheets: several classified pictures on pages (document I, row I8)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from reference.errors import BadInput
from sdk_build.predict.canvas import INK, PAPER, Picture, font_of

TILE = 240  # pixels of a tile's picture
STRIP, GAP = 44, 16


def parse_grid(text: str) -> tuple[int, int]:
    """``COLUMNSxROWS`` as two numbers.

    Raises:
        BadInput: not two numbers from 1 to 12.
    """
    parts = text.lower().split("x")
    if len(parts) == 2 and all(p.isdecimal() and 1 <= int(p) <= 12 for p in parts):
        return int(parts[0]), int(parts[1])
    raise BadInput(f"--sheet is {text!r}; allowed: COLUMNSxROWS, each from 1 to 12, e.g. 4x3")


def page_paths(save: Path, count: int, grid: tuple[int, int]) -> list[Path]:
    """Where the pages of ``count`` pictures go: ``save`` itself, or ``<stem>-1.png`` and so on."""
    pages = -(-count // (grid[0] * grid[1]))
    return [save] if pages == 1 else [save.with_name(f"{save.stem}-{n + 1}{save.suffix}") for n in range(pages)]


def make_pages(tiles: Sequence[tuple[Picture, str, str]], grid: tuple[int, int]) -> list[Picture]:
    """Pages of (picture, class, remark) tiles, each with its class below; every page has the same size."""
    columns, rows = grid
    size = (GAP + columns * (TILE + GAP), GAP + rows * (TILE + STRIP + GAP))
    pages = []
    for start in range(0, len(tiles), columns * rows):
        page = Image.new("RGB", size, PAPER)
        pen = ImageDraw.Draw(page)
        for number, (picture, label, remark) in enumerate(tiles[start : start + columns * rows]):
            x = GAP + number % columns * (TILE + GAP)
            y = GAP + number // columns * (TILE + STRIP + GAP)
            thumb = Image.fromarray(picture)
            thumb.thumbnail((TILE, TILE), Image.Resampling.LANCZOS)
            if max(thumb.size) < TILE:
                scale = TILE / max(thumb.size)
                thumb = thumb.resize(
                    (round(thumb.width * scale), round(thumb.height * scale)), Image.Resampling.LANCZOS
                )
            page.paste(thumb, (x + (TILE - thumb.width) // 2, y + (TILE - thumb.height) // 2))
            pen.text((x, y + TILE + STRIP * 0.45), label, INK, font_of(20), anchor="lm")
            pen.text((x + TILE, y + TILE + STRIP * 0.45), remark, (110, 112, 116), font_of(16), anchor="rm")
        pages.append(np.array(page))
    return pages
