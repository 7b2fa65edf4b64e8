"""A net to be published."""

from __future__ import annotations

import pytest
import torch

from lit_gen.nets import UNet


@pytest.fixture(scope="module")
def net() -> UNet:
    """A net of ours without a zero in it."""
    torch.manual_seed(0)
    net = UNet((1, 8, 8), 1, 1, 8, (1, 2), 1, attention=[4], num_groups=4, eps=1e-6)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return net
