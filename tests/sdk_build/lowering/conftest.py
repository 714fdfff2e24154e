"""What every test of this folder needs."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread():
    """Small tensors on a busy machine: threads that wait for each other take ten times as long as one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
