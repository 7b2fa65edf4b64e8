"""R3GAN's residual nets, without normalization."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.nets.gan.adversarial_nets import AdversarialNets, smallest_map

_SLOPE = 0.2
_GAIN = math.sqrt(2 / (1 + _SLOPE**2))  # keeps the variance through a leaky ReLU
_BRANCH_LAYERS = 3


class R3GANNets(AdversarialNets):
    """R3GAN's nets: inverted bottlenecks of grouped convolutions, bilinear resampling, and no normalization.

    A generator and a discriminator mirror each other. The first map is a learned basis times a linear function of the
    latents, the discriminator's last one a depthwise convolution over the whole map. The initialization keeps variances
    without normalization (Fix-up): the last layer of each residual branch starts at 0, and the other two are scaled by
    ``L**(-1/4)``, with L blocks in the network.

    With classes, the latents are joined by a vector of the class, and the output is the scalar product of the features
    with another one.

    Args:
        channels: Channels of each stage, from the smallest map to the image; each stage doubles height and width.
        blocks: Residual blocks of each stage.
        groups: Groups of the 3x3 convolutions; must divide twice the channels of each stage.
        expansion: Factor of the channels within a block.
        class_width: Length of the vectors of classes.

    Raises:
        UserError: If a number is below 1, or the groups do not divide the channels.

    References:
        Huang et al.: The GAN is dead; long live the GAN! A Modern Baseline GAN, 2024, arXiv:2501.05441, section 3.2 and
        appendix. Zhang et al.: Fixup Initialization, 2019, arXiv:1901.09321.
    """

    def __init__(
        self,
        channels: Sequence[int] = (768, 768, 768, 768),
        blocks: int = 2,
        groups: int = 96,
        expansion: int = 2,
        class_width: int = 64,
    ) -> None:
        if not channels or min(*channels, blocks, groups, expansion, class_width, 1 << 30) < 1:
            raise UserError(
                f"R3GANNets: channels={list(channels)}, blocks={blocks}, groups={groups}, expansion={expansion} and"
                f" class_width={class_width} must be at least 1"
            )
        if any(width * expansion % groups for width in channels):
            raise UserError(
                f"R3GANNets: groups={groups} must divide {expansion} times each of channels={list(channels)}"
            )
        self.channels = list(channels)
        self.blocks, self.groups, self.expansion, self.class_width = blocks, groups, expansion, class_width

    def _stage(self, channels: int) -> nn.Sequential:
        total = self.blocks * len(self.channels)
        blocks = (ResidualBlock(channels, self.groups, self.expansion, total) for _ in range(self.blocks))
        return nn.Sequential(*blocks)

    @override
    def generator(self, num_latents: int, shape: Sequence[int], num_classes: int = 0) -> nn.Module:
        smallest = smallest_map("R3GANNets", shape, len(self.channels) - 1, "channels")
        inputs = num_latents + (self.class_width if num_classes else 0)
        layers: list[nn.Module] = [Basis(inputs, self.channels[0], smallest), self._stage(self.channels[0])]
        for before, after in itertools.pairwise(self.channels):
            layers += [Resampling(before, after, 2.0), self._stage(after)]
        layers.append(_convolution(self.channels[-1], shape[0], 1))
        return R3GANGenerator(nn.Sequential(*layers), num_classes, self.class_width)

    @override
    def discriminator(self, shape: Sequence[int], last_bias: bool = True, num_classes: int = 0) -> nn.Module:
        smallest = smallest_map("R3GANNets", shape, len(self.channels) - 1, "channels")
        channels = self.channels[::-1]
        layers: list[nn.Module] = [_convolution(shape[0], channels[0], 1), self._stage(channels[0])]
        for before, after in itertools.pairwise(channels):
            layers += [Resampling(before, after, 0.5), self._stage(after)]
        outputs = self.class_width if num_classes else 1
        whole = _convolution(channels[-1], channels[-1], smallest, groups=channels[-1])
        last = nn.Linear(channels[-1], outputs, bias=last_bias and not num_classes)
        _scale(last.weight, channels[-1])
        if last.bias is not None:
            nn.init.zeros_(last.bias)
        return R3GANDiscriminator(nn.Sequential(*layers, whole, nn.Flatten(), last), num_classes, self.class_width)


class R3GANGenerator(nn.Module):
    """From latents to images; see :class:`R3GANNets`.

    Args:
        net: From latents, joined by the class's vector if there are classes.
        num_classes: Number of classes; 0 for none.
        class_width: Length of a class's vector.
    """

    def __init__(self, net: nn.Module, num_classes: int, class_width: int) -> None:
        super().__init__()
        self.net = net
        self.classes = nn.Embedding(num_classes, class_width) if num_classes else None

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Images ``[B, C, H, W]`` of latents ``[B, num_latents]``, and of classes int64 ``[B]``; not bounded."""
        x: Tensor = self.net(z if self.classes is None else torch.cat([z, self.classes(label)], 1))
        return x


class R3GANDiscriminator(nn.Module):
    """From images to outputs; see :class:`R3GANNets`.

    Args:
        net: From images to one output, or to features of the class's width.
        num_classes: Number of classes; 0 for none.
        class_width: Length of a class's vector.
    """

    def __init__(self, net: nn.Module, num_classes: int, class_width: int) -> None:
        super().__init__()
        self.net = net
        self.classes = nn.Embedding(num_classes, class_width) if num_classes else None
        if self.classes is not None:
            nn.init.normal_(self.classes.weight, std=class_width**-0.5)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Outputs ``[B]`` of images ``[B, C, H, W]``, and of classes int64 ``[B]``."""
        features: Tensor = self.net(x)
        return features.squeeze(1) if self.classes is None else (features * self.classes(label)).sum(1)


class ResidualBlock(nn.Module):
    """Inverted bottleneck: 1x1, grouped 3x3 and 1x1 convolutions, with biases before the nonlinearities only.

    Args:
        channels: Input and output channels.
        groups: Groups of the 3x3 convolution.
        expansion: Factor of the channels within.
        num_blocks: Number of blocks of the network, by which the initialization is scaled.
    """

    def __init__(self, channels: int, groups: int, expansion: int, num_blocks: int) -> None:
        super().__init__()
        inner, gain = channels * expansion, _GAIN * num_blocks ** (-1 / (2 * _BRANCH_LAYERS - 2))
        self.widen = _convolution(channels, inner, 1, gain, bias=True)
        self.spread = _convolution(inner, inner, 3, gain, groups, bias=True)
        self.narrow = _convolution(inner, channels, 1, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Features ``[B, C, H, W]`` of the same shape."""
        branch = F.leaky_relu(self.widen(x), _SLOPE)
        branch = F.leaky_relu(self.spread(branch), _SLOPE)
        return x + self.narrow(branch)


class Resampling(nn.Module):
    """Bilinear resampling by a factor of 2 or 1/2, with a 1x1 convolution where the number of channels changes.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        factor: 2 or 0.5.
    """

    def __init__(self, inputs: int, outputs: int, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.project = nn.Identity() if inputs == outputs else _convolution(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Resampled features ``[B, outputs, factor * H, factor * W]``."""
        if self.factor < 1:  # halving by bilinear interpolation is the mean of 2x2 pixels
            return self.project(F.avg_pool2d(x, 2))
        return F.interpolate(self.project(x), scale_factor=2.0, mode="bilinear")


class Basis(nn.Module):
    """The first map: a learned map of each channel, times a linear function of the latents.

    Args:
        num_latents: Dimensions of the latents.
        channels: Number of channels.
        size: Height and width.
    """

    def __init__(self, num_latents: int, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.randn(channels, *size))
        self.weights = nn.Linear(num_latents, channels, bias=False)
        _scale(self.weights.weight, num_latents)

    def forward(self, z: Tensor) -> Tensor:
        """Maps ``[B, C, H, W]`` of latents ``[B, num_latents]``."""
        weights: Tensor = self.weights(z)
        return weights[..., None, None] * self.maps


def _convolution(
    inputs: int,
    outputs: int,
    size: int | tuple[int, int],
    gain: float = 1.0,
    groups: int = 1,
    bias: bool = False,
) -> nn.Conv2d:
    """A convolution that keeps the size, or spans the whole map if ``size`` is a pair; see :func:`_scale`."""
    padding = size // 2 if isinstance(size, int) else 0
    layer = nn.Conv2d(inputs, outputs, size, padding=padding, groups=groups, bias=bias)
    _scale(layer.weight, layer.weight[0].numel(), gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _scale(weight: Tensor, fan_in: int, gain: float = 1.0) -> None:
    """Initializes a weight by N(0, gain**2 / fan_in), which keeps the variance if the gain is that of the inputs."""
    nn.init.normal_(weight, std=gain / math.sqrt(fan_in)) if gain else nn.init.zeros_(weight)
