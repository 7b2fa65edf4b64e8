"""PixelCNN's network: masked convolutions in residual blocks."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.nets.autoregressive.columns import Columns, ConvColumn, with_bias, with_one
from lit_gen.nets.autoregressive.masked_conv import LevelLogits, MaskedConv2d, channel_groups, level_groups


class _CroppedReLU(torch.autograd.Function):
    """ReLU of the first rows of x: autograd of a slice would fill and copy one more tensor in the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, height: int) -> Tensor:
        """Maps ``[B, C, more than H, W]`` to ``[B, C, H, W]``."""
        out = F.relu(x[:, :, :height])
        ctx.save_for_backward(out)
        ctx.rows = x.shape[2]
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Gradient of x: zero in the dropped rows."""
        (out,) = ctx.saved_tensors
        B, C, H, W = out.shape
        gradient = out.new_empty(B, ctx.rows, W, C).permute(0, 3, 1, 2)  # channels-last
        gradient[:, :, H:] = 0
        torch.ops.aten.threshold_backward.grad_input(gradients[0], out, 0, grad_input=gradient[:, :, :H])
        return gradient, None


class MaskedBlock(nn.Module):
    """``x + conv1x1(relu(conv3x3(relu(conv1x1(relu(x))))))``, masked, with half as many channels inside.

    Args:
        groups: Colour channels of the 2h features.
        groups_inside: Colour channels of the h features inside.

    References:
        van den Oord et al. 2016, arXiv:1601.06759, figure 5, left.
    """

    def __init__(self, groups: Tensor, groups_inside: Tensor) -> None:
        super().__init__()
        self.into = MaskedConv2d(groups, groups_inside)
        self.conv = MaskedConv2d(groups_inside, groups_inside, above=1, beside=1)
        self.out = MaskedConv2d(groups_inside, groups)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``[B, 2h, H, W]`` to the same shape; works in place on outputs of convolutions, which are not saved."""
        h = self.conv.taller(F.relu_(self.into(F.relu(x))))
        return self.out(_CroppedReLU.apply(h, x.shape[2])).add_(x)


class PixelCNNNet(nn.Module):
    """Logits of every channel of every pixel, given the previous channels and pixels.

    Args:
        num_channels: Number of image channels C.
        num_levels: Number of values L of the data.
        channels: Number of channels h inside a block; there are twice as many between blocks.
        num_blocks: Number of residual blocks.
        head_channels: Number of channels between the two 1x1 convolutions at the end.
        kernel_size: Kernel size of the first convolution, odd.
        level_features: Number E of learned features; each image channel has 1 + E contiguous input channels.

    References:
        van den Oord, Kalchbrenner, Kavukcuoglu: Pixel Recurrent Neural Networks, 2016, arXiv:1601.06759,
        section 3 and table 1.
    """

    def __init__(
        self,
        num_channels: int,
        num_levels: int,
        channels: int,
        num_blocks: int,
        head_channels: int,
        kernel_size: int = 7,
        level_features: int = 0,
    ) -> None:
        super().__init__()
        if kernel_size < 3 or kernel_size % 2 == 0:
            raise UserError(f"PixelCNN: kernel_size must be odd and at least 3, not {kernel_size}")
        if num_blocks < 0:
            raise UserError(f"PixelCNN: num_blocks={num_blocks} must be at least 0")
        reach = kernel_size // 2
        between, inside = (channel_groups(n, num_channels) for n in (2 * channels, channels))
        head = channel_groups(head_channels, num_channels)
        levels = level_groups(num_channels, level_features)
        self.first = MaskedConv2d(levels, between, above=reach, beside=reach, first=True)
        self.blocks = nn.ModuleList(MaskedBlock(between, inside) for _ in range(num_blocks))
        self.head = MaskedConv2d(between, head)
        self.levels = LevelLogits(head, num_channels, num_levels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps real ``[B, C (1 + E), H, W]`` to ``[B, H, W, C, L]``."""
        h = self.first(x).contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            h = block(h)
        return self.levels(F.relu_(self.head(F.relu_(h))))


class _BlockColumn:
    """A :class:`MaskedBlock` at one pixel."""

    def __init__(self, block: MaskedBlock, batch_size: int, width: int) -> None:
        weight, bias = block.into.masked_weight(), block.into.bias
        self.into, self.into_bias = weight.detach().flatten(1).T.contiguous(), bias.detach()  # type: ignore[union-attr]
        self.conv = ConvColumn(block.conv, batch_size, width)
        self.out = with_bias(block.out.masked_weight(), block.out.bias)  # type: ignore[arg-type]
        self.whole, self.inside = with_one(batch_size, len(weight), weight)

    def add_to(self, x: Tensor, relu: Tensor, j: int) -> None:
        """Adds the block to x, ``[B, 2h]`` at pixel j, in place; relu is a buffer of the same size."""
        torch.clamp_min(x, 0, out=relu)
        torch.addmm(self.into_bias, relu, self.into, out=self.conv.slots[j]).relu_()
        self.conv.at(j, self.inside).relu_()
        x.addmm_(self.whole, self.out)


class PixelCNNColumns(Columns):
    """Per-column cache of :class:`PixelCNNNet`.

    Args:
        net: The network.
        batch_size: Number of examples B.
        width: Image width W.
    """

    @torch.no_grad()
    def __init__(self, net: PixelCNNNet, batch_size: int, width: int) -> None:
        self.first = ConvColumn(net.first, batch_size, width)
        self.blocks = [_BlockColumn(block, batch_size, width) for block in net.blocks]  # type: ignore[arg-type]
        self.head = net.head.masked_weight().flatten(1).T.contiguous()
        self.head_bias = net.head.bias.detach()  # type: ignore[union-attr]
        weight, self.levels_bias = net.levels.linear()
        self.levels = weight.T.contiguous()
        self.size = (net.levels.num_channels, net.levels.num_levels)
        self.x, self.relu = weight.new_empty(2, batch_size, len(net.first.bias))  # type: ignore[arg-type]

    @override
    def start_row(self) -> None:
        self.first.start_row()
        for block in self.blocks:
            block.conv.start_row()

    @override
    def write(self, j: int, channel: int, features: Tensor) -> None:
        self.first.write(j, channel, features)

    @override
    def logits(self, j: int) -> Tensor:
        x = self.first.at(j, self.x)
        for block in self.blocks:
            block.add_to(x, self.relu, j)
        h = torch.addmm(self.head_bias, x.relu_(), self.head).relu_()
        return torch.addmm(self.levels_bias, h, self.levels).unflatten(1, self.size)
