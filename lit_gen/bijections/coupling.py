"""Coupling layers: one part of the data stays as it is and says how the other moves."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lit_gen.bijections.bijection import Bijection, sum_dims
from lit_gen.bijections.transform import Transform


def _beside(x: Tensor, context: Tensor | None) -> Tensor:
    return x if context is None else torch.cat([x, context], 1)


class Coupling(Bijection):
    """A part of dimension 1 moves, told by the rest.

    Args:
        net: From the part that stays (and the context) to ``num_parameters`` numbers for each that moves.
        transform: What is done with them.
        moves: Which indices of dimension 1 move: ``slice(0, None, 2)`` for the even ones of a vector,
            ``slice(C // 2, None)`` for an image's upper half of the channels.
        stays: The others.

    References:
        Dinh et al. 2017, arXiv:1605.08803, section 3.2 to 3.4.
    """

    def __init__(self, net: nn.Module, transform: Transform, moves: slice, stays: slice) -> None:
        super().__init__()
        self.net, self.transform = net, transform
        self.moves, self.stays = moves, stays

    def _ask(self, stays: Tensor, context: Tensor | None) -> Tensor:
        return self.net(_beside(stays, context)).unflatten(1, (self.transform.num_parameters, -1))

    def _whole(self, x: Tensor, moved: Tensor) -> Tensor:
        if self.moves.step in (None, 1):  # halves lie beside each other
            parts = [moved, x[:, self.stays]] if self.moves.start in (None, 0) else [x[:, self.stays], moved]
            return torch.cat(parts, 1)
        if x.shape[1] % 2 == 0:  # every second one: both parts are interleaved in one pass
            parts = [moved, x[:, self.stays]] if self.moves.start == 0 else [x[:, self.stays], moved]
            return torch.stack(parts, 2).flatten(1, 2)
        out = x.clone()
        out[:, self.moves] = moved
        return out

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See :class:`Bijection`."""
        moved, log_derivative = self.transform(x[:, self.moves], self._ask(x[:, self.stays], context))
        return self._whole(x, moved), sum_dims(log_derivative)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """See :class:`Bijection`."""
        return self._whole(z, self.transform.inverse(z[:, self.moves], self._ask(z[:, self.stays], context)))


def halves(num_channels: int, moves_upper: bool) -> tuple[slice, slice]:
    """Which channels move and which stay: two contiguous halves, the lower one rounded up."""
    middle = (num_channels + 1) // 2
    lower, upper = slice(0, middle), slice(middle, num_channels)
    return (upper, lower) if moves_upper else (lower, upper)


def size_of(part: slice, num_channels: int) -> int:
    """How many of the channels a slice takes.

    >>> size_of(slice(1, None, 2), 5)
    2
    """
    return len(range(*part.indices(num_channels)))


class CheckerboardCoupling(Bijection):
    """Every second pixel of a checkerboard moves, told by the others around it.

    Args:
        net: From the masked image (and the context) to ``num_parameters`` maps for each channel.
        transform: What is done with them.
        parity: 0 or 1: which colour of the board moves.

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

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See :class:`Bijection`."""
        moves = self._moves(x)
        moved, log_derivative = self.transform(x, self._ask(x, moves, context))
        return torch.where(moves, moved, x), sum_dims(log_derivative.masked_fill(~moves, 0.0))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """See :class:`Bijection`."""
        moves = self._moves(z)
        return torch.where(moves, self.transform.inverse(z, self._ask(z, moves, context)), z)
