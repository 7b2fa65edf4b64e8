"""The residual nets of spectrally normalized GANs, with classes by conditional batch norm and projection."""

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
from lit_gen.nets.gan.spectral_norm import SpectralConv2d, SpectralEmbedding, SpectralLinear

_BRANCH_GAIN = math.sqrt(2)  # of the convolutions on residual branches, which follow a ReLU


class SNGANNets(AdversarialNets):
    """SNGAN's residual nets: batch norm in the generator, spectral norm in all layers of the discriminator.

    The defaults are the paper's nets for 32x32 images; 64x64 and 128x128 images have more blocks of growing width.
    With classes, the gains and biases of the generator's batch norm are those of the class, and the discriminator adds
    the scalar product of its features with the class's vector.

    Args:
        generator_channels: Channels of the smallest feature map, then of each block, which doubles height and width.
        discriminator_channels: Channels of each block.
        halvings: Number of the discriminator's blocks, from the image on, that halve height and width.
        spectral_norm: Whether the discriminator has spectral norm. Without, the nets are those of residual WGAN-GP, but
            for layer norm.

    Raises:
        UserError: If a list is empty or a number below 1, or there are more halvings than blocks.

    References:
        Miyato et al.: Spectral Normalization for Generative Adversarial Networks, 2018, arXiv:1802.05957, tables
        4 to 6.
        Miyato, Koyama: cGANs with Projection Discriminator, 2018, arXiv:1802.05637, figures 13 and 14.
    """

    def __init__(
        self,
        generator_channels: Sequence[int] = (256, 256, 256, 256),
        discriminator_channels: Sequence[int] = (128, 128, 128, 128),
        halvings: int = 2,
        spectral_norm: bool = True,
    ) -> None:
        for name, channels in (
            ("generator_channels", generator_channels),
            ("discriminator_channels", discriminator_channels),
        ):
            if len(channels) < (name == "generator_channels") + 1 or min(channels) < 1:
                raise UserError(f"SNGANNets: {name}={list(channels)} must have a positive number for each block")
        if not 0 <= halvings <= len(discriminator_channels):
            raise UserError(f"SNGANNets: halvings={halvings} must be 0..{len(discriminator_channels)}, the blocks")
        self.generator_channels = list(generator_channels)
        self.discriminator_channels = list(discriminator_channels)
        self.halvings = halvings
        self.spectral_norm = spectral_norm

    @override
    def generator(self, num_latents: int, shape: Sequence[int], num_classes: int = 0) -> nn.Module:
        smallest = smallest_map("SNGANNets", shape, len(self.generator_channels) - 1, "generator_channels")
        return SNGANGenerator(num_latents, self.generator_channels, smallest, shape[0], num_classes)

    @override
    def discriminator(self, shape: Sequence[int], last_bias: bool = True, num_classes: int = 0) -> nn.Module:
        smallest_map("SNGANNets", shape, self.halvings, "halvings", exact=False)
        halved = [i < self.halvings for i in range(len(self.discriminator_channels))]
        blocks = list(zip(self.discriminator_channels, halved, strict=True))
        return SNGANDiscriminator(shape[0], blocks, self.spectral_norm, last_bias, num_classes)


class ConditionalBatchNorm2d(nn.Module):
    """Batch norm whose gain and bias depend on the class.

    Args:
        channels: Number of channels.
        num_classes: Number of classes; 0 for one gain and bias.

    References:
        de Vries et al.: Modulating early visual processing by language, 2017, arXiv:1707.00683.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=not num_classes)
        self.gain = nn.Embedding(num_classes, channels) if num_classes else None
        self.bias = nn.Embedding(num_classes, channels) if num_classes else None
        if self.gain is not None and self.bias is not None:
            nn.init.ones_(self.gain.weight)
            nn.init.zeros_(self.bias.weight)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Normalized features ``[B, C, H, W]``, for classes int64 ``[B]`` if there are any."""
        x = self.norm(x)
        if self.gain is None or self.bias is None:
            return x
        return torch.addcmul(self.bias(label)[..., None, None], x, self.gain(label)[..., None, None])


class UpBlock(nn.Module):
    """Residual block of the generator, which doubles height and width.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        num_classes: Number of classes; 0 for none.
    """

    def __init__(self, inputs: int, outputs: int, num_classes: int) -> None:
        super().__init__()
        self.norm1 = ConditionalBatchNorm2d(inputs, num_classes)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = ConditionalBatchNorm2d(outputs, num_classes)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, label: Tensor | None) -> Tensor:
        """Features ``[B, outputs, 2H, 2W]`` of ``[B, inputs, H, W]``."""
        branch = self.conv1(_doubled(F.relu(self.norm1(x, label))))
        branch = self.conv2(F.relu(self.norm2(branch, label)))
        # A 1x1 convolution and the repetition of pixels commute; this order takes a quarter of the products.
        return branch + _doubled(self.shortcut(x))


class SNGANGenerator(nn.Module):
    """From latents to images; see :class:`SNGANNets`.

    Args:
        num_latents: Dimensions of z.
        channels: Channels of the smallest map and of each block.
        smallest: Height and width of the smallest map.
        image_channels: Channels of the image.
        num_classes: Number of classes; 0 for none.
    """

    def __init__(
        self,
        num_latents: int,
        channels: Sequence[int],
        smallest: tuple[int, int],
        image_channels: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        self.first = nn.Linear(num_latents, channels[0] * math.prod(smallest))
        self.unflatten = nn.Unflatten(1, (channels[0], *smallest))
        self.blocks = nn.ModuleList(UpBlock(*pair, num_classes) for pair in itertools.pairwise(channels))
        self.norm = nn.BatchNorm2d(channels[-1])
        self.last = nn.Conv2d(channels[-1], image_channels, 3, padding=1)
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight, _BRANCH_GAIN if name[-5:-1] == "conv" else 1.0)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Images ``[B, C, H, W]`` in [-1, 1] of latents ``[B, num_latents]``, and of classes int64 ``[B]``."""
        x = self.unflatten(self.first(z))
        for block in self.blocks:
            x = block(x, label)
        return self.last(F.relu(self.norm(x))).tanh()


class DownBlock(nn.Module):
    """Residual block of the discriminator.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        halved: Whether it halves height and width.
        first: Whether it is given the image, to which no nonlinearity is applied.
        spectral_norm: Whether its layers have spectral norm.
    """

    def __init__(self, inputs: int, outputs: int, halved: bool, first: bool, spectral_norm: bool) -> None:
        super().__init__()
        hidden = outputs if first else inputs
        self.halved, self.first = halved, first
        self.conv1 = _convolution(inputs, hidden, 3, spectral_norm, _BRANCH_GAIN)
        self.conv2 = _convolution(hidden, outputs, 3, spectral_norm, _BRANCH_GAIN)
        same = inputs == outputs and not halved
        self.shortcut = nn.Identity() if same else _convolution(inputs, outputs, 1, spectral_norm)

    def forward(self, x: Tensor) -> Tensor:
        """Features ``[B, outputs, H, W]``, or of half the height and width, of ``[B, inputs, H, W]``."""
        branch = self.conv1(x if self.first else F.relu(x))
        branch = self.conv2(F.relu(branch))
        if not self.halved:
            return branch + self.shortcut(x)
        # The mean of a 1x1 convolution is that of the mean.
        return F.avg_pool2d(branch, 2) + self.shortcut(F.avg_pool2d(x, 2))


class SNGANDiscriminator(nn.Module):
    """From images to outputs; see :class:`SNGANNets`.

    Args:
        image_channels: Channels of the image.
        blocks: Channels of each block, and whether it halves height and width.
        spectral_norm: Whether all layers have spectral norm.
        last_bias: Whether the last layer has a bias.
        num_classes: Number of classes; 0 for none.
    """

    def __init__(
        self,
        image_channels: int,
        blocks: Sequence[tuple[int, bool]],
        spectral_norm: bool,
        last_bias: bool,
        num_classes: int,
    ) -> None:
        super().__init__()
        widths = [image_channels, *(channels for channels, _ in blocks)]
        self.blocks = nn.Sequential(
            *(
                DownBlock(widths[i], channels, halved, i == 0, spectral_norm)
                for i, (channels, halved) in enumerate(blocks)
            )
        )
        linear, embedding = (SpectralLinear, SpectralEmbedding) if spectral_norm else (nn.Linear, nn.Embedding)
        self.last = linear(widths[-1], 1, bias=last_bias)
        self.classes = embedding(num_classes, widths[-1]) if num_classes else None
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Outputs ``[B]`` of images ``[B, C, H, W]``, and of classes int64 ``[B]``."""
        features = F.relu(self.blocks(x)).sum((2, 3))
        outputs = self.last(features).squeeze(1)
        return outputs if self.classes is None else outputs + (features * self.classes(label)).sum(1)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2)


def _convolution(inputs: int, outputs: int, size: int, spectral_norm: bool, gain: float = 1.0) -> nn.Conv2d:
    if spectral_norm:
        return SpectralConv2d(inputs, outputs, size, padding=size // 2, gain=gain)
    layer = nn.Conv2d(inputs, outputs, size, padding=size // 2)
    nn.init.xavier_uniform_(layer.weight, gain)
    return layer
