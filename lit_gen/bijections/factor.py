"""Multi-scale flows: half of the channels is factored out early."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.bijections.bijection import Bijection, sum_dims


class Factor(Bijection):
    """Factors out half of an image's channels; a deeper flow transforms the rest.

    The factored-out half may be modelled as ``N(mean, exp(2 log_scale))`` given the other half. It is standardized by
    this mean and scale, which gives the same density with one latent vector and one standard normal
    prior.

    Args:
        deeper: Bijection from the remaining half, ``[B, C/2, H, W]``, to a vector.
        shape: Shape of the input, ``(C, H, W)``.
        expectation: Network from the remaining half to the other's mean and log scale, ``[B, C, H, W]``; None for
            mean 0 and scale 1, as in RealNVP.

    References:
        Dinh et al. 2017, arXiv:1605.08803, section 3.6, equations 14 and 15. Kingma, Dhariwal 2018,
        arXiv:1807.03039, section 3.6 and the authors' code for the learned expectation.
    """

    def __init__(self, deeper: Bijection, shape: tuple[int, int, int], expectation: nn.Module | None = None) -> None:
        super().__init__()
        self.deeper, self.expectation = deeper, expectation
        channels, height, width = shape
        self.stays = (channels + 1) // 2
        self.leaving = (channels - self.stays, height, width)
        self.num_leaving = self.leaving[0] * height * width

    def _mean_and_log_scale(self, stays: Tensor) -> tuple[Tensor, Tensor]:
        assert self.expectation is not None
        mean, log_scale = self.expectation(stays).float().chunk(2, 1)
        return mean, log_scale

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Maps ``[B, C, H, W]`` to ``[B, D]``, starting with the channels factored out first."""
        stays, leaves = x[:, : self.stays], x[:, self.stays :]
        z, log_abs_det_jacobian = self.deeper(stays, context)
        if self.expectation is not None:
            mean, log_scale = self._mean_and_log_scale(stays)
            leaves = (leaves - mean) * (-log_scale).exp()
            log_abs_det_jacobian = log_abs_det_jacobian - sum_dims(log_scale)
        return torch.cat([leaves.flatten(1), z], 1), log_abs_det_jacobian

    @override
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        leaves = z[:, : self.num_leaving].unflatten(1, self.leaving)
        stays = self.deeper.inverse(z[:, self.num_leaving :], context)
        if self.expectation is not None:
            mean, log_scale = self._mean_and_log_scale(stays)
            leaves = mean + leaves * log_scale.exp()
        return torch.cat([stays, leaves], 1)
