"""Gradient penalties on the discriminator."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.errors import UserError

Critic = Callable[[Tensor], Tensor]
"""Outputs ``[B]`` of the discriminator for examples ``[B, *shape]`` in [-1, 1]; example b's depends on row b alone."""


class Scored(NamedTuple):
    """A batch and the discriminator's outputs for it.

    Attributes:
        x: Examples ``[B, *shape]`` in [-1, 1].
        outputs: The discriminator's outputs ``[B]``.
    """

    x: Tensor
    outputs: Tensor


class Penalty(abc.ABC):
    """A penalty that is added to the discriminator's loss.

    Args:
        weight: Weight of the penalty.
        every: The penalty is computed in every ``every``-th step, with its weight multiplied by ``every`` (lazy
            regularization).

    Attributes:
        needs_real_gradient: Whether ``real.x`` must require gradients before the discriminator sees it.
        needs_fake_gradient: Whether ``fake.x`` must.

    Raises:
        UserError: If the weight is negative or not finite, or ``every`` is below 1.

    References:
        Karras et al. 2020, arXiv:1912.04958, section 3.1 (lazy regularization).
    """

    needs_real_gradient: ClassVar[bool] = False
    needs_fake_gradient: ClassVar[bool] = False

    def __init__(self, weight: float = 1.0, every: int = 1) -> None:
        if not 0 <= weight < math.inf or every < 1:
            raise UserError(f"penalty: weight={weight} must be at least 0, and every={every} at least 1")
        self.weight, self.every = weight, every

    def due(self, step: int) -> bool:
        """Whether the discriminator's step, counted from 0, has the penalty."""
        return self.weight > 0 and step % self.every == 0

    def __call__(self, discriminator: Critic, real: Scored, fake: Scored) -> Tensor:
        """The weighted penalty, a scalar."""
        return self.weight * self.every * self.value(discriminator, real, fake)

    @abc.abstractmethod
    def value(self, discriminator: Critic, real: Scored, fake: Scored) -> Tensor:
        """The penalty with weight 1, a scalar, differentiable by the discriminator's parameters."""


class R1(Penalty):
    """Half the squared norm of the discriminator's gradient at real examples.

    References:
        Mescheder, Geiger, Nowozin: Which Training Methods for GANs do actually Converge?, 2018, arXiv:1801.04406,
        equation 9.
    """

    needs_real_gradient = True

    @override
    def value(self, discriminator: Critic, real: Scored, fake: Scored) -> Tensor:
        return half_squared_norm(real)


class R2(Penalty):
    """Half the squared norm of the discriminator's gradient at samples.

    References:
        Mescheder, Geiger, Nowozin 2018, arXiv:1801.04406, equation 10.
    """

    needs_fake_gradient = True

    @override
    def value(self, discriminator: Critic, real: Scored, fake: Scored) -> Tensor:
        return half_squared_norm(fake)


class R1AndR2(Penalty):
    """The sum of :class:`R1` and :class:`R2`, with one weight.

    References:
        Huang et al.: The GAN is dead; long live the GAN! A Modern Baseline GAN, 2024, arXiv:2501.05441, section 2.2.
    """

    needs_real_gradient = True
    needs_fake_gradient = True

    @override
    def value(self, discriminator: Critic, real: Scored, fake: Scored) -> Tensor:
        return half_squared_norm(real) + half_squared_norm(fake)


class GradientPenalty(Penalty):
    """Squared difference from 1 of the critic's gradient norm, between pairs of a real example and a sample.

    Args:
        weight: Weight of the penalty; lambda in the paper.
        every: The penalty is computed in every ``every``-th step, with its weight multiplied by ``every``.

    References:
        Gulrajani et al.: Improved Training of Wasserstein GANs, 2017, arXiv:1704.00028, equation 3.
    """

    def __init__(self, weight: float = 10.0, every: int = 1) -> None:
        super().__init__(weight, every)

    @override
    def value(self, discriminator: Critic, real: Scored, fake: Scored) -> Tensor:
        x, x_fake = real.x.detach(), fake.x.detach()
        share = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device, dtype=x.dtype)
        return distance_from_slope_1(discriminator, torch.lerp(x, x_fake.to(x.dtype), share))  # autocast made samples


class DRAGAN(Penalty):
    """Squared difference from 1 of the discriminator's gradient norm, at real examples with Gaussian noise.

    Args:
        weight: Weight of the penalty; lambda in the paper.
        every: The penalty is computed in every ``every``-th step, with its weight multiplied by ``every``.
        scale: Standard deviation of the noise, in standard deviations of the batch's values.

    Raises:
        UserError: If the scale is not positive.

    References:
        Kodali et al.: On Convergence and Stability of GANs, 2017, arXiv:1705.07215, equation 4 with k = 1. Its
        code draws uniform noise, of up to half the batch's standard deviation.
    """

    def __init__(self, weight: float = 10.0, every: int = 1, scale: float = 0.5) -> None:
        super().__init__(weight, every)
        if not 0 < scale < math.inf:
            raise UserError(f"penalty: scale={scale} must be positive")
        self.scale = scale

    @override
    def value(self, discriminator: Critic, real: Scored, fake: Scored) -> Tensor:
        x = real.x.detach()
        return distance_from_slope_1(discriminator, x + self.scale * x.std() * torch.randn_like(x))


def half_squared_norm(scored: Scored) -> Tensor:
    """Half the mean squared norm of the gradients at a batch's examples, a scalar."""
    return 0.5 * input_gradient(scored).square().sum(1).mean()


def distance_from_slope_1(discriminator: Critic, x: Tensor) -> Tensor:
    """Mean of ``(norm of the gradient at x - 1)**2`` over examples ``[B, *shape]``, a scalar."""
    x = x.requires_grad_()
    return (input_gradient(Scored(x, discriminator(x))).norm(dim=1) - 1).square().mean()


def input_gradient(scored: Scored) -> Tensor:
    """Gradient of each output with respect to its own example, itself differentiable: ``[B, D]``.

    Args:
        scored: A batch whose ``x`` requires gradients, and of which output b depends on row b alone.
    """
    (gradient,) = torch.autograd.grad(scored.outputs.sum(), scored.x, create_graph=True)
    return gradient.flatten(1)
