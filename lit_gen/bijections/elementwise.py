"""Elementwise bijections without a network."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from lit_gen.bijections.bijection import Bijection, sum_dims
from lit_gen.errors import UserError


class Logit(Bijection):
    """``logit(alpha + (1 - 2 alpha) x)`` for x in [0, 1]: maps the interval to the real line.

    Args:
        alpha: Constant that keeps the ends finite. The support of a density of the result is slightly larger than
            [0, 1] in x, so that some of its mass is lost and bounds remain valid.

    References:
        Dinh, Sohl-Dickstein, Bengio: Density estimation using Real NVP, 2017, arXiv:1605.08803, section 4.1;
        Papamakarios, Pavlakou, Murray: Masked Autoregressive Flow, 2017, arXiv:1705.07057, section 4.3 (lambda).
    """

    def __init__(self, alpha: float = 0.05) -> None:
        super().__init__()
        if not 0 < alpha < 0.5:
            raise UserError(f"alpha is {alpha}; it must be between 0 and 0.5, such as 0.05 or 1.0e-6")
        self.alpha = alpha

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Log-determinant by ``d logit(y)/dy = 1 / (y (1 - y))``; 1 - y is computed from 1 - x, for accuracy near 1."""
        log_y = (self.alpha + (1 - 2 * self.alpha) * x).log()
        log_rest = (self.alpha + (1 - 2 * self.alpha) * (1 - x)).log()
        return log_y - log_rest, sum_dims(math.log(1 - 2 * self.alpha) - (log_y + log_rest))

    @override
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return (torch.sigmoid(z) - self.alpha) / (1 - 2 * self.alpha)


class Sigmoid(Bijection):
    """Maps the real line to (0, 1), to model dequantization noise by a flow."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Log-determinant by ``ds/dx = s (1 - s)``."""
        return torch.sigmoid(x), -sum_dims(F.softplus(x) + F.softplus(-x))

    @override
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return torch.logit(z)


class Centre(Bijection):
    """``x - 1/2``: centres [0, 1] around zero, the preprocessing of Glow."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The log-determinant is zero."""
        return x - 0.5, torch.zeros(len(x), device=x.device)

    @override
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return z + 0.5
