"""Training over several processes or machines: what ``torchrun`` starts, in a few small functions.

Gradients are averaged by hand and not by torch's DistributedDataParallel, because a recipe calls parts of its
network (features, heads) and not only its forward.
"""

from __future__ import annotations

import os

import torch
from torch import nn


def start(device: str) -> None:
    """Join the other processes if ``torchrun`` started this one; otherwise do nothing."""
    if "RANK" in os.environ and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")


def stop() -> None:
    """Leave the other processes."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def rank() -> int:
    """Number of this process; 0 writes the files."""
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def world() -> int:
    """How many processes train together."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def wait() -> None:
    """Until every process is here."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()


def least(value: int) -> int:
    """The smallest of all processes' values: who has more batches than another would wait for it without end."""
    if world() == 1:
        return value
    smallest = torch.tensor(value)
    torch.distributed.all_reduce(smallest, torch.distributed.ReduceOp.MIN)
    return int(smallest)


@torch.no_grad()
def average_gradients(network: nn.Module) -> None:
    """Replace every gradient by its mean over the processes, and batch statistics by their mean as well."""
    if world() == 1:
        return
    values = [p.grad if p.grad is not None else torch.zeros_like(p) for p in network.parameters()]
    values += [b for b in network.buffers() if b.is_floating_point()]
    together = torch.cat([v.flatten() for v in values])  # one message, not some hundred
    torch.distributed.all_reduce(together)
    together /= world()
    for value, mean in zip(values, together.split([v.numel() for v in values]), strict=True):
        value.copy_(mean.view_as(value))
