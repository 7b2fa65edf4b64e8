"""Objectives of generator and discriminator."""

from __future__ import annotations

import abc
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override


class Objective(abc.ABC):
    """The two losses of a minimax objective, from the discriminator's outputs on a batch.

    Attributes:
        last_bias: Whether the last layer of the discriminator has a bias. It has none where adding a constant to all
            outputs leaves the losses unchanged, so that no gradient would reach the bias.
        generator_sees_real: Whether the generator's loss depends on the outputs for real examples.
    """

    last_bias: ClassVar[bool] = True
    generator_sees_real: ClassVar[bool] = False

    @abc.abstractmethod
    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's loss, a scalar, from its outputs ``[B]`` for real examples and for samples."""

    @abc.abstractmethod
    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """The generator's loss, a scalar; ``real`` is None unless ``generator_sees_real``."""


class NonSaturating(Objective):
    """Cross-entropy for the discriminator; the generator minimizes ``-log D(G(z))``, in nats.

    References:
        Goodfellow et al.: Generative Adversarial Nets, 2014, arXiv:1406.2661, section 3.
    """

    @override
    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    @override
    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return F.softplus(-fake).mean()


class Hinge(Objective):
    """Hinge loss for the discriminator; the generator maximizes its output.

    Between the margins, where all outputs start, the discriminator's loss does not change with their common level.

    References:
        Lim, Ye: Geometric GAN, 2017, arXiv:1705.02894, equations 5 and 6.
    """

    last_bias = False

    @override
    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()

    @override
    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return -fake.mean()
