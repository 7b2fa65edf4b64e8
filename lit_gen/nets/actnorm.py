"""Activation normalization: batch norm's start without its dependence on the batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lit_gen.nets.moments import channel_moments


class ActNorm(nn.Module):
    """A scale and a shift for each channel, which start such that one training batch comes out normalized.

    Nothing is initialized by itself: the owner sets ``pending`` on every layer, and passes one batch of
    training data, on all processes at once, each its share. Until then, and if never, the map is the identity.

    Args:
        num_channels: Size of dimension 1.

    Attributes:
        initialized: A buffer, so that a resumed run does not start again.
        pending: The next forward pass initializes.

    References:
        Kingma, Dhariwal: Glow: Generative Flow with Invertible 1x1 Convolutions, 2018, arXiv:1807.03039, section 3.1.
    """

    initialized: Tensor

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.register_buffer("initialized", torch.tensor(False))
        self.pending = False

    def _shaped(self, values: Tensor, x: Tensor) -> Tensor:
        return values.view(1, -1, *[1] * (x.dim() - 2))

    @torch.no_grad()
    def _initialize(self, x: Tensor) -> None:
        mean, std = channel_moments(x)
        # A channel that never changes in the batch, a border that is always black, is left as wide as it is.
        scale = torch.where(std > 1e-3, 1 / std.clamp_min(1e-3), 1.0)
        self.log_scale.copy_(scale.log())
        self.bias.copy_(-mean * scale)
        self.initialized.fill_(True)
        self.pending = False

    def forward(self, x: Tensor) -> Tensor:
        """``scale * x + bias`` of ``[B, C, ...]``."""
        if self.pending:
            self._initialize(x)
        return torch.addcmul(self._shaped(self.bias, x), x, self._shaped(self.log_scale.exp(), x))

    def inverse(self, z: Tensor) -> Tensor:
        """``(z - bias) / scale``."""
        return (z - self._shaped(self.bias, z)) * self._shaped((-self.log_scale).exp(), z)
