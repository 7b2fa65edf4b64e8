"""Per-column cache of Gated PixelCNN: the vertical stack is computed per row, the horizontal one per pixel."""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.nets.autoregressive.columns import Columns, ConvColumn, Rows, taps_first, with_bias, with_one
from lit_gen.nets.autoregressive.gated_pixelcnn_net import GatedLayer, GatedPixelCNNNet, VerticalConv2d
from lit_gen.nets.gates import tanh_gate


class _VerticalRow:
    """A :class:`VerticalConv2d` at one row, from the rows of its input pushed so far."""

    def __init__(self, conv: VerticalConv2d, batch_size: int, width: int) -> None:
        self.dilation, reach = conv.dilation[0], conv.reach
        self.columns = 2 * reach + 1
        first = int(conv.first)
        self.weights = list(reversed(taps_first(conv.weight)))
        # In the first layer, the newest row pushed is the one above; in the others, the row itself.
        self.ago = [self.dilation * t for t in range(len(self.weights))]
        num_rows = self.ago[-1] + 1
        pad = self.dilation * reach
        self.rows = Rows(num_rows, batch_size, width, (pad, pad), conv.in_channels, conv.weight)
        self.bias = conv.bias.detach()  # type: ignore[union-attr]
        assert not first or self.dilation == 1

    def next(self, row: Tensor) -> Tensor:
        """Maps the newest input row ``[B, W, inputs]`` to ``[B, W, outputs]``."""
        self.rows.push(row)
        out = self.bias
        for ago, weight in zip(self.ago, self.weights, strict=True):
            out = torch.addmm(out, self.rows.windows(ago, self.columns, self.dilation), weight)
        return out.unflatten(0, row.shape[:2])


class _LayerColumn:
    """A :class:`GatedLayer` at one row, and then at its pixels."""

    def __init__(self, layer: GatedLayer, batch_size: int, width: int, label: Tensor | None) -> None:
        self.v_class, self.h_class = (
            c.detach().flatten(1)[:, None] if isinstance(c, Tensor) else c for c in layer.of_class(label)
        )
        self.vertical = _VerticalRow(layer.vertical, batch_size, width)
        self.link = layer.link.weight.detach().flatten(1).T.contiguous()
        self.conv = ConvColumn(layer.horizontal, batch_size, width)
        self.out = with_bias(layer.out.masked_weight(), layer.out.bias)  # type: ignore[arg-type]
        p = layer.link.in_channels // 2
        self.whole, self.gated = with_one(batch_size, p, self.out)
        self.inside = self.out.new_empty(batch_size, 2 * p)
        self.tanh, self.sigmoid = self.inside.split(p, 1)

    def start_row(self, v: Tensor) -> Tensor:
        """The vertical stack at the new row, before its gate; stores its contribution to the horizontal stack."""
        v = self.vertical.next(v) + self.v_class
        self.conv.start_row()
        self.conv.base.add_(v @ self.link + self.h_class)
        return v

    def at(self, j: int, out: Tensor) -> None:
        """Maps the features in the convolution's slot to the layer's output, ``[B, p]``, into out."""
        self.conv.at(j, self.inside)
        torch.mul(self.tanh.tanh_(), self.sigmoid.sigmoid_(), out=self.gated)
        torch.addmm(self.conv.slots[j], self.whole, self.out, out=out)


class GatedPixelCNNColumns(Columns):
    """Per-column cache of :class:`GatedPixelCNNNet`.

    Args:
        net: The network.
        batch_size: Number of examples B.
        width: Image width W.
        label: Classes int64 ``[B]``, for a class-conditional network.
    """

    @torch.no_grad()
    def __init__(self, net: GatedPixelCNNNet, batch_size: int, width: int, label: Tensor | None = None) -> None:
        self.vertical = _VerticalRow(net.vertical, batch_size, width)
        self.first = ConvColumn(net.horizontal, batch_size, width)
        self.layers = [_LayerColumn(layer, batch_size, width, label) for layer in net.layers]  # type: ignore[arg-type]
        self.head = net.head.masked_weight().flatten(1).T.contiguous()
        self.head_bias = net.head.bias.detach()  # type: ignore[union-attr]
        weight, self.levels_bias = net.levels.linear()
        self.levels = weight.T.contiguous()
        self.size = (net.levels.num_channels, net.levels.num_levels)
        self.last = weight.new_empty(batch_size, len(self.head))
        # Each layer writes into the input of the next one's convolution.
        self.outs = [layer.conv.slots for layer in self.layers] + [[self.last] * width]

    @override
    def start_row(self) -> None:
        v = self.vertical.next(self.first.row)
        self.first.start_row()
        for i, layer in enumerate(self.layers):
            v = layer.start_row(tanh_gate(v.flatten(0, 1), 1).unflatten(0, v.shape[:2]) if i else v)

    @override
    def write(self, j: int, channel: int, features: Tensor) -> None:
        self.first.write(j, channel, features)

    @override
    def logits(self, j: int) -> Tensor:
        self.first.at(j, self.outs[0][j])
        for layer, out in zip(self.layers, self.outs[1:], strict=True):
            layer.at(j, out[j])
        h = torch.addmm(self.head_bias, self.last.relu_(), self.head).relu_()
        return torch.addmm(self.levels_bias, h, self.levels).unflatten(1, self.size)
