"""Masked convolutions: a pixel's features come from the pixels before it in the order of reading."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lit_gen.errors import UserError


def channel_groups(num_features: int, num_channels: int) -> Tensor:
    """Which colour channel each feature belongs to, sorted, in groups as even as can be: int64 ``[num_features]``.

    Raises:
        UserError: There are fewer features than channels.

    >>> channel_groups(5, 3).tolist()
    [0, 0, 1, 1, 2]
    """
    if num_features < num_channels:
        raise UserError(
            f"model: {num_features} features cannot be shared among {num_channels} colour channels; take more"
        )
    return torch.arange(num_features) * num_channels // num_features


def level_groups(num_channels: int, level_features: int) -> Tensor:
    """Which colour channel each number of the input belongs to, with E beside each level: int64 ``[C (1 + E)]``.

    Raises:
        UserError: E is negative.

    >>> level_groups(3, 1).tolist()
    [0, 0, 1, 1, 2, 2]
    """
    if level_features < 0:
        raise UserError(f"model.level_features is {level_features}; give at least 0")
    return torch.arange(num_channels).repeat_interleave(1 + level_features)


class MaskedConv2d(nn.Module):
    """A convolution over the rows above, what stands to the left, and the earlier colour channels of the pixel itself.

    The masks are the paper's A (the pixel's own channels only where strictly earlier: the first layer) and B (also
    the feature's own channel: all other layers). Rows below the pixel, which the paper's square masks blank, are no
    part of the kernel: nothing is multiplied by their zeros.

    Args:
        groups_in: Colour channel of each input feature, ``[inputs]``; see :func:`channel_groups`.
        groups_out: Of each output feature, ``[outputs]``.
        above: Rows above that are seen.
        beside: Columns to the left that are seen, and in the rows above as many to the right. A k x k kernel of the
            paper has k // 2 of both.
        first: Mask A; else B.
        dilation: Distance between the pixels that are seen.

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
        """``[outputs, inputs, above + 1, columns]``, zero where an output must not see."""
        return self.weight if self.everything else self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        """``[B, inputs, H, W]`` to ``[B, outputs, H, W]``."""
        x = F.pad(x, self.padding) if any(self.padding) else x
        return F.conv2d(x, self.masked_weight(), self.bias, dilation=self.dilation)

    def taller(self, x: Tensor) -> Tensor:
        """``[B, outputs, H + above * dilation, W]``: the same, and rows below that are to be dropped.

        Padded on all sides alike, it spares a padded copy of x; for kernels that see rows above.
        """
        padding = (self.dilation * self.above, self.dilation * self.beside)
        return F.conv2d(x, self.masked_weight(), self.bias, padding=padding, dilation=self.dilation)


class LevelLogits(nn.Module):
    """Logits of each colour channel's levels, from the features of its group and of the groups before it.

    Level 0's logit is 0 and the others' are learned: a softmax has one number too many, and for two levels this is
    the sigmoid.

    Args:
        groups_in: As in :class:`MaskedConv2d`.
        num_channels: C.
        num_levels: L.
    """

    def __init__(self, groups_in: Tensor, num_channels: int, num_levels: int) -> None:
        super().__init__()
        self.num_channels, self.num_levels = num_channels, num_levels
        self.conv = MaskedConv2d(groups_in, channel_groups(num_channels * (num_levels - 1), num_channels))

    def linear(self) -> tuple[Tensor, Tensor]:
        """Weights ``[C L, inputs]`` and biases ``[C L]``, zero for level 0: to widen the maps would cost more."""
        weight = self.conv.masked_weight().flatten(1).unflatten(0, (self.num_channels, -1))
        assert self.conv.bias is not None
        bias = self.conv.bias.unflatten(0, (self.num_channels, -1))
        return F.pad(weight, (0, 0, 1, 0)).flatten(0, 1), F.pad(bias, (1, 0)).flatten()

    def forward(self, x: Tensor) -> Tensor:
        """``[B, inputs, H, W]`` to ``[B, H, W, C, L]``, contiguous where x is channels-last."""
        weight, bias = self.linear()
        out = F.conv2d(x, weight[:, :, None, None], bias)
        return out.permute(0, 2, 3, 1).unflatten(3, (self.num_channels, self.num_levels))
