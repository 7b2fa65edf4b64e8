"""Autoregressive bijections: each dimension is transformed given the previous ones."""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.bijections.bijection import Bijection, sum_dims
from lit_gen.nets.incremental_autoencoder import IncrementalAutoencoder
from lit_gen.nets.masked_autoencoder import MaskedAutoencoder


class MaskedAffine(Bijection):
    """``z_i = (x_i - mean_i) exp(-log_scale_i)``, with mean and log scale computed from ``x[:i]`` by a MADE.

    The log scale is bounded by a tanh, unlike in the paper.

    Args:
        net: A MADE with two parameters per dimension.
        bound: Largest absolute log scale.

    References:
        Papamakarios, Pavlakou, Murray: Masked Autoregressive Flow, 2017, arXiv:1705.07057, equations 3 to 5.
    """

    def __init__(self, net: MaskedAutoencoder, bound: float = 5.0) -> None:
        super().__init__()
        self.net, self.bound = net, bound

    def _log_scale(self, raw: Tensor) -> Tensor:
        return self.bound * torch.tanh(raw / self.bound)

    @override
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        # The network may run in bfloat16 in training; scoring uses float32, the transformation that is inverted below.
        device = x.device.type
        with torch.autocast(device, enabled=self.training and torch.is_autocast_enabled(device)):
            mean, raw = self.net(x).float().unbind(1)
        log_scale = self._log_scale(raw)
        return (x - mean) * (-log_scale).exp(), -sum_dims(log_scale)

    @torch.no_grad()
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Incremental inversion, in about one pass; in place, because everything else is cheaper."""
        with torch.autocast(z.device.type, enabled=False):
            incremental = IncrementalAutoencoder(self.net, len(z))
            for z_i, x_i in zip(z.T.contiguous().unbind(), incremental.columns, strict=True):
                mean, raw = incremental.parameters().unbind()
                scale = raw.div_(self.bound).tanh_().mul_(self.bound).exp_()
                torch.addcmul(mean, z_i, scale, out=x_i)
                incremental.advance()
            return incremental.x.T.contiguous()
