"""Folders of RGB-D frames: their figures, and what is refused. The face is found by the stored detector."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from reference.card import MODELS_DIR
from reference.errors import BadInput
from reference.evaluate import evaluate
from reference.inputs.preprocess import Region
from reference.pipelines import rgbd_frames
from reference.pipelines.depth import box_of_face
from reference.pipelines.rgbd_frames import list_frames, measure_frames
from reference.registry import get_spec

WEIGHTS = MODELS_DIR / "voxel64" / "weights.safetensors"
SPEC = get_spec("voxel64")


def ball(depth):
    """A network that answers every depth image with the same ball."""
    places = (torch.arange(64) + 0.5) / 32 - 1
    z, y, x = torch.meshgrid(places, places, places, indexing="ij")
    return (torch.sqrt(x * x + y * y + z * z) < 0.7).float()[None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One frame with a face, whose depth is a ball with a nose before a wall, and one without a face."""
    out = tmp_path_factory.mktemp("frames")
    with Image.open(MODELS_DIR / "template_keypoints" / "golden" / "input_1.png") as opened:
        photo = opened.convert("RGB").resize((128, 128))
    canvas = Image.new("RGB", (320, 240), (120, 120, 120))
    canvas.paste(photo, (96, 56))
    y, x = np.mgrid[:240, :320]
    off = np.hypot(x - 160, y - 120)
    depth = np.where(off < 70, 800 - np.sqrt(np.maximum(70**2 - off**2, 0)) * 2, 1800)
    depth = depth - 25 * np.exp(-(off**2) / 60)
    for name, picture in (("a", canvas), ("b", Image.new("RGB", (320, 240), (90, 90, 90)))):
        picture.save(out / f"{name}_rgb.png")
        Image.fromarray(np.rint(depth).astype(np.uint16)).save(out / f"{name}_depth.png")
    (out / "camera.json").write_text(json.dumps({"focal_px": 400}))
    return out


def test_the_figures_of_a_folder(folder):
    found = measure_frames(SPEC, ball, folder)
    assert found["frames"] == 2
    assert found["refused"] == 1  # no face on it
    assert found["surface_distance_percent"] < 0.8
    assert found["silhouette_iou"] > 0.9
    assert found["relief_gain"] > 0.7
    assert found["relief_correlation"] > 0.85
    alone = found["network_alone"]
    assert alone["surface_distance_percent"] > 2 * found["surface_distance_percent"]
    assert abs(alone["relief_gain"]) < 0.3  # a ball has no nose


def test_evaluate_takes_such_a_folder_for_what_it_is(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(
        rgbd_frames, "measure_frames", lambda spec, network, data: asked.append((spec.name, data)) or {}
    )
    assert evaluate("voxel64", folder, WEIGHTS) == {}
    assert asked == [("voxel64", folder)]


def test_incomplete_folders(folder, tmp_path):
    picture = (folder / "a_rgb.png").read_bytes()
    (tmp_path / "a_rgb.png").write_bytes(picture)
    with pytest.raises(BadInput, match="no a_depth.png beside it"):
        list_frames(tmp_path)
    (tmp_path / "a_depth.png").write_bytes((folder / "a_depth.png").read_bytes())
    with pytest.raises(BadInput, match=r"no camera.json; write one"):
        list_frames(tmp_path)
    (tmp_path / "camera.json").write_text('{"focal_px": 400}')
    assert [frame.name for frame in list_frames(tmp_path)] == ["a"]
    Image.new("RGB", (320, 240), (90, 90, 90)).save(tmp_path / "a_rgb.png")
    with pytest.raises(BadInput, match="all were refused"):
        measure_frames(SPEC, ball, tmp_path)


def test_a_head_s_box_is_larger_than_its_face_s_and_higher():
    picture = np.zeros((300, 400, 3), np.uint8)
    x0, y0, x1, y1 = box_of_face(Region(100, 100, 100, 100), picture)
    assert (x1 - x0, y1 - y0) == pytest.approx((120, 120))
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx((150, 137))
    assert box_of_face(Region(-20, -20, 100, 100), picture)[:2] == (0, 0)
