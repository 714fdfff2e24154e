"""Weights on disk: whole, checked, and refused with a reason."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from reference.checkpoint import load_weights, save_weights
from reference.errors import WeightsError


class Net(nn.Module):
    def __init__(self, width=4, extra=False):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width))
        self.type_head = nn.Linear(width, 2) if extra else None


@pytest.fixture
def path(tmp_path):
    """Weights of a Net with every value different from a new one's."""
    network = Net()
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.copy_(torch.rand(tensor.shape) + 1)
    save_weights(network, tmp_path / "deep" / "weights.safetensors", {"made_by": "test"})
    return tmp_path / "deep" / "weights.safetensors"


def change(path, **tensors):
    stored = load_file(path)
    for name, tensor in tensors.items():
        key = name.replace("__", ".")
        if tensor is None:
            del stored[key]
        else:
            stored[key] = tensor
    save_file(stored, path)


def test_loading_gives_back_what_was_saved(path):
    network = Net()
    load_weights(network, path)
    stored = load_file(path)
    assert stored["body.0.weight"].dtype == torch.float16  # kernels and matrices
    assert stored["body.0.bias"].dtype == stored["body.1.running_var"].dtype == torch.float32
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, stored[name].to(tensor.dtype)), name
    assert network.body[0].weight.dtype == torch.float32


def test_saving_what_was_loaded_changes_nothing(path, tmp_path):
    """The rounding to float16 happens once: the stored values are the reference."""
    network = Net()
    load_weights(network, path)
    save_weights(network, tmp_path / "again.safetensors", {"made_by": "test"})
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_the_file_appears_whole(path, monkeypatch, refused):
    """A save that fails leaves the old file alone, and no save leaves a temporary one."""
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("reference.checkpoint.os.replace", fail)
    with refused(WeightsError, f"can't write {path}", "disk full", "writable folder"):
        save_weights(Net(), path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_missing_file(tmp_path, refused):
    with refused(WeightsError, f"no weights at {tmp_path / 'none'}", "train the model or restore the file"):
        load_weights(Net(), tmp_path / "none")


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b"no safetensors" * 9, lambda b: b[:-7], lambda b: b[:40]])
def test_damaged_and_truncated_files(path, damage, refused):
    path.write_bytes(damage(path.read_bytes()))
    with refused(WeightsError, f"can't read weights {path}", "restore the file from the repository"):
        load_weights(Net(), path)


def test_another_network(path, refused):
    with refused(
        WeightsError,
        "of another network than Sequential: 2 missing (0.bias, 0.weight)",
        "use the weights of this very model",
    ):
        load_weights(nn.Sequential(nn.Linear(2, 2)), path)


def test_missing_tensor(path, refused):
    change(path, body__0__bias=None)
    with refused(
        WeightsError,
        f"{path} is of another network than Net: 1 missing (body.0.bias)",
        "use the weights of this very model",
    ):
        load_weights(Net(), path)


def test_wrong_shape(path, refused):
    with refused(WeightsError, "body.0.", "is (4", "the network needs (6", "use the weights of this very model"):
        load_weights(Net(6), path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(path, value, refused):
    change(path, body__1__running_mean=torch.tensor([0.0, value, 0.0, 0.0]))
    with refused(WeightsError, "body.1.running_mean holds values that are not finite", "restore the file"):
        load_weights(Net(), path)


def test_a_refused_file_changes_no_weight(path):
    change(path, body__1__running_mean=torch.full((4,), float("nan")))
    network = Net()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(WeightsError):
        load_weights(network, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_training_only_head_is_ignored_on_request_only(tmp_path, refused):
    path = tmp_path / "weights.safetensors"
    save_weights(Net(extra=True), path)
    with refused(WeightsError, "of another network than Net: 2 unexpected (type_head.bias, type_head.weight)"):
        load_weights(Net(), path)
    load_weights(Net(), path, ignore=("type_head.",))
    # A network that has the head still needs and gets it.
    network = Net(extra=True)
    load_weights(network, path, ignore=("type_head.",))
    assert torch.equal(network.type_head.weight, load_file(path)["type_head.weight"].float())
