"""Incremental evaluation of masked convolutions, pixel by pixel, with per-column caches."""

from __future__ import annotations

import abc

import torch
from torch import Tensor

from lit_gen.nets.autoregressive.masked_conv import MaskedConv2d


class Columns(abc.ABC):
    """Per-column cache of a network: features of the current pixel, layer by layer, from those of previous pixels.

    Usage: :meth:`start_row`; for each pixel of the row and each of its channels, :meth:`logits` and then
    :meth:`write`; and so on for the next row.
    """

    @abc.abstractmethod
    def start_row(self) -> None:
        """Stores the completed row, and computes the contributions of previous rows to the next one."""

    @abc.abstractmethod
    def logits(self, j: int) -> Tensor:
        """Logits of all channels of pixel j: ``[B, C, L]``; valid for a channel once the previous ones are set."""

    @abc.abstractmethod
    def write(self, j: int, channel: int, features: Tensor) -> None:
        """Sets the features of a channel of pixel j, ``[B, 1 + E]``."""


class Rows:
    """The last rows of features, with zero padding at the sides and, initially, above.

    Args:
        num_rows: Number of rows kept.
        batch_size: Number of examples B.
        width: Image width W.
        pads: Number of zero columns on the left and on the right.
        num_features: Number of channels F.
        like: A tensor with the required dtype and device.
    """

    def __init__(
        self, num_rows: int, batch_size: int, width: int, pads: tuple[int, int], num_features: int, like: Tensor
    ) -> None:
        self.left, self.width = pads[0], width
        self.rows = [like.new_zeros(batch_size, sum(pads) + width, num_features) for _ in range(num_rows)]

    def push(self, row: Tensor) -> None:
        """Adds ``[B, W, F]`` as the newest row, and drops the oldest."""
        oldest = self.rows.pop(0)
        oldest[:, self.left : self.left + self.width] = row
        self.rows.append(oldest)

    def windows(self, ago: int, columns: int, dilation: int) -> Tensor:
        """Inputs of a kernel row at each pixel of one of the rows, 0 for the newest: ``[B W, columns F]``."""
        row = self.rows[-1 - ago]
        batch, _, features = row.shape
        per_batch, per_column, _ = row.stride()
        size = (batch, self.width, columns, features)
        return row.as_strided(size, (per_batch, per_column, dilation * per_column, 1)).reshape(-1, columns * features)


def taps_first(weight: Tensor) -> Tensor:
    """Reshapes a kernel ``[outputs, inputs, rows, columns]`` to ``[rows, columns inputs, outputs]``."""
    return weight.detach().permute(2, 3, 1, 0).flatten(1, 2).contiguous()


def with_bias(weight: Tensor, bias: Tensor) -> Tensor:
    """Weights ``[inputs + 1, outputs]`` of a 1x1 kernel, with the bias as the weight of an input that is 1."""
    return torch.cat([weight.detach().flatten(1).T, bias.detach()[None]]).contiguous()


def with_one(batch_size: int, num_features: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """A buffer ``[B, features + 1]`` whose last column is 1, and the view of the others."""
    whole = like.new_ones(batch_size, num_features + 1)
    return whole, whole[:, :num_features]


class ConvColumn:
    """A :class:`MaskedConv2d` at one pixel: contributions of previous rows are computed once per row, for all pixels.

    Nothing is gathered for a pixel: its own features and those to the left are contiguous in one row of a matrix.

    Args:
        conv: The convolution.
        batch_size: Number of examples B.
        width: Image width W.
    """

    def __init__(self, conv: MaskedConv2d, batch_size: int, width: int) -> None:
        weight = conv.masked_weight()
        outputs, inputs = weight.shape[:2]
        self.dilation, self.columns = conv.dilation, weight.shape[3]
        pads = (conv.dilation * conv.beside, conv.dilation * conv.right)
        self.past = Rows(conv.dilation * conv.above, batch_size, width, pads, inputs, weight)
        *self.above, own = taps_first(weight)
        self.bias = conv.bias.detach()  # type: ignore[union-attr]
        row = Rows(1, batch_size, width, pads, inputs, weight).rows[0]
        self.row = row[:, pads[0] : pads[0] + width]
        self.slots = [self.row[:, j] for j in range(width)]
        # Inputs of a dilated kernel are not contiguous: one product for each of them, otherwise one for all.
        near = 1 if conv.dilation > 1 else conv.beside + 1
        self.own = [w.contiguous() for w in own[: (conv.beside + 1) * inputs].split(near * inputs)]
        flat = row.flatten(1)
        starts = [conv.dilation * i * inputs for i in range(len(self.own))]
        self.seen = [
            [flat[:, j * inputs + start : (j + near) * inputs + start] for start in starts] for j in range(width)
        ]
        self.base = weight.new_zeros(batch_size, width, outputs)
        self.bases = [self.base[:, j] for j in range(width)]

    def start_row(self) -> None:
        """Stores the row, and computes the bias and the contributions of previous rows for each pixel."""
        if self.past.rows:
            self.past.push(self.row)
        base = self.base.flatten(0, 1)
        base.copy_(self.bias.expand_as(base))
        for i, weight in enumerate(reversed(self.above)):
            base.addmm_(self.past.windows(self.dilation * (i + 1) - 1, self.columns, self.dilation), weight)

    def write(self, j: int, channel: int, features: Tensor) -> None:
        """Sets the features of a channel of pixel j, ``[B, features of a channel]``; channels are contiguous."""
        n = features.shape[1]
        self.slots[j][:, channel * n : (channel + 1) * n] = features

    def at(self, j: int, out: Tensor) -> Tensor:
        """Computes ``[B, outputs]`` at pixel j, whose features are in ``slots[j]``, into out."""
        base = self.bases[j]
        for seen, weight in zip(self.seen[j], self.own, strict=True):
            base = torch.addmm(base, seen, weight, out=out)
        return out
