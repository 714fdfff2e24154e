"""ExecuTorch with the Core ML delegate: the packed model's tensors, in whatever order the delegate lists them."""

import numpy as np
import pytest
import torch
from torch import nn

from reference.errors import BadInput
from reference.spec import ModelSpec, PostprocessSpec, PreprocessSpec, TensorSpec
from sdk_build.backends import executorch_coreml
from sdk_build.quiet import quiet

SPEC = ModelSpec(
    name="two_outputs",
    task="face_reconstruction",
    document="R",
    network="unused:build",
    inputs=(TensorSpec("image", (1, 3, 8, 8), "NCHW", "intensity", (0.0, 1.0)),),
    outputs=(TensorSpec("late", (1, 4), "NC", "logit"), TensorSpec("early", (1, 2), "NC", "logit")),
    preprocess=PreprocessSpec(size=(8, 8), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
    postprocess=PostprocessSpec("FaceMesh"),
    intermediate="first",
    description="its second output is ready before its first",
)


class TwoOutputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(192, 2), nn.Linear(2, 4)

    def forward(self, image):
        early = self.first(image.flatten(1))
        return self.second(early.relu()), early


def test_outputs_are_taken_by_the_programs_order(tmp_path):
    torch.manual_seed(0)
    network, path = TwoOutputs().eval(), tmp_path / "model.pte"
    with quiet():
        executorch_coreml.lower(network, SPEC, "fp32", path)
        runner = executorch_coreml.load(path, SPEC)
    image = np.random.default_rng(0).random((1, 3, 8, 8), dtype=np.float32)
    found = runner.predict({"image": image})
    with torch.no_grad():
        late, early = network(torch.from_numpy(image))
    np.testing.assert_allclose(found["late"], late.numpy(), atol=1e-5)
    np.testing.assert_allclose(found["early"], early.numpy(), atol=1e-5)


class Placed(nn.Module):
    """A layer whose results are moved by a constant as large as a layer's weights."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(192, 1024), nn.Linear(1024, 4)
        self.register_buffer("places", torch.linspace(-100, 100, 1024)[None])

    def forward(self, image):
        early = self.first(image.flatten(1)) + self.places
        return self.second(early) / 100, early[:, :2]


def test_only_weights_have_8_bits(tmp_path):
    torch.manual_seed(0)
    network = Placed().eval()
    image = np.random.default_rng(0).random((1, 3, 8, 8), dtype=np.float32)
    with quiet():
        for precision in ("fp16", "w8"):
            executorch_coreml.lower(network, SPEC, precision, tmp_path / precision)
        found = executorch_coreml.load(tmp_path / "w8", SPEC).predict({"image": image})
    with torch.no_grad():
        _, early = network(torch.from_numpy(image))
    # Eight bits of the places alone would leave errors up to 0.4.
    np.testing.assert_allclose(found["early"], early.numpy(), atol=0.1)
    assert (tmp_path / "w8").stat().st_size < 0.7 * (tmp_path / "fp16").stat().st_size


def test_a_program_with_more_than_its_delegate_is_refused(tmp_path):
    from sdk_build.backends import executorch

    path = tmp_path / "model.pte"
    with quiet():
        executorch.lower(TwoOutputs().eval(), SPEC, "fp32", path)
    program = executorch_coreml.read_program(path)
    program.execution_plan[0].chains[0].instructions *= 2
    with pytest.raises(BadInput, match="does more than call its Core ML model"):
        executorch_coreml.positions(program, path.name, 1)
