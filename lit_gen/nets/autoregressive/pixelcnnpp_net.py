"""PixelCNN++'s network: two streams of shifted convolutions at several resolutions."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_gen.errors import UserError
from lit_gen.nets.autoregressive.shifted_conv import ShiftedConv, ShiftedDeconv, WeightNormalized, concat_elu
from lit_gen.nets.gates import glu


class GatedResidual(nn.Module):
    """``x + a sigmoid(b)``, with a and b from two shifted convolutions, a skip connection and the class.

    Args:
        conv: Function that builds a shifted convolution, given the numbers of inputs and outputs.
        num_filters: Number of channels of x.
        num_aux: Number of channels of the skip connection; 0 for none.
        num_classes: Number of label classes; 0 means unconditional.
        dropout: Dropout rate before the second convolution.
    """

    def __init__(
        self, conv: Callable[..., ShiftedConv], num_filters: int, num_aux: int, num_classes: int, dropout: float
    ) -> None:
        super().__init__()
        self.conv1 = conv(2 * num_filters, num_filters)
        self.conv2 = conv(2 * num_filters, 2 * num_filters, init_scale=0.1)
        self.shortcut = ShiftedConv(2 * num_aux, num_filters, (1, 1), False) if num_aux else None
        self.classes = nn.Embedding(num_classes, 2 * num_filters) if num_classes else None
        if self.classes is not None:
            nn.init.normal_(self.classes.weight, std=0.05)
        self.dropout = dropout

    def forward(self, x: Tensor, active: Tensor, aux: Tensor | None, label: Tensor | None) -> Tensor:
        """Maps x to the same shape.

        Args:
            x: Features ``[B, num_filters, H, W]``.
            active: ``concat_elu(x)``, which other blocks also use.
            aux: Input of the skip connection, ``[B, 2 num_aux, H, W]``.
            label: Classes int64 ``[B]``.
        """
        return self.between(self.conv1, self.conv2, x, active, aux, label)

    def between(
        self,
        conv1: Callable[[Tensor], Tensor],
        conv2: Callable[[Tensor], Tensor],
        x: Tensor,
        active: Tensor,
        aux: Tensor | None,
        label: Tensor | None,
    ) -> Tensor:
        """The block with given functions as its two convolutions: a cache evaluates them row by row."""
        h = conv1(active)
        if self.shortcut is not None and aux is not None:
            h = h + self.shortcut(aux)
        h = conv2(F.dropout(concat_elu(h), self.dropout, self.training))
        if self.classes is not None and label is not None:
            h = h + self.classes(label)[:, :, None, None]
        return x + glu(h, 1)


class Stream(nn.Module):
    """Residual blocks down through the resolutions and up again, with a skip connection to each block on the way up.

    Args:
        reach_right: Whether kernels are 2x3 and extend to the right in rows above; otherwise they are 2x2.
        beside: Whether every block has a skip connection from the corresponding block of another stream.
        num_filters: Number of channels.
        num_resnet: Number of blocks per resolution on the way down; one more on the way up, except at the coarsest.
        num_scales: Number of resolutions.
        num_classes: Number of label classes; 0 means unconditional.
        dropout: Dropout rate.
    """

    def __init__(
        self,
        reach_right: bool,
        beside: bool,
        num_filters: int,
        num_resnet: int,
        num_scales: int,
        num_classes: int,
        dropout: float,
    ) -> None:
        super().__init__()
        conv = functools.partial(ShiftedConv, kernel_size=(2, 3 if reach_right else 2), reach_right=reach_right)

        def blocks(how_many: int, num_aux: int) -> nn.ModuleList:
            made = (GatedResidual(conv, num_filters, num_aux, num_classes, dropout) for _ in range(how_many))
            return nn.ModuleList(made)

        aux = num_filters if beside else 0
        mirrored = [num_resnet + (s < num_scales - 1) for s in range(num_scales)]
        self.down = nn.ModuleList(blocks(num_resnet, aux) for _ in range(num_scales))
        self.shrink = nn.ModuleList(conv(num_filters, num_filters, stride=2) for _ in range(num_scales - 1))
        self.grow = nn.ModuleList(
            ShiftedDeconv(num_filters, num_filters, reach_right) for _ in range(num_scales - 1)
        )
        self.up = nn.ModuleList(blocks(n, num_filters + aux) for n in mirrored)

    def forward(
        self, x: Tensor, beside: list[Tensor] | None, label: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        """Maps ``[B, num_filters, H, W]`` to the same shape; also returns ``concat_elu`` of all blocks' outputs.

        Args:
            x: Input of the stream.
            beside: The corresponding list of the other stream.
            label: Classes int64 ``[B]``.
        """
        others = iter(beside or [])
        made: list[Tensor] = []
        stack = [(x, concat_elu(x))]
        for s, blocks in enumerate(self.down):
            if s:
                x = self.shrink[s - 1](x)
                stack.append((x, concat_elu(x)))
            for block in blocks:  # type: ignore[attr-defined]
                x = block(*stack[-1], next(others, None), label)
                made.append(concat_elu(x))
                stack.append((x, made[-1]))
        x, active = stack.pop()
        for s in reversed(range(len(self.up))):
            for block in self.up[s]:  # type: ignore[attr-defined]
                _, aux = stack.pop()
                x = block(x, active, torch.cat([next(others), aux], 1) if beside else aux, label)
                active = concat_elu(x)
                made.append(active)
            if s:
                x = self.grow[s - 1](x)
                active = concat_elu(x)
        return x, made


class PixelCNNppNet(nn.Module):
    """Outputs for each pixel of x ``[B, C, H, W]``, which depend on the previous pixels only.

    One stream sees all rows above; the other also the row to the left and, in each block, the first stream.

    Args:
        num_channels: Number of image channels C.
        num_outputs: Number of outputs per pixel.
        num_filters: Number of channels of both streams; 160 in the paper for CIFAR-10.
        num_resnet: Number of blocks per resolution; 5 in the paper.
        num_scales: Number of resolutions, each half as high and wide as the previous one; 3 in the paper.
        num_classes: Number of label classes; 0 means unconditional.
        dropout: Dropout rate in the blocks; 0.5 in the paper.

    Raises:
        UserError: If a size is too small, or dropout is not in [0, 1).

    References:
        Salimans, Karpathy, Chen, Kingma: PixelCNN++, 2017, arXiv:1701.05517, sections 2.3 to 2.5, figure 2, and
        where these are silent (kernels, gates, the channel of ones) the authors' code.
    """

    def __init__(
        self,
        num_channels: int,
        num_outputs: int,
        num_filters: int,
        num_resnet: int,
        num_scales: int,
        num_classes: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(num_filters, num_resnet, num_scales) < 1 or not 0 <= dropout < 1:
            raise UserError(
                f"PixelCNN++ needs num_filters, num_resnet and num_scales of 1 or more and dropout in [0, 1),"
                f" not {num_filters}, {num_resnet}, {num_scales} and {dropout}"
            )
        self.num_channels, self.num_scales = num_channels, num_scales
        # The additional input is one inside the image, and zero in the padding.
        self.rows_above = ShiftedConv(num_channels + 1, num_filters, (2, 3), True)
        self.row_above = ShiftedConv(num_channels + 1, num_filters, (1, 3), True)
        self.column_left = ShiftedConv(num_channels + 1, num_filters, (2, 1), False)
        sizes = (num_filters, num_resnet, num_scales, num_classes, dropout)
        self.above = Stream(True, False, *sizes)
        self.above_and_left = Stream(False, True, *sizes)
        self.head = ShiftedConv(num_filters, num_outputs, (1, 1), False)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps ``[B, C, H, W]`` to ``[B, num_outputs, H, W]``, in channels-last layout.

        Args:
            x: Real numbers, about -1 to 1.
            label: Classes int64 ``[B]``.

        Raises:
            UserError: If the sides cannot be halved so often.
        """
        check_sides(x.shape[2], x.shape[3], self.num_scales)
        x = torch.cat([x, torch.ones_like(x[:, :1])], 1).contiguous(memory_format=torch.channels_last)
        u = F.pad(self.rows_above(x), (0, 0, 1, -1))
        ul = F.pad(self.row_above(x), (0, 0, 1, -1)) + F.pad(self.column_left(x), (1, -1))
        _, made = self.above(u, None, label)
        ul, _ = self.above_and_left(ul, made, label)
        return self.head(F.elu(ul))

    def layers(self) -> list[WeightNormalized]:
        """All layers that are initialized from data."""
        return [module for module in self.modules() if isinstance(module, WeightNormalized)]


def check_sides(height: int, width: int, num_scales: int) -> None:
    """Validates that both sides of an image are even before each halving.

    Raises:
        UserError: If they are not; the message has the largest valid number of resolutions.
    """
    fits = 1
    while height % 2**fits == 0 and width % 2**fits == 0:
        fits += 1
    if num_scales > fits:
        raise UserError(
            f"PixelCNN++: num_scales={num_scales} halves images {num_scales - 1} times, which {height}x{width} does not"
            f" allow; set it to {fits} or less"
        )
