"""What the delegation record of a .tflite says, on graphs whose delegation is known."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from sdk_build.backends.litert import inspect
from sdk_build.delegation import count

from .tflite_files import INT, write_sums


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


def test_counting():
    found = count("D", {"conv": 3, "add": 1}, {"slice": 2, "cat": 1}, 2)
    assert (found.total, found.delegated, found.partitions, found.fallbacks) == (7, 4, 2, ("cat", "slice"))
    assert not found.complete
    assert not count("D", {"conv": 3}, {}, 2).complete  # two pieces: something interrupts them
    assert count("D", {"conv": 3}, {}, 1).complete
