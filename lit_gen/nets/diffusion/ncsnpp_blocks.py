"""Building blocks of NCSN++ and DDPM++."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.nets.diffusion.unet_blocks import Attention, sinusoids


class FourierFeatures(nn.Module):
    """Sines and cosines of random frequencies, which are not trained: ``[B]`` to ``[B, 2 width]``.

    Args:
        width: Number of frequencies.
        scale: Standard deviation of the frequencies.

    References:
        Tancik et al.: Fourier Features Let Networks Learn High Frequency Functions, 2020, arXiv:2006.10739.
    """

    frequencies: Tensor

    def __init__(self, width: int, scale: float = 16.0) -> None:
        super().__init__()
        self.num_outputs = 2 * width
        self.register_buffer("frequencies", scale * torch.randn(width))

    def forward(self, time: Tensor) -> Tensor:
        """Features of times ``[B]``."""
        angles = 2 * math.pi * time.float()[:, None] * self.frequencies
        return torch.cat([angles.sin(), angles.cos()], 1)


class Positional(nn.Module):
    """The sinusoidal embedding of times: ``[B]`` to ``[B, width]``.

    Args:
        width: Number of features.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_outputs = width

    def forward(self, time: Tensor) -> Tensor:
        """Features of times ``[B]``."""
        return sinusoids(time, self.num_outputs)


class Smoothed(nn.Module):
    """Resamples by 2 with a separable binomial-like kernel, so that aliasing is small: a finite impulse response.

    Args:
        up: Whether to double the sides rather than to halve them.
        kernel: Weights of the kernel along one side; of even length.

    References:
        Zhang: Making Convolutional Networks Shift-Invariant Again, 2019, arXiv:1904.11486. Karras et al. 2020,
        arXiv:1912.04958 (StyleGAN2's upfirdn).
    """

    kernel: Tensor

    def __init__(self, up: bool, kernel: Sequence[float] = (1.0, 3.0, 3.0, 1.0)) -> None:
        super().__init__()
        weights = torch.tensor(kernel)
        flat = torch.outer(weights, weights) / weights.sum().square()
        self.up, self.padding = up, len(kernel) // 2 - 1
        self.register_buffer("kernel", flat * 4 if up else flat, persistent=False)

    @override
    def forward(self, x: Tensor) -> Tensor:
        kernel = self.kernel.to(x.dtype).expand(x.shape[1], 1, -1, -1)
        resample = F.conv_transpose2d if self.up else F.conv2d
        return resample(x, kernel, stride=2, padding=self.padding, groups=x.shape[1])


class SmoothedConv(nn.Module):
    """A 3x3 convolution of stride 2 after the smoothing kernel.

    Args:
        width: Number of input channels.
        wanted: Number of output channels.
    """

    kernel: Tensor

    def __init__(self, width: int, wanted: int) -> None:
        super().__init__()
        weights = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", torch.outer(weights, weights), persistent=False)
        self.conv = nn.Conv2d(width, wanted, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, width, H, W]`` to ``[B, wanted, H/2, W/2]``."""
        kernel = self.kernel.to(x.dtype).expand(x.shape[1], 1, -1, -1)
        return self.conv(F.conv2d(x, kernel, padding=2, groups=x.shape[1]))


class Plain(nn.Module):
    """Resamples by 2 without smoothing: the mean of four positions, or each position four times.

    Args:
        up: Whether to double the sides rather than to halve them.
    """

    def __init__(self, up: bool) -> None:
        super().__init__()
        self.up = up

    @override
    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2.0, mode="nearest") if self.up else F.avg_pool2d(x, 2)


def group_norm(width: int) -> nn.GroupNorm:
    """A group norm with four or more channels in each of at most 32 groups."""
    return nn.GroupNorm(math.gcd(min(max(width // 4, 1), 32), width), width, 1e-6)


class BigGANBlock(nn.Module):
    """A residual block that may resample both branches; their sum is divided by sqrt(2), which keeps the variance.

    Args:
        width: Number of input channels.
        wanted: Number of output channels.
        signal: Width of the time embedding, after its activation.
        dropout: Dropout rate before the second convolution.
        resample: Module that resamples both branches; none if not given.

    References:
        Song et al. 2021, arXiv:2011.13456, appendix H. Brock, Donahue, Simonyan 2019, arXiv:1809.11096 (BigGAN).
    """

    def __init__(
        self, width: int, wanted: int, signal: int, dropout: float, resample: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = group_norm(width), group_norm(wanted)
        self.resample = resample or nn.Identity()
        self.conv1 = nn.Conv2d(width, wanted, 3, padding=1)
        self.signal = nn.Linear(signal, wanted)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(wanted, wanted, 3, padding=1)
        same = width == wanted and resample is None
        self.short_cut = nn.Identity() if same else nn.Conv2d(width, wanted, 1)

    def forward(self, x: Tensor, signal: Tensor) -> Tensor:
        """Maps ``[B, width, H, W]`` and the embedding ``[B, signal]`` to ``[B, wanted, H', W']``."""
        h = self.conv1(self.resample(F.silu(self.norm1(x)))) + self.signal(signal)[:, :, None, None]
        h = self.conv2(self.dropout(F.silu(self.norm2(h))))
        return (self.short_cut(self.resample(x)) + h) * math.sqrt(0.5)


class RescaledAttention(Attention):
    """Self-attention over all positions of one head; its sum with the input is divided by sqrt(2).

    Args:
        width: Number of channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, 0, group_norm(width).num_groups, 1e-6)

    @override
    def forward(self, x: Tensor, signal: Tensor) -> Tensor:
        return super().forward(x, signal) * math.sqrt(0.5)
