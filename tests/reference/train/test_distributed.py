"""Training over two processes, started by torchrun as a user would."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch

from reference.data.pictures import AllTypesSampler
from reference.train import distributed
from reference.train.recipes import classifier


def test_the_processes_share_a_batch_without_overlap():
    types = torch.arange(4).repeat(25).numpy()
    whole = list(AllTypesSampler(types, (4, 4, 4, 4), seed=3))
    parts = [list(AllTypesSampler(types, (4, 4, 4, 4), 3, part, 2)) for part in (0, 1)]
    assert [sorted(a + b) for a, b in zip(*parts, strict=True)] == [sorted(batch) for batch in whole]
    assert all(sorted(types[batch]) == [0, 0, 1, 1, 2, 2, 3, 3] for part in parts for batch in part)


def test_alone_nothing_is_averaged():
    network = torch.nn.Linear(2, 1)
    network.weight.grad = torch.ones(1, 2)
    distributed.average_gradients(network)
    assert network.weight.grad.tolist() == [[1, 1]]
    assert (distributed.rank(), distributed.world()) == (0, 1)
    assert distributed.least(7) == 7


SCRIPT = """
import torch
from reference.train import distributed
distributed.start("cpu")
network = torch.nn.BatchNorm1d(2)
network.weight.grad = torch.tensor([1.0, 2.0]) * (1 + 2 * distributed.rank())  # of one process the other has no bias
if distributed.rank() == 0:
    network.bias.grad = torch.tensor([4.0, 0.0])
else:
    network.bias.grad = torch.zeros(2)
network.running_mean.fill_(distributed.rank())
distributed.average_gradients(network)
assert network.weight.grad.tolist() == [2.0, 4.0]
assert network.bias.grad.tolist() == [2.0, 0.0]
assert network.running_mean.tolist() == [0.5, 0.5]
assert distributed.least(7 - 2 * distributed.rank()) == 5
distributed.stop()
"""


def torchrun(*arguments):
    root = Path(__file__).resolve().parents[3]
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        *map(str, arguments),
    ]
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_gradients_and_statistics_are_averaged(tmp_path):
    (tmp_path / "two.py").write_text(SCRIPT)
    done = torchrun(tmp_path / "two.py")
    assert done.returncode == 0, done.stderr


def test_two_processes_train_one_classifier(picture_folder, tmp_path):
    done = torchrun(
        "-m", "reference.train", "classifier", "--data", picture_folder, "--epochs", 2, "--batch", 8,
        "--out", tmp_path, "--device", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("top1_mean") == 1  # only one of them speaks
    with (tmp_path / "log.csv").open(newline="") as lines:
        assert [row["epoch"] for row in csv.DictReader(lines)] == ["1", "2"]
    assert classifier.split_batch(8) == (2, 2, 2, 2)


def test_two_processes_pretrain_one_backbone_and_stop_together(picture_folder, tmp_path):
    """The first one decodes for both; no evaluation of four classes' random colours gets better for ever."""
    folders = [tmp_path / name for name in ("one", "other")]
    for folder, kind in zip(folders, ("photo", "sketch"), strict=True):
        for split in ("train", "val"):
            shutil.copytree(picture_folder / split / kind, folder / split)
    done = torchrun(
        "-m", "reference.train", "backbone", "--data", *folders, "--minutes", 10, "--patience", 2, "--batch", 8,
        "--samples", 16, "--learning-rate", 1e-9, "--out", tmp_path / "out", "--device", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("top1_mean") == 1
    with (tmp_path / "out" / "log.csv").open(newline="") as lines:
        assert [row["epoch"] for row in csv.DictReader(lines)] == ["1", "2", "3"]
