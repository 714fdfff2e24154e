"""Sensitivity: a part that 8 bits hurt most comes first."""

import copy

import torch

from sdk_build.backends.quantizers.pt2e import module_path, observe
from sdk_build.quantize.sensitivity import _to_8_bits, _weights_to_8_bits, measure_parts


def parts_of(network, spec, samples):
    return measure_parts(network, spec, samples, observe(network, spec, samples))


def test_parts_are_modules_and_the_networks_own_arithmetic(network, spec, samples):
    found = parts_of(network, spec, samples)
    assert {name for name, _ in found} == {"", "first", "body.0", "head"}
    assert [value for _, value in found] == sorted(value for _, value in found)
    assert all(10 < value < 100 for _, value in found), found


def test_the_part_with_wild_activations_is_the_worst(network, spec, samples):
    wild = copy.deepcopy(network)
    with torch.no_grad():  # one channel a thousand times larger, which nothing after it uses
        wild.first.weight[0] *= 1000
        wild.body[0].weight[:, 0] = 0
    assert parts_of(wild, spec, samples)[0][0] in ("first", "body.0")
    assert parts_of(wild, spec, samples)[0][1] < parts_of(network, spec, samples)[0][1] - 10


def test_known_answers():
    assert torch.equal(
        _to_8_bits(torch.tensor([0.0, 0.4, 254.6, 300.0]), (0.0, 255.0)), torch.tensor([0.0, 0, 255, 255])
    )
    weight = torch.tensor([[1.0, -127.0], [0.4, 127.0]])
    assert torch.equal(_weights_to_8_bits(weight, 0), torch.tensor([[1.0, -127.0], [0.0, 127.0]]))
    assert torch.equal(_to_8_bits(weight, None), weight)


def test_observe_names_every_activation(network, spec, samples):
    ranges = observe(network, spec, samples)
    assert ranges["image"][0] >= 0 and ranges["image"][1] <= 1
    assert ranges["relu"][0] == 0
    assert {"conv2d", "conv2d_1", "linear", "mean", "add"} <= set(ranges)


def test_module_path_of_a_node(network, spec):
    from sdk_build.backends.quantizers.pt2e import export

    paths = {n.name: module_path(n) for n in export(network, spec).graph.nodes if n.op == "call_function"}
    assert paths["conv2d_1"] == "body.0"
    assert paths["mean"] == ""
