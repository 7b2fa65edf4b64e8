"""Building blocks of the U-Nets."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def sinusoids(time: Tensor, width: int) -> Tensor:
    """Sinusoidal embedding of times ``[B]``: sines, then cosines, at frequencies from 1 to 1/10,000: ``[B, width]``.

    References:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.5; including the last frequency, as in Ho et al.'s code.
    """
    half = width // 2
    steps = torch.arange(half, dtype=torch.float32, device=time.device)
    angles = time.float()[:, None] * torch.exp(steps * (-math.log(10_000.0) / max(half - 1, 1)))
    return torch.cat([angles.sin(), angles.cos()], 1)


def zeroed(module: nn.Module) -> nn.Module:
    """Sets all parameters of a module to zero, so that a residual branch starts as zero."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


class ResBlock(nn.Module):
    """A residual block of two convolutions; the time embedding is added between them.

    Args:
        width: Number of input channels.
        wanted: Number of output channels.
        signal: Width of the time embedding, after its activation.
        dropout: Dropout rate before the second convolution.
        num_groups: Number of groups of the group norms.
        eps: Epsilon of the group norms.
    """

    def __init__(self, width: int, wanted: int, signal: int, dropout: float, num_groups: int, eps: float) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(num_groups, width, eps)
        self.conv1 = nn.Conv2d(width, wanted, 3, padding=1)
        self.signal = nn.Linear(signal, wanted)
        self.norm2 = nn.GroupNorm(num_groups, wanted, eps)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = zeroed(nn.Conv2d(wanted, wanted, 3, padding=1))
        self.short_cut = nn.Identity() if width == wanted else nn.Conv2d(width, wanted, 1)

    def forward(self, x: Tensor, signal: Tensor) -> Tensor:
        """Maps ``[B, width, H, W]`` and the embedding ``[B, signal]`` to ``[B, wanted, H, W]``."""
        h = self.conv1(F.silu(self.norm1(x))) + self.signal(signal)[:, :, None, None]
        return self.short_cut(x) + self.conv2(self.dropout(F.silu(self.norm2(h))))


class Attention(nn.Module):
    """Self-attention over all positions, with a residual connection.

    Args:
        width: Number of channels.
        head_channels: Number of channels per head; 0 for a single head.
        num_groups: Number of groups of the norm.
        eps: Epsilon of the norm.
    """

    def __init__(self, width: int, head_channels: int, num_groups: int, eps: float) -> None:
        super().__init__()
        self.num_heads = width // head_channels if head_channels else 1
        self.norm = nn.GroupNorm(num_groups, width, eps)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = zeroed(nn.Linear(width, width))

    def forward(self, x: Tensor, signal: Tensor) -> Tensor:
        """Maps ``[B, width, H, W]`` to the same shape; does not use the time embedding."""
        positions = self.norm(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(positions).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        if x.device.type == "cpu":  # where the backward pass of attention in bfloat16 takes 2 to 6 times as long
            with torch.autocast("cpu", enabled=False):
                seen = F.scaled_dot_product_attention(q.float(), k.float(), v.float())
        else:
            seen = F.scaled_dot_product_attention(q, k, v)
        seen = seen.transpose(1, 2).flatten(2)
        return x + self.out(seen).transpose(1, 2).unflatten(2, x.shape[2:])


class Downsample(nn.Module):
    """A convolution of stride 2, padded at the right and below as in Ho et al.'s code."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: Tensor, signal: Tensor) -> Tensor:
        """``[B, C, H, W]`` to ``[B, C, H/2, W/2]``."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Nearest-neighbour upsampling by 2, and a 3x3 convolution.

    The nine weights that apply to the same input position are summed first, which leaves four of each sixteen
    weights of a transposed convolution: the same function without the larger intermediate, about 10% faster when
    training the whole network.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, signal: Tensor) -> Tensor:
        """``[B, C, H, W]`` to ``[B, C, 2H, 2W]``."""
        w = F.pad(self.conv.weight, (1, 1, 1, 1))
        w = w[:, :, 1:] + w[:, :, :-1]
        w = w[..., 1:] + w[..., :-1]
        return F.conv_transpose2d(x, w.flip(2, 3).transpose(0, 1), self.conv.bias, stride=2, padding=1)
