"""docs/core-ml-on-linux.md does what it says: every command and the Python example, in order."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sdk_build.mil import __main__ as command
from sdk_build.mil import examples

pytestmark = pytest.mark.filterwarnings("ignore")
PAGE = (Path(__file__).parents[3] / "docs" / "core-ml-on-linux.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", PAGE, re.DOTALL)
SHOWN = "".join(re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)).splitlines()
PHOTO = Path(__file__).parents[3] / "models" / "saliency" / "golden" / "input_1.png"
VERBS = {"sdk_build.mil": command.main, "sdk_build.mil.examples": examples.main}


def _small(name: str) -> tuple[torch.nn.Module, tuple[int, ...], tuple[str, ...]]:
    """Stand-ins for the project's own networks, which take long to convert."""
    if name == "classifier":
        return examples.features_of_head()[:1].append(torch.nn.Linear(16, 5)), (1, 3, 32, 32), examples.LABELS
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 1, 3, padding=1), torch.nn.Sigmoid())
    return net.eval(), (1, 3, 32, 32), ()


@pytest.fixture(params=["small", pytest.param("own", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    if request.param == "small":
        monkeypatch.setattr(examples, "_own_network", _small)
        pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save("photo.jpg")
    else:
        shutil.copy(PHOTO, "photo.jpg")
    return tmp_path


def test_the_page(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed: dict[str, str] = {}
    for language, block in BLOCKS:
        if language == "python":
            capsys.readouterr()
            exec(compile(block, "core-ml-on-linux.md", "exec"), {})
            printed["python"] = capsys.readouterr().out
            continue
        for line in block.strip().splitlines():
            program, dash, module, *arguments = shlex.split(line)
            assert (program, dash) == ("python", "-m")
            capsys.readouterr()
            assert VERBS[module](arguments) == 0, line
            printed[line] = capsys.readouterr().out
            if "--json" in arguments:
                assert isinstance(json.loads(printed[line]), dict)
            assert all(len(row) <= 100 for row in printed[line].splitlines() if "--json" not in arguments)
    _check(place, printed)
    if (
        "classLabel: person"
        in printed["python -m sdk_build.mil run models/classifier.mlpackage --input image=photo.jpg"]
    ):
        lines = {_without_digits(line) for text in printed.values() for line in text.splitlines()}
        assert [line for line in SHOWN if line != "..." and _without_digits(line) not in lines] == []


def _without_digits(line: str) -> str:
    """What is printed on every machine: the last digits of sums depend on the processor."""
    return re.sub(r"\d+(\.\d+)?|\.{3}| +", " ", line).strip()


def _check(place: Path, printed: dict[str, str]) -> None:
    def of(words: str) -> str:
        return next(text for line, text in printed.items() if words in line)

    assert "classLabel: " in of("run models/classifier.mlpackage")
    mask = Image.open(place / "found" / "mask.png")
    assert mask.mode == "L"
    assert np.asarray(mask).std() > 0
    states: Any = json.loads(of("run models/lstm.mlpackage"))["outputs"]["states"]
    assert states["shape"] == [1, 6, 32]
    assert "attended: float16 (1, 16)" in of("run models/attention.mlpackage")
    assert [m["function"] for m in json.loads(of("inspect models/functions.mlpackage"))["models"]] == ["plain", "sharp"]
    assert "shares: float32 (1, 5)" in of("run models/pipeline.mlpackage")
    assert "classLabel: " in of("run models/old.mlmodel")
    assert (place / "traced" / "trace.png").is_file()
    assert "sums in fp16 change it by up to" in of("--accumulate fp16")
    assert "no operation differs" in of("compare models/lstm.mlpackage")
    assert "(1, 16) float16" in printed["python"]


def test_the_examples_agree_with_pytorch(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The parts that the page doesn't compare: the pipeline, the old format, and the functions against each other."""
    from sdk_build.mil import EmulatedCoreML

    assert examples.main(["models"]) == 0
    picture = np.asarray(Image.open("photo.jpg").resize((32, 32)))
    x = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = examples.features_of_head()(x).numpy()
    shares = EmulatedCoreML(Path("models/pipeline.mlpackage")).predict({"image": picture})["shares"]
    np.testing.assert_allclose(shares, expected, rtol=1e-4)
    old = EmulatedCoreML(Path("models/old.mlmodel")).predict({"image": picture})
    assert old["classLabel"] == examples.LABELS[int(expected.argmax())]
    tokens = np.random.default_rng(1).standard_normal((1, 16)).astype(np.float32)
    for function, scale in (("plain", 1.0), ("sharp", 4.0)):
        (found,) = EmulatedCoreML(Path("models/functions.mlpackage"), function).predict({"x": tokens}).values()
        with torch.no_grad():
            wanted = examples.seeded(examples.Head, scale)(torch.from_numpy(tokens)).numpy()
        np.testing.assert_allclose(found, wanted, atol=2e-3)
    net = examples.seeded(examples.CachedAttention)
    model = EmulatedCoreML(Path("models/attention.mlpackage"))
    state = model.make_state()
    for step in range(10):
        token = np.random.default_rng(step).standard_normal((1, 16)).astype(np.float32)
        result = model.predict({"token": token}, state=state)["attended"]
        with torch.no_grad():
            wanted = net(torch.from_numpy(token)).numpy()
        np.testing.assert_allclose(result, wanted, atol=5e-3)
    capsys.readouterr()
