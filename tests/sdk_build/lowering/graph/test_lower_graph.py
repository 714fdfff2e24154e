"""Whole graphs: the same numbers in float64, and only what needs it is rewritten."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from reference.registry import get_spec
from reference.spec import TensorSpec
from sdk_build.backends import get_backend
from sdk_build.lowering.graph import lower_graph, tables, trace
from sdk_build.lowering.graph.batch_norm import fold_batch_norms
from sdk_build.lowering.graph.functional import make_functional, writes
from sdk_build.lowering.graph.outputs import shared_outputs
from sdk_build.quiet import quiet

aten = torch.ops.aten


class Net(nn.Module):
    """Layers by name, used by a function."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.compute = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *x):
        return self.compute(self, *x)


def network(forward, **layers):
    torch.manual_seed(0)
    built = Net(forward, **{name: layer() for name, layer in layers.items()})
    for module in built.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.1, 4)
    return built.double().eval()


def operations(module):
    return [n.target for n in module.graph.nodes if n.op == "call_function"]


def same(before, after, *shapes):
    torch.manual_seed(1)
    inputs = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    with torch.no_grad():
        torch.testing.assert_close(after(*inputs), before(*inputs), rtol=1e-9, atol=1e-9)


def zeros(*shapes):
    return tuple(torch.zeros(shape, dtype=torch.float64) for shape in shapes)


FOLDED = {
    "convolution": (lambda m, x: m.n(m.c(x)), (1, 4, 9, 9), lambda: nn.Conv2d(4, 6, 3, groups=2), 2),
    "same padding": (lambda m, x: m.n(m.c(x)), (1, 4, 9, 9), lambda: nn.Conv2d(4, 6, 3, padding="same"), 2),
    "without a bias": (lambda m, x: m.n(m.c(x)), (1, 4, 9, 9), lambda: nn.Conv2d(4, 6, 3, bias=False), 2),
    "transposed": (lambda m, x: m.n(m.c(x)), (1, 4, 5, 5), lambda: nn.ConvTranspose2d(4, 6, 3, 2, groups=2), 2),
    "along a line": (lambda m, x: m.n(m.c(x)), (1, 4, 9), lambda: nn.Conv1d(4, 6, 3), 1),
    "a volume": (lambda m, x: m.n(m.c(x)), (1, 4, 5, 5, 5), lambda: nn.Conv3d(4, 6, 3), 3),
    "a matrix": (lambda m, x: m.n(m.c(x)), (3, 4), lambda: nn.Linear(4, 6), 1),
    "flat tokens": (lambda m, x: m.n(m.c(x).flatten(0, 1)).reshape(2, 5, 6), (2, 5, 4), lambda: nn.Linear(4, 6), 1),
    "tokens as channels": (lambda m, x: m.n(m.c(x).transpose(1, 2)), (2, 5, 4), lambda: nn.Linear(4, 6), 1),
    "tokens as a plane": (
        lambda m, x: m.n(m.c(x).permute(0, 2, 1).reshape(2, 6, 5, 1)), (2, 5, 4), lambda: nn.Linear(4, 6), 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLDED)
def test_a_batch_norm_folds_into_the_layer_before_it(case):
    forward, shape, layer, rank = FOLDED[case]
    norm = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[rank]
    net = network(forward, c=layer, n=lambda: norm(6))
    graph = trace(net, zeros(shape))
    assert fold_batch_norms(graph)
    graph.recompile()
    assert aten.batch_norm.default not in operations(graph)
    same(net, graph, shape)


def test_a_batch_norm_folds_into_all_that_is_joined():
    net = network(
        lambda m, x: m.n(torch.cat([m.a(x), m.b(x)], 1)),
        a=lambda: nn.Conv2d(4, 2, 1), b=lambda: nn.Conv2d(4, 5, 1, bias=False), n=lambda: nn.BatchNorm2d(7),
    )  # fmt: skip
    graph = trace(net, zeros((1, 4, 3, 3)))
    assert fold_batch_norms(graph)
    graph.recompile()
    same(net, graph, (1, 4, 3, 3))


STAYS = {
    "read by another": lambda m, x: m.n(m.c(x)) + m.c2(x) * m.c(x).sum(),
    "behind an activation": lambda m, x: m.n(m.c(x).relu()),
    "of something joined": lambda m, x: m.n(torch.cat([m.part(x), x[:, :3]], 1)),
}


@pytest.mark.parametrize("case", STAYS)
def test_a_batch_norm_stays(case):
    def forward(m, x):
        y = m.c(x)
        return m.n(y) * y if case == "read by another" else STAYS[case](m, x)

    net = network(
        forward, c=lambda: nn.Conv2d(4, 6, 1), c2=lambda: nn.Conv2d(4, 6, 1), part=lambda: nn.Conv2d(4, 3, 1),
        n=lambda: nn.BatchNorm2d(6),
    )  # fmt: skip
    assert not fold_batch_norms(trace(net, zeros((1, 4, 3, 3))))


def test_a_layer_that_is_called_twice_keeps_its_weights_for_the_other_call():
    net = network(lambda m, x: m.n(m.c(x)) + m.c(x * 2), c=lambda: nn.Conv2d(4, 6, 1), n=lambda: nn.BatchNorm2d(6))
    lowered = lower_graph(net, zeros((1, 4, 3, 3)), "coreml")
    assert lowered is not net
    same(net, lowered, (1, 4, 3, 3))


@pytest.mark.parametrize("runtime", tables.TABLES)
def test_a_network_that_needs_nothing_stays_itself(runtime):
    net = network(
        lambda m, x: m.l(m.c(x).relu().mean((2, 3), keepdim=True).flatten(1)).softmax(-1),
        c=lambda: nn.Conv2d(3, 4, 3, padding=1), l=lambda: nn.Linear(4, 2),
    )  # fmt: skip
    assert lower_graph(net, zeros((1, 3, 8, 8)), runtime) is net


def test_writing_in_place_becomes_a_value():
    def forward(m, x):
        y = m.c(x)
        y = m.n(y)
        F.relu_(y)
        y += x
        return y.mul_(2) + F.hardswish(y, inplace=True)

    net = network(forward, c=lambda: nn.Conv2d(4, 4, 1), n=lambda: nn.BatchNorm2d(4))
    graph = trace(net, zeros((1, 4, 3, 3)))
    assert any(writes(n) for n in graph.graph.nodes)
    assert make_functional(graph)
    assert not any(writes(n) for n in graph.graph.nodes)
    graph.recompile()
    same(net, graph, (1, 4, 3, 3))
    same(net, lower_graph(net, zeros((1, 4, 3, 3)), "executorch"), (1, 4, 3, 3))


def test_writing_into_a_part_is_left_alone():
    """Other operations see it through the whole: nothing may be moved past it."""

    def forward(m, x):
        y = m.c(x)
        y[:, 0] = 3
        return m.n(y)

    net = network(forward, c=lambda: nn.Conv2d(4, 4, 1), n=lambda: nn.BatchNorm2d(4))
    assert lower_graph(net, zeros((1, 4, 3, 3)), "executorch") is net


def test_places_in_the_source_are_kept():
    net = network(lambda m, x: m.norm(x), norm=lambda: nn.LayerNorm(4))
    lowered = lower_graph(net, zeros((1, 3, 4)), "executorch")
    stacks = [n.meta["nn_module_stack"] for n in lowered.graph.nodes if n.op == "call_function"]
    assert stacks
    assert all(list(stack.values())[-1][0] == "norm" for stack in stacks)


def test_equal_constants_are_held_once():
    net = network(lambda m, x: m.a(m.b(x)), a=lambda: nn.LayerNorm(4), b=lambda: nn.LayerNorm(4))
    lowered = lower_graph(net, zeros((1, 3, 4)), "executorch")
    assert len([name for name, _ in lowered.named_buffers() if name.startswith("_lowered_")]) == 1


def test_the_network_itself_is_not_changed():
    net = network(lambda m, x: m.n(m.c(x)), c=lambda: nn.Conv2d(4, 6, 1), n=lambda: nn.BatchNorm2d(6))
    before = copy.deepcopy(net.state_dict())
    lower_graph(net, zeros((1, 4, 3, 3)), "executorch")
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


BLOCKS = {
    "convolution": lambda c: nn.Sequential(nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c)),
    "in place": lambda c: nn.Sequential(nn.Conv2d(c, c, 1), nn.BatchNorm2d(c), nn.ReLU(inplace=True)),
    "layer norm": lambda c: Net(lambda m, x: m.n(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), n=nn.LayerNorm(c)),
    "group norm": lambda c: nn.GroupNorm(2, c),
    "instance norm": lambda c: nn.InstanceNorm2d(c, affine=True),
    "gelu": lambda c: nn.GELU("tanh"),
    "mish": lambda c: nn.Mish(),
    "elu": lambda c: nn.ELU(),
    "attention": lambda c: Net(
        lambda m, x: m.a(*[x.flatten(2).transpose(1, 2)] * 3)[0].transpose(1, 2).reshape(x.shape),
        a=nn.MultiheadAttention(c, 2, batch_first=True),
    ),
    "gate": lambda c: Net(lambda m, x: x * m.l(x.mean((2, 3))).sigmoid()[:, :, None, None], l=nn.Linear(c, c)),
    "halves": lambda c: Net(lambda m, x: torch.cat([p * k for k, p in enumerate(x.chunk(2, 1), 1)], 1)),
    "roll": lambda c: Net(lambda m, x: torch.roll(x, (1, -2), (2, 3))),
    "unit length": lambda c: Net(lambda m, x: F.normalize(x, dim=1)),
    "pool": lambda c: nn.AvgPool2d(3, 1, 1),
    "reflect": lambda c: nn.Conv2d(c, c, 3, padding=1, padding_mode="reflect"),
    "resize": lambda c: Net(lambda m, x: F.interpolate(F.interpolate(x, (5, 4), mode="bicubic"), x.shape[2:])),
    "twice": lambda c: Net(lambda m, x: m.n(m.c(x)) + m.c(x), c=nn.Conv2d(c, c, 1), n=nn.BatchNorm2d(c)),
    "branch": lambda c: Net(
        lambda m, x: m.n(torch.cat([m.a(x), m.b(x)], 1)), a=nn.Conv2d(c, c // 2, 1), b=nn.Conv2d(c, c // 2, 1),
        n=nn.BatchNorm2d(c),
    ),
}  # fmt: skip
chains = st.lists(st.sampled_from(sorted(BLOCKS)), min_size=1, max_size=5)


def check_chain(names, runtime, half, height, width):
    channels = 2 * half
    net = network(lambda m, x: m.body(x), body=lambda: nn.Sequential(*(BLOCKS[name](channels) for name in names)))
    shape = (1, channels, height, width)
    same(net, lower_graph(net, zeros(shape), runtime), shape)


# A few in every run, 500 in the slow ones: the network's numbers must not change by what is rewritten.
any_chain = given(
    chains, st.sampled_from(sorted(tables.TABLES)), st.integers(1, 3), st.integers(4, 7), st.integers(4, 7)
)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@any_chain
def test_random_graphs(names, runtime, half, height, width):
    check_chain(names, runtime, half, height, width)


@pytest.mark.slow
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@any_chain
def test_five_hundred_random_graphs(names, runtime, half, height, width):
    check_chain(names, runtime, half, height, width)


class Shares(nn.Module):
    def forward(self, x):
        y = x * 2
        return y, x, y


def test_outputs_that_are_one_tensor_are_parted_where_names_are_single():
    network, x = Shares().eval(), torch.rand(1, 3)
    assert lower_graph(network, (x,), "litert") is network
    parted = lower_graph(network, (x,), "coreml")
    assert parted is not network and shared_outputs(parted) == []
    assert shared_outputs(trace(network, (x,))) == [1, 2]
    for found, expected in zip(parted(x), network(x), strict=True):
        assert torch.equal(found, expected)


def test_core_ml_gives_an_input_and_one_tensor_twice(tmp_path):
    x = torch.rand(1, 3)
    inputs = (TensorSpec("x", (1, 3), "any", "value"),)
    outputs = tuple(TensorSpec(name, (1, 3), "any", "value") for name in ("twice", "same", "again"))
    spec = replace(get_spec("classifier"), inputs=inputs, outputs=outputs, preprocess=None, intermediate="")
    backend, path = get_backend("coreml"), tmp_path / "model.mlpackage"
    with quiet():
        backend.lower(Shares().eval(), spec, "fp32", path)
    found = backend.load(path, spec).predict({"x": x.numpy()})
    for name, expected in zip(("twice", "same", "again"), Shares()(x), strict=True):
        np.testing.assert_array_equal(found[name], expected.numpy())
