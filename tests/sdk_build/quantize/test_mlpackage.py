"""Which constants of a Core ML program have few bits."""

import pytest
import torch
from torch import nn

from sdk_build.backends.quantizers.mlpackage import WEIGHTED, compress_weights
from sdk_build.backends.quantizers.recipes import get_recipe
from sdk_build.quiet import quiet


class Placed(nn.Module):
    """A convolution whose results are moved by a constant as large as its weights."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 32, 3, padding=1)
        self.register_buffer("places", torch.linspace(-1, 1, 32 * 8 * 8).reshape(1, 32, 8, 8))

    def forward(self, image):
        return self.convolution(image) + self.places


@pytest.mark.parametrize("precision", ["w8", "p6"])
def test_constants_that_are_no_weights_keep_their_bits(precision):
    torch.manual_seed(0)
    with quiet():
        import coremltools as ct

        traced = torch.jit.trace(Placed().eval(), torch.zeros(1, 3, 8, 8))
        model = ct.convert(
            traced, inputs=[ct.TensorType("image", (1, 3, 8, 8))], minimum_deployment_target=ct.target.iOS16,
            compute_precision=ct.precision.FLOAT32, skip_model_load=True,
        )  # fmt: skip
        small = compress_weights(model, get_recipe(precision))
    operations = [op for block in [small._mil_program.functions["main"]] for op in block.operations]
    packed = [op for op in operations if op.op_type.startswith("constexpr")]
    users = {user.op_type for op in packed for user in op.outputs[0].child_ops}
    assert users == {"conv"} and users < set(WEIGHTED)
