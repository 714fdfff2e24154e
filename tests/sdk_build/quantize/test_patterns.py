"""Only patterns that a graph can't hold are left out, and those that are traced are the stock ones."""

import operator

import pytest
import torch
from torch import nn

from sdk_build.backends.quantizers.patterns import needs, only_patterns_for, operations_of, trace
from sdk_build.quiet import quiet


@pytest.fixture(scope="module")
def stock():
    """ExecuTorch's own makers of patterns."""
    with quiet():
        from executorch.backends.apple.coreml.quantizer import _coreml_quantizer_utils as utils
    return utils


def text(graph):
    return [(n.op, str(n.target), [str(a) for a in n.all_input_nodes]) for n in graph.graph.nodes]


@pytest.mark.parametrize(
    ("maker", "arguments"),
    [
        ("get_conv_pattern", (2, nn.functional.relu6, False)),
        ("get_conv_pattern", (2, nn.functional.hardswish, True)),
        ("get_binary_op_act_pattern", (operator.iadd, nn.functional.relu, True)),
    ],
)
def test_a_pattern_is_the_stock_one(maker, arguments, stock, monkeypatch):
    with quiet():
        expected = getattr(stock, maker)(*arguments)
    monkeypatch.setattr(stock, "_get_aten_graph_module", trace)
    assert text(getattr(stock, maker)(*arguments)) == text(expected)


def test_no_pattern_is_left_out_where_its_own_operations_are(stock, monkeypatch):
    monkeypatch.setattr(stock, "_get_aten_graph_module", trace)
    asked = [("get_conv_pattern", (dimensions, None)) for dimensions in (1, 2, 3)] + [("get_linear_pattern", (None,))]
    for activation in (*stock._supported_activations, *stock._supported_activations_no_inplace):
        asked += [("get_conv_pattern", (2, activation)), ("get_linear_pattern", (activation,))]
    binary = (operator.add, torch.add, operator.iadd, operator.mul, torch.mul, operator.imul, torch.matmul)
    asked += [("get_binary_op_act_pattern", (operation, None)) for operation in binary]
    for maker, arguments in asked:
        present = operations_of(getattr(stock, maker)(*arguments))
        wanted = needs(maker, arguments)
        assert wanted and all(present.intersection(names) for names in wanted), (maker, arguments, present, wanted)


def test_what_a_graph_can_not_hold_is_not_traced(stock, monkeypatch):
    traced = []
    monkeypatch.setattr("sdk_build.backends.quantizers.patterns.trace", lambda *a: traced.append(a) or trace(*a))
    graph = torch.export.export(nn.Conv2d(3, 4, 3).eval(), (torch.zeros(1, 3, 8, 8),)).module(check_guards=False)
    before = stock.get_conv_pattern
    with quiet(), only_patterns_for(graph):  # copying a pattern warns in PyTorch 2.13
        absent = stock.get_conv_pattern(conv_dim=3, act_fn=None)
        assert "bessel" in str(absent.graph) and len(traced) <= 1  # the pattern that is nowhere, once for all
        assert "conv2d" in str(stock.get_conv_pattern(conv_dim=2, act_fn=None).graph)
    assert stock.get_conv_pattern is before
