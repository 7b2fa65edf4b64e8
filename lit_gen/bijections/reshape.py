"""Volume-preserving rearrangements of dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from lit_gen.bijections.bijection import Bijection
from lit_gen.errors import UserError


def _none(x: Tensor) -> Tensor:
    return torch.zeros(len(x), device=x.device)


class Flatten(Bijection):
    """Flattens ``[B, *shape]`` to ``[B, D]``."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    @override
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x.flatten(1), _none(x)

    @override
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return z.reshape(len(z), *self.shape)


class Squeeze(Bijection):
    """Space-to-depth: ``[B, C, H, W]`` to ``[B, 4C, H/2, W/2]``, where each 2x2 square becomes four channels.

    References:
        Dinh et al. 2017, arXiv:1605.08803, section 3.6.
    """

    @staticmethod
    def output_shape(shape: Sequence[int]) -> tuple[int, int, int]:
        """The shape of one squeezed example.

        Raises:
            UserError: If height or width is odd.
        """
        channels, height, width = shape
        if height % 2 or width % 2:
            raise UserError(
                f"a multi-scale flow halves height and width, and {height}x{width} cannot be halved;"
                " lower num_scales, or resize the images"
            )
        return 4 * channels, height // 2, width // 2

    @override
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return F.pixel_unshuffle(x, 2), _none(x)

    @override
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return F.pixel_shuffle(z, 2)


class Reverse(Bijection):
    """Reverses the last dimension.

    References:
        Papamakarios et al. 2017, arXiv:1705.07057, section 4 (each layer of MAF reverses the order of the last).
    """

    @override
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x.flip(-1), _none(x)

    @override
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return z.flip(-1)


class EvenOdd(Bijection):
    """The even dimensions of a vector, then the odd ones, for alternating couplings of contiguous halves."""

    @override
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return torch.cat([x[:, 0::2], x[:, 1::2]], 1), _none(x)

    @override
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        out = torch.empty_like(z)
        out[:, 0::2], out[:, 1::2] = z.tensor_split([(z.shape[1] + 1) // 2], 1)
        return out
