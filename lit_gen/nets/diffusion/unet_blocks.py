"""What the U-Nets of the diffusion models are put together from."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def sinusoids(time: Tensor, width: int) -> Tensor:
    """Sines, then cosines, of a time ``[B]`` at ``width / 2`` frequencies from 1 down to 1/10,000: ``[B, width]``.

    References:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.5; the last frequency is reached, as in Ho et al.'s code.
    """
    half = width // 2
    steps = torch.arange(half, dtype=torch.float32, device=time.device)
    angles = time.float()[:, None] * torch.exp(steps * (-math.log(10_000.0) / max(half - 1, 1)))
    return torch.cat([angles.sin(), angles.cos()], 1)


def zeroed(module: nn.Module) -> nn.Module:
    """The module with all of its parameters at zero: a residual branch that starts as no branch at all."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


class ResBlock(nn.Module):
    """Two convolutions beside a short cut; the time is added between them.

    Args:
        width: Channels in.
        wanted: Channels out.
        signal: Width of the time's signal, its activation already taken.
        dropout: Rate before the second convolution.
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
        """``[B, width, H, W]`` and ``[B, signal]`` to ``[B, wanted, H, W]``."""
        h = self.conv1(F.silu(self.norm1(x))) + self.signal(signal)[:, :, None, None]
        return self.short_cut(x) + self.conv2(self.dropout(F.silu(self.norm2(h))))


class Attention(nn.Module):
    """What each position gathers from all others, beside a short cut.

    Args:
        width: Channels.
        head_channels: Of one head; 0 for a single head.
        num_groups: Of the norm.
        eps: Of the norm.
    """

    def __init__(self, width: int, head_channels: int, num_groups: int, eps: float) -> None:
        super().__init__()
        self.num_heads = width // head_channels if head_channels else 1
        self.norm = nn.GroupNorm(num_groups, width, eps)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = zeroed(nn.Linear(width, width))

    def forward(self, x: Tensor, signal: Tensor) -> Tensor:
        """``[B, width, H, W]`` to the same; the time plays no part."""
        positions = self.norm(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(positions).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        if x.device.type == "cpu":  # where bfloat16's attention takes twice to six times as long backwards
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
    """Each position four times, and a convolution of three by three.

    Of the nine weights those that meet the same original position are added first, which leaves four of each sixteen
    that a transposed convolution holds: the same function without the larger maps in between, by a tenth faster in
    training the whole net.
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
