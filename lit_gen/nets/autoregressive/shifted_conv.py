"""Shifted convolutions, which see no pixel below or to the right, with weight normalization."""

from __future__ import annotations

import abc

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.nets.moments import channel_moments


def concat_elu(x: Tensor) -> Tensor:
    """Concatenated ELU ``elu([x, -x])``, ``[B, C, ...]`` to ``[B, 2C, ...]``: a gradient on both sides of zero.

    In place on its own copy, so that the only tensor saved for the gradient is the next layer's input.

    >>> concat_elu(torch.tensor([[2.0]])).round(decimals=3).tolist()
    [[2.0, -0.8650000095367432]]
    """
    return F.elu(torch.cat([x, -x], 1), inplace=True)


class WeightNormalized(nn.Module, abc.ABC):
    """A convolution with weights ``g v / ||v||``, with a norm and a direction for each output channel.

    The layer is not initialized automatically: its owner sets ``pending`` on every layer, and passes one batch of
    training data, divided among all processes. Each output channel then has mean 0 and standard deviation
    ``init_scale``. Before that, g is ``init_scale`` and the bias is 0.

    Args:
        shape: Shape of v, whose entries are initialized as normal with standard deviation 0.05.
        output_dim: Dimension of v that indexes output channels.
        init_scale: Standard deviation of the outputs after initialization.

    Attributes:
        initialized: Buffer that records the initialization, so that a resumed run does not repeat it.
        pending: Whether the next forward pass initializes.

    References:
        Salimans, Kingma: Weight Normalization, 2016, arXiv:1602.07868, section 3 (data-dependent initialization).
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
        """Convolves ``[B, C, H, W]`` with the given weights."""

    def weight(self) -> Tensor:
        """The normalized weights, of v's shape."""
        return self.v * (self.g / torch.linalg.vector_norm(self.v, dim=self.others, keepdim=True))

    @torch.no_grad()
    def _initialize(self, x: Tensor) -> None:
        direction = self.v / torch.linalg.vector_norm(self.v, dim=self.others, keepdim=True)
        mean, std = channel_moments(self.convolve(x, direction, None))
        # A constant channel in the batch cannot be rescaled to unit standard deviation.
        scale = self.init_scale * torch.where(std > 1e-3, 1 / std.clamp_min(1e-3), 1.0)
        self.g.copy_(scale.view_as(self.g))
        self.bias.copy_(-mean * scale)
        self.initialized.fill_(True)
        self.pending = False

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``[B, C, H, W]`` to the layer's numbers of channels and sides."""
        if self.pending:
            self._initialize(x)
        return self.convolve(x, self.weight(), self.bias)


class ShiftedConv(WeightNormalized):
    """A convolution whose kernel extends upwards, and to the left or to both sides, but not down.

    Args:
        num_inputs: Number of input channels.
        num_outputs: Number of output channels.
        kernel_size: Kernel height, whose last row is the pixel's own, and width.
        reach_right: Whether the kernel is centred horizontally; otherwise its last column is the pixel's own.
        stride: 2 keeps every second row and column, from the first.
        init_scale: Standard deviation of the outputs after initialization.

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
    """Upsamples by 2: each pixel contributes to its own two rows, and to two or four columns.

    Fine rows 2i and 2i + 1 depend on coarse row i, which :class:`ShiftedConv` of stride 2 computed from rows up to 2i.

    Args:
        num_inputs: Number of input channels.
        num_outputs: Number of output channels.
        reach_right: Whether the kernel is 2x3 and centred; otherwise it is 2x2.
    """

    def __init__(self, num_inputs: int, num_outputs: int, reach_right: bool) -> None:
        super().__init__((num_inputs, num_outputs, 2, 3 if reach_right else 2), 1, 1.0)
        self.crop = int(reach_right)

    @override
    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv_transpose2d(x, weight, bias, 2, (0, self.crop), (0, self.crop))
