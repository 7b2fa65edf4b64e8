"""Incremental decoding of PixelCNN++ in about one pass per image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lit_gen.nets.autoregressive.pixelcnnpp_net import PixelCNNppNet, Stream
from lit_gen.nets.autoregressive.shifted_cache import (
    PixelBlock,
    PixelConv,
    PixelGrow,
    RowBlock,
    RowConv,
    RowGrow,
    columns,
)


class _Walk:
    """A stream evaluated at successive positions: resolution s at every ``2^s``-th, where 0 is the finest.

    Args:
        down: Blocks of each resolution in the downward path.
        shrink: Downsampling from each resolution to the next.
        grow: Upsampling back.
        up: Blocks of each resolution in the upward path.
    """

    def __init__(
        self,
        down: list[list[Any]],
        shrink: Sequence[RowConv | PixelConv],
        grow: Sequence[RowGrow | PixelGrow],
        up: list[list[Any]],
    ) -> None:
        self.down, self.shrink, self.grow, self.up = down, shrink, grow, up

    def __call__(self, x: Tensor, at: int, depth: int) -> Tensor:
        """Output of the stream for x at a position of the finest resolution, evaluating ``depth`` resolutions."""
        stack = [x]
        for s in range(depth):
            if s:
                stack.append(self.shrink[s - 1](stack[-1], at >> (s - 1)))
            for block in self.down[s]:
                stack.append(block(stack[-1], None, at >> s))
        if depth < len(self.down):
            self.shrink[depth - 1].remember(stack[-1], at >> (depth - 1))
        for s in reversed(range(depth)):
            x = stack.pop() if s == len(self.down) - 1 else self.grow[s].pick(at >> s)
            for block in self.up[s]:
                x = block(x, stack.pop(), at >> s)
            if s:
                self.grow[s - 1].store(x, at >> s)
        return x


def _row_walk(stream: Stream, label: Tensor | None) -> _Walk:
    def blocks(of: Any) -> list[list[RowBlock]]:
        return [[RowBlock(block, label) for block in one] for one in of]

    shrink = [RowConv(conv) for conv in stream.shrink]  # type: ignore[arg-type]
    grow = [RowGrow(deconv) for deconv in stream.grow]  # type: ignore[arg-type]
    return _Walk(blocks(stream.down), shrink, grow, blocks(stream.up))


def _pixel_walk(stream: Stream, rows: _Walk, batch_size: int, width: int) -> _Walk:
    def blocks(of: Any, beside: list[list[RowBlock]]) -> list[list[PixelBlock]]:
        return [
            [PixelBlock(block, row, batch_size, width >> s) for block, row in zip(of[s], rows, strict=True)]
            for s, rows in enumerate(beside)
        ]

    shrink = [PixelConv(conv, batch_size, width >> s) for s, conv in enumerate(stream.shrink)]  # type: ignore[arg-type]
    grow = [
        PixelGrow(deconv, batch_size, width >> (s + 1)) for s, deconv in enumerate(stream.grow)  # type: ignore[arg-type]
    ]
    return _Walk(blocks(stream.down, rows.down), shrink, grow, blocks(stream.up, rows.up))


class PixelCNNppCache:
    """Outputs of the network for one pixel per call, in raster order.

    The stream of the rows above advances row by row, the other pixel by pixel; a coarser resolution is evaluated at
    every second row and column. All calls together take about one forward pass.

    Args:
        net: The network, in eval mode, which must not change while the cache is used.
        batch_size: Number of examples B.
        height: Height of the images.
        width: Width of the images.
        label: Classes int64 ``[B]``.

    References:
        Ramachandran et al.: Fast Generation for Convolutional Autoregressive Models, 2017, arXiv:1704.06001.
    """

    @torch.no_grad()
    def __init__(
        self, net: PixelCNNppNet, batch_size: int, height: int, width: int, label: Tensor | None = None
    ) -> None:
        self.net, self.width, self.asked = net, width, 0
        self.above = _row_walk(net.above, label)
        self.above_and_left = _pixel_walk(net.above_and_left, self.above, batch_size, width)
        self.rows_above, self.row_above = net.rows_above.weight(), net.row_above.weight()
        self.column_left = net.column_left.weight().flatten(1).T
        self.head = net.head.weight()[:, :, 0, 0].T
        # Two rows of padding above the image; the last channel marks the inside of the image.
        self.x = self.head.new_zeros(batch_size, net.num_channels + 1, height + 2, width)
        self.known: Tensor

    @torch.no_grad()
    def next(self, pixel: Tensor | None) -> Tensor:
        """Outputs for the next pixel, ``[B, num_outputs]``.

        Args:
            pixel: The previous pixel, ``[B, C]``; None in the first call only.
        """
        if pixel is not None:
            r, c = divmod(self.asked - 1, self.width)
            self.x[:, :-1, r + 2, c] = pixel
            self.x[:, -1, r + 2, c] = 1.0
        r, c = divmod(self.asked, self.width)
        self.asked += 1
        if c == 0:
            self._start_row(r)
        ul = self.known[:, c]
        if c:
            pair = self.x[:, :, r + 1 : r + 3, c - 1].flatten(1)
            ul = ul + pair @ self.column_left + self.net.column_left.bias
        ul = self.above_and_left(ul, c, min(self._depth(r), self._depth(c)))
        return F.elu(ul) @ self.head + self.net.head.bias

    def _depth(self, at: int) -> int:
        """Number of resolutions to evaluate at a row or column."""
        depth = 1
        while depth < self.net.num_scales and at % 2**depth == 0:
            depth += 1
        return depth

    def _start_row(self, r: int) -> None:
        above = self.x[:, :, r : r + 2]
        if r:
            u = F.conv2d(above, self.rows_above, self.net.rows_above.bias, 1, (0, 1))
            self.known = columns(F.conv2d(above[:, :, 1:], self.row_above, self.net.row_above.bias, 1, (0, 1)))
        else:  # both are shifted down, with no input from above
            u = self.x.new_zeros(len(self.x), len(self.net.rows_above.bias), 1, self.width)
            self.known = columns(u)
        depth, walk = self._depth(r), self.above_and_left
        self.above(u, r, depth)
        for s in range(depth):
            for block in (*walk.down[s], *walk.up[s]):
                block.start_row()
            for layer in (*walk.shrink[s : s + 1], *walk.grow[s : s + 1]):
                layer.start_row(r >> s)  # type: ignore[union-attr]
