"""Reads skeletons and clips from binary glTF 2.0 files (GLB), and takes everything else out of such a file.

The container is read by :mod:`reference.geometry.glb`; skins and clips are read here, because trimesh drops them and
pygltflib gives back the JSON part alone, without the values of its arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.animation.motion.skeleton import Array, Pose, Skeleton
from reference.errors import BadInput
from reference.geometry.glb import Glb, accessor, compose, node_matrix, pack, stored


def clip_names(glb: Glb) -> list[str]:
    """Names of the clips in a file."""
    return [str(a.get("name", f"clip {i}")) for i, a in enumerate(glb.document.get("animations", []))]


def read_skeleton(glb: Glb, clips: list[str], frame_rate: float = 30.0) -> tuple[Skeleton, list[tuple[Pose, str]]]:
    """The whole tree of joints with the named clips, in world poses.

    Every node that a skin names and everything below belongs to it; without a skin, every animated node. More than
    one tree is joined under a root of its own, named ``scene``.

    Raises:
        BadInput: no joints, an unknown clip, or damaged data.
    """
    try:
        return _read_skeleton(glb, clips, frame_rate)
    except (KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"{glb.name} has a damaged skeleton or clip ({error!r}); export it again") from error


def _read_skeleton(glb: Glb, clips: list[str], frame_rate: float) -> tuple[Skeleton, list[tuple[Pose, str]]]:
    nodes = glb.document.get("nodes", [])
    parent_of = _parents(glb, nodes)
    joints = _joints(glb, nodes, parent_of)
    order = [n for n in _top_down(nodes, parent_of) if n in joints]
    rest = _world(nodes, parent_of, _rest_locals(nodes)[:, None])[:, 0]
    names, parents = _named(nodes, order, parent_of)
    roots = parents.count(-1)
    places = rest[order][:, :3, 3]
    if roots > 1:
        names, parents = ["scene", *names], [-1, *(p + 1 for p in parents)]
        places = np.concatenate([np.zeros((1, 3)), places])
    skeleton = Skeleton(tuple(names), np.array(parents, np.int32), places)
    poses = []
    for name in clips:
        world = _world(nodes, parent_of, _sampled(glb, nodes, name, frame_rate))
        turns = _rotation_part(world[order]) @ np.swapaxes(_rotation_part(rest[order]), 1, 2)[:, None]
        moved = np.swapaxes(world[order][..., :3, 3], 0, 1)
        turns = np.swapaxes(turns, 0, 1)
        if roots > 1:
            still = np.broadcast_to(np.eye(3), (len(turns), 1, 3, 3))
            turns, moved = np.concatenate([still, turns], 1), np.pad(moved, ((0, 0), (1, 0), (0, 0)))
        poses.append((Pose(turns, moved), name))
    return skeleton, poses


def _parents(glb: Glb, nodes: list[dict[str, Any]]) -> list[int]:
    parent_of = [-1] * len(nodes)
    for number, node in enumerate(nodes):
        for child in node.get("children", []):
            if parent_of[child] >= 0:
                raise BadInput(f"{glb.name}: node {child} hangs at two parents; allowed: a tree; export it again")
            parent_of[child] = number
    return parent_of


def _joints(glb: Glb, nodes: list[dict[str, Any]], parent_of: list[int]) -> set[int]:
    """Joints of the skin with the most, and everything below them but meshes."""
    skins = glb.document.get("skins", [])
    if skins:
        chosen = set(max(skins, key=lambda skin: len(skin["joints"]))["joints"])
    else:
        channels = [c for a in glb.document.get("animations", []) for c in a["channels"]]
        chosen = {c["target"]["node"] for c in channels if "node" in c["target"]}
    if not chosen:
        raise BadInput(f"{glb.name} has no skin and no animated node; allowed: a file with a skeleton and clips")
    if not chosen <= set(range(len(nodes))):
        raise BadInput(f"{glb.name} names joint {max(chosen)} of {len(nodes)} nodes; it is damaged: export it again")
    for number in _top_down(nodes, parent_of):
        if parent_of[number] in chosen and "mesh" not in nodes[number]:
            chosen.add(number)
    return chosen


def _top_down(nodes: list[dict[str, Any]], parent_of: list[int]) -> list[int]:
    order = [n for n, parent in enumerate(parent_of) if parent < 0]
    for number in order:  # grows while it is read
        order += nodes[number].get("children", [])
    return order


def _named(nodes: list[dict[str, Any]], order: list[int], parent_of: list[int]) -> tuple[list[str], list[int]]:
    number = {node: i for i, node in enumerate(order)}
    names: list[str] = []
    for node in order:
        wanted = str(nodes[node].get("name", f"joint {node}"))
        names.append(wanted if wanted not in names else f"{wanted} {node}")
    return names, [number.get(parent_of[node], -1) for node in order]


def _rest_locals(nodes: list[dict[str, Any]]) -> Array:
    return np.array([node_matrix(node) for node in nodes]).reshape(-1, 4, 4)


def _world(nodes: list[dict[str, Any]], parent_of: list[int], local: Array) -> Array:
    """(N, F, 4, 4) products along the ancestors."""
    world = local.copy()
    for number in _top_down(nodes, parent_of):
        if parent_of[number] >= 0:
            world[number] = world[parent_of[number]] @ local[number]
    return world


def _rotation_part(matrices: Array) -> Array:
    """The nearest rotation of each upper 3x3 block: scale and shear, which bones don't have, go."""
    u, _, vt = np.linalg.svd(matrices[..., :3, :3])
    flip = np.ones((*u.shape[:-2], 1, 3))
    flip[..., 0, 2] = np.sign(np.linalg.det(u @ vt))
    return np.asarray((u * flip) @ vt)


def _sampled(glb: Glb, nodes: list[dict[str, Any]], name: str, frame_rate: float) -> Array:
    """(N, F, 4, 4) local matrices of a clip at whole frames."""
    names = clip_names(glb)
    if name not in names:
        raise BadInput(f"{glb.name} has no clip '{name}'; it holds: {', '.join(names) or 'none'}")
    animation = glb.document["animations"][names.index(name)]
    tracks: dict[int, dict[str, tuple[Array, Array, str]]] = {}
    for channel in animation["channels"]:
        sampler = animation["samplers"][channel["sampler"]]
        times = accessor(glb, sampler["input"]).astype(np.float64)[:, 0]
        values = accessor(glb, sampler["output"]).astype(np.float64)
        kind = sampler.get("interpolation", "LINEAR")
        if kind == "CUBICSPLINE":  # in-tangent, value, out-tangent per key: the values, joined linearly
            values, kind = values[1::3], "LINEAR"
        if "node" in channel["target"]:
            tracks.setdefault(channel["target"]["node"], {})[channel["target"]["path"]] = (times, values, kind)
    ends = [times for track in tracks.values() for times, _, _ in track.values()]
    first, last = min(t[0] for t in ends), max(t[-1] for t in ends)
    wanted = first + np.arange(int(np.floor((last - first) * frame_rate + 1e-3)) + 1) / frame_rate
    local = np.repeat(_rest_locals(nodes)[:, None], len(wanted), axis=1)
    for node, track in tracks.items():
        local[node] = _node_track(nodes[node], track, wanted)
    return local


def _node_track(node: dict[str, Any], track: dict[str, tuple[Array, Array, str]], wanted: Array) -> Array:
    parts = []
    for path, rest in (("translation", (0, 0, 0)), ("rotation", (0, 0, 0, 1)), ("scale", (1, 1, 1))):
        if path in track:
            parts.append(_interpolated(*track[path], wanted, path == "rotation"))
        else:
            parts.append(np.repeat(np.array([node.get(path, rest)], np.float64), len(wanted), axis=0))
    return compose(*parts)


def _interpolated(times: Array, values: Array, kind: str, wanted: Array, turns: bool) -> Array:
    from scipy.spatial.transform import Rotation, Slerp

    wanted = np.clip(wanted, times[0], times[-1])
    if kind == "STEP" or len(times) == 1:
        return values[np.searchsorted(times, wanted, side="right") - 1]
    if turns:
        return np.asarray(Slerp(times, Rotation.from_quat(values))(wanted).as_quat())
    return np.stack([np.interp(wanted, times, axis) for axis in values.T], axis=1)


def _moving(glb: Glb, animation: dict[str, Any]) -> dict[str, Any]:
    """An animation without the channels whose values are the node's own at rest throughout, and their samplers."""
    rest = {"translation": (0, 0, 0), "rotation": (0, 0, 0, 1), "scale": (1, 1, 1)}
    channels: list[dict[str, Any]] = []
    samplers: list[dict[str, Any]] = []
    for channel in animation["channels"]:
        sampler, target = animation["samplers"][channel["sampler"]], channel["target"]
        node = glb.document["nodes"][target["node"]] if "node" in target else {}
        still = np.array(node.get(target["path"], rest.get(target["path"], np.nan)), np.float64)
        if "matrix" not in node and np.abs(accessor(glb, sampler["output"]) - still).max() < 1e-5:
            continue
        channels.append({**channel, "sampler": len(samplers)})
        samplers.append(sampler)
    return {"channels": channels, "samplers": samplers}


def strip(glb: Glb, clips: list[str]) -> bytes:
    """A GLB file with only the nodes and the named clips: no meshes, skins of meshes, materials or pictures.

    The skin stays as the list of joints. Values are copied, not converted; channels that hold a node where it rests
    say nothing and go too.
    """
    keep = {name: _moving(glb, glb.document["animations"][clip_names(glb).index(name)]) for name in clips}
    binary, accessors, views = b"", [], []
    moved: dict[int, int] = {}

    def copy(index: int) -> int:
        nonlocal binary
        if index not in moved:
            values, old = stored(glb, index), glb.document["accessors"][index]
            entry = {k: v for k, v in old.items() if k not in ("bufferView", "byteOffset", "sparse")}
            views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": values.nbytes})
            accessors.append({**entry, "bufferView": len(views) - 1})
            moved[index] = len(accessors) - 1
            binary += values.tobytes() + b"\0" * (-values.nbytes % 4)
        return moved[index]

    animations = [
        {
            "name": name,
            "channels": animation["channels"],
            "samplers": [{**s, "input": copy(s["input"]), "output": copy(s["output"])} for s in animation["samplers"]],
        }
        for name, animation in keep.items()
    ]
    nodes = [{k: v for k, v in n.items() if k not in ("mesh", "skin", "extras")} for n in glb.document["nodes"]]
    skin = max(glb.document["skins"], key=lambda s: len(s["joints"]))
    document = {
        "asset": {"version": "2.0", "generator": "OnPar"},
        "scene": 0,
        "scenes": [{"nodes": glb.document["scenes"][glb.document.get("scene", 0)]["nodes"]}],
        "nodes": nodes,
        "skins": [{"joints": skin["joints"]}],
        "animations": animations,
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
    }
    return pack(document, binary)
