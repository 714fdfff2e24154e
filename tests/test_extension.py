"""A model and a task from a folder of somebody else's, without an edit of the packages: CONTRIBUTING's two promises."""

import json
import shutil
import textwrap

import numpy as np
import pytest
from PIL import Image

from reference import registry, tasks
from reference.card import MODELS_DIR
from reference.evaluate import main as evaluate
from reference.golden import write_golden
from sdk_build.build.bundles import build
from sdk_build.evaluate import main as evaluate_bundle
from sdk_build.predict import views
from sdk_build.predict.__main__ import main as predict

NETWORK = '''
    """Mean light of a picture and of its halves."""

    from torch import nn

    from reference.spec import ModelSpec, PostprocessSpec, PreprocessSpec, TensorSpec

    SPEC = ModelSpec(
        name="light",
        task="light_metering",
        document="",
        network="lightmeter.network:build",
        inputs=(TensorSpec("image", (1, 3, 8, 8), "NCHW", "intensity", (0.0, 1.0)),),
        outputs=(TensorSpec("levels", (1, 3), "NC", "intensity"),),
        preprocess=PreprocessSpec(size=(8, 8), resize="stretch"),
        postprocess=PostprocessSpec("Light"),
        intermediate="pool",
    )


    class Meter(nn.Module):
        def __init__(self):
            super().__init__()
            self.pool = nn.AvgPool2d(4)
            self.mix = nn.Linear(12, 3)

        def forward(self, image):
            return self.mix(self.pool(image).flatten(1))


    def build():
        return Meter()
'''
TASK = '''
    """Light metering: one level from three measurements."""

    from dataclasses import dataclass

    import numpy as np

    from reference.golden import read_input
    from reference.tasks.base import Metric, Task, same_shape


    @dataclass(frozen=True)
    class Light:
        level: float

        def to_json(self):
            return {"level": round(self.level, 4)}


    def decode(outputs, spec, region):
        return Light(float(outputs["levels"].mean()))


    def largest_difference(actual, expected):
        a, e = same_shape(actual, expected)
        return float(np.abs(a - e).max())


    def measure(spec, network, data, held_out=False):
        import torch

        inputs = [read_input(path, spec)[0] for path in sorted((data / "val").glob("*.png"))]
        return {"mean_level": float(np.mean([network(torch.from_numpy(x)).detach().numpy().mean() for x in inputs]))}


    TASK = Task("light_metering", Light, decode, Metric("light_difference", largest_difference, False), measure)
'''
VIEW = '''
    """A level in a line, and as a strip below the picture."""

    import numpy as np

    from sdk_build.predict.base import View


    def describe(prediction):
        return f"light {prediction.results[0].level:.3f}"


    def draw(prediction, on_picture):
        strip = np.full((4, prediction.picture.shape[1], 3), 200, np.uint8)
        return np.concatenate([prediction.picture, strip])


    VIEW = View(describe=describe, draw=draw)
'''
CARD = """
summary: Mean light.
weights_license: Free.
trained_on: [nothing]
training: {command: none}
accuracy: {mean_level: 0.5}
accuracy_data: two pictures
parity:
  golden: {max_abs_of_range: 1.0e-4}
  lowered: {max_abs_of_range: 1.0e-9}
  fp32: {max_abs_of_range: 1.0e-4, light_difference: 1.0e-4}
  fp16: {sqnr_db: 40.0}
limitations: [a toy]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A package, a model folder and a few pictures, as somebody else would keep them."""
    root = tmp_path_factory.mktemp("mine")
    package = root / "lightmeter"
    package.mkdir()
    for name, text in (("__init__", '"""A light meter."""'), ("network", NETWORK), ("task", TASK), ("view", VIEW)):
        (package / f"{name}.py").write_text(textwrap.dedent(text))
    golden = root / "models" / "light" / "golden"
    golden.mkdir(parents=True)
    for name, level in (("input_0", 30), ("input_1", 220)):
        Image.fromarray(np.full((12, 10, 3), level, np.uint8)).save(golden / f"{name}.png")
    (golden.parent / "card.yaml").write_text(CARD)
    shutil.copytree(golden, root / "data" / "val")
    return root


@pytest.fixture(scope="module")
def added(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        import torch
        from lightmeter import network, task, view  # type: ignore[import-not-found]

        from reference.checkpoint import save_weights

        torch.manual_seed(0)
        save_weights(network.build(), folder / "models" / "light" / "weights.safetensors")
        patch.setitem(registry.MODELS, "light", network.SPEC)
        patch.setitem(tasks.TASKS, "light_metering", task.TASK)
        patch.setitem(views.VIEWS, "light_metering", view.VIEW)
        write_golden(network.SPEC, folder / "models")
        build(network.SPEC, ("web",), "fp32", folder / "dist", models_dir=folder / "models")
        yield folder


def test_it_is_exported_and_proved(added):
    document = json.loads((added / "dist" / "light-web-fp32" / "bundle.json").read_text())
    assert document["task"] == "light_metering"
    own = [check for check in document["parity"] if check["metric"] == "light_difference"]
    own = [check for check in document["parity"] if check["metric"] == "light_difference"]
    proved = [check for check in own if check["stage"] == "lowered_vs_artifact"]
    assert [c["passed"] for c in proved] == [True] and proved[0]["limit"] == 1e-4


def test_it_is_evaluated_as_reference_and_as_artifact(added, capsys):
    weights = added / "models" / "light" / "weights.safetensors"
    assert evaluate(["light", "--data", str(added / "data"), "--weights", str(weights), "--json"]) == 0
    reference = json.loads(capsys.readouterr().out)["metrics"]
    bundle = str(added / "dist" / "light-web-fp32")
    assert evaluate_bundle(["light", "--data", str(added / "data"), "--bundle", bundle, "--json"]) == 0
    artifact = json.loads(capsys.readouterr().out)["metrics"]
    assert artifact["mean_level"] == pytest.approx(reference["mean_level"], abs=1e-5)


def test_it_is_predicted_and_drawn(added, capsys):
    picture = added / "data" / "val" / "input_1.png"
    assert predict([str(added / "dist" / "light-web-fp32"), str(picture), "--save", str(added / "shown.png")]) == 0
    assert "light " in capsys.readouterr().out
    with Image.open(added / "shown.png") as shown:
        assert shown.size == (10, 16)


def test_nothing_was_written_beside_the_built_in_models(added):
    assert "light" not in {path.name for path in MODELS_DIR.iterdir()}
