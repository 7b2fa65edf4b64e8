"""NCSN++ and DDPM++: the U-Nets of score SDEs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.nets.diffusion.ncsnpp_blocks import (
    BigGANBlock,
    FourierFeatures,
    Plain,
    Positional,
    RescaledAttention,
    Smoothed,
    SmoothedConv,
    group_norm,
)
from lit_gen.nets.diffusion.unet import DenoisingNets, check_sizes
from lit_gen.nets.diffusion.unet_blocks import zeroed


class DDPMpp(nn.Module):
    """DDPM++: BigGAN's residual blocks, which resample, and sums divided by sqrt(2), in DDPM's U-Net.

    Each resolution has ``num_res_blocks`` residual blocks downwards, each followed by attention if the height of its
    feature maps is in ``attention``, and one more upwards, of which the last is followed by attention.

    Args:
        shape: Shape of an image, ``(C, H, W)``; C is ignored.
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        channels: Number of channels of the first resolution.
        multipliers: Factor of the channels for each resolution.
        num_res_blocks: Number of residual blocks per resolution.
        attention: Heights of feature maps that are followed by attention.
        dropout: Dropout rate before each block's second convolution.
        num_classes: Number of label classes; 0 means unconditional. Label ``num_classes`` means "no class".

    Raises:
        UserError: If the sides cannot be halved so often.

    References:
        Song et al. 2021, arXiv:2011.13456, section 4.4 and appendix H, and the configurations
        ``vp/cifar10_ddpmpp_continuous`` and ``ve/cifar10_ncsnpp_continuous`` of the authors' code.
    """

    smoothed = False
    residual_inputs = False

    def __init__(
        self,
        shape: tuple[int, ...],
        in_channels: int,
        out_channels: int,
        channels: int,
        multipliers: Sequence[int],
        num_res_blocks: int,
        attention: Sequence[int] = (),
        dropout: float = 0.0,
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        widths = [channels * multiplier for multiplier in multipliers]
        check_sizes(shape, [channels, *widths], 1)
        self.num_classes, self.dropout, self.signal_width = num_classes, dropout, 4 * channels
        embedding = self.embedding(channels)
        first = nn.Linear(embedding.num_outputs, self.signal_width)  # type: ignore[arg-type]
        self.time = nn.Sequential(embedding, first, nn.SiLU(), nn.Linear(self.signal_width, self.signal_width))
        self.label = nn.Embedding(num_classes + 1, self.signal_width) if num_classes else None
        self.enter = nn.Conv2d(in_channels, channels, 3, padding=1)
        attending = [shape[1] >> level in attention for level in range(len(widths))]
        self.down, self.pyramid = nn.ModuleList(), nn.ModuleList()
        width, below, skips = channels, in_channels, [channels]
        for level, wanted in enumerate(widths):
            for _ in range(num_res_blocks):
                self.down.append(self._stage(width, wanted, attending[level]))
                skips.append(width := wanted)
            if level < len(widths) - 1:
                self.down.append(nn.ModuleList([self._block(width, width, self.resampled(up=False))]))
                skips.append(width)
                if self.residual_inputs:
                    self.pyramid.append(SmoothedConv(below, width))
                    below = width
        self.middle = self._stage(width, width, attends=True)
        self.middle.append(self._block(width, width))
        self.up = nn.ModuleList()
        for level, wanted in reversed(list(enumerate(widths))):
            for i in range(num_res_blocks + 1):
                last = i == num_res_blocks
                stage = self._stage(width + skips.pop(), wanted, last and attending[level])
                width = wanted
                if level and last:
                    stage.append(self._block(width, width, self.resampled(up=True)))
                self.up.append(stage)
        self.leave = nn.Sequential(group_norm(width), nn.SiLU(), nn.Conv2d(width, out_channels, 3, padding=1))
        self._initialize()

    def _initialize(self) -> None:
        """The authors' initialization: Glorot's, with zeros where a residual branch or the network ends."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        for module in self.modules():
            if isinstance(module, BigGANBlock):
                zeroed(module.conv2)
            elif isinstance(module, RescaledAttention):
                zeroed(module.out)
        zeroed(self.leave[-1])

    def embedding(self, channels: int) -> nn.Module:
        """The features of the time."""
        return Positional(channels)

    def resampled(self, up: bool) -> nn.Module:
        """What resamples inside a block."""
        return Smoothed(up) if self.smoothed else Plain(up)

    def _block(self, width: int, wanted: int, resample: nn.Module | None = None) -> nn.Module:
        return BigGANBlock(width, wanted, self.signal_width, self.dropout, resample)

    def _stage(self, width: int, wanted: int, attends: bool) -> nn.ModuleList:
        return nn.ModuleList([self._block(width, wanted), *([RescaledAttention(wanted)] if attends else [])])

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps ``[B, in_channels, H, W]`` at times float ``[B]`` to ``[B, out_channels, H, W]``.

        Args:
            x: The noised images.
            time: Times in the unit of the embedding.
            label: Classes int64 ``[B]``; ``num_classes`` or None means "no class".
        """
        signal = self.time(time)
        if self.label is not None:
            label = torch.full((len(x),), self.num_classes, device=x.device) if label is None else label
            signal = signal + self.label(label)
        signal = F.silu(signal)  # the first operation of every block
        h = self.enter(x)
        skips, image, pyramid = [h], x, iter(self.pyramid)
        for stage in self.down:
            before = h.shape[-1]
            h = _through(stage, h, signal)
            if self.residual_inputs and h.shape[-1] < before:
                image = (next(pyramid)(image) + h) * math.sqrt(0.5)
                h = image
            skips.append(h)
        h = _through(self.middle, h, signal)
        for stage in self.up:
            h = _through(stage, torch.cat([h, skips.pop()], 1), signal)
        return self.leave(h)


class NCSNpp(DDPMpp):
    """NCSN++: the same with smoothed resampling, random Fourier features, and the input added at each resolution.

    The input is downsampled by smoothed convolutions and added to the feature maps (``progressive_input: residual``).
    Arguments and errors are those of :class:`DDPMpp`.
    """

    smoothed = True
    residual_inputs = True

    @override
    def embedding(self, channels: int) -> nn.Module:
        """Random Fourier features of the log of the noise's deviation."""
        return FourierFeatures(channels)


def _through(stage: nn.Module, h: Tensor, signal: Tensor) -> Tensor:
    for layer in stage.children():
        h = layer(h, signal)
    return h


class DDPMppNets(DenoisingNets):
    """The U-Net DDPM++, for the variance-preserving and sub-VP SDEs.

    Args:
        channels: Number of channels of the first resolution.
        multipliers: Factor of the channels for each resolution.
        num_res_blocks: Number of residual blocks per resolution.
        attention: Heights of feature maps that are followed by attention.
        dropout: Dropout rate inside the blocks.

    Raises:
        UserError: If a number is not positive.
    """

    net: type[DDPMpp] = DDPMpp

    def __init__(
        self,
        channels: int = 32,
        multipliers: Sequence[int] = (1, 2),
        num_res_blocks: int = 1,
        attention: Sequence[int] = (),
        dropout: float = 0.0,
    ) -> None:
        if num_res_blocks < 1:
            raise UserError(f"nets: num_res_blocks={num_res_blocks} must be at least 1")
        self.options = (channels, tuple(multipliers), num_res_blocks, tuple(attention), dropout)

    @override
    def build(self, shape: tuple[int, ...], in_channels: int, out_channels: int, num_classes: int) -> nn.Module:
        return self.net(shape, in_channels, out_channels, *self.options, num_classes)


class NCSNppNets(DDPMppNets):
    """The U-Net NCSN++, for the variance-exploding SDE.

    Args:
        channels: Number of channels of the first resolution.
        multipliers: Factor of the channels for each resolution.
        num_res_blocks: Number of residual blocks per resolution.
        attention: Heights of feature maps that are followed by attention.
        dropout: Dropout rate inside the blocks.
    """

    net: type[DDPMpp] = NCSNpp
