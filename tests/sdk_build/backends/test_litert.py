"""What the delegation record of a .tflite says, on graphs whose delegation is known."""

from dataclasses import replace

import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema

from reference.registry import get_spec
from reference.spec import TensorSpec
from sdk_build.backends.delegation import count
from sdk_build.backends.litert import inspect, load, lower
from sdk_build.quiet import quiet
from tests.sdk_build.tflite_files import INT, write_sums


def double(graph, x):
    y = graph.tensor("doubled", [1, 4])
    graph.operation("ADD", [x, x], [y], schema.AddOptionsT())
    return y


def gather_first(graph, x):
    """XNNPACK has no gather."""
    zero = graph.tensor("zero", [4], INT, np.arange(4, dtype=np.int32))
    y = graph.tensor("gathered", [1, 4])
    options = schema.GatherOptionsT()
    options.axis = 1
    graph.operation("GATHER", [x, zero], [y], options)
    return y


def test_a_graph_that_the_delegate_takes_whole(tmp_path):
    found = inspect(write_sums(tmp_path / "m.tflite", lambda g, x: double(g, double(g, x))))
    assert (found.delegate, found.total, found.delegated, found.partitions, found.fallbacks) == ("XNNPACK", 2, 2, 1, ())
    assert found.complete


def test_an_operation_in_the_middle_splits_the_delegate(tmp_path):
    found = inspect(write_sums(tmp_path / "m.tflite", lambda g, x: double(g, gather_first(g, double(g, x)))))
    assert (found.total, found.delegated, found.partitions, found.fallbacks) == (3, 2, 2, ("GATHER",))
    assert not found.complete


def test_a_graph_without_anything_for_the_delegate(tmp_path):
    found = inspect(write_sums(tmp_path / "m.tflite", gather_first))
    assert (found.total, found.delegated, found.partitions, found.fallbacks) == (1, 0, 0, ("GATHER",))
    assert not found.complete


def operations_of(content):
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    codes = [names[max(c.builtinCode, c.deprecatedBuiltinCode)] for c in model.operatorCodes]
    return [codes[op.opcodeIndex] for op in model.subgraphs[0].operators]


def test_padding_between_convolutions_costs_no_transpose(tmp_path):
    """Zeros on every axis, also the batch's and the channels', which channels-last moves to other places."""

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.before, self.after = torch.nn.Conv2d(1, 4, 1), torch.nn.Conv2d(7, 2, 1)

        def forward(self, x):
            return self.after(torch.nn.functional.pad(self.before(x), (1, 2, 3, 0, 1, 2, 0, 1)))

    network = Network().eval()
    spec = replace(
        get_spec("voxel64"),
        outputs=(TensorSpec("occupancy", (2, 2, 67, 67), "NCHW", "occupancy"),),
    )
    with quiet():
        lower(network, spec, "fp32", tmp_path / "m.tflite")
    x = np.random.default_rng(0).random(spec.input.shape, np.float32)
    found = load(tmp_path / "m.tflite", spec).predict({"depth": x})["occupancy"]
    with torch.no_grad():
        np.testing.assert_allclose(found, network(torch.from_numpy(x)).numpy(), atol=1e-6)
    used = operations_of((tmp_path / "m.tflite").read_bytes())
    # A convolution of one channel is also a depthwise one.
    convolutions = [number for number, name in enumerate(used) if name.endswith("CONV_2D")]
    middle = used[convolutions[0] : convolutions[-1]]
    assert "PAD" in middle
    assert "TRANSPOSE" not in middle


def because(name):
    return f"{name} is too much"


def test_counting():
    found = count("D", {"conv": 3, "add": 1}, {"slice": 2, "cat": 1}, 2, because)
    assert (found.total, found.delegated, found.partitions, found.fallbacks) == (7, 4, 2, ("cat", "slice"))
    assert found.explained == ("cat (cat is too much)", "slice (slice is too much)")
    assert replace(found, reasons=()).explained == ("cat", "slice")  # a bundle from before reasons were kept
    assert not found.complete
    assert not count("D", {"conv": 3}, {}, 2, because).complete  # two pieces: something interrupts them
    assert count("D", {"conv": 3}, {}, 1, because).complete
