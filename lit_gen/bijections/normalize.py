"""Activation normalization as a bijection."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import override

from lit_gen.bijections.bijection import Bijection
from lit_gen.nets.actnorm import ActNorm


class Normalize(Bijection):
    """:class:`lit_gen.nets.ActNorm` with its log-determinant: a scale and a shift for each channel.

    Args:
        num_channels: Size of dimension 1, which for vectors is the number of dimensions.
    """

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.norm = ActNorm(num_channels)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The log-determinant of each position is the same: ``H W sum(log scale)``."""
        z = self.norm(x)
        positions = x[0, 0].numel()
        return z, (positions * self.norm.log_scale.float().sum()).expand(len(x))

    @override
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self.norm.inverse(z)
