"""Maps of each dimension by itself, without a network."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from lit_gen.bijections.bijection import Bijection, sum_dims
from lit_gen.errors import UserError


class Logit(Bijection):
    """``logit(alpha + (1 - 2 alpha) x)`` for x in [0, 1]: data on an interval to the whole line.

    Args:
        alpha: Keeps the ends finite. A density of the result has support a little wider than [0, 1] on x, so
            that some of its mass is lost and a bound stays one.

    References:
        Dinh, Sohl-Dickstein, Bengio: Density estimation using Real NVP, 2017, arXiv:1605.08803, section 4.1;
        Papamakarios, Pavlakou, Murray: Masked Autoregressive Flow, 2017, arXiv:1705.07057, section 4.3 (lambda).
    """

    def __init__(self, alpha: float = 0.05) -> None:
        super().__init__()
        if not 0 < alpha < 0.5:
            raise UserError(f"alpha is {alpha}; give a number between 0 and 0.5, such as 0.05 or 1.0e-6")
        self.alpha = alpha

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``d logit(y)/dy = 1 / (y (1 - y))``; 1 - y is made from 1 - x, which near 1 keeps more digits."""
        log_y = (self.alpha + (1 - 2 * self.alpha) * x).log()
        log_rest = (self.alpha + (1 - 2 * self.alpha) * (1 - x)).log()
        return log_y - log_rest, sum_dims(math.log(1 - 2 * self.alpha) - (log_y + log_rest))

    @override
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return (torch.sigmoid(z) - self.alpha) / (1 - 2 * self.alpha)


class Sigmoid(Bijection):
    """The line to (0, 1): how a flow on the line becomes a distribution of dequantization noise."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``ds/dx = s (1 - s)``."""
        return torch.sigmoid(x), -sum_dims(F.softplus(x) + F.softplus(-x))

    @override
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return torch.logit(z)


class Centre(Bijection):
    """``x - 1/2``: [0, 1] around zero, the preprocessing of Glow."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Volumes stay as they are."""
        return x - 0.5, torch.zeros(len(x), device=x.device)

    @override
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return z + 0.5
