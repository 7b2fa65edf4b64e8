"""Gradient penalties on the discriminator."""

from __future__ import annotations

import abc
import math
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.errors import UserError


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

    Raises:
        UserError: If the weight is negative or not finite, or ``every`` is below 1.

    References:
        Karras et al. 2020, arXiv:1912.04958, section 3.1 (lazy regularization).
    """

    needs_real_gradient: ClassVar[bool] = False

    def __init__(self, weight: float = 1.0, every: int = 1) -> None:
        if not 0 <= weight < math.inf or every < 1:
            raise UserError(f"penalty: weight={weight} must be at least 0, and every={every} at least 1")
        self.weight, self.every = weight, every

    def due(self, step: int) -> bool:
        """Whether the discriminator's step, counted from 0, has the penalty."""
        return self.weight > 0 and step % self.every == 0

    def __call__(self, discriminator: nn.Module, real: Scored, fake: Scored) -> Tensor:
        """The weighted penalty, a scalar."""
        return self.weight * self.every * self.value(discriminator, real, fake)

    @abc.abstractmethod
    def value(self, discriminator: nn.Module, real: Scored, fake: Scored) -> Tensor:
        """The penalty with weight 1, a scalar, differentiable by the discriminator's parameters."""


class R1(Penalty):
    """Half the squared norm of the discriminator's gradient at real examples.

    References:
        Mescheder, Geiger, Nowozin: Which Training Methods for GANs do actually Converge?, 2018, arXiv:1801.04406,
        equation 9.
    """

    needs_real_gradient = True

    @override
    def value(self, discriminator: nn.Module, real: Scored, fake: Scored) -> Tensor:
        return 0.5 * input_gradient(real).square().sum(1).mean()


def input_gradient(scored: Scored) -> Tensor:
    """Gradient of each output with respect to its own example, itself differentiable: ``[B, D]``.

    Args:
        scored: A batch whose ``x`` requires gradients, and of which output b depends on row b alone.
    """
    (gradient,) = torch.autograd.grad(scored.outputs.sum(), scored.x, create_graph=True)
    return gradient.flatten(1)
