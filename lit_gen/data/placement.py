"""Where a training split is held while it is trained on: in the host's memory, or in the device's."""

from __future__ import annotations

from typing import Literal

import torch

Placement = Literal["auto", "host"]

_LARGEST_SHARE = 0.1  # of the device's free memory


def device_of(trainer: object) -> torch.device:
    """The device of a Trainer's batches; the CPU without a Trainer."""
    device = getattr(getattr(trainer, "strategy", None), "root_device", None)
    return device if isinstance(device, torch.device) else torch.device("cpu")


def uses_cuda(trainer: object) -> bool:
    """Whether a Trainer's batches go to a GPU of CUDA."""
    return device_of(trainer).type == "cuda"


def place_of(size: int, trainer: object, placement: Placement) -> torch.device:
    """The device that holds a split: the Trainer's GPU if the split takes at most a tenth of its free memory.

    Args:
        size: Size of the split in bytes.
        trainer: The Trainer, or None.
        placement: ``host`` for the CPU in any case.
    """
    device = device_of(trainer)
    if placement == "host" or device.type != "cuda":
        return torch.device("cpu")
    free, _ = torch.cuda.mem_get_info(device)
    return device if size <= _LARGEST_SHARE * free else torch.device("cpu")
