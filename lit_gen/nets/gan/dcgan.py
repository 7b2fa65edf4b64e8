"""Generator and discriminator pairs for adversarial training."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.nets.gan.adversarial_nets import AdversarialNets, check_no_classes
from lit_gen.nets.mlp import Activation, mlp


class MLPAdversarialNets(AdversarialNets):
    """Fully connected generator and discriminator, as in the first GAN paper's MNIST networks.

    Args:
        hidden_sizes: Widths of the generator's hidden layers; the discriminator has them in reverse.
        activation: Nonlinearity between the layers.

    References:
        Goodfellow et al.: Generative Adversarial Nets, 2014, arXiv:1406.2661.
    """

    def __init__(self, hidden_sizes: Sequence[int] = (128,), activation: Activation = "leaky_relu") -> None:
        self.hidden_sizes = list(hidden_sizes)
        self.activation: Activation = activation

    @override
    def generator(self, num_latents: int, shape: Sequence[int], num_classes: int = 0) -> nn.Module:
        check_no_classes(self, num_classes)
        layers = mlp([num_latents, *self.hidden_sizes, math.prod(shape)], self.activation)
        return nn.Sequential(*layers, nn.Tanh(), nn.Unflatten(1, tuple(shape)))

    @override
    def discriminator(self, shape: Sequence[int], last_bias: bool = True, num_classes: int = 0) -> nn.Module:
        check_no_classes(self, num_classes)
        sizes = [math.prod(shape), *self.hidden_sizes[::-1], 1]
        layers = mlp(sizes, self.activation)
        if not last_bias:
            layers[-1] = nn.Linear(sizes[-2], 1, bias=False)
        return nn.Sequential(nn.Flatten(), *layers, nn.Flatten(0))


class DCGAN(AdversarialNets):
    """DCGAN's networks: strided convolutions, batch norm, ReLU in the generator, leaky ReLU in the discriminator.

    Images can have any size: each block halves height and width (rounding down), and the generator computes the
    smallest feature map, 4x4 for the paper's 64x64 images in four blocks, from the latents in one layer.

    Two differences from the paper: By default, the discriminator has no batch norm, because the R1 penalty is on the
    gradient at a single example, which batch norm would mix with the others. And the image may have any size.

    Args:
        channels: Number of channels of the layer next to the image; each further block has twice as many.
        num_blocks: Number of times the image is halved; if not given, until the feature map is smaller than 8x8.
        discriminator_batch_norm: Whether to use batch norm in all discriminator blocks but the first, as in the paper.

    References:
        Radford, Metz, Chintala: Unsupervised Representation Learning with Deep Convolutional Generative
        Adversarial Networks, 2016, arXiv:1511.06434.
    """

    def __init__(
        self, channels: int = 32, num_blocks: int | None = None, discriminator_batch_norm: bool = False
    ) -> None:
        self.channels = channels
        self.num_blocks = num_blocks
        self.discriminator_batch_norm = discriminator_batch_norm

    def _plan(self, shape: Sequence[int]) -> tuple[list[tuple[int, int]], list[int]]:
        """Sizes and numbers of channels, image side first."""
        if len(shape) != 3:
            raise UserError(f"DCGAN needs images [C, H, W], the data have shape {tuple(shape)}; use MLPAdversarialNets")
        if self.channels < 1 or (self.num_blocks is not None and self.num_blocks < 1):
            raise UserError(f"DCGAN: channels={self.channels} and num_blocks={self.num_blocks} must be at least 1")
        smallest = min(shape[1:])
        num_blocks = max(1, smallest.bit_length() - 3) if self.num_blocks is None else self.num_blocks
        if smallest >> num_blocks < 1:
            raise UserError(
                f"DCGAN halves {shape[1]}x{shape[2]} images num_blocks={num_blocks} times, which leaves nothing;"
                f" give num_blocks of at most {smallest.bit_length() - 1}, or leave it out"
            )
        sizes = [(shape[1] >> i, shape[2] >> i) for i in range(num_blocks + 1)]
        return sizes, [shape[0], *(self.channels << i for i in range(num_blocks))]

    @override
    def generator(self, num_latents: int, shape: Sequence[int], num_classes: int = 0) -> nn.Module:
        check_no_classes(self, num_classes)
        sizes, channels = self._plan(shape)
        sizes, channels = sizes[::-1], channels[::-1]
        layers: list[nn.Module] = [
            nn.Unflatten(1, (num_latents, 1, 1)),
            nn.ConvTranspose2d(num_latents, channels[0], sizes[0], bias=False),
        ]
        last_block = len(sizes) - 2
        for i in range(last_block + 1):
            last = i == last_block
            odd = (sizes[i + 1][0] - 2 * sizes[i][0], sizes[i + 1][1] - 2 * sizes[i][1])
            layers += [
                nn.BatchNorm2d(channels[i]),
                nn.ReLU(inplace=True),
                nn.ConvTranspose2d(channels[i], channels[i + 1], 4, 2, 1, output_padding=odd, bias=last),
            ]
        return _initialized(nn.Sequential(*layers, nn.Tanh()))

    @override
    def discriminator(self, shape: Sequence[int], last_bias: bool = True, num_classes: int = 0) -> nn.Module:
        check_no_classes(self, num_classes)
        sizes, channels = self._plan(shape)
        layers: list[nn.Module] = []
        for i in range(len(sizes) - 1):
            norm = self.discriminator_batch_norm and i > 0
            layers.append(nn.Conv2d(channels[i], channels[i + 1], 4, 2, 1, bias=not norm))
            layers += [nn.BatchNorm2d(channels[i + 1])] if norm else []
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        last = nn.Conv2d(channels[-1], 1, sizes[-1], bias=last_bias)
        return _initialized(nn.Sequential(*layers, last, nn.Flatten(0)))


@torch.no_grad()
def _initialized(net: nn.Sequential) -> nn.Sequential:
    """The paper's initialization: weights N(0, 0.02), batch norm's gains N(1, 0.02).

    Weights are in channels-last layout, with which a CPU convolves up to a fifth faster; the values are the same.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.weight.normal_(0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.normal_(1.0, 0.02)
    return net.to(memory_format=torch.channels_last)
