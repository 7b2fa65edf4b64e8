"""A residual MLP that denoises data of any shape."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.nets.diffusion.unet import DenoisingNets
from lit_gen.nets.diffusion.unet_blocks import sinusoids, zeroed


class DenoisingMLP(nn.Module):
    """Residual blocks of two layers on the flattened data; the time embedding is added inside each block.

    There are no norms, because the distance of z from the data is what the network has to predict.

    Args:
        num_inputs: Number of inputs.
        shape: Shape of one output.
        width: Width of the residual stream.
        num_blocks: Number of blocks.
        num_classes: Number of label classes; 0 means unconditional. Label ``num_classes`` means "no class".
    """

    def __init__(self, num_inputs: int, shape: tuple[int, ...], width: int, num_blocks: int, num_classes: int) -> None:
        super().__init__()
        if min(width, num_blocks) < 1 or width % 2:
            raise UserError(f"nets: width={width} must be even and positive, num_blocks={num_blocks} at least 1")
        self.shape, self.width, self.num_classes = tuple(shape), width, num_classes
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.label = nn.Embedding(num_classes + 1, width) if num_classes else None
        self.enter = nn.Linear(num_inputs, width)
        self.blocks = nn.ModuleList(
            nn.ModuleList([nn.Linear(width, width), nn.Linear(width, width), zeroed(nn.Linear(width, width))])
            for _ in range(num_blocks)
        )
        self.leave = zeroed(nn.Linear(width, math.prod(shape)))

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        """Maps ``[B, ...]`` at times ``[B]`` to ``[B, *shape]``; label int64 ``[B]``, None for no class."""
        signal = self.time(sinusoids(time, self.width))
        if self.label is not None:
            label = torch.full((len(x),), self.num_classes, device=x.device) if label is None else label
            signal = signal + self.label(label)
        h = self.enter(x.flatten(1))
        for block in self.blocks:
            inner, shift, outer = block.children()
            h = h + outer(F.silu(inner(F.silu(h)) + shift(signal)))
        return self.leave(F.silu(h)).unflatten(1, self.shape)


class MLPDenoiser(DenoisingNets):
    """A residual MLP, for small data of any shape.

    Args:
        width: Width of the residual stream.
        num_blocks: Number of blocks of two layers each.
    """

    def __init__(self, width: int = 64, num_blocks: int = 2) -> None:
        self.width, self.num_blocks = width, num_blocks

    @override
    def build(self, shape: tuple[int, ...], in_channels: int, out_channels: int, num_classes: int) -> nn.Module:
        """Builds the network; channels are indices of the first dimension of the shape."""
        rest = shape[1:]
        inputs = in_channels * math.prod(rest)
        return DenoisingMLP(inputs, (out_channels, *rest), self.width, self.num_blocks, num_classes)
