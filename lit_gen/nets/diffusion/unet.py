"""The U-Net of Ho et al. 2020; variants override its parts."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.nets.diffusion.unet_blocks import Attention, Downsample, ResBlock, Upsample, sinusoids, zeroed
from lit_gen.nets.recomputed import recomputed


class UNet(nn.Module):
    """U-Net from noised images ``[B, C, H, W]`` and times ``[B]`` to images with ``out_channels`` channels.

    Each resolution has ``num_res_blocks`` residual blocks, each followed by attention if the height of its feature
    maps is in ``attention``; between resolutions the sides are halved. The upward path has one more block per
    resolution, and each of its blocks has a skip connection from the downward path.

    A variant overrides :meth:`block`, :meth:`down_block` and :meth:`up_block`.

    Args:
        shape: Shape of an image, ``(C, H, W)``; C is ignored.
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        channels: Number of channels of the first resolution.
        multipliers: Factor of the channels for each resolution.
        num_res_blocks: Number of residual blocks per resolution.
        attention: Heights of feature maps that are followed by attention.
        head_channels: Number of channels per attention head; 0 for a single head.
        dropout: Dropout rate before each block's second convolution.
        num_groups: Number of groups of all group norms.
        eps: Epsilon of all group norms.
        num_classes: Number of label classes; 0 means unconditional. Label ``num_classes`` means "no class".
        gradient_checkpointing: Whether training stores only the inputs of each stage, a residual block with its
            attention, and computes the rest again in the backward pass.

    Raises:
        UserError: If the sides cannot be halved so often, or groups or heads do not divide the channels.

    References:
        Ho, Jain, Abbeel: Denoising Diffusion Probabilistic Models, 2020, arXiv:2006.11239, appendix B.
        Ronneberger, Fischer, Brox: U-Net, 2015, arXiv:1505.04597.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        in_channels: int,
        out_channels: int,
        channels: int,
        multipliers: Sequence[int],
        num_res_blocks: int,
        attention: Sequence[int] = (),
        head_channels: int = 0,
        dropout: float = 0.0,
        num_groups: int = 32,
        eps: float = 1e-5,
        num_classes: int = 0,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.gradient_checkpointing = gradient_checkpointing
        self.channels, self.num_classes, self.dropout = channels, num_classes, dropout
        self.num_groups, self.eps, self.head_channels = num_groups, eps, head_channels
        widths = [channels * multiplier for multiplier in multipliers]
        check_sizes(shape, [channels, *widths], num_groups)
        if num_res_blocks < 1:
            raise UserError(f"nets: num_res_blocks={num_res_blocks} must be at least 1")
        attending = [w for level, w in enumerate(widths) if shape[1] >> level in attention]
        check_heads([*attending, widths[-1]], head_channels)
        self.time = nn.Sequential(nn.Linear(channels, 4 * channels), nn.SiLU(), nn.Linear(4 * channels, 4 * channels))
        self.label = nn.Embedding(num_classes + 1, 4 * channels) if num_classes else None
        self.enter = nn.Conv2d(in_channels, channels, 3, padding=1)
        sides = [shape[1] >> level for level in range(len(widths))]
        self.down, skips = nn.ModuleList(), [channels]
        width = channels
        for level, wanted in enumerate(widths):
            for _ in range(num_res_blocks):
                self.down.append(self._stage(width, wanted, sides[level] in attention))
                skips.append(width := wanted)
            if level < len(widths) - 1:
                self.down.append(nn.ModuleList([self.down_block(width)]))
                skips.append(width)
        self.middle = nn.ModuleList([self.block(width, width), self.attend(width), self.block(width, width)])
        self.up = nn.ModuleList()
        for level, wanted in reversed(list(enumerate(widths))):
            for i in range(num_res_blocks + 1):
                stage = self._stage(width + skips.pop(), wanted, sides[level] in attention)
                width = wanted
                if level and i == num_res_blocks:
                    stage.append(self.up_block(width))
                self.up.append(stage)
        self.leave = nn.Sequential(
            nn.GroupNorm(num_groups, width, eps), nn.SiLU(), zeroed(nn.Conv2d(width, out_channels, 3, padding=1))
        )

    def _stage(self, width: int, wanted: int, attends: bool) -> nn.ModuleList:
        return nn.ModuleList([self.block(width, wanted), *([self.attend(wanted)] if attends else [])])

    def block(self, width: int, wanted: int) -> nn.Module:
        """A residual block."""
        return ResBlock(width, wanted, 4 * self.channels, self.dropout, self.num_groups, self.eps)

    def attend(self, width: int) -> nn.Module:
        """Self-attention over all positions."""
        return Attention(width, self.head_channels, self.num_groups, self.eps)

    def down_block(self, width: int) -> nn.Module:
        """A downsampling block."""
        return Downsample(width)

    def up_block(self, width: int) -> nn.Module:
        """An upsampling block."""
        return Upsample(width)

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps ``[B, in_channels, H, W]`` at times float ``[B]`` to ``[B, out_channels, H, W]``.

        Args:
            x: The noised images, and further input channels.
            time: Times in the unit of the embedding, whose shortest period is 2 pi.
            label: Classes int64 ``[B]``; ``num_classes`` or None means "no class".
        """
        signal = self.time(sinusoids(time, self.channels))
        if self.label is not None:
            label = torch.full((len(x),), self.num_classes, device=x.device) if label is None else label
            signal = signal + self.label(label)
        signal = F.silu(signal)  # the first operation of every block
        h = self.enter(x)
        skips = [h]
        for stage in self.down:
            h = self._through(stage, signal, h)
            skips.append(h)
        h = self._through(self.middle, signal, h)
        for stage in self.up:
            h = self._through(stage, signal, h, skips.pop())
        return self.leave(h)

    def _through(self, stage: nn.Module, signal: Tensor, *maps: Tensor) -> Tensor:
        """Maps the concatenated feature maps through a stage."""
        if self.gradient_checkpointing and self.training:
            return recomputed(_run, stage, signal, *maps, draws=self.dropout > 0)
        return _run(stage, signal, *maps)


def _run(stage: nn.Module, signal: Tensor, *maps: Tensor) -> Tensor:
    h = torch.cat(maps, 1) if len(maps) > 1 else maps[0]
    for layer in stage.children():
        h = layer(h, signal)
    return h


def check_sizes(shape: tuple[int, ...], widths: Sequence[int], num_groups: int) -> None:
    """Validates the sizes of a U-Net.

    Args:
        shape: Shape of the images.
        widths: Numbers of channels of the input and of each resolution.
        num_groups: Number of groups of the group norms.

    Raises:
        UserError: If the sizes are invalid.
    """
    if len(shape) != 3:
        raise UserError(f"a U-Net takes images (C, H, W), not data of shape {tuple(shape)}")
    halvings = len(widths) - 2
    if halvings < 0 or min(*widths, num_groups) < 1:
        raise UserError("nets: channels, multipliers and num_groups must be positive, and multipliers not empty")
    if shape[1] % 2**halvings or shape[2] % 2**halvings:
        raise UserError(
            f"nets: {halvings + 1} multipliers halve the sides {halvings} times, and {shape[1]}x{shape[2]} cannot be;"
            " give fewer multipliers"
        )
    for width in widths:
        if width % num_groups or width % 2:
            raise UserError(
                f"nets: {width} channels must be even, and a multiple of num_groups {num_groups}; change either"
            )


def check_heads(widths: Sequence[int], head_channels: int) -> None:
    """Validates that the head size divides the channels of resolutions with attention, and of the middle.

    Raises:
        UserError: If it does not.
    """
    for width in widths:
        if head_channels and width % head_channels:
            raise UserError(
                f"nets: {width} channels with attention must be a multiple of head_channels {head_channels}"
            )


# ------------------------------------------------------------------ for configurations


class DenoisingNets(abc.ABC):
    """Builds the network of a diffusion model, given the shape of the data."""

    @abc.abstractmethod
    def build(self, shape: tuple[int, ...], in_channels: int, out_channels: int, num_classes: int) -> nn.Module:
        """Builds a network ``(x [B, in_channels, H, W], time [B], label [B] or None) -> [B, out_channels, H, W]``."""


class UNetNets(DenoisingNets):
    """The U-Net of DDPM.

    Args:
        channels: Number of channels of the first resolution.
        multipliers: Factor of the channels for each resolution.
        num_res_blocks: Number of residual blocks per resolution.
        attention: Heights of feature maps that are followed by attention.
        head_channels: Number of channels per attention head; 0 for a single head.
        dropout: Dropout rate inside the blocks.
        num_groups: Number of groups of the group norms.
        eps: Epsilon of the group norms.
        gradient_checkpointing: Whether activations are computed again in the backward pass instead of being stored:
            less memory, about a third more time, the same gradients.
    """

    net: type[UNet] = UNet

    def __init__(
        self,
        channels: int = 32,
        multipliers: Sequence[int] = (1, 2),
        num_res_blocks: int = 1,
        attention: Sequence[int] = (),
        head_channels: int = 0,
        dropout: float = 0.0,
        num_groups: int = 8,
        eps: float = 1e-5,
        gradient_checkpointing: bool = False,
    ) -> None:
        self.options = {
            "channels": channels,
            "multipliers": tuple(multipliers),
            "num_res_blocks": num_res_blocks,
            "attention": tuple(attention),
            "head_channels": head_channels,
            "dropout": dropout,
            "num_groups": num_groups,
            "eps": eps,
            "gradient_checkpointing": gradient_checkpointing,
        }

    @override
    def build(self, shape: tuple[int, ...], in_channels: int, out_channels: int, num_classes: int) -> nn.Module:
        return self.net(shape, in_channels, out_channels, num_classes=num_classes, **self.options)  # type: ignore[arg-type]
