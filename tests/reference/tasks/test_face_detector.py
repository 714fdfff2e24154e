"""The face detector: its cells, its scenes, its losses, what it finds and how that is measured."""

import csv
import json

import cv2
import numpy as np
import pytest
import torch

from reference.card import MODELS_DIR
from reference.data import face_files
from reference.data.face_files import read_scenes, write_scenes
from reference.data.face_scenes import Scene, Sources, compose, grow_box, place, similarity, visible_share, warp
from reference.data.face_sources import five_points, load_backgrounds, load_faces, make_face, paint_over
from reference.errors import BadInput
from reference.evaluate import main as evaluate_main
from reference.golden import read_input
from reference.inputs.preprocess import Region, preprocess_picture
from reference.networks import face_detector
from reference.pipelines.face_boxes import from_points
from reference.tasks import decode as postprocess
from reference.tasks.box_figures import average_precision, figures, match
from reference.tasks.face_detection import FaceBoxes, cascade_faces, detect, evaluate_cascade, find_faces, keep_best
from reference.train.__main__ import main as train_main
from reference.train.recipes.face_detector import (
    MOST_FACES,
    as_rows,
    assign,
    box_overlap,
    detection_loss,
    equal_weights,
)

HEIGHT, WIDTH = face_detector.HEIGHT, face_detector.WIDTH


def landmarks(center=(60.0, 70.0), size=40.0):
    """68 points on an ellipse-like face: the eyes' and mouth's at their places, the rest on the outline."""
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    xy = np.stack([np.cos(angle) * 0.45, np.sin(angle) * 0.5], axis=1)
    xy[36:42], xy[42:48] = (-0.2, -0.2), (0.2, -0.2)
    xy[30], xy[48], xy[54] = (0, 0.05), (-0.15, 0.25), (0.15, 0.25)
    return (xy * size + center).astype(np.float32)


def picture(height=128, width=120, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def sources():
    faces = [make_face(picture(seed=n), landmarks()) for n in range(3)]
    cover = np.zeros((128, 120), np.uint8)
    cover[40:100, 30:90] = 255
    return Sources(
        faces, [picture(100, 150, 7), picture(150, 100, 8)], [make_face(picture(seed=9), landmarks(), cover)]
    )


@pytest.fixture
def folders(tmp_path):
    """A folder of faces and one of backgrounds, both splits."""
    table = tmp_path / "faces" / "some" / "annotations.csv"
    (table.parent / "images").mkdir(parents=True)
    columns = ["file", "split", "scale", *(f"{axis}{i}" for i in range(68) for axis in "xy")]
    with table.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(columns)
        for number, split in enumerate(("train", "train", "val")):
            cv2.imwrite(str(table.parent / "images" / f"{number}.png"), picture(seed=number))
            writer.writerow([f"images/{number}.png", split, 1, *landmarks().reshape(-1)])
    for split in ("train", "val"):
        for kind in ("house", "person"):
            folder = tmp_path / "plain" / split / "photo" / kind
            folder.mkdir(parents=True)
            cv2.imwrite(str(folder / "0.png"), picture(60, 80, 3))
    return tmp_path


def test_the_box_gives_the_keypoint_networks_crop():
    """A square around the box, of its longer side grown by 20 % on each side, is the training crop."""
    xy = landmarks((200, 150), 88)
    box = grow_box(np.concatenate([xy.min(0), xy.max(0)]))
    side = 1.4 * (box[2:] - box[:2]).max()
    low = (box[:2] + box[2:]) / 2 - side / 2
    crop = from_points(xy)
    assert side == pytest.approx(crop.width, rel=1e-5)
    assert low + 0.5 == pytest.approx([crop.left, crop.top], abs=1e-3)  # points count from pixels' centres


def test_cells_cover_the_input_row_by_row():
    anchors, strides = face_detector.grid(HEIGHT, WIDTH)
    assert anchors.shape == (1, face_detector.CELLS, 2) and strides.shape == (1, face_detector.CELLS, 1)
    assert anchors[0, :2].tolist() == [[4, 4], [12, 4]]
    fine = (HEIGHT // 8) * (WIDTH // 8)
    assert anchors[0, fine].tolist() == [8, 8] and strides[0, fine - 1] == 8 and strides[0, fine] == 16
    assert anchors[0, -1].tolist() == [WIDTH - 8, HEIGHT - 8]


def test_decoding_by_hand():
    anchors, strides = torch.tensor([[[20.0], [36.0]]]), torch.tensor([[[8.0]]])
    raw = torch.zeros(1, 15, 1)
    raw[0, 1:3, 0] = torch.tensor([0.5, -0.25])  # middle (24, 34)
    raw[0, 3:5, 0] = torch.log(torch.tensor([2.0, 4.0]))  # 16 x 32 pixels
    raw[0, 5], raw[0, 10] = -0.25, 0.5
    low, high, x, y = face_detector.decode(raw, anchors, strides)
    assert low.flatten().tolist() == pytest.approx([16, 18])
    assert high.flatten().tolist() == pytest.approx([32, 50])
    assert (x[0, 0, 0], y[0, 0, 0]) == (pytest.approx(20), pytest.approx(50))
    assert x[0, 1, 0] == pytest.approx(24)


def test_the_network_puts_out_shares_of_the_input():
    network = face_detector.build().eval()
    image = torch.rand(1, 3, HEIGHT, WIDTH)
    with torch.no_grad():
        out, raw = network(image)[0], network.raw(image)
        decoded = face_detector.decode(raw.transpose(1, 2), network.anchors, network.strides)
    low, high, x, y = (part[0].T for part in decoded)
    size = torch.tensor([WIDTH, HEIGHT])
    torch.testing.assert_close(out[:, :4], torch.cat([low / size, high / size], 1))
    torch.testing.assert_close(out[:, 4], raw[0, :, 0].sigmoid())
    torch.testing.assert_close(out[:, 5:], torch.cat([x / WIDTH, y / HEIGHT], 1))
    assert out[:, 4].max() < 0.1  # untrained, it finds few faces


def row(*box, score=1.0):
    points = five_points(landmarks((0, 0), 1.0))
    middle, size = np.array([box[0] + box[2], box[1] + box[3]]) / 2, np.array([box[2] - box[0], box[3] - box[1]])
    xy = points * size + middle
    return np.array([*box, score, *xy[:, 0], *xy[:, 1]], np.float32)


def test_every_face_has_a_cell_and_none_is_for_two():
    anchors, strides = face_detector.grid(HEIGHT, WIDTH)
    for side in (12, 20, 39, 41, 55, 57, 120, 230):
        for x, y in ((60.0, 70.0), (63.9, 64.0), (1.0, 1.0), (319.0, 239.0)):
            half = side / 2
            faces = torch.zeros(1, MOST_FACES, 15)
            faces[0, 1] = torch.from_numpy(row(x - half, y - half, x + half, y + half))
            positive, index = assign(faces, anchors, strides)
            assert 1 <= positive.sum() <= 18, (side, x, y)
            assert (index[positive] == 1).all()
            fine = strides[0, :, 0][positive[0]] == 8
            assert fine.any() == (side < 56) and (~fine).any() == (side >= 40)
    both = torch.zeros(1, MOST_FACES, 15)
    both[0, 0], both[0, 1] = (torch.from_numpy(row(50, 50, 80, 80))), torch.from_numpy(row(60, 60, 76, 76))
    positive, index = assign(both, anchors, strides)
    near = (anchors[0] - 68).abs().amax(1) < 4.1
    assert (index[0][positive[0] & near & (strides[0, :, 0] == 8)] == 1).all()  # the smaller one


def test_the_loss_is_least_at_the_truth_and_rises_with_every_mistake():
    faces = torch.zeros(1, MOST_FACES, 15)
    faces[0, 0] = torch.from_numpy(row(100, 60, 140, 110))
    anchors, strides = face_detector.grid(HEIGHT, WIDTH)
    positive, _ = assign(faces, anchors, strides)
    raw = torch.zeros(1, face_detector.CELLS, 15)
    middle, size = torch.tensor([120.0, 85.0]), torch.tensor([40.0, 50.0])
    raw[..., 1:3] = (middle - anchors) / strides
    raw[..., 3:5] = torch.log(size / strides)
    raw[..., 5:10], raw[..., 10:] = (faces[0, 0, 5:10] - 120) / 40, (faces[0, 0, 10:] - 85) / 50
    raw[..., 0] = torch.where(positive, 9.0, -9.0)
    best, parts = detection_loss(raw, faces, (HEIGHT, WIDTH))
    assert best < 1e-3 and set(parts) == {"score_loss", "box_loss", "point_loss"}
    for change, part in (((0, -9.0), "score_loss"), ((3, 2.0), "box_loss"), ((7, 0.5), "point_loss")):
        wrong = raw.clone()
        wrong[..., change[0]] = change[1]
        worse, found = detection_loss(wrong, faces, (HEIGHT, WIDTH))
        assert worse > best + 0.05 and found[part] > parts[part] + 0.01
    empty, parts = detection_loss(raw, torch.zeros_like(faces), (HEIGHT, WIDTH))
    assert parts["box_loss"] == 0 and empty > 1  # what it is sure of is no face


def test_a_face_counts_as_much_as_another():
    positive = torch.tensor([[True, True, True, False], [True, False, False, False]])
    index = torch.tensor([[0, 0, 1, 0], [2, 0, 0, 0]])
    weights = equal_weights(positive, index, 3)
    assert weights[0].tolist() == pytest.approx([2 / 3, 2 / 3, 4 / 3, 0])
    assert weights[1].tolist() == pytest.approx([4 / 3, 0, 0, 0])
    assert weights[positive].mean() == pytest.approx(1)
    assert equal_weights(positive & False, index, 3).sum() == 0


def test_overlap_by_hand():
    def pair(*boxes):
        corners = [torch.tensor([b], dtype=torch.float32) for b in boxes]
        return box_overlap(corners[0][:, :2], corners[0][:, 2:], corners[1][:, :2], corners[1][:, 2:])

    plain, generalised = pair((0, 0, 2, 2), (1, 0, 3, 2))
    assert plain.item() == pytest.approx(1 / 3) and generalised.item() == pytest.approx(1 / 3)
    plain, generalised = pair((0, 0, 1, 1), (3, 0, 4, 1))
    assert plain.item() == 0 and generalised.item() == pytest.approx(-0.5)


def test_only_the_best_of_overlapping_boxes_stays():
    boxes = np.array([(0, 0, 10, 10), (1, 0, 11, 10), (20, 0, 30, 10), (0, 0, 10, 3), (5, 5, 5, 9)], np.float32)
    assert keep_best(boxes, np.array([0.5, 0.9, 0.3, 0.2, 0.1], np.float32)) == [1, 2, 3, 4]
    assert keep_best(boxes[:2], np.array([0.5, 0.5], np.float32)) == [0]  # equal scores keep their order
    assert keep_best(boxes[:0], np.zeros(0, np.float32)) == []
    touching = np.array([(0, 0, 10, 10), (0, 0, 10, 4)], np.float32)  # overlap exactly 0.4
    assert keep_best(touching, np.array([0.9, 0.8], np.float32)) == [0, 1]


def test_faces_are_placed_in_the_picture():
    rows = np.stack([row(0.25, 0.5, 0.5, 0.75, score=0.8), row(0.7, 0.1, 0.8, 0.2, score=0.39)])
    outside, broken = row(0.9, 0.9, 1.2, 1.3, score=0.99), row(0.1, 0.1, 0.2, 0.2, score=0.9)
    broken[7] = np.nan
    region = Region(-10, 20, 200, 100)
    found = find_faces(np.stack([*rows, outside, broken]), region, 0.4)
    assert found.scores.tolist() == pytest.approx([0.8])
    assert found.boxes_px.tolist() == [pytest.approx([40, 70, 90, 95])]
    assert found.points_px[0, 2] == pytest.approx([65 - 0.5, 70 + 25 * 0.55 - 0.5])
    document = found.to_json()["faces"][0]
    assert document["box_px"] == [40, 70, 90, 95] and len(document["points_px"]) == 5
    none = find_faces(rows, region, 0.9)
    assert none.to_json() == {"faces": []} and none.points_px.shape == (0, 5, 2)


def test_postprocessing_takes_the_specs_threshold():
    spec, region = face_detector.SPEC, Region(0, 0, 640, 480)
    rows = np.stack(
        [row(0.2, 0.2, 0.4, 0.4, score=spec.postprocess.threshold + 0.01), row(0.6, 0.6, 0.8, 0.8, score=0.0)]
    )
    assert len(postprocess({"faces": rows[None]}, spec, region).scores) == 1


@pytest.mark.parametrize(("height", "width"), [(8, 8), (480, 640), (640, 480), (9, 400)])
def test_any_picture_has_an_answer(height, width):
    """8 x 8 pixels, portrait, a thin strip: the whole picture lies inside what the network sees."""
    network = face_detector.build().eval()
    with torch.no_grad():
        found = detect(face_detector.SPEC, network, picture(height, width), 0.0)
    assert np.isfinite(found.boxes_px).all()
    _, region = preprocess_picture(picture(height, width), face_detector.SPEC.preprocess)
    assert region.left <= 0 and region.top <= 0 and region.left + region.width >= width


@pytest.mark.parametrize("seed", range(40))
def test_scenes_are_what_they_say(sources, seed):
    scene = compose(sources, (120, 160), np.random.default_rng(seed), 12.0)
    assert scene.picture.shape == (120, 160, 3) and scene.picture.dtype == np.uint8
    assert scene.boxes.shape == (len(scene.boxes), 4) and scene.points.shape == (len(scene.boxes), 5, 2)
    for box, points in zip(scene.boxes, scene.points, strict=True):
        assert visible_share(box, (120, 160)) >= 0.3
        assert (box[2:] - box[:2]).max() >= 11.9
        assert (points > box[:2]).all() and (points < box[2:]).all()
        assert points[0, 0] < points[1, 0] and points[3, 0] < points[4, 0]  # the image's left first, also mirrored
    again = compose(sources, (120, 160), np.random.default_rng(seed), 12.0)
    assert (again.picture == scene.picture).all() and (again.boxes == scene.boxes).all()


def test_scenes_without_faces_and_with_several_occur(sources):
    counts = [len(compose(sources, (120, 160), np.random.default_rng((1, n)), 12.0).boxes) for n in range(80)]
    assert 10 < counts.count(0) < 50 and max(counts) > 2


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("angle", [0.0, 30.0])
@pytest.mark.parametrize("scale", [1.5, 0.4, 0.15])
def test_a_face_is_drawn_where_its_box_says(flipped, angle, scale):
    """The picture's only bright disc lies at one landmark."""
    xy = landmarks()
    dark = np.zeros((128, 120, 3), np.uint8)
    spot = np.round(xy[36]).astype(int)
    cv2.circle(dark, tuple(int(v) for v in spot), 9, (255, 255, 255), -1)
    face = make_face(dark, xy)
    placed = place(face, similarity(face, scale, angle, np.array([80.0, 60.0]), flipped), flipped)
    drawn = warp(face, placed, (0, 0, 160, 120), cv2.BORDER_REPLICATE)[..., 0].astype(float)
    ys, xs = np.mgrid[:120, :160] + 0.5
    found = np.array([(xs * drawn).sum(), (ys * drawn).sum()]) / drawn.sum()
    assert found == pytest.approx(placed.points[1 if flipped else 0], abs=max(0.35, 0.6 * scale))


def test_faces_and_backgrounds_are_read(folders, refused):
    faces = load_faces(folders / "faces", "train")
    assert len(faces) == 2 and faces[0].landmarks == pytest.approx(landmarks() + 0.5)
    assert len(load_backgrounds([folders / "plain"], "train")) == 1  # the person is left out
    with refused(BadInput, "no */annotations.csv in"):
        load_faces(folders / "plain", "train")
    with refused(BadInput, "no face of split 'test'"):
        load_faces(folders / "faces", "test")
    with refused(BadInput, "no background in", "<split>/images with <split>/masks"):
        load_backgrounds([folders / "faces"], "train")
    table = folders / "faces" / "some" / "annotations.csv"
    text = table.read_text()
    table.write_text(text.replace("images/0.png,train,1,", "images/0.png,train,1,nan", 1))
    with refused(BadInput, "line 2"):
        load_faces(folders / "faces", "train")


def test_subjects_are_painted_over():
    grey = np.full((80, 100, 3), 90, np.uint8)
    mask = np.zeros((80, 100), bool)
    mask[30:50, 40:60] = True
    grey[mask] = (250, 0, 0)
    assert np.abs(paint_over(grey, mask).astype(int) - 90).max() <= 1


def test_scene_files_keep_everything(tmp_path, sources, refused):
    scenes = [compose(sources, (60, 80), np.random.default_rng(n), 12.0) for n in range(6)]
    write_scenes(scenes, tmp_path / "set")
    for read, scene in zip(read_scenes(tmp_path / "set"), scenes, strict=True):
        assert (read.picture == scene.picture).all()
        assert read.boxes == pytest.approx(scene.boxes, abs=1e-3)
        assert read.points == pytest.approx(scene.points, abs=1e-3)
    table = tmp_path / "set" / "faces.csv"
    for content, parts in (
        ("file,x0,y0,x1,y1\n", ("names no picture",)),
        ("file,x0,y0,x1,y1\n0000.png,5,5,4,9\n", ("line 2", "x0 < x1")),
        ("file,x0,y0,x1,y1\n0000.png,5,five,9,9\n", ("line 2", "five")),
        ("file,x0,y0,x1,y1\n0000.png,5,nan,9,9\n", ("line 2", "finite")),
        ("picture,x0,y0,x1,y1\n0000.png,5,5,9,9\n", ("line 2", "no file")),
        ("file,x0,y0,x1,y1\nnone.png,5,5,9,9\n", ("no picture", "none.png")),
    ):
        table.write_text(content)
        with refused(BadInput, *parts):
            read_scenes(tmp_path / "set")
    with refused(BadInput, "faces.csv", "python -m reference.data.face_files"):
        read_scenes(tmp_path)
    (tmp_path / "set" / "faces.csv").write_text("file,x0,y0,x1,y1\n0000.png,5,5,9,9\n0001.png,,,,\n")
    first, second = read_scenes(tmp_path / "set")
    assert len(first.boxes) == 1 and np.isnan(first.points).all() and len(second.boxes) == 0


def found(*rows):
    """Boxes with scores; points in the middle."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    middle = (table[:, None, :2] + table[:, None, 2:4]) / 2 - 0.5
    return FaceBoxes(table[:, :4], table[:, 4], np.repeat(middle, 5, 1).astype(np.float32))


def scene(*boxes):
    table = np.array(boxes, np.float32).reshape(-1, 4)
    middle = (table[:, None, :2] + table[:, None, 2:]) / 2
    return Scene(np.zeros((8, 8, 3), np.uint8), table, np.repeat(middle, 5, 1))


def test_a_face_counts_once():
    boxes = found((0, 0, 10, 10, 0.8), (0, 0, 10, 9, 0.9), (50, 50, 60, 60, 0.7))
    assert match(boxes, scene((0, 0, 10, 10)).boxes).tolist() == [-1, 0, -1]
    assert match(boxes, scene().boxes).tolist() == [-1, -1, -1]


def test_figures_by_hand():
    truth = [scene((0, 0, 10, 10), (100, 100, 200, 200)), scene()]
    exact = [found((0, 0, 10, 10, 0.9), (100, 100, 200, 200, 0.3)), found((5, 5, 9, 9, 0.8))]
    result = figures(exact, truth, 0.5)
    assert result["recall"] == 0.5 and result["recall_small"] == 1.0 and result["false_per_picture"] == 0.5
    assert result["average_precision"] == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert result["point_error_percent"] == pytest.approx(0, abs=1e-4)
    shifted = [found((2, 0, 12, 10, 0.9)), found()]
    assert figures(shifted, truth, 0.5)["point_error_percent"] == pytest.approx(20)
    assert figures([found(), found()], truth, 0.5)["recall"] == 0
    assert figures([found()], [scene()], 0.5) == {"false_per_picture": 0}


def test_average_precision_by_hand():
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    assert average_precision(np.array([True, True, True]), scores, 3) == 1
    assert average_precision(np.array([False, True, True]), scores, 2) == pytest.approx(2 / 3)
    assert average_precision(np.array([True, False, True]), scores, 4) == pytest.approx((1 + 2 / 3) / 4)
    assert average_precision(np.zeros(0, bool), np.zeros(0, np.float32), 4) == 0


def test_the_baseline_answers_in_boxes_of_our_kind():
    plain = np.full((60, 80, 3), 128, np.uint8)
    assert len(cascade_faces(plain).scores) == 0
    assert evaluate_cascade([scene((0, 0, 10, 10))])["recall"] == 0


def test_training_resumes_and_is_evaluated(folders, capsys, monkeypatch):
    monkeypatch.setattr("reference.train.recipes.face_detector.VALIDATION_SCENES", 2)
    monkeypatch.setattr("reference.train.recipes.face_detector.FRAMES", ((0.5, (64, 96)), (1.0, (80, 112))))
    out = folders / "out"
    init = MODELS_DIR / "template_keypoints" / "weights.safetensors"
    options = f"face_detector --init {init} --data {folders}/faces --out {out} --batch 2 --samples 4"
    options += f" --backgrounds {folders}/plain"
    assert train_main([*options.split(), "--epochs", "1", "--json"]) == 0
    assert train_main([*options.split(), "--epochs", "2", "--json"]) == 0
    assert "average_precision" in json.loads(capsys.readouterr().out.splitlines()[-1])["metrics"]
    scenes = folders / "scenes"
    made = f"--faces {folders}/faces --backgrounds {folders}/plain --out {scenes} --count 3"
    assert face_files.main(made.split()) == 0
    again = ["--out", str(folders / "calibration"), "--split", "train"]
    assert face_files.main([*made.split(), *again]) == 0
    assert (scenes / "0000.png").read_bytes() != (folders / "calibration" / "0000.png").read_bytes()
    capsys.readouterr()
    weights = str(out / "weights.safetensors")
    assert evaluate_main(["face_detector", "--data", str(scenes), "--weights", weights, "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    assert {"false_per_picture", "cascade_false_per_picture"} <= set(metrics)
    assert evaluate_main(["face_detector", "--data", str(folders), "--weights", weights]) == 2
    assert "faces.csv" in capsys.readouterr().err
    assert face_files.main([*made.split()[:-1], "0"]) == 2
    assert "--count is 0" in capsys.readouterr().err


def test_rows_of_a_scene():
    two = scene((0, 0, 10, 10), (20, 20, 40, 40))
    rows = as_rows(two)
    assert rows.shape == (MOST_FACES, 15) and rows[:, 4].tolist() == [1, 1, 0, 0, 0, 0]
    assert rows[1, :4].tolist() == [20, 20, 40, 40] and rows[1, 5] == 30
    crowd = scene(*[(n, n, n + 5, n + 5) for n in range(9)])
    assert as_rows(crowd)[:, 4].sum() == MOST_FACES


def test_golden_pictures_are_read_like_any_other(tmp_path):
    cv2.imwrite(str(tmp_path / "p.png"), picture(480, 640))
    tensor, region, _ = read_input(tmp_path / "p.png", face_detector.SPEC)
    assert tensor.shape == (1, 3, HEIGHT, WIDTH) and region == Region(0, 0, 640, 480)
