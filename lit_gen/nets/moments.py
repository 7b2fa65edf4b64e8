"""Mean and standard deviation per channel, over a batch that may be divided among processes."""

from __future__ import annotations

import torch
from torch import Tensor, distributed


@torch.no_grad()
def channel_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel of ``[B, C, ...]``: float32, each ``[C]``.

    Computed over the batches of all processes together, which may differ in size. Uses two passes, so that float32 is
    sufficient: not every device supports float64.
    """
    rows = x.transpose(0, 1).flatten(1).float()
    sums = _of_all(torch.stack([rows.sum(1), torch.full_like(rows[:, 0], rows.shape[1])]))
    mean = sums[0] / sums[1]
    squares = _of_all((rows - mean[:, None]).square().sum(1))
    return mean, (squares / sums[1]).sqrt()


def _of_all(sums: Tensor) -> Tensor:
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(sums)
    return sums
