"""Masked convolutions: a pixel's features depend only on the previous pixels in raster order."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_gen.errors import UserError


def channel_groups(num_features: int, num_channels: int) -> Tensor:
    """Colour channel of each feature, sorted, in groups of nearly equal size: int64 ``[num_features]``.

    Raises:
        UserError: If there are fewer features than channels.

    >>> channel_groups(5, 3).tolist()
    [0, 0, 1, 1, 2]
    """
    if num_features < num_channels:
        raise UserError(
            f"{num_features} channels cannot be divided among {num_channels} colour channels; use more"
        )
    return torch.arange(num_features) * num_channels // num_features


def level_groups(num_channels: int, level_features: int) -> Tensor:
    """Colour channel of each input channel, with E learned features per value: int64 ``[C (1 + E)]``.

    Raises:
        UserError: If E is negative.

    >>> level_groups(3, 1).tolist()
    [0, 0, 1, 1, 2, 2]
    """
    if level_features < 0:
        raise UserError(f"level_features={level_features} must be at least 0")
    return torch.arange(num_channels).repeat_interleave(1 + level_features)


class MaskedConv2d(nn.Module):
    """A convolution over the rows above, the pixels to the left, and the previous colour channels of the pixel itself.

    Masks A (first layer: only strictly previous channels of the pixel) and B (other layers: also the feature's own
    channel) are the paper's. Rows below the pixel, which the paper masks in square kernels, are not part of the
    kernel, so that no products with zeros are computed.

    Args:
        groups_in: Colour channel of each input feature, ``[inputs]``; see :func:`channel_groups`.
        groups_out: Colour channel of each output feature, ``[outputs]``.
        above: Number of rows above in the kernel.
        beside: Number of columns to the left in the kernel, and in the rows above also to the right. A k x k kernel of
            the paper has k // 2 of both.
        first: Whether to use mask A instead of B.
        dilation: Dilation of the kernel.

    References:
        van den Oord, Kalchbrenner, Kavukcuoglu: Pixel Recurrent Neural Networks, 2016, arXiv:1601.06759,
        sections 3.3 and 3.4, figure 4.
    """

    mask: Tensor

    def __init__(
        self,
        groups_in: Tensor,
        groups_out: Tensor,
        above: int = 0,
        beside: int = 0,
        first: bool = False,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.above, self.beside, self.dilation = above, beside, dilation
        self.right = beside if above else 0
        plain = nn.Conv2d(len(groups_in), len(groups_out), (above + 1, beside + 1 + self.right))
        seen = groups_in < groups_out[:, None] if first else groups_in <= groups_out[:, None]
        mask = torch.ones_like(plain.weight)
        mask[:, :, -1, beside] = seen.float()
        mask[:, :, -1, beside + 1 :] = 0
        self.register_buffer("mask", mask.contiguous(memory_format=torch.channels_last), persistent=False)
        self.everything = bool(mask.all())
        weight = (plain.weight.detach() * mask).contiguous(memory_format=torch.channels_last)
        self.weight = nn.Parameter(weight)
        self.bias = plain.bias
        self.padding = tuple(dilation * n for n in (beside, self.right, above, 0))

    def masked_weight(self) -> Tensor:
        """Weights ``[outputs, inputs, above + 1, columns]``, zero where an output must not depend on an input."""
        return self.weight if self.everything else self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``[B, inputs, H, W]`` to ``[B, outputs, H, W]``."""
        x = F.pad(x, self.padding) if any(self.padding) else x
        return F.conv2d(x, self.masked_weight(), self.bias, dilation=self.dilation)

    def taller(self, x: Tensor) -> Tensor:
        """The same, with additional rows below to be dropped: ``[B, outputs, H + above * dilation, W]``.

        Symmetric padding avoids a padded copy of x; for kernels with rows above.
        """
        padding = (self.dilation * self.above, self.dilation * self.beside)
        return F.conv2d(x, self.masked_weight(), self.bias, padding=padding, dilation=self.dilation)


class LevelLogits(nn.Module):
    """Logits of each colour channel's values, from the features of its group and of previous groups.

    The logit of value 0 is 0 and the others are learned: a softmax has one redundant parameter, and for two values this
    is the sigmoid.

    Args:
        groups_in: Colour channel of each input feature, ``[inputs]``.
        num_channels: Number of image channels C.
        num_levels: Number of values L.
    """

    def __init__(self, groups_in: Tensor, num_channels: int, num_levels: int) -> None:
        super().__init__()
        self.num_channels, self.num_levels = num_channels, num_levels
        self.conv = MaskedConv2d(groups_in, channel_groups(num_channels * (num_levels - 1), num_channels))

    def linear(self) -> tuple[Tensor, Tensor]:
        """Weights ``[C L, inputs]`` and biases ``[C L]``, zero for value 0: padding the outputs would take longer."""
        weight = self.conv.masked_weight().flatten(1).unflatten(0, (self.num_channels, -1))
        assert self.conv.bias is not None
        bias = self.conv.bias.unflatten(0, (self.num_channels, -1))
        return F.pad(weight, (0, 0, 1, 0)).flatten(0, 1), F.pad(bias, (1, 0)).flatten()

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``[B, inputs, H, W]`` to ``[B, H, W, C, L]``, contiguous if x is channels-last."""
        weight, bias = self.linear()
        out = F.conv2d(x, weight[:, :, None, None], bias)
        return out.permute(0, 2, 3, 1).unflatten(3, (self.num_channels, self.num_levels))
