"""Autoregressive models of images whose network outputs logits of all values, sampled pixel by pixel."""

from __future__ import annotations

import abc

import torch
import torch.nn.functional as F
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.families.autoregressive.autoregressive import Autoregressive
from lit_gen.families.autoregressive.conditionals import Conditionals
from lit_gen.families.autoregressive.level_features import LevelFeatures
from lit_gen.nets.autoregressive.columns import Columns


def channels_of(family: str, shape: tuple[int, ...]) -> int:
    """Number of channels C of images ``(C, H, W)``.

    Raises:
        UserError: If the data are not images.
    """
    if len(shape) != 3:
        raise UserError(f"{family} models images (C, H, W), not data of shape {tuple(shape)}")
    return shape[0]


class Pixelwise(Autoregressive, abc.ABC):
    """A softmax over the values of each channel of each pixel.

    Args:
        shape: Shape of one example ``(C, H, W)``; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        net: Network used by :meth:`levels_last`.
        level_features: Number E of learned features per value that are added to the network's input, beside the value
            as a number in [0, 1]; 0 in the papers.
        num_classes: Number of label classes; 0 means unconditional.
        temperature: Divisor of the logits of every conditional when sampling.
        optimizer: Optimizer of all parameters.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        net: nn.Module,
        *,
        level_features: int,
        num_classes: int,
        temperature: float,
        optimizer: OptimizerCallable,
    ) -> None:
        super().__init__(
            shape, num_levels, num_classes=num_classes, temperature=temperature, optimizer=optimizer
        )
        # Convolutions read channels-last tensors faster, on CPUs and GPUs.
        self.net = net.to(memory_format=torch.channels_last)
        self.features = LevelFeatures(num_levels, level_features)

    @abc.abstractmethod
    def levels_last(self, x: Tensor, label: Tensor | None) -> Tensor:
        """Maps features ``[B, C (1 + E), H, W]``, and labels or None, to logits ``[B, H, W, C, num_levels]``."""

    @abc.abstractmethod
    def columns(self, batch_size: int, label: Tensor | None) -> Columns:
        """The same network for incremental decoding."""

    @override
    def logits(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return self.levels_last(self.features(x), label).permute(0, 4, 3, 1, 2)

    @override
    def log_prob(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Keeps the values last, so that none of the largest tensors is transposed."""
        logits = self.levels_last(self.features(x), label).float()
        levels = x.permute(0, 2, 3, 1).flatten().long()
        nats = F.cross_entropy(logits.flatten(0, 3), levels, reduction="none")
        return -nats.unflatten(0, (len(x), -1)).sum(1)

    def conditionals(self, batch_size: int, label: Tensor | None = None) -> Conditionals:
        """Updates the network's per-column cache once for each channel of a pixel."""
        return PixelByPixel(self.columns(batch_size, label), self.shape, self.features)


class PixelByPixel(Conditionals):
    """Conditionals of the channels of all pixels, in raster order.

    Args:
        columns: Per-column cache of the network.
        shape: Shape of one example ``(C, H, W)``.
        features: Features of the values.
    """

    def __init__(self, columns: Columns, shape: tuple[int, ...], features: LevelFeatures) -> None:
        self.columns, self.features = columns, features
        self.num_channels, _, self.width = shape
        self.asked = 0

    @torch.no_grad()
    @override
    def next(self, value: Tensor | None) -> Tensor:
        i = self.asked
        if value is not None:
            before, channel = divmod(i - 1, self.num_channels)
            self.columns.write(before % self.width, channel, self.features.of(value))
        pixel, channel = divmod(i, self.num_channels)
        j = pixel % self.width
        if j == channel == 0:
            self.columns.start_row()
        self.asked += 1
        return self.columns.logits(j)[:, channel]
