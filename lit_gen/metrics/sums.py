"""Operations on states that are sums over samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, distributed


def all_reduce_sum(tensor: Tensor, group: Any = None) -> list[Tensor]:
    """Adds a state over processes, in place; a ``dist_sync_fn`` for states that torchmetrics reduces by summing.

    torchmetrics expects a list with each process's tensor, and adds them up. A list with their sum gives the same
    result, without the memory of all states. The state may be overwritten, because torchmetrics has copied it before.

    Args:
        tensor: The state of this process.
        group: The process group; None means all processes.
    """
    total = tensor.contiguous()
    if total.device.type == "cpu" and distributed.get_backend(group) == "nccl":
        total = total.cuda()
    distributed.all_reduce(total, group=group)
    return [total.to(tensor.device)]


def total(state: Tensor) -> Tensor:
    """Adds over the leading axis in order, so that the last bits do not depend on torch's order of summation."""
    return reduce(torch.add, state)


def jackknife_error(without: Sequence[float]) -> Tensor:
    """Standard error from the values without each of the groups, float64 []."""
    variance = (len(without) - 1) * torch.tensor(without, dtype=torch.float64).var(correction=0)
    return torch.tensor(math.sqrt(variance), dtype=torch.float64)


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device, in its own precision; one number seen in many places stays one number."""
    if tensor.ndim and not any(tensor.stride()):
        return tensor.as_strided((), ()).to(device).expand(tensor.shape)
    return tensor.to(device)
