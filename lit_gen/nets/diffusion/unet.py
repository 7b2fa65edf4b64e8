"""The U-Net of the diffusion models, as Ho et al. 2020 have it; others override its parts."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.nets.diffusion.unet_blocks import Attention, Downsample, ResBlock, Upsample, sinusoids, zeroed


class UNet(nn.Module):
    """From noised images ``[B, C, H, W]`` and a time ``[B]`` to images of as many channels as asked.

    On each level ``num_res_blocks`` residual blocks, each followed by attention where the level's maps have one of the
    sides in ``attention``; between levels the sides are halved. On the way up there is one block more a level, and
    each block sees, beside its own input, what stood at the same place on the way down.

    A variant overrides :meth:`block`, :meth:`down_block` and :meth:`up_block`.

    Args:
        shape: Of an image, ``(C, H, W)``; C is of no account.
        in_channels: Of the input.
        out_channels: Of the output.
        channels: Of the first level.
        multipliers: Of the channels, one a level.
        num_res_blocks: A level.
        attention: Heights of maps that are followed by attention.
        head_channels: Of one attention head; 0 for a single head of all channels.
        dropout: Rate before each block's second convolution.
        num_groups: Of all group norms.
        eps: Of all group norms.
        num_classes: Number of label classes; 0 means unconditional. Label ``num_classes`` means "no class".

    Raises:
        UserError: Sides that cannot be halved so often, or channels that the groups or heads do not divide.

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
    ) -> None:
        super().__init__()
        self.channels, self.num_classes, self.dropout = channels, num_classes, dropout
        self.num_groups, self.eps, self.head_channels = num_groups, eps, head_channels
        widths = [channels * multiplier for multiplier in multipliers]
        check_sizes(shape, [channels, *widths], num_groups)
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
        """Attention over all positions."""
        return Attention(width, self.head_channels, self.num_groups, self.eps)

    def down_block(self, width: int) -> nn.Module:
        """Halves the sides."""
        return Downsample(width)

    def up_block(self, width: int) -> nn.Module:
        """Doubles the sides."""
        return Upsample(width)

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        """``[B, in_channels, H, W]`` at times float ``[B]`` to ``[B, out_channels, H, W]``.

        Args:
            x: The noised images, and whatever stands beside them.
            time: In the unit of the embedding, of which a period is 2 pi and more.
            label: int64 ``[B]``, ``num_classes`` for "no class", which is also what None says.
        """
        signal = self.time(sinusoids(time, self.channels))
        if self.label is not None:
            label = torch.full((len(x),), self.num_classes, device=x.device) if label is None else label
            signal = signal + self.label(label)
        signal = F.silu(signal)  # what every block begins with
        h = self.enter(x)
        skips = [h]
        for stage in self.down:
            for layer in stage:  # type: ignore[attr-defined]
                h = layer(h, signal)
            skips.append(h)
        for layer in self.middle:
            h = layer(h, signal)
        for stage in self.up:
            h = torch.cat([h, skips.pop()], 1)
            for layer in stage:  # type: ignore[attr-defined]
                h = layer(h, signal)
        return self.leave(h)


def check_sizes(shape: tuple[int, ...], widths: Sequence[int], num_groups: int) -> None:
    """Refuses a U-Net that cannot be built.

    Args:
        shape: Of the images.
        widths: Numbers of channels, of what enters and of each level.
        num_groups: Number of groups of the group norms.

    Raises:
        UserError: Naming what does not fit.
    """
    if len(shape) != 3:
        raise UserError(f"a U-Net takes images (C, H, W), not data of shape {tuple(shape)}")
    halvings = len(widths) - 2
    if halvings < 0 or min(*widths, num_groups) < 1:
        raise UserError("nets: channels, multipliers and num_groups must be positive, and there must be a level")
    if shape[1] % 2**halvings or shape[2] % 2**halvings:
        raise UserError(
            f"nets: {halvings + 1} levels halve the sides {halvings} times, and {shape[1]}x{shape[2]} cannot be;"
            " give fewer multipliers"
        )
    for width in widths:
        if width % num_groups or width % 2:
            raise UserError(
                f"nets: {width} channels must be even, and a multiple of num_groups {num_groups}; change either"
            )


def check_heads(widths: Sequence[int], head_channels: int) -> None:
    """Refuses heads that do not share the channels of a level with attention, or of the middle, which has it always.

    Raises:
        UserError: Naming a width.
    """
    for width in widths:
        if head_channels and width % head_channels:
            raise UserError(
                f"nets: {width} channels attend, and are no multiple of head_channels {head_channels}; change either"
            )


# ------------------------------------------------------------------ what a configuration names


class DenoisingNets(abc.ABC):
    """How the network of a diffusion model is built, once the data's shape is known."""

    @abc.abstractmethod
    def build(self, shape: tuple[int, ...], in_channels: int, out_channels: int, num_classes: int) -> nn.Module:
        """A network ``(x [B, in_channels, H, W], time [B], label [B] or None) -> [B, out_channels, H, W]``."""


class UNetNets(DenoisingNets):
    """The U-Net of DDPM.

    Args:
        channels: Of the first level.
        multipliers: Of the channels, one a level.
        num_res_blocks: A level.
        attention: Heights of maps that are followed by attention.
        head_channels: Of one attention head; 0 for a single head.
        dropout: Rate inside the blocks.
        num_groups: Number of groups of the group norms.
        eps: Epsilon of the group norms.
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
        }

    @override
    def build(self, shape: tuple[int, ...], in_channels: int, out_channels: int, num_classes: int) -> nn.Module:
        return self.net(shape, in_channels, out_channels, num_classes=num_classes, **self.options)  # type: ignore[arg-type]
