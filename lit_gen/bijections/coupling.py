"""Coupling layers: one part of the data is transformed, with parameters computed from the other part."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.bijections.bijection import Bijection, sum_dims
from lit_gen.bijections.transform import Transform


def _beside(x: Tensor, context: Tensor | None) -> Tensor:
    return x if context is None else torch.cat([x, context], 1)


class Coupling(Bijection):
    """Transforms one half of dimension 1, with parameters computed from the other half.

    The halves are contiguous, so that both are views; the lower one is rounded up.

    Args:
        net: Network from the unchanged half (and the context) to ``num_parameters`` parameters per transformed
            dimension; :func:`halves` returns the sizes.
        transform: Transform that takes the parameters.
        moves_upper: Whether the upper half is transformed.

    References:
        Dinh et al. 2017, arXiv:1605.08803, section 3.2 to 3.4.
    """

    def __init__(self, net: nn.Module, transform: Transform, moves_upper: bool) -> None:
        super().__init__()
        self.net, self.transform, self.moves_upper = net, transform, moves_upper

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        lower, upper = x.tensor_split([(x.shape[1] + 1) // 2], 1)
        return (upper, lower) if self.moves_upper else (lower, upper)

    def _join(self, moved: Tensor, stays: Tensor) -> Tensor:
        return torch.cat([stays, moved] if self.moves_upper else [moved, stays], 1)

    def _ask(self, stays: Tensor, context: Tensor | None) -> Tensor:
        return self.net(_beside(stays, context)).unflatten(1, (self.transform.num_parameters, -1))

    @override
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        moves, stays = self._split(x)
        moved, log_derivative = self.transform(moves, self._ask(stays, context))
        return self._join(moved, stays), sum_dims(log_derivative)

    @override
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        moved, stays = self._split(z)
        return self._join(self.transform.inverse(moved, self._ask(stays, context)), stays)


def halves(num_channels: int, moves_upper: bool) -> tuple[int, int]:
    """Numbers of unchanged and of transformed channels.

    >>> halves(5, moves_upper=True)
    (3, 2)
    """
    lower, upper = (num_channels + 1) // 2, num_channels // 2
    return (lower, upper) if moves_upper else (upper, lower)


class CheckerboardCoupling(Bijection):
    """Transforms every second pixel of a checkerboard, with parameters computed from the others.

    Args:
        net: Network from the masked image (and the context) to ``num_parameters`` parameters per channel.
        transform: Transform that takes the parameters.
        parity: Colour of the checkerboard that is transformed, 0 or 1.

    References:
        Dinh et al. 2017, arXiv:1605.08803, section 3.4, figure 3.
    """

    def __init__(self, net: nn.Module, transform: Transform, parity: int) -> None:
        super().__init__()
        self.net, self.transform = net, transform
        self.parity = parity

    def _moves(self, x: Tensor) -> Tensor:
        rows = torch.arange(x.shape[2], device=x.device)[:, None]
        columns = torch.arange(x.shape[3], device=x.device)
        return (rows + columns) % 2 == self.parity

    def _ask(self, x: Tensor, moves: Tensor, context: Tensor | None) -> Tensor:
        stays = x.masked_fill(moves, 0.0)
        return self.net(_beside(stays, context)).unflatten(1, (self.transform.num_parameters, -1))

    @override
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        moves = self._moves(x)
        moved, log_derivative = self.transform(x, self._ask(x, moves, context))
        return torch.where(moves, moved, x), sum_dims(log_derivative.masked_fill(~moves, 0.0))

    @override
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        moves = self._moves(z)
        return torch.where(moves, self.transform.inverse(z, self._ask(z, moves, context)), z)
