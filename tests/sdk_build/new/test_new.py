"""A folder for anybody's network: what is found out, what is written, what is refused, and that it exports."""

import copy
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from reference.card import load_card
from reference.errors import BadInput, WeightsError
from reference.evaluate import evaluate
from reference.golden import load_golden
from reference.registry import find_model, load_network, models_dir_of
from sdk_build import export, verify
from sdk_build.new.__main__ import main
from sdk_build.predict.__main__ import main as predict

TWO_INPUTS = """
import torch
from torch import nn


class Twin(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.look = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.table = nn.Embedding(10, 8)
        self.out = nn.Linear(8, 4)

    def forward(self, image, *, word):
        x = self.look(image).mean((2, 3)) + self.table(word).mean(1)
        return {"scores": self.out(x), "more": [self.out(x).argmax(1), None]}
"""
CLASSIFIER = """
import torch
from torch import nn


def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16 * 16, 3))
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for i in range(2):
        np.save(f"image_{i}.npy", rng.normal(size=(1, 3, 16, 16)).astype(np.float32) * (1 + 2 * i))
        np.save(f"word_{i}.npy", rng.integers(0, 10, (1, 5)))
        Image.fromarray(rng.integers(0, 255, (40, 30, 3), np.uint8)).save(f"picture_{i}.png")
    Path("net.py").write_text(TWO_INPUTS)
    Path("small.py").write_text(CLASSIFIER)
    return tmp_path


def two_inputs(folder="twin", *more):
    cases = [a for i in range(2) for a in ("--input", f"image=image_{i}.npy", f"word=word_{i}.npy")]
    return main([folder, "--network", "net.py:Twin", *cases, *more])


def one_picture(folder="mine", *more, network="small.py:make"):
    pictures = ("--input", "picture_0.png", "--input", "picture_1.png")
    return main([folder, "--network", network, *pictures, *(more or ("--size", "32"))])


def test_a_network_with_two_inputs_is_found_out_exported_verified_and_run(here, capsys):
    assert two_inputs() == 0
    out = capsys.readouterr().out
    assert "int64 1x5" in out and "next: python -m sdk_build.export --target ios --model twin" in out
    spec = find_model("twin")
    assert [(t.name, t.shape, t.dtype) for t in spec.outputs] == [
        ("scores", (1, 4), "float32"), ("more_0", (1,), "int64"),
    ]  # fmt: skip
    assert export.main(["--target", "web", "--model", "twin", "--precision", "fp16"]) == 0
    assert verify.main(["dist/twin-web-fp16"]) == 0
    capsys.readouterr()
    assert predict(["dist/twin-web-fp16", "image_0.npy", "word_0.npy", "--save", "out.npz", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["predictions"]
    assert told["results"][0]["more_0"]["dtype"] == "int64"
    with np.load("out.npz") as saved, torch.no_grad():
        network = load_network(spec, models_dir=models_dir_of(spec))
        inputs = load_golden(spec, models_dir_of(spec))[0].inputs
        scores, _ = network(*(torch.from_numpy(x) for x in inputs.values()))
        np.testing.assert_allclose(saved["scores"], scores.numpy(), atol=5e-3)


def test_a_classifier_of_pictures_with_labels_and_normalisation(here, capsys):
    Path("labels.txt").write_text("cat\ndog\ncow\n")
    arguments = ("--size", "32", "--mean", "0.5,0.4,0.3", "--std", "0.2", "--labels", "labels.txt")
    assert one_picture("mine", *arguments) == 0
    spec = find_model("./mine")
    assert (spec.task, spec.labels, spec.preprocess.std) == ("image_classification", ("cat", "dog", "cow"), (0.2,) * 3)
    network = load_network(spec, models_dir=models_dir_of(spec))
    x = torch.rand(spec.input.shape)
    mean = torch.tensor([0.5, 0.4, 0.3]).reshape(1, 3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(network(x), network.network((x - mean) / 0.2))
    assert load_card("mine", here).parity["fp16"] == {"sqnr_db": 40.0, "exact_share": 0.99}


def test_an_exported_program_goes_the_same_way(here):
    class Net(nn.Module):
        def forward(self, x):
            return x.flatten(1) @ torch.ones(768, 2) + torch.arange(2.0)

    torch.export.save(torch.export.export(Net().eval(), (torch.rand(1, 3, 16, 16),)), "net.pt2")
    inputs = ("--input", "image_0.npy", "--input", "image_1.npy")
    assert main(["traced", "--program", "net.pt2", *inputs]) == 0
    spec = find_model("traced")
    assert (spec.input.name, spec.outputs[0].shape) == ("x", (1, 2))
    for case in load_golden(spec, here):
        expected = case.input.reshape(1, -1).sum() + np.arange(2)
        np.testing.assert_allclose(case.outputs["output"][0], expected, rtol=1e-4)


def test_a_program_knows_how_large_it_sees_a_picture(here):
    traced = torch.export.export(nn.Sequential(nn.Flatten(), nn.Linear(768, 2)).eval(), (torch.rand(1, 3, 16, 16),))
    torch.export.save(traced, "net.pt2")
    assert main(["traced", "--program", "net.pt2", "--input", "picture_0.png", "--input", "picture_1.png"]) == 0
    spec = find_model("traced")
    assert spec.preprocess.size == (16, 16)
    copy.deepcopy(load_network(spec, models_dir=models_dir_of(spec)))  # a warning would fail it


def cut(path):
    path.write_bytes(path.read_bytes()[:3000])


def of_another_torch(path):
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, re.sub(rb'("schema_version": {"major": )\d+', rb"\g<1>99", data))


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (cut, "RuntimeError: PytorchStreamReader failed reading zip archive"),
        (of_another_torch, "Serialized schema version SchemaVersion(major=99"),
        (lambda path: path.write_text("no archive"), "PytorchStreamReader failed"),
    ],
)
def test_programs_that_cant_be_read(damage, part, here, capsys):
    torch.export.save(torch.export.export(nn.Linear(4, 2).eval(), (torch.rand(1, 4),)), "net.pt2")
    damage(Path("net.pt2"))
    assert main(["traced", "--program", "net.pt2", "--input", "image_0.npy", "--input", "image_1.npy"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1) and not Path("traced").exists()
    assert "can't read net.pt2" in err and part in err and "torch.export.save of torch" in err


def test_outputs_of_other_floats_are_single_precision_as_the_spec_says(here):
    class Net(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :4].half(), x.flatten(1)[:, :3].double()

    torch.export.save(torch.export.export(Net().eval(), (torch.rand(1, 3, 16, 16),)), "net.pt2")
    assert main(["halves", "--program", "net.pt2", "--input", "image_0.npy", "--input", "image_1.npy"]) == 0
    spec = find_model("halves")
    outputs = load_network(spec, models_dir=here)(torch.rand(1, 3, 16, 16))
    assert [str(y.dtype).removeprefix("torch.") for y in outputs] == [t.dtype for t in spec.outputs] == ["float32"] * 2


def test_trained_weights_are_stored_as_they_are(here):
    network = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16 * 16, 3))
    torch.save({"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}}, "trained.pt")
    assert one_picture("mine", "--size", "32", "--weights", "trained.pt") == 0
    stored = load_network(find_model("mine"), models_dir=here).network.state_dict()
    assert all(torch.equal(stored[name], tensor) for name, tensor in network.state_dict().items())


def test_evaluate_of_model_py_measures(here):
    assert one_picture() == 0
    with Path("mine/model.py").open("a") as file:
        file.write(
            "\n\ndef evaluate(predict, data):\n    files = sorted(data.glob('*.png'))\n"
            "    return {'largest': max(float(predict(f)['logits'].max()) for f in files), 'files': len(files)}\n"
        )
    found = evaluate("mine", here)
    largest = max(case.outputs["logits"].max() for case in load_golden(find_model("mine"), here))
    assert found == {"largest": pytest.approx(largest, abs=1e-5), "files": 2}


def test_two_models_of_one_name_are_refused(here, capsys):
    assert one_picture(["a", "mine"][1]) == 0
    os.renames("mine", "other/mine")
    assert one_picture() == 0
    assert export.main(["--target", "web", "--model", "mine", "other/mine"]) == 2
    assert "two models are called mine" in capsys.readouterr().err


def test_files_of_one_name_in_two_folders_stay_apart(here):
    for name, value in (("one", 1.0), ("two", 2.0)):
        Path(f"{name}_parts").mkdir()
        assert one_picture(name) == 0
        Path(f"{name}/parts.py").write_text(f"VALUE = {value}\n")
        text = Path(f"{name}/model.py").read_text()
        Path(f"{name}/model.py").write_text(f"from parts import VALUE\n{text}\nassert VALUE == {value}\n")
    assert [find_model(name).name for name in ("one", "two")] == ["one", "two"]


REFUSED = {
    "no such file": (("none.py:make",), "can't read none.py"),
    "no such function": (("small.py:other",), "has no function 'other'"),
    "no such package": (("not_there.nets:make",), "No module named 'not_there'"),
    "no form": (("make",), "allowed: timm:NAME"),
}


@pytest.mark.parametrize(("network", "part"), REFUSED.values(), ids=REFUSED)
def test_networks_that_are_not_there(network, part, here, capsys):
    assert one_picture(network=network[0]) == 2
    err = capsys.readouterr().err
    assert part in err and err.count("\n") == 1
    assert not Path("mine").exists() and not list(here.glob(".onpar*"))


PACKAGES = {
    "missing": ("", "timm is not installed; pip install timm"),
    "another torch": (
        "raise RuntimeError('operator torchvision::nms does not exist')\n",
        "timm is installed and can't be imported (operator torchvision::nms does not exist); install timm and",
    ),
}


@pytest.mark.parametrize(("text", "part"), PACKAGES.values(), ids=PACKAGES)
def test_a_package_that_cant_be_imported(text, part, here, capsys, monkeypatch):
    if text:
        Path("timm.py").write_text(text)
        monkeypatch.syspath_prepend(str(here))
        monkeypatch.delitem(sys.modules, "timm", raising=False)
    else:
        monkeypatch.setitem(sys.modules, "timm", None)
    assert one_picture(network="timm:resnet18") == 2
    err = capsys.readouterr().err
    assert part in err and err.count("\n") == 1, err


FORWARD = "class Net(nn.Module):\n    def forward(self, x):\n        "
BODIES = {
    "arguments": ("class Net(nn.Module):\n    def __init__(self, n):\n        pass\n", "missing 1 required"),
    "no module": ("def Net():\n    return 3\n", "gives int; a torch.nn.Module is needed"),
    "exit": ("import sys\nsys.exit(3)\n", "it ends the process (sys.exit(3))"),
    "raises": ("\n\n1 / 0\n", "ZeroDivisionError: division by zero, line"),
    "syntax": ("def broken(:\n", "SyntaxError"),
    "text": (FORWARD + "return 'no'\n", "answer holds str"),
    "sparse": (
        FORWARD.replace("    def forward", "    def __init__(self):\n        super().__init__()\n        "
        "self.register_buffer('table', torch.eye(3).to_sparse())\n\n    def forward") + "return x @ self.table\n",
        "table is sparse; no converter takes that: store it by its to_dense()",
    ),
    "equal": (FORWARD + "return x * 0\n", "is the same for two golden inputs"),
    "dropout": (FORWARD + "return nn.functional.dropout(x, 0.5)\n", "draws random numbers (aten.dropout.default)"),
    "noise": (FORWARD + "return x + torch.randn_like(x)\n", "draws random numbers (aten.randn_like.default)"),
    "nan": (FORWARD + "return x / 0\n", "holds NaN or infinity"),
    "shapes": (
        FORWARD + "return x[x > 0.5][None]\n", "has shapes",
    ),
    "fails": (FORWARD + "return x + torch.zeros(5)\n", "line"),
    "control flow": (
        FORWARD + "if x.sum() > 3:\n            return x\n        return -x\n",
        "torch.export can't trace the network",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "part"), BODIES.values(), ids=BODIES)
def test_networks_that_cant_be_used(body, part, here, capsys):
    Path("bad.py").write_text(f"import torch\nfrom torch import nn\n\n\n{body}")
    assert one_picture(network="bad.py:Net") == 2
    err = capsys.readouterr().err
    assert part in err and err.count("\n") == 1, err
    assert not Path("mine").exists() and not list(here.glob(".onpar*"))


GIVEN = {
    "one case": (["--input", "picture_0.png"], "1 golden inputs were given, 2 or more"),
    "no size": (["--input", "picture_0.png", "--input", "picture_1.png"], "say how large the network sees it"),
    "no file": (["--size", "32", "--input", "gone.png", "--input", "picture_1.png"], "no file gone.png"),
    "other name": (["--input", "x=image_0.npy", "--input", "y=image_1.npy"], "inputs are y in one case and x"),
    "unknown input": (["--input", "x=image_0.npy", "--input", "x=image_1.npy"], "no input 'x'"),
    "other shape": (["--input", "image_0.npy", "--input", "word_0.npy"], "word_0.npy"),
    "mixed": (["--size", "32", "--input", "picture_0.png", "--input", "image_1.npy"], "image_1.npy"),
    "bad size": (["--size", "big", "--input", "picture_0.png", "--input", "picture_1.png"], "--size is 'big'"),
    "task": (["--size", "32", "--task", "dreams", "--input", "picture_0.png", "--input", "picture_1.png"], "task is"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "part"), GIVEN.values(), ids=GIVEN)
def test_inputs_that_cant_be_used(arguments, part, here, capsys):
    assert main(["mine", "--network", "small.py:make", *arguments]) == 2
    err = capsys.readouterr().err
    assert part in err and err.count("\n") == 1, err
    assert not Path("mine").exists()


def test_weights_that_cant_be_used(here, refused, capsys):
    torch.save(nn.Linear(2, 2).state_dict(), "other.pt")
    torch.save(nn.Linear(2, 2), "pickled.pt")
    for file, part in (("other.pt", "4 missing (0.bias, 0.weight, 3.bias, ...), 2 unexpected (bias, weight)"),
                       ("pickled.pt", "pickled Python objects"), ("gone.pt", "no weights at gone.pt")):  # fmt: skip
        assert one_picture("mine", "--size", "32", "--weights", file) == 2
        err = capsys.readouterr().err
        assert part in err and err.startswith("WeightsError") and err.count("\n") == 1
    network = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16 * 16, 3))
    network[0].bias.data[0] = torch.nan
    torch.save(network.state_dict(), "nan.pt")
    assert one_picture("mine", "--size", "32", "--weights", "nan.pt") == 2
    assert "0.bias holds values that are not finite" in capsys.readouterr().err


def test_labels_that_dont_match(here, capsys):
    Path("labels.txt").write_text("cat\ndog\n")
    assert one_picture("mine", "--size", "32", "--labels", "labels.txt") == 2
    assert "2 labels are given, the network tells 3 classes apart" in capsys.readouterr().err


def test_places_that_cant_be_used(here, capsys):
    Path("there").mkdir()
    for folder, part in (("there", "there exists"), ("a b", "allowed: a letter"), ("classifier", "built-in")):
        assert one_picture(folder) == 2
        assert part in capsys.readouterr().err
    for given, part in (("there", "holds no model"), ("./gone", "no folder ./gone"), ("gone", "model is 'gone'")):
        assert export.main(["--target", "web", "--model", given]) == 2
        assert part in capsys.readouterr().err


def test_a_card_says_what_differs(here, refused):
    assert one_picture() == 0
    Path("mine/card.yaml").write_text("summary: Cats.\nparity:\n  fp16: {sqnr_db: 50}\nbudget: {top1_mean: -1}\n")
    card = load_card("mine", here)
    assert (card.summary, card.parity["fp16"], card.budget) == ("Cats.", {"sqnr_db": 50}, {"top1_mean": -1})
    assert "fp16" not in card.assumed and "fp32" in card.assumed
    Path("mine/card.yaml").write_text("limits: {}\n")
    with refused(BadInput, "card.yaml", "limits"):
        load_card("mine", here)
    Path("mine/card.yaml").write_text("parity:\n  fp16: {decibels: 50}\n")
    assert export.main(["--target", "web", "--model", "mine"]) == 2


def test_code_that_moves_about_and_prints_disturbs_nothing(here, capsys):
    Path("loud.py").write_text(f"import os\nprint('hello')\nos.chdir('/')\n{CLASSIFIER}")
    assert one_picture("mine", "--size", "32", "--json", network="loud.py:make") == 0
    assert json.loads(capsys.readouterr().out)["spec"]["name"] == "mine"
    assert Path.cwd() == here


def test_the_command_is_a_module(here):
    done = subprocess.run(
        [sys.executable, "-m", "sdk_build.new", "mine", "--network", "x"], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.startswith("BadInput: --network is 'x'")


def test_stored_weights_of_another_network_are_counted(here, refused):
    from safetensors.torch import save_file

    assert one_picture() == 0
    save_file({"other": torch.zeros(2)}, "mine/weights.safetensors")
    with refused(WeightsError, "4 missing", "1 unexpected (other)"):
        load_network(find_model("mine"), models_dir=here)


def test_a_network_that_writes_into_its_inputs_is_handed_copies(here):
    Path("writes.py").write_text(
        "import torch\nfrom torch import nn\n\n\n" + FORWARD + "x[:, 0] = 0.5\n        return x.mul_(2).mean((2, 3))\n"
    )
    inputs = ("--input", "image_0.npy", "--input", "image_1.npy")
    assert main(["writes", "--network", "writes.py:Net", "--task", "tensors", *inputs]) == 0
    network = load_network(find_model("writes"), models_dir=here)
    x = torch.rand(1, 3, 16, 16)
    kept = x.clone()
    expected = torch.cat([torch.ones(1, 1), 2 * x[:, 1:].mean((2, 3))], 1)
    for _ in range(2):
        torch.testing.assert_close(network(x), expected)
        assert torch.equal(x, kept)
    assert export.main(["--target", "web", "--model", "writes", "--precision", "fp32"]) == 0
