"""Vectors for characters that apps make themselves: drawings with mask, skeleton, mapping and moving joints.

Drawn by code in a few colours without soft edges, so that a picture is a palette and runs of equal pixels. No network
takes part: the mask comes from ink or transparency, the topology from outline and mapping.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.animation.animate import animate, facing_of, map_motion, rig_figure
from reference.animation.figure.mask import Picture, Saliency, load_figure
from reference.animation.motion.library import load_motion, read_library
from reference.animation.motion.skeleton import forward
from reference.animation.topology import candidates, choose, gather
from sdk_build.app_vectors.encoding import Json

PAPER, INK, SKIN, COAT, RULE = (250, 248, 243), (30, 30, 40), (244, 196, 160), (60, 110, 170), (150, 190, 220)
Rgba = NDArray[np.uint8]
Point = tuple[int, int]


def characters() -> list[Json]:
    """Every drawing with what it becomes."""
    drawings: dict[str, tuple[Rgba, Saliency | None]] = {
        "a person in colours": (_person(), None),
        "a person as outlines, 700 pixels wide": (_outlined(700), None),
        "an animal that looks left": (_animal(), None),
        "an animal that looks right": (_animal()[:, ::-1].copy(), None),
        "a stick man on lined paper": (_on_lines(), None),
        "a stick man whose arm and leg stop short of the body": (_with_gaps(), None),
        "a coiled snake": (_coiled(), None),
        "a fish": (_fish(), None),
        "an open scribble": (_scribble(), None),
        "transparent around it": (_transparent(), None),
        "two figures, the right one salient": (_two(), _right_half),
        "an octopus in a shadow": (_shaded(), None),
    }
    return [_case(name, *drawing) for name, drawing in drawings.items()]


def refused_characters() -> list[Json]:
    """Pictures that show no figure: every library answers with BadInput."""
    import cv2

    text = _paper(300, 400)
    for row in range(20, 290, 22):
        cv2.putText(text, "many words on a line of it", (8, row), cv2.FONT_HERSHEY_SIMPLEX, 0.6, _opaque(INK), 1)
    speck = _paper(200, 200)
    speck[100:103, 100:103, :3] = INK
    noise = np.random.default_rng(3).integers(0, 4, (60, 80))
    colours = np.array([[200, 30, 30, 255], [30, 200, 30, 255], [30, 30, 200, 255], [240, 240, 60, 255]], np.uint8)
    pictures = {"a page of text": text, "nothing": _paper(64, 64), "a speck": speck, "no paper": colours[noise]}
    return [{"name": name, **_runs(picture)} for name, picture in pictures.items()]


def _case(name: str, drawing: Rgba, saliency: Saliency | None) -> Json:
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drawing.png"
        Image.fromarray(drawing).save(path)
        figure = load_figure(path, None, saliency)
    rig = rig_figure(figure)
    fits = {source: map_motion(rig, motion).error for source, motion in candidates().items()}
    choice = choose(rig)
    source = read_library()[choice.figure]
    clip = next(iter(source.clips))
    character = animate(rig, [load_motion(source, clip)])
    pose = forward(character.skeleton, character.clips[0])
    frame = len(pose.positions) // 3
    return {
        "name": name,
        **_runs(drawing),
        "right_half_salient": saliency is not None,
        "mask_from": figure.origin,
        "notes": list(figure.notes),
        "mask": {"size": list(figure.mask.shape), "runs": _lengths(figure.mask.ravel())},
        "joints": _rounded(rig.skeleton.positions[:, :2]),
        "parents": rig.skeleton.parents.tolist(),
        "evidence": {key: round(value, 5) for key, value in gather(rig, None, fits).items()},
        "topology": choice.topology,
        "confidence": round(choice.confidence, 4),
        "facing": facing_of(character.mapping),
        "source": choice.figure,
        "pairs": [list(pair) for pair in character.mapping.pairs],
        "clip": clip,
        "frame": frame,
        "names": list(character.skeleton.names),
        "rest": _rounded(character.skeleton.positions),
        "posed": _rounded(pose.positions[frame]),
        "depth": _rounded(np.array([character.vertices[:, 2].min(), character.vertices[:, 2].max()])),
    }


def _rounded(values: NDArray[np.float64]) -> Any:
    return np.round(values, 5).tolist()


def _runs(picture: Rgba) -> Json:
    """Size, palette of RGBA, and pairs of palette number and length, row by row."""
    height, width = picture.shape[:2]
    palette, numbers = np.unique(picture.reshape(-1, 4), axis=0, return_inverse=True)
    numbers = numbers.ravel()
    starts = np.concatenate([[0], np.flatnonzero(np.diff(numbers)) + 1])
    lengths = np.diff(np.concatenate([starts, [len(numbers)]]))
    runs = np.stack([numbers[starts], lengths], axis=1).ravel().tolist()
    return {"width": width, "height": height, "palette": palette.tolist(), "runs": runs}


def _lengths(bits: NDArray[np.bool_]) -> list[int]:
    """Lengths of runs that change between False and True, beginning with False."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], bits, [not bits[-1]]])))
    return np.diff(np.concatenate([[0], edges])).tolist()


def _opaque(colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    return (*colour, 255)


def _paper(height: int, width: int) -> Rgba:
    return np.full((height, width, 4), _opaque(PAPER), np.uint8)


def _stroke(
    canvas: Rgba, begin: tuple[int, int], end: tuple[int, int], colour: tuple[int, int, int], width: int
) -> None:
    import cv2

    cv2.line(canvas, begin, end, _opaque(colour), width)


def _person() -> Rgba:
    import cv2

    canvas = _paper(300, 220)
    for begin, end in (((85, 120), (35, 175)), ((135, 120), (190, 180))):
        _stroke(canvas, begin, end, SKIN, 18)
    for begin, end in (((95, 190), (80, 275)), ((125, 190), (142, 275))):
        _stroke(canvas, begin, end, INK, 20)
    cv2.rectangle(canvas, (80, 105), (140, 200), _opaque(COAT), -1)
    _stroke(canvas, (110, 80), (110, 110), SKIN, 16)
    cv2.circle(canvas, (110, 60), 34, _opaque(SKIN), -1)
    return canvas


def _outlined(width: int) -> Rgba:
    """The person's outline alone, as a pen draws it, enlarged."""
    import cv2

    person = _person()
    size = (width, round(person.shape[0] * width / person.shape[1]))
    body = cv2.resize((person[..., :3] != PAPER).any(axis=2).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    lines, _ = cv2.findContours(body, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    canvas = _paper(size[1], size[0])
    cv2.drawContours(canvas, lines, -1, _opaque(INK), 5)
    canvas[size[1] // 2 : size[1] // 2 + 9] = _opaque(PAPER)  # gaps to bridge
    return canvas


def _animal() -> Rgba:
    import cv2

    canvas = _paper(240, 320)
    for x in (100, 125, 205, 230):
        _stroke(canvas, (x, 130), (x - 4, 215), COAT, 14)
    cv2.ellipse(canvas, (165, 120), (85, 38), 0, 0, 360, _opaque(COAT), -1)
    _stroke(canvas, (95, 105), (70, 65), COAT, 24)
    cv2.ellipse(canvas, (55, 58), (32, 20), 0, 0, 360, _opaque(COAT), -1)
    _stroke(canvas, (245, 110), (295, 150), COAT, 7)
    return canvas


def _on_lines() -> Rgba:
    canvas = _paper(330, 280)
    for row in range(20, 330, 24):
        canvas[row : row + 2] = _opaque(RULE)
    limbs = ((140, 100), (140, 200)), ((140, 125), (80, 165)), ((140, 125), (205, 160))
    return _stick_man(canvas, (140, 70), (*limbs, ((140, 200), (100, 295)), ((140, 200), (185, 295))))


def _with_gaps() -> Rgba:
    limbs = ((130, 90), (130, 190)), ((122, 116), (65, 160)), ((130, 115), (195, 150))
    return _stick_man(_paper(320, 260), (130, 60), (*limbs, ((130, 190), (90, 290)), ((138, 199), (180, 290))))


def _stick_man(canvas: Rgba, head: Point, limbs: Iterable[tuple[Point, Point]]) -> Rgba:
    import cv2

    cv2.circle(canvas, head, 30, _opaque(INK), 4)
    for begin, end in limbs:
        _stroke(canvas, begin, end, INK, 4)
    return canvas


def _coiled() -> Rgba:
    import cv2

    canvas = _paper(300, 300)
    bends = [
        (60, 50),
        (260, 40),
        (270, 260),
        (200, 260),
        (180, 170),
        (110, 170),
        (90, 255),
        (30, 230),
        (45, 130),
        (100, 110),
    ]
    cv2.polylines(canvas, [np.array(bends)], False, _opaque(COAT), 30)
    for tip in ((30, 35), (30, 68)):  # a tongue
        _stroke(canvas, (60, 50), tip, COAT, 9)
    return canvas


def _fish() -> Rgba:
    import cv2

    canvas = _paper(200, 320)
    cv2.ellipse(canvas, (140, 100), (105, 48), 0, 0, 360, _opaque(COAT), -1)
    cv2.fillPoly(canvas, [np.array([[225, 100], [300, 50], [285, 100], [300, 150]])], _opaque(COAT))
    cv2.fillPoly(canvas, [np.array([[110, 60], [150, 20], [185, 62]])], _opaque(INK))
    return canvas


def _scribble() -> Rgba:
    t = np.linspace(0, 4 * np.pi, 60)
    canvas = _paper(300, 300)
    places = (
        np.stack([150 + (40 + 6 * t) * np.cos(t), 150 + (30 + 5 * t) * np.sin(1.5 * t)], axis=1).round().astype(int)
    )
    for begin, end in zip(places[:-1].tolist(), places[1:].tolist(), strict=True):
        _stroke(canvas, (begin[0], begin[1]), (end[0], end[1]), INK, 3)
    return canvas


def _transparent() -> Rgba:
    person = _person()
    person[(person[..., :3] == PAPER).all(axis=2)] = 0
    return person


def _two() -> Rgba:
    canvas = _paper(300, 540)
    canvas[30:270, :320], canvas[:, 320:] = _animal(), _person()
    return canvas


def _right_half(picture: Picture) -> NDArray[np.float32]:
    """What isn't paper on the right, as an ideal network would see it."""
    salient = (picture != PAPER).any(axis=2).astype(np.float32)
    salient[:, : picture.shape[1] * 3 // 5] = 0
    return salient


def _shaded() -> Rgba:
    """Eight arms, on paper that a shadow lies on."""
    import cv2

    height, width = 280, 320
    x = np.arange(width)
    light = 250 - 12 * np.clip((x - 120) // 8, 0, 9)
    canvas = np.dstack([np.tile(light, (height, 1))] * 3 + [np.full((height, width), 255)]).astype(np.uint8)
    for k in range(8):
        angle = np.pi * (0.02 + 0.14 * k)
        end = (round(160 + 110 * float(np.cos(angle))), round(130 + 110 * float(np.sin(angle))))
        _stroke(canvas, (160, 120), end, (150, 40, 60), 11)
    cv2.circle(canvas, (160, 100), 50, (150, 40, 60, 255), -1)
    return canvas
