"""Gated PixelCNN's network: a vertical stack for the rows above, a horizontal one for the row itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_gen.errors import UserError
from lit_gen.nets.autoregressive.masked_conv import LevelLogits, MaskedConv2d, channel_groups, level_groups
from lit_gen.nets.gates import tanh_gate


class VerticalConv2d(nn.Conv2d):
    """A convolution over whole rows without masks: no pixel in the rows above comes later.

    Args:
        num_inputs: Number of input channels.
        num_outputs: Number of output channels.
        reach: Number of rows above, and of columns to both sides, in the kernel.
        first: Whether to exclude the row itself, which contains the image in the first layer. Later layers include it,
            because a row of the first layer's output depends only on the rows above.
        dilation: Dilation of the kernel.
    """

    def __init__(self, num_inputs: int, num_outputs: int, reach: int, first: bool = False, dilation: int = 1) -> None:
        super().__init__(num_inputs, num_outputs, (reach + (not first), 2 * reach + 1), dilation=dilation)
        self.reach, self.first = reach, first
        # A gate halves small inputs, and there is no skip connection: weights of unit gain would leave a thousandth of
        # the image after ten layers.
        nn.init.normal_(self.weight, std=2.0 * self.weight[0].numel() ** -0.5)
        assert self.bias is not None
        nn.init.zeros_(self.bias)
        side = dilation * reach
        self.pads = (side, side, side, -dilation if first else 0)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``[B, inputs, H, W]`` to ``[B, outputs, H, W]``."""
        return super().forward(F.pad(x, self.pads))


class GatedLayer(nn.Module):
    """One layer of both stacks. The class contributes to the input of every gate (equation 4).

    The vertical stack is returned before its gate, which the last layer does not need. The class's term is added
    before the vertical features go to the horizontal stack, where figure 2 of the paper omits it.

    Args:
        groups: Colour channel of each of p features.
        reach: Half the kernel size.
        dilation: Dilation of both convolutions.
        num_classes: Number of label classes; 0 means unconditional.

    References:
        van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves, Kavukcuoglu: Conditional Image Generation with PixelCNN
        Decoders, 2016, arXiv:1606.05328, section 2, figure 2.
    """

    def __init__(self, groups: Tensor, reach: int, dilation: int, num_classes: int) -> None:
        super().__init__()
        p = len(groups)
        self.vertical = VerticalConv2d(p, 2 * p, reach, dilation=dilation)
        self.link = nn.Conv2d(2 * p, 2 * p, 1, bias=False)
        self.horizontal = MaskedConv2d(groups, groups.repeat(2), beside=reach, dilation=dilation)
        self.out = MaskedConv2d(groups, groups)
        for conv in (self.link, self.horizontal):
            nn.init.normal_(conv.weight, std=conv.weight[0].numel() ** -0.5)
        # Initialized to zero: classes do not differ initially.
        self.classes = nn.Parameter(torch.zeros(2, num_classes, 2 * p)) if num_classes else None

    def of_class(self, label: Tensor | None) -> tuple[Tensor | float, Tensor | float]:
        """Contributions of the class to the two stacks, each ``[B, 2p, 1, 1]``."""
        if self.classes is None or label is None:
            return 0.0, 0.0
        vertical, horizontal = self.classes[:, label][..., None, None]
        return vertical, horizontal

    def forward(self, v: Tensor, h: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Maps both stacks' features ``[B, p, H, W]`` to the vertical ones before the gate and the horizontal ones."""
        v_class, h_class = self.of_class(label)
        v = self.vertical(v) + v_class
        inside = self.horizontal(h) + self.link(v) + h_class
        return v, self.out(tanh_gate(inside, 1)) + h


class GatedPixelCNNNet(nn.Module):
    """Logits of every channel of every pixel, given all previous channels and pixels within reach: no blind spot.

    The first layer is a plain convolution in each stack, as in PixelCNN; the last is a 1x1 convolution between ReLUs.

    Args:
        num_channels: Number of image channels C.
        num_levels: Number of values L of the data.
        channels: Number of channels p of each stack; twice as many before the gates.
        dilations: Dilation of each gated layer.
        head_channels: Number of channels between the two 1x1 convolutions at the end.
        kernel_size: Kernel size of the gated layers, odd.
        first_kernel_size: Kernel size of the first layer, odd.
        num_classes: Number of label classes; 0 means unconditional.
        level_features: Number E of learned features; each image channel has 1 + E contiguous input channels.

    References:
        van den Oord et al. 2016, arXiv:1606.05328, section 2. Dilations: Lippe, UvA Deep Learning tutorial 12.
    """

    def __init__(
        self,
        num_channels: int,
        num_levels: int,
        channels: int,
        dilations: Sequence[int],
        head_channels: int,
        kernel_size: int = 3,
        first_kernel_size: int = 7,
        num_classes: int = 0,
        level_features: int = 0,
    ) -> None:
        super().__init__()
        for name, size in (("kernel_size", kernel_size), ("first_kernel_size", first_kernel_size)):
            if size < 3 or size % 2 == 0:
                raise UserError(f"{name} must be odd and at least 3, not {size}")
        if min(dilations, default=0) < 1:
            raise UserError(f"dilations must name at least one layer, each at least 1, not {list(dilations)}")
        reach = first_kernel_size // 2
        groups, head = (channel_groups(n, num_channels) for n in (channels, head_channels))
        levels = level_groups(num_channels, level_features)
        self.vertical = VerticalConv2d(len(levels), channels, reach, first=True)
        self.horizontal = MaskedConv2d(levels, groups, beside=reach, first=True)
        self.layers = nn.ModuleList(GatedLayer(groups, kernel_size // 2, d, num_classes) for d in dilations)
        self.head = MaskedConv2d(groups, head)
        self.levels = LevelLogits(head, num_channels, num_levels)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps real ``[B, C (1 + E), H, W]`` and labels int64 ``[B]`` to ``[B, H, W, C, L]``."""
        v, h = (conv(x).contiguous(memory_format=torch.channels_last) for conv in (self.vertical, self.horizontal))
        for i, layer in enumerate(self.layers):
            v, h = layer(tanh_gate(v, 1) if i else v, h, label)
        return self.levels(F.relu_(self.head(F.relu_(h))))
