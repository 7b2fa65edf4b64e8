"""Encoder and decoder pairs for latent-variable models."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence

from torch import Tensor, nn
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.nets.mlp import Activation, activation_module, mlp


class AutoencoderNets(abc.ABC):
    """Builds an encoder and a decoder, given the shape of the data."""

    @abc.abstractmethod
    def encoder(self, shape: Sequence[int], num_outputs: int) -> nn.Module:
        """Builds a network from float ``[B, *shape]`` to ``[B, num_outputs]``."""

    @abc.abstractmethod
    def decoder(self, num_inputs: int, shape: Sequence[int], num_maps: int) -> nn.Module:
        """Builds a network from ``[B, num_inputs]`` to ``[B, num_maps, *shape]``: num_maps parameters per dimension."""


class MLPNets(AutoencoderNets):
    """Fully connected encoder and decoder with mirrored layers.

    Args:
        hidden_sizes: Widths of the encoder's hidden layers; the decoder has them in reverse.
        activation: Nonlinearity between the layers.
        dropout: Dropout rate after each hidden layer of the encoder.
    """

    def __init__(
        self, hidden_sizes: Sequence[int] = (128,), activation: Activation = "relu", dropout: float = 0.0
    ) -> None:
        self.hidden_sizes = list(hidden_sizes)
        self.activation: Activation = activation
        self.dropout = dropout

    @override
    def encoder(self, shape: Sequence[int], num_outputs: int) -> nn.Module:
        sizes = [math.prod(shape), *self.hidden_sizes, num_outputs]
        return nn.Sequential(nn.Flatten(), *mlp(sizes, self.activation, self.dropout))

    @override
    def decoder(self, num_inputs: int, shape: Sequence[int], num_maps: int) -> nn.Module:
        sizes = [num_inputs, *self.hidden_sizes[::-1], num_maps * math.prod(shape)]
        return nn.Sequential(*mlp(sizes, self.activation), nn.Unflatten(1, (num_maps, *shape)))


class ConvNets(AutoencoderNets):
    """4x4 convolutions of stride 2 and their transposes, which halve any height and width (rounded down).

    Args:
        channels: Number of channels of each encoder layer; the decoder has them in reverse.
        activation: Nonlinearity between the layers.
        batch_norm: Whether to use batch norm after each hidden convolution.
    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 64),
        activation: Activation = "relu",
        batch_norm: bool = True,
    ) -> None:
        self.channels = list(channels)
        self.activation: Activation = activation
        self.batch_norm = batch_norm

    def _sizes(self, shape: Sequence[int]) -> list[tuple[int, int]]:
        if len(shape) != 3:
            raise UserError(f"ConvNets needs images [C, H, W], the data have shape {tuple(shape)}; use MLPNets")
        sizes = [(shape[1] >> i, shape[2] >> i) for i in range(len(self.channels) + 1)]
        if min(sizes[-1]) < 1:
            raise UserError(
                f"ConvNets halves {shape[1]}x{shape[2]} images {len(self.channels)} times, which leaves nothing;"
                f" give at most {int(math.log2(min(shape[1:])))} channels"
            )
        return sizes

    def _finish(self, channels: int) -> list[nn.Module]:
        norm = [nn.BatchNorm2d(channels)] if self.batch_norm else []
        return [*norm, activation_module(self.activation)]

    @override
    def encoder(self, shape: Sequence[int], num_outputs: int) -> nn.Module:
        height, width = self._sizes(shape)[-1]
        layers: list[nn.Module] = []
        for before, after in zip([shape[0], *self.channels[:-1]], self.channels, strict=True):
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=not self.batch_norm), *self._finish(after)]
        return nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(self.channels[-1] * height * width, num_outputs)
        )

    @override
    def decoder(self, num_inputs: int, shape: Sequence[int], num_maps: int) -> nn.Module:
        sizes = self._sizes(shape)[::-1]
        channels = self.channels[::-1]
        last = len(channels) - 1
        layers: list[nn.Module] = [
            nn.Linear(num_inputs, channels[0] * math.prod(sizes[0])),
            nn.Unflatten(1, (channels[0], *sizes[0])),
            activation_module(self.activation),
        ]
        outputs = [*channels[1:], num_maps * shape[0]]
        for i, (before, after) in enumerate(zip(channels, outputs, strict=True)):
            odd = (sizes[i + 1][0] - 2 * sizes[i][0], sizes[i + 1][1] - 2 * sizes[i][1])
            plain = i == last or not self.batch_norm
            layers.append(nn.ConvTranspose2d(before, after, 4, 2, 1, output_padding=odd, bias=plain))
            layers += self._finish(after) if i < last else []
        return nn.Sequential(*layers, _SplitMaps(num_maps))


class _SplitMaps(nn.Module):
    """Reshapes ``[B, M*C, H, W]`` to ``[B, M, C, H, W]``."""

    def __init__(self, num_maps: int) -> None:
        super().__init__()
        self.num_maps = num_maps

    def forward(self, h: Tensor) -> Tensor:
        return h.unflatten(1, (self.num_maps, -1))
