"""Convolutions that see no pixel below or to the right: padded on the other sides, normalized by their weights."""

from __future__ import annotations

import abc

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.nets.moments import channel_moments


def concat_elu(x: Tensor) -> Tensor:
    """``elu([x, -x])``, ``[B, C, ...]`` to ``[B, 2C, ...]``: a gradient on both sides of zero.

    In place on its own copy, so that the one tensor which is kept for the gradient is the next layer's input.

    >>> concat_elu(torch.tensor([[2.0]])).round(decimals=3).tolist()
    [[2.0, -0.8650000095367432]]
    """
    return F.elu(torch.cat([x, -x], 1), inplace=True)


class WeightNormalized(nn.Module, abc.ABC):
    """A linear map of images with weights ``g v / ||v||``, a length and a direction for each output channel.

    Nothing is initialized by itself: the owner sets ``pending`` on every layer, and passes one batch of training
    data, on all processes at once, each its share. Then each channel comes out with mean 0 and a standard deviation
    of ``init_scale``. Until then, and if never, g is ``init_scale`` and the bias 0.

    Args:
        shape: Of v, whose entries start as normal numbers of standard deviation 0.05.
        output_dim: Which dimension of v counts the output channels.
        init_scale: See above.

    Attributes:
        initialized: A buffer, so that a resumed run does not start again.
        pending: The next forward pass initializes.

    References:
        Salimans, Kingma: Weight Normalization, 2016, arXiv:1602.07868, section 3 (the start from data).
    """

    initialized: Tensor

    def __init__(self, shape: tuple[int, int, int, int], output_dim: int, init_scale: float) -> None:
        super().__init__()
        self.others = tuple(i for i in range(4) if i != output_dim)
        lengths = [shape[i] if i == output_dim else 1 for i in range(4)]
        self.v = nn.Parameter(0.05 * torch.randn(shape))
        self.g = nn.Parameter(torch.full(lengths, init_scale))
        self.bias = nn.Parameter(torch.zeros(shape[output_dim]))
        self.init_scale = init_scale
        self.register_buffer("initialized", torch.tensor(False))
        self.pending = False

    @abc.abstractmethod
    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """``[B, C, H, W]`` through given weights."""

    def weight(self) -> Tensor:
        """What v and g stand for, shaped as v."""
        return self.v * (self.g / torch.linalg.vector_norm(self.v, dim=self.others, keepdim=True))

    @torch.no_grad()
    def _initialize(self, x: Tensor) -> None:
        direction = self.v / torch.linalg.vector_norm(self.v, dim=self.others, keepdim=True)
        mean, std = channel_moments(self.convolve(x, direction, None))
        # A channel that never changes in the batch has no width to be brought to one.
        scale = self.init_scale * torch.where(std > 1e-3, 1 / std.clamp_min(1e-3), 1.0)
        self.g.copy_(scale.view_as(self.g))
        self.bias.copy_(-mean * scale)
        self.initialized.fill_(True)
        self.pending = False

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, H, W]``, the channels and the sides becoming the layer's own."""
        if self.pending:
            self._initialize(x)
        return self.convolve(x, self.weight(), self.bias)


class ShiftedConv(WeightNormalized):
    """A convolution whose kernel reaches up, and to the left or to both sides, but never down.

    Args:
        num_inputs: Channels.
        num_outputs: Channels.
        kernel_size: Height, whose last row is the pixel's own; and width.
        reach_right: The width is centred; if not, its last column is the pixel's own.
        stride: 2 keeps every second row and column, from the first.
        init_scale: See :class:`WeightNormalized`.

    References:
        Salimans et al. 2017, arXiv:1701.05517, the authors' code (``down_shifted``, ``down_right_shifted``).
    """

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        kernel_size: tuple[int, int],
        reach_right: bool,
        stride: int = 1,
        init_scale: float = 1.0,
    ) -> None:
        super().__init__((num_outputs, num_inputs, *kernel_size), 0, init_scale)
        height, width = kernel_size
        self.stride = stride
        self.right = (width - 1) // 2 if reach_right else 0
        self.left, self.top = width - 1 - self.right, height - 1

    @override
    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.top or self.left:
            x = F.pad(x, (self.left, self.right, self.top, 0))
        return F.conv2d(x, weight, bias, self.stride)


class ShiftedDeconv(WeightNormalized):
    """Twice the height and width: each pixel is spread over its own two rows, and two or four columns.

    Fine rows 2i and 2i + 1 are made of coarse row i, which a :class:`ShiftedConv` of stride 2 made of rows up to 2i.

    Args:
        num_inputs: Channels.
        num_outputs: Channels.
        reach_right: The kernel is 2x3 and centred; if not, 2x2.
    """

    def __init__(self, num_inputs: int, num_outputs: int, reach_right: bool) -> None:
        super().__init__((num_inputs, num_outputs, 2, 3 if reach_right else 2), 1, 1.0)
        self.crop = int(reach_right)

    @override
    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv_transpose2d(x, weight, bias, 2, (0, self.crop), (0, self.crop))
