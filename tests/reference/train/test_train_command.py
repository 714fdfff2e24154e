"""``python -m reference.train``: exit codes, one clear line, and one training from end to end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from reference.checkpoint import load_weights, save_weights
from reference.errors import WeightsError
from reference.networks import classifier
from reference.networks.voxel import VoxelNetwork
from reference.train.__main__ import main
from reference.train.recipes.voxel import resample_slices, start_from


def one_line(text):
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    return text


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (
            ["clasifier"],
            ("BadInput: model is 'clasifier'", "allowed: classifier, saliency, face_detector, "),
        ),
        (["classifier", "--data", "{tmp}/none"], ("BadInput: no folder", "--data names the folder")),
        (["classifier"], ("BadInput: no folder", "<split>/<image type>/<class>/<picture>")),
        (["template_keypoints"], ("BadInput: no */annotations.csv in",)),
        (["voxel64"], ("BadInput: no head model and no mesh in", "ict_facekit.npz or makehuman_heads.npz")),
        (["classifier", "--epochs", "0"], ("BadInput: --epochs is 0; allowed: 1 or more",)),
        (["classifier", "--batch", "-1"], ("BadInput: --batch is -1; allowed: 1 or more",)),
        (["classifier", "--evaluate-every", "0"], ("BadInput: --evaluate-every is 0; allowed: 1 or more",)),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(arguments, parts, tmp_path, capsys):
    given = [a.format(tmp=tmp_path) for a in arguments]
    if "--data" not in given:
        given += ["--data", str(tmp_path)]
    assert main([*given, "--out", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    for part in parts:
        assert part in one_line(err)
    assert not (tmp_path / "out").exists()


def test_the_command_itself(tmp_path):
    """As a user calls it: the exit code reaches the shell, and nothing else is printed."""
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-m", "reference.train", "none", "--data", str(tmp_path)],
        cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert "BadInput: model is 'none'" in one_line(done.stderr)


def test_a_batch_too_small_for_every_image_type(picture_folder, tmp_path, capsys):
    code = main(["classifier", "--data", str(picture_folder), "--batch", "2", "--out", str(tmp_path / "out")])
    assert code == 2
    assert "a batch holds (0, 1, 1, 0) pictures" in one_line(capsys.readouterr().err)


def test_one_epoch_of_the_classifier(picture_folder, tmp_path, capsys):
    broken = picture_folder / "train" / "sketch" / "dog" / "00.png"
    broken.write_bytes(b"no picture")
    out = tmp_path / "out"
    options = f"--data {picture_folder} --epochs 1 --batch 12 --out {out} --json"
    assert main(["classifier", *options.split()]) == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["model"] == "classifier"
    assert set(document["metrics"]) == {"top1_mean", "top1_worst", *(f"top1_{t}" for t in classifier.IMAGE_TYPES)}
    assert printed.err == f"1 unreadable pictures are left out:\n{broken}\n"
    header = (out / "log.csv").read_text().splitlines()[0].split(",")
    assert header[:4] == ["epoch", "loss", "class_loss", "type_loss"]

    shipped = classifier.build().eval()
    untrained = shipped.target_head[3].weight.detach().clone()
    load_weights(shipped, out / "weights.safetensors", ignore=("type_head.",))
    assert not torch.equal(untrained, shipped.target_head[3].weight)
    assert shipped(torch.rand(1, 3, classifier.SIZE, classifier.SIZE)).isfinite().all()


def test_a_voxel_network_starts_from_another_member(tmp_path):
    path = tmp_path / "weights.safetensors"
    small = VoxelNetwork(64)
    save_weights(small, path)
    large = VoxelNetwork(80)
    assert start_from(large, path) == len(large.state_dict())  # the layer before the volume has 5 slices for 4
    for name in ("encoder.0.weight", "encoder.6.bias", "decoder.0.weight", "decoder.6.bias"):
        torch.testing.assert_close(large.state_dict()[name], load_file(path)[name].float())


def test_slices_are_resampled_linearly():
    ramp = torch.arange(4.0).repeat(256)  # channel c of slice s is entry c * 4 + s
    torch.testing.assert_close(resample_slices(ramp, 256 * 2), torch.tensor([0.5, 2.5]).repeat(256))
    weight = torch.rand(256 * 4, 2, 3, 3)
    torch.testing.assert_close(resample_slices(weight, 256 * 4), weight)


def test_layers_are_matched_from_both_ends(tmp_path):
    path = tmp_path / "weights.safetensors"
    small = VoxelNetwork(20)  # two stages: 1 to 16 to 32, and 256 to 16 to 1
    save_weights(small, path)
    large = VoxelNetwork(32)  # three stages: 1 to 16 to 32 to 64, and 256 to 32 to 16 to 1
    before = {name: tensor.clone() for name, tensor in large.state_dict().items()}
    assert start_from(large, path) == 4 + 2 + 1  # two convolutions, the last transposed one, a bias of 16
    after = large.state_dict()
    assert torch.equal(after["decoder.4.weight"], small.state_dict()["decoder.2.weight"].half().float())
    assert torch.equal(after["decoder.2.weight"], before["decoder.2.weight"])


def test_unusable_weights_to_start_from(tmp_path, refused):
    with refused(WeightsError, f"can't read weights {tmp_path / 'none'}", "--init names weights of a voxel network"):
        start_from(VoxelNetwork(8), tmp_path / "none")
    other = tmp_path / "other.safetensors"
    save_weights(torch.nn.Linear(2, 2), other)
    with refused(WeightsError, f"{other} has no decoder", "--init names weights of a voxel network"):
        start_from(VoxelNetwork(8), other)
