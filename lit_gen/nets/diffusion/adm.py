"""U-Nets with adaptive group normalization: that of improved DDPM, and ADM, which resamples inside residual blocks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from lit_gen.nets.diffusion.unet import UNet, UNetNets
from lit_gen.nets.diffusion.unet_blocks import zeroed


class ImprovedUNet(UNet):
    """A U-Net whose blocks use the time as scale and shift after their second norm.

    Arguments and errors are those of :class:`UNet`.

    References:
        Nichol, Dhariwal: Improved Denoising Diffusion Probabilistic Models, 2021, arXiv:2102.09672, appendix A.
    """

    def block(self, width: int, wanted: int) -> nn.Module:
        """A residual block with adaptive group normalization."""
        return AdaptiveResBlock(width, wanted, 4 * self.channels, self.dropout, self.num_groups, self.eps)


class ADMUNet(ImprovedUNet):
    """The same U-Net with downsampling and upsampling inside residual blocks, in both branches.

    References:
        Dhariwal, Nichol: Diffusion Models Beat GANs on Image Synthesis, 2021, arXiv:2105.05233, section 3.
    """

    def down_block(self, width: int) -> nn.Module:
        """A downsampling residual block."""
        return AdaptiveResBlock(width, width, 4 * self.channels, self.dropout, self.num_groups, self.eps, Half())

    def up_block(self, width: int) -> nn.Module:
        """An upsampling residual block."""
        return AdaptiveResBlock(width, width, 4 * self.channels, self.dropout, self.num_groups, self.eps, Double())


class AdaptiveResBlock(nn.Module):
    """A residual block with ``norm(h) (1 + scale) + shift`` between two convolutions.

    Args:
        width: Number of input channels.
        wanted: Number of output channels.
        signal: Width of the time embedding.
        dropout: Dropout rate before the second convolution.
        num_groups: Number of groups of the group norms.
        eps: Epsilon of the group norms.
        resample: Module that downsamples or upsamples both branches; none if not given.
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
        """Maps ``[B, width, H, W]`` and the embedding ``[B, signal]`` to ``[B, wanted, H', W']``."""
        h = self.conv1(self.resample(F.silu(self.norm1(x))))
        scale, shift = self.signal(signal)[:, :, None, None].chunk(2, 1)
        h = F.silu(self.norm2(h) * (1 + scale) + shift)
        return self.short_cut(self.resample(x)) + self.conv2(self.dropout(h))


class Half(nn.Module):
    """2x2 average pooling."""

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, H, W]`` to ``[B, C, H/2, W/2]``."""
        return F.avg_pool2d(x, 2)


class Double(nn.Module):
    """Nearest-neighbour upsampling by 2."""

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, H, W]`` to ``[B, C, 2H, 2W]``."""
        return F.interpolate(x, scale_factor=2.0, mode="nearest")


class ImprovedNets(UNetNets):
    """The U-Net of improved DDPM.

    Args:
        channels: Number of channels of the first resolution.
        multipliers: Factor of the channels for each resolution.
        num_res_blocks: Number of residual blocks per resolution.
        attention: Heights of feature maps that are followed by attention.
        head_channels: Number of channels per attention head; 0 for a single head.
        dropout: Dropout rate inside the blocks.
        num_groups: Number of groups of the group norms.
        eps: Epsilon of the group norms.
        gradient_checkpointing: Whether activations are computed again in the backward pass instead of being stored.
    """

    net: type[UNet] = ImprovedUNet


class ADMNets(UNetNets):
    """The U-Net of ADM.

    Args:
        channels: Number of channels of the first resolution.
        multipliers: Factor of the channels for each resolution.
        num_res_blocks: Number of residual blocks per resolution.
        attention: Heights of feature maps that are followed by attention.
        head_channels: Number of channels per attention head; 0 for a single head.
        dropout: Dropout rate inside the blocks.
        num_groups: Number of groups of the group norms.
        eps: Epsilon of the group norms.
        gradient_checkpointing: Whether activations are computed again in the backward pass instead of being stored.
    """

    net: type[UNet] = ADMUNet
