"""The ADM variant of the U-Net: adaptive group norms, resampling inside residual blocks, many heads."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from lit_gen.nets.unet import UNet, UNetNets, zeroed


class ADMUNet(UNet):
    """A U-Net whose blocks are told the time by a scale and a shift after their second norm.

    Sides are halved and doubled by residual blocks that resample both of their branches, and the short cuts of these
    have no parameters. Arguments and errors are those of :class:`UNet`.

    References:
        Dhariwal, Nichol: Diffusion Models Beat GANs on Image Synthesis, 2021, arXiv:2105.05233, section 3.
    """

    def block(self, width: int, wanted: int) -> nn.Module:
        """A residual block with an adaptive norm."""
        return AdaptiveResBlock(width, wanted, 4 * self.channels, self.dropout, self.num_groups, self.eps)

    def down_block(self, width: int) -> nn.Module:
        """Halves the sides."""
        return AdaptiveResBlock(width, width, 4 * self.channels, self.dropout, self.num_groups, self.eps, Half())

    def up_block(self, width: int) -> nn.Module:
        """Doubles the sides."""
        return AdaptiveResBlock(width, width, 4 * self.channels, self.dropout, self.num_groups, self.eps, Double())


class AdaptiveResBlock(nn.Module):
    """``norm(h) (1 + scale) + shift`` between two convolutions, beside a short cut.

    Args:
        width: Channels in.
        wanted: Channels out.
        signal: Width of the time's signal.
        dropout: Rate before the second convolution.
        num_groups: Of the norms.
        eps: Of the norms.
        resample: What changes the sides, of both branches; nothing if not given.
    """

    def __init__(
        self,
        width: int,
        wanted: int,
        signal: int,
        dropout: float,
        num_groups: int,
        eps: float,
        resample: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(num_groups, width, eps)
        self.resample = resample or nn.Identity()
        self.conv1 = nn.Conv2d(width, wanted, 3, padding=1)
        self.signal = nn.Linear(signal, 2 * wanted)
        self.norm2 = nn.GroupNorm(num_groups, wanted, eps)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = zeroed(nn.Conv2d(wanted, wanted, 3, padding=1))
        self.short_cut = nn.Identity() if width == wanted else nn.Conv2d(width, wanted, 1)

    def forward(self, x: Tensor, signal: Tensor) -> Tensor:
        """``[B, width, H, W]`` and ``[B, signal]`` to ``[B, wanted, H', W']``."""
        h = self.conv1(self.resample(F.silu(self.norm1(x))))
        scale, shift = self.signal(signal)[:, :, None, None].chunk(2, 1)
        h = F.silu(self.norm2(h) * (1 + scale) + shift)
        return self.short_cut(self.resample(x)) + self.conv2(self.dropout(h))


class Half(nn.Module):
    """The mean of each square of four."""

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, H, W]`` to ``[B, C, H/2, W/2]``."""
        return F.avg_pool2d(x, 2)


class Double(nn.Module):
    """Each position four times."""

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, H, W]`` to ``[B, C, 2H, 2W]``."""
        return F.interpolate(x, scale_factor=2.0, mode="nearest")


class ADMNets(UNetNets):
    """The U-Net of ADM.

    Args:
        channels: Of the first level.
        multipliers: Of the channels, one a level.
        num_res_blocks: A level.
        attention: Heights of maps that are followed by attention.
        head_channels: Of one attention head; 0 for a single head.
        dropout: Rate inside the blocks.
        num_groups: Of the group norms.
    """

    def __init__(
        self,
        channels: int = 32,
        multipliers: Sequence[int] = (1, 2),
        num_res_blocks: int = 1,
        attention: Sequence[int] = (),
        head_channels: int = 16,
        dropout: float = 0.0,
        num_groups: int = 8,
    ) -> None:
        super().__init__(channels, multipliers, num_res_blocks, attention, head_channels, dropout, num_groups)

    def build(self, shape: tuple[int, ...], in_channels: int, out_channels: int, num_classes: int) -> nn.Module:
        """See :class:`DenoisingNets`."""
        return ADMUNet(shape, in_channels, out_channels, num_classes=num_classes, **self.options)  # type: ignore[arg-type]
