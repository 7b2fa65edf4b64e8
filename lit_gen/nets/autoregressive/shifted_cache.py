"""Incremental evaluation of shifted convolutions by rows or pixels: each activation is computed once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lit_gen.nets.autoregressive.pixelcnnpp_net import GatedResidual
from lit_gen.nets.autoregressive.shifted_conv import ShiftedConv, ShiftedDeconv, concat_elu
from lit_gen.nets.gates import glu

# Rows are tensors [B, C, 1, W]. Pixels are [B, C], and their known contributions a row ahead are [B, W, C].


def columns(row: Tensor) -> Tensor:
    """Converts a row ``[B, C, 1, W]`` to pixels: ``[B, W, C]``."""
    return row[:, :, 0].transpose(1, 2)


# ------------------------------------------------------------------ the stream that advances by rows


class RowConv:
    """A 2x3 convolution over successive rows, which stores the last one."""

    def __init__(self, conv: ShiftedConv) -> None:
        self.weight, self.bias, self.stride = conv.weight(), conv.bias, conv.stride
        self.last: Tensor | None = None

    def __call__(self, row: Tensor, at: int = 0) -> Tensor:
        """Output ``[B, out, 1, W]``, or half as wide, at the row below the last."""
        last = torch.zeros_like(row) if self.last is None else self.last
        self.last = row
        return F.conv2d(torch.cat([last, row], 2), self.weight, self.bias, (1, self.stride), (0, 1))

    def remember(self, row: Tensor, at: int) -> None:
        """Stores a row without computing an output."""
        self.last = row


class RowBlock:
    """A residual block; keeps its last output for the other stream."""

    def __init__(self, block: GatedResidual, label: Tensor | None) -> None:
        self.block, self.label = block, label
        self.conv1, self.conv2 = RowConv(block.conv1), RowConv(block.conv2)
        self.active: Tensor

    def __call__(self, row: Tensor, skip: Tensor | None, at: int) -> Tensor:
        """Output of the block, with the skip connection from the downward path."""
        aux = None if skip is None else concat_elu(skip)
        out = self.block.between(self.conv1, self.conv2, row, concat_elu(row), aux, self.label)
        self.active = concat_elu(out)
        return out


class RowGrow:
    """Keeps the two fine rows upsampled from a coarse row."""

    def __init__(self, deconv: ShiftedDeconv) -> None:
        self.deconv = deconv
        self.rows: Tensor

    def store(self, row: Tensor, at: int) -> None:
        """Upsamples a coarse row."""
        self.rows = self.deconv(row)

    def pick(self, at: int) -> Tensor:
        """Returns a fine row."""
        return self.rows[:, :, at % 2, None]


# ------------------------------------------------------------------ the stream that advances by pixels


class PixelConv:
    """A 2x2 convolution over pixels; contributions of the row above are computed for a whole row at once."""

    def __init__(self, conv: ShiftedConv, batch_size: int, width: int) -> None:
        above, own = conv.weight().permute(2, 3, 1, 0).flatten(1, 2)  # each [2 C, out], the left pixel first
        self.above, self.own, self.bias, self.stride = above, own, conv.bias, conv.stride
        self.num_inputs = conv.v.shape[1]
        self.inputs = above.new_zeros(batch_size, (1 + width) * self.num_inputs)  # the first is the padding
        self.known: Tensor

    def start_row(self, at: int = 0, more: Tensor | None = None) -> None:
        """Moves the stored pixels to the row above; more ``[B, W, out]`` is added to the outputs."""
        if at % self.stride == 0:
            pairs = self.inputs.unfold(1, 2 * self.num_inputs, self.stride * self.num_inputs)
            self.known = pairs @ self.above + (self.bias if more is None else self.bias + more)

    def _pair(self, at: int) -> Tensor:
        return self.inputs[:, at * self.num_inputs : (at + 2) * self.num_inputs]

    def remember(self, x: Tensor, at: int) -> None:
        """Stores the input of a pixel."""
        self._pair(at)[:, self.num_inputs :] = x

    def __call__(self, x: Tensor, at: int) -> Tensor:
        """Output ``[B, out]`` for x ``[B, C]`` at column ``at``."""
        self.remember(x, at)
        return torch.addmm(self.known[:, at // self.stride], self._pair(at), self.own)


class PixelBlock:
    """A residual block with a skip connection from the other stream, whose whole row is known."""

    def __init__(self, block: GatedResidual, beside: RowBlock, batch_size: int, width: int) -> None:
        assert block.shortcut is not None
        self.block, self.beside = block, beside
        self.conv1 = PixelConv(block.conv1, batch_size, width)
        self.conv2 = PixelConv(block.conv2, batch_size, width)
        shortcut = block.shortcut.weight()[:, :, 0, 0].T
        num_beside = 2 * len(block.conv1.bias)
        self.from_beside, self.from_skip = shortcut[:num_beside], shortcut[num_beside:]
        known = beside.label is not None and block.classes is not None
        self.of_class = block.classes(beside.label)[:, None] if known else None  # type: ignore[misc]

    def start_row(self) -> None:
        """Starts a row at this block's resolution."""
        assert self.block.shortcut is not None
        self.conv1.start_row(0, columns(self.beside.active) @ self.from_beside + self.block.shortcut.bias)
        self.conv2.start_row(0, self.of_class)

    def __call__(self, x: Tensor, skip: Tensor | None, at: int) -> Tensor:
        """Output of the block, with the skip connection from the downward path."""
        h = self.conv1(concat_elu(x), at)
        if skip is not None:
            h.addmm_(concat_elu(skip), self.from_skip)
        return x + glu(self.conv2(concat_elu(h), at), 1)


class PixelGrow:
    """Keeps the two fine rows upsampled from coarse pixels."""

    def __init__(self, deconv: ShiftedDeconv, batch_size: int, width: int) -> None:
        self.weight = deconv.weight().permute(0, 2, 3, 1).flatten(1)  # [in, 2 2 out]
        self.bias = deconv.bias
        self.rows = self.bias.new_zeros(batch_size, 2, 2 * width, len(self.bias))
        self.row = 0

    def start_row(self, at: int) -> None:
        """Starts a fine row."""
        self.row = at % 2

    def store(self, x: Tensor, at: int) -> None:
        """Upsamples a coarse pixel."""
        self.rows[:, :, 2 * at : 2 * at + 2] = (x @ self.weight).view(len(x), 2, 2, -1) + self.bias

    def pick(self, at: int) -> Tensor:
        """Returns a fine pixel."""
        return self.rows[:, self.row, at]
