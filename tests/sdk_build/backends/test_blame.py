"""A converter's error text, and the module and line of the operation that it names."""

import pytest
import torch
from torch import nn

from sdk_build.backends.blame import blame


class Body(nn.Module):
    def forward(self, x):
        return torch.fft.rfft(x).abs() + x.mean()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head, self.body = nn.Linear(4, 8), Body()

    def forward(self, x):
        return self.body(self.head(x)[:, :5])


@pytest.mark.parametrize(
    ("message", "part"),
    [
        ("Unsupported fx node fft_rfft, kind fft_rfft", "module 'body' (test_blame.py:12)"),
        ("Lowering not found: aten.fft_rfft.default", "module 'body' (test_blame.py:12)"),
        ("can't find aten::linear.", "module 'head'"),
        ("what does it mean? kind regards", ""),
        ("aten.cumsum.default", ""),
    ],
)
def test_it_is_found_by_its_name_alone(message, part):
    found = blame(Net().eval(), (torch.zeros(1, 4),), message)
    assert found.startswith(part) and bool(found) == bool(part)


def test_what_cant_be_traced_has_no_place():
    class Branches(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    assert blame(Branches().eval(), (torch.zeros(1, 4),), "aten.sum.default") == ""
