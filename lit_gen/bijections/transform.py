"""Elementwise monotone transforms with parameters computed by a network."""

from __future__ import annotations

import abc

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override


class Transform(nn.Module, abc.ABC):
    """An elementwise monotone transform with ``num_parameters`` parameters per dimension.

    Parameters have shape ``[B, num_parameters, *shape]`` for x ``[B, *shape]``; with all parameters zero the
    transform is the identity, or close to it, so that a flow whose networks end in a zero layer starts as the identity.
    """

    num_parameters: int

    @abc.abstractmethod
    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Returns z and ``log dz/dx``, both of x's shape."""

    @abc.abstractmethod
    def inverse(self, z: Tensor, parameters: Tensor) -> Tensor:
        """Maps z back to x."""


class Affine(Transform):
    """``z = x exp(s) + t`` with ``s = a tanh(s_raw / a)``, bounded by a learned a for each channel.

    Args:
        num_channels: Size of x's dimension 1.

    References:
        Dinh et al. 2017, arXiv:1605.08803, equation 7 and section 4.1 (tanh with a learned scale).
    """

    num_parameters = 2

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.log_bound = nn.Parameter(torch.zeros(num_channels))

    def _scale_and_shift(self, parameters: Tensor, sign: int = 1) -> tuple[Tensor, Tensor]:
        """Returns ``sign * s`` and t."""
        raw, shift = parameters.float().unbind(1)
        bound = self.log_bound.exp().view(1, -1, *[1] * (raw.dim() - 2))
        return torch.tanh(raw / bound) * (sign * bound), shift

    @override
    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self._scale_and_shift(parameters)
        return torch.addcmul(shift, x, log_scale.exp()), log_scale

    @override
    def inverse(self, z: Tensor, parameters: Tensor) -> Tensor:
        minus_log_scale, shift = self._scale_and_shift(parameters, -1)
        return (z - shift) * minus_log_scale.exp()


class SigmoidAffine(Transform):
    """``z = (x + t) sigmoid(s + 2)``, as in Glow, with a scale of at most one.

    References:
        Kingma, Dhariwal 2018, arXiv:1807.03039; the sigmoid and its shift of 2 are in the authors' code.
    """

    num_parameters = 2

    @override
    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = parameters.float().unbind(1)
        return (x + shift) * torch.sigmoid(raw + 2), F.logsigmoid(raw + 2)

    @override
    def inverse(self, z: Tensor, parameters: Tensor) -> Tensor:
        raw, shift = parameters.float().unbind(1)
        return z / torch.sigmoid(raw + 2) - shift
