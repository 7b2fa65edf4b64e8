"""Activation normalization: normalizes like batch norm at initialization, but does not depend on the batch later."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lit_gen.nets.moments import channel_moments


class ActNorm(nn.Module):
    """Scale and shift per channel, initialized such that the outputs of one training batch are normalized.

    The layer is not initialized automatically: its owner sets ``pending`` on every layer, and passes one batch of
    training data, divided among all processes. Before that it is the identity.

    Args:
        num_channels: Size of dimension 1.

    Attributes:
        initialized: Buffer that records the initialization, so that a resumed run does not repeat it.
        pending: Whether the next forward pass initializes.

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
        # A constant channel in the batch, such as a black border, keeps its scale.
        scale = torch.where(std > 1e-3, 1 / std.clamp_min(1e-3), 1.0)
        self.log_scale.copy_(scale.log())
        self.bias.copy_(-mean * scale)
        self.initialized.fill_(True)
        self.pending = False

    def forward(self, x: Tensor) -> Tensor:
        """Computes ``scale * x + bias`` of ``[B, C, ...]``."""
        if self.pending:
            self._initialize(x)
        return torch.addcmul(self._shaped(self.bias, x), x, self._shaped(self.log_scale.exp(), x))

    def inverse(self, z: Tensor) -> Tensor:
        """Computes ``(z - bias) / scale``."""
        return (z - self._shaped(self.bias, z)) * self._shaped((-self.log_scale).exp(), z)
