"""The list of what converters get wrong: each entry is still so with the converter alone, and right through OnPar.

A test that fails because a converter is right now says that its entry and its rewrite can go.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import sdk_build.lowering.graph
from reference.registry import get_spec
from reference.spec import TensorSpec
from sdk_build.backends import RUNTIMES, get_backend
from sdk_build.backends.known_issues import load_issues, refuse, refuse_shapes
from sdk_build.errors import LoweringError
from sdk_build.lowering.graph import trace
from sdk_build.quiet import quiet

WRONG, RIGHT = 5e-5, 5e-6  # of the largest value


class Net(nn.Module):
    """A function of a tensor, with layers that it may use."""

    def __init__(self, compute, **layers):
        super().__init__()
        self.compute = compute
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, image):
        return self.compute(self, image)


PLANE = (1, 2, 9, 9)
SPIKE = torch.tensor([50.0] + [0.01] * 15)
CASES = {
    "litert_nearest": (PLANE, lambda m, x: F.interpolate(x, (13, 13))),
    "coreml_antialias": (PLANE, lambda m, x: F.interpolate(x, (5, 5), mode="bilinear", antialias=True)),
    "coreml_rms_norm": ((1, 9, 16), lambda m, x: F.rms_norm(x * SPIKE, (16,), eps=1e-2)),
    "executorch_gelu_tanh": (PLANE, lambda m, x: F.gelu(x * 2, approximate="tanh")),
    "litert_antialias": (PLANE, lambda m, x: F.interpolate(x, (5, 5), mode="bilinear", antialias=True)),
    "litert_adaptive_max_pool": (PLANE, lambda m, x: F.adaptive_max_pool2d(x, 4)),
    "executorch_adaptive_max_pool": (PLANE, lambda m, x: F.adaptive_max_pool2d(x, 4)),
    "litert_transposed_output_padding": (
        PLANE, lambda m, x: m.layer(x), lambda: nn.ConvTranspose2d(2, 3, 3, 2, 1, output_padding=1),
    ),
    "litert_transposed_groups": (PLANE, lambda m, x: m.layer(x), lambda: nn.ConvTranspose2d(2, 4, 3, 2, 1, groups=2)),
    "executorch_conv3d": ((1, 2, 4, 5, 5), lambda m, x: m.layer(x), lambda: nn.Conv3d(2, 3, 3, padding=1)),
    "coreml_bicubic": (PLANE, lambda m, x: F.interpolate(x, (13, 14), mode="bicubic")),
    "coreml_average_divisor": (PLANE, lambda m, x: F.avg_pool2d(x, 3, divisor_override=5)),
    "coreml_sum_behind_permute": (PLANE, lambda m, x: x.permute(0, 2, 3, 1) * 2 + x.permute(0, 2, 3, 1).sum()),
    "coreml_gru": ((1, 3, 4), lambda m, x: m.layer(x)[0], lambda: nn.GRU(4, 4, batch_first=True)),
}  # fmt: skip


def build(name):
    torch.manual_seed(0)
    shape, compute, *layer = CASES[name]
    return Net(compute, **({"layer": layer[0]()} if layer else {})).eval(), shape


def error_of(name, folder):
    """The largest difference to PyTorch, of the largest value; None where it can't be made or run."""
    issue = next(i for i in load_issues() if i.name == name)
    network, shape = build(name)
    image = torch.randn(shape)
    with torch.no_grad():
        expected = network(image).numpy()
    inputs, outputs = TensorSpec("image", shape, "any", "value"), TensorSpec("result", expected.shape, "any", "value")
    spec = replace(get_spec("classifier"), inputs=(inputs,), outputs=(outputs,), preprocess=None, intermediate="")
    runtime = issue.runtimes[0]
    path = folder / RUNTIMES[runtime].file
    backend = get_backend(runtime)
    try:
        with quiet():
            backend.lower(network, spec, "fp32", path)
            actual = backend.load(path, spec).predict({"image": image.numpy()})["result"]
    except Exception as error:  # noqa: BLE001 - converters raise anything
        return None if not isinstance(error, LoweringError) else error
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def test_the_list_is_well_formed():
    issues = load_issues()
    assert len({issue.name for issue in issues}) == len(issues)
    assert set(CASES) == {issue.name for issue in issues}
    for issue in issues:
        assert issue.answer in ("rewritten", "refused")
        assert issue.upstream == "none known" or issue.upstream.startswith("https://github.com/")
        assert set(issue.runtimes) <= set(RUNTIMES)
        network, shape = build(issue.name)
        with quiet():  # nn.GRU warns
            graph = trace(network, (torch.zeros(shape),))
        assert any(issue.concerns(node, issue.runtimes[0]) for node in graph.graph.nodes)


# coremltools leaves folders of failed conversions to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", CASES)
def test_the_converter_alone_is_still_wrong(name, tmp_path, monkeypatch):
    monkeypatch.setattr(sdk_build.lowering.graph, "lower_graph", lambda network, *rest: network)
    error = error_of(name, tmp_path)
    silent = next(issue.silent for issue in load_issues() if issue.name == name)
    assert (error is not None) == silent, f"{name}: the converter's behaviour has changed; is its entry still needed?"
    assert not silent or error > WRONG, f"{name} is mended upstream (error {error:.1g}): drop its entry and its rewrite"


@pytest.mark.parametrize("name", [issue.name for issue in load_issues() if issue.answer == "rewritten"])
def test_a_rewritten_network_is_right(name, tmp_path):
    assert error_of(name, tmp_path) < RIGHT


@pytest.mark.parametrize("issue", [i for i in load_issues() if i.answer == "refused"], ids=lambda issue: issue.name)
def test_what_has_no_rewrite_is_refused_before_conversion(issue, tmp_path):
    error = error_of(issue.name, tmp_path)
    assert isinstance(error, LoweringError)
    assert "'layer'" in str(error)
    assert issue.symptom in str(error)
    assert issue.remedy in str(error)
    assert "\n" not in str(error)


def test_dropout_that_was_left_on_is_refused():
    network = Net(lambda m, x: F.dropout(x, 0.5, training=True)).eval()
    with pytest.raises(LoweringError, match=r"test_known_issues.py:\d+\) draws random numbers .aten.dropout.default"):
        refuse(trace(network, (torch.zeros(1, 3),)), "litert")


def test_dropout_in_evaluation_mode_is_not():
    network = Net(lambda m, x: F.scaled_dot_product_attention(m.drop(x), x, x), drop=nn.Dropout()).eval()
    refuse(trace(network, (torch.zeros(1, 3, 4),)), "litert")


def test_a_wrong_operation_that_could_not_be_rewritten_is_refused():
    """The graph writes into what others see, so nothing is rewritten; what would be silently wrong must not pass."""

    def compute(m, x):
        y = x * 2
        y[:, 0] = 1
        return F.interpolate(y, (13, 13))

    network = Net(compute).eval()
    with pytest.raises(LoweringError, match="becomes nearest-exact; resize by a whole factor"):
        get_backend("litert").convert(network, replace(
            get_spec("classifier"), inputs=(TensorSpec("image", PLANE, "any", "value"),), preprocess=None,
            intermediate="", outputs=(TensorSpec("result", (1, 2, 13, 13), "any", "value"),),
        ))  # fmt: skip


def test_shapes_that_depend_on_values_are_refused_where_they_must_be_fixed():
    network = Net(lambda m, x: m.layer(x)[x > 0].sum(0, keepdim=True), layer=nn.Tanh()).eval()
    graph = trace(network, (torch.ones(1, 3),))
    with pytest.raises(LoweringError, match=r"\(test_known_issues.py:\d+\) gives a shape that depends on values"):
        refuse_shapes(graph, "litert")
    refuse_shapes(graph, "coreml")
