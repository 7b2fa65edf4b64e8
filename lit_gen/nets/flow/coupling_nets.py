"""Networks inside coupling layers, which compute the parameters of the transforms."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.nets.actnorm import ActNorm
from lit_gen.nets.gates import glu
from lit_gen.nets.mlp import Activation, mlp


class CouplingNets(abc.ABC):
    """Builds the network of a coupling layer. Its last layer starts at zero, and the flow as the identity."""

    @abc.abstractmethod
    def net(self, num_inputs: int, num_outputs: int) -> nn.Module:
        """Builds a network from ``[B, num_inputs, ...]`` to ``[B, num_outputs, ...]``."""


class ImageCouplingNets(CouplingNets):
    """Convolutional networks that keep height and width, in channels-last layout, which is faster on CPUs."""

    @override
    def net(self, num_inputs: int, num_outputs: int) -> nn.Module:
        return nn.Sequential(*self.layers(num_inputs, num_outputs)).to(memory_format=torch.channels_last)

    @abc.abstractmethod
    def layers(self, num_inputs: int, num_outputs: int) -> list[nn.Module]:
        """Builds the layers."""


class MLPCouplings(CouplingNets):
    """Fully connected, for vectors.

    Args:
        hidden_sizes: Widths of the hidden layers.
        activation: Nonlinearity between the layers.
        dropout: Dropout rate after each hidden layer.
    """

    def __init__(
        self, hidden_sizes: Sequence[int] = (64, 64), activation: Activation = "relu", dropout: float = 0.0
    ) -> None:
        self.hidden_sizes = list(hidden_sizes)
        self.activation: Activation = activation
        self.dropout = dropout

    @override
    def net(self, num_inputs: int, num_outputs: int) -> nn.Module:
        net = mlp([num_inputs, *self.hidden_sizes, num_outputs], self.activation, self.dropout)
        return _start_at_zero(net)


class GlowCouplings(ImageCouplingNets):
    """Glow's: 3x3, 1x1 and 3x3 convolutions, the first two with activation normalization.

    Args:
        channels: Number of channels of the hidden layers; 512 in the paper.

    References:
        Kingma, Dhariwal 2018, arXiv:1807.03039, section 5 and the authors' code.
    """

    def __init__(self, channels: int = 16) -> None:
        self.channels = channels

    @override
    def layers(self, num_inputs: int, num_outputs: int) -> list[nn.Module]:
        return [
            nn.Conv2d(num_inputs, self.channels, 3, padding=1, bias=False),
            ActNorm(self.channels),
            nn.ReLU(),
            nn.Conv2d(self.channels, self.channels, 1, bias=False),
            ActNorm(self.channels),
            nn.ReLU(),
            ScaledConv2d(self.channels, num_outputs, 3, padding=1),
        ]


class ResidualCouplings(ImageCouplingNets):
    """Residual blocks of 3x3 convolutions, as in RealNVP, normalized over channels.

    RealNVP uses batch norm; here each pixel's channels are normalized instead (layer norm), so that the negative
    log-likelihood of an image does not depend on the rest of its batch, in training as in scoring.

    Args:
        channels: Number of channels of the hidden layers.
        num_blocks: Number of residual blocks, two convolutions each.

    References:
        Dinh et al. 2017, arXiv:1605.08803, section 4.1.
    """

    def __init__(self, channels: int = 16, num_blocks: int = 1) -> None:
        self.channels, self.num_blocks = channels, num_blocks

    @override
    def layers(self, num_inputs: int, num_outputs: int) -> list[nn.Module]:
        return [
            nn.Conv2d(num_inputs, self.channels, 3, padding=1),
            *[ResidualBlock(self.channels) for _ in range(self.num_blocks)],
            ChannelNorm(self.channels),
            nn.ReLU(),
            _start_at_zero(nn.Conv2d(self.channels, num_outputs, 1)),
        ]


class GatedCouplings(ImageCouplingNets):
    """Gated residual blocks with concatenated ELUs and layer norm, as in Flow++ (without its attention).

    Args:
        channels: Number of channels of the hidden layers.
        num_blocks: Number of residual blocks, a 3x3 and a gating 1x1 convolution each.

    References:
        Ho, Chen, Srinivas, Duan, Abbeel: Flow++, 2019, arXiv:1902.00275, section 3.3.
    """

    def __init__(self, channels: int = 16, num_blocks: int = 2) -> None:
        self.channels, self.num_blocks = channels, num_blocks

    @override
    def layers(self, num_inputs: int, num_outputs: int) -> list[nn.Module]:
        return [
            nn.Conv2d(num_inputs, self.channels, 3, padding=1),
            *[GatedBlock(self.channels) for _ in range(self.num_blocks)],
            ConcatELU(),
            _start_at_zero(nn.Conv2d(2 * self.channels, num_outputs, 3, padding=1)),
        ]


# ------------------------------------------------------------------ building blocks


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each pixel, ``[B, C, H, W]``; pixels stay independent."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(num_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps x to the same shape."""
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConcatELU(nn.Module):
    """``elu([x, -x])``: twice as many channels, and a gradient on both sides of zero."""

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, ...]`` to ``[B, 2C, ...]``."""
        return F.elu(torch.cat([x, -x], 1))


class ResidualBlock(nn.Module):
    """``x + conv(relu(norm(conv(relu(norm(x))))))``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [ChannelNorm(channels), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Maps x to the same shape."""
        return x + self.layers(x)


class GatedBlock(nn.Module):
    """``norm(x + a sigmoid(b))`` with a and b from two convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            ConcatELU(),
            nn.Conv2d(2 * channels, channels, 3, padding=1),
            ConcatELU(),
            nn.Conv2d(2 * channels, 2 * channels, 1),
        )
        self.norm = ChannelNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps x to the same shape."""
        return self.norm(x + glu(self.layers(x), 1))


class ScaledConv2d(nn.Conv2d):
    """A convolution that starts at zero, with outputs scaled by ``exp(3 log_scale)``, learned for each channel.

    References:
        Kingma, Dhariwal 2018, arXiv:1807.03039, the authors' code (``conv2d_zeros``).
    """

    def __init__(self, num_inputs: int, num_outputs: int, kernel_size: int, padding: int) -> None:
        super().__init__(num_inputs, num_outputs, kernel_size, padding=padding)
        self.log_scale = nn.Parameter(torch.zeros(num_outputs, 1, 1))
        nn.init.zeros_(self.weight)
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``[B, C, H, W]`` to the same height and width."""
        return super().forward(x) * (3 * self.log_scale).exp()


def _start_at_zero(net: nn.Module) -> nn.Module:
    last = list(net.modules())[-1]
    nn.init.zeros_(last.weight)  # type: ignore[arg-type]
    nn.init.zeros_(last.bias)  # type: ignore[arg-type]
    return net
