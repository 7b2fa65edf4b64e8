"""Objectives of generator and discriminator."""

from __future__ import annotations

import abc
import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from lit_gen.errors import UserError


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

    def boundary(self, real: Tensor, fake: Tensor) -> Tensor:
        """The output, a scalar, above which the discriminator takes an example for real: 0 for a logit."""
        return torch.zeros((), device=real.device)


def middle(real: Tensor, fake: Tensor) -> Tensor:
    """Midpoint of the mean outputs: the boundary where a shift of all outputs leaves an objective unchanged."""
    return 0.5 * (real.mean() + fake.mean())


class Minimax(Objective):
    """Cross-entropy for the discriminator, which the generator maximizes: the zero-sum objective, in nats.

    At the best discriminator its value is ``2 JS(p_data, p_model) - log 4``. Where the discriminator rejects all
    samples, the generator's gradient vanishes; :class:`NonSaturating` has the same best discriminator and does not.

    References:
        Goodfellow et al.: Generative Adversarial Nets, 2014, arXiv:1406.2661, equation 1 and theorem 1.
    """

    @override
    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    @override
    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return -F.softplus(fake).mean()


class NonSaturating(Minimax):
    """Cross-entropy for the discriminator; the generator minimizes ``-log D(G(z))``, in nats.

    References:
        Goodfellow et al.: Generative Adversarial Nets, 2014, arXiv:1406.2661, section 3.
    """

    @override
    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return F.softplus(-fake).mean()


class LeastSquares(Objective):
    """Squared distances of the outputs from targets.

    With targets of 1 for real examples, -1 for samples and 0 for the generator, the losses are at the best
    discriminator half the Pearson chi-squared divergence between ``p_data + p_model`` and ``2 p_model``.

    Args:
        real: Target of the discriminator for real examples; b in the paper.
        fake: Its target for samples; a in the paper.
        generator: The generator's target for its samples; c in the paper.

    Raises:
        UserError: If a target is not finite, or those of real examples and samples are equal.

    References:
        Mao et al.: Least Squares Generative Adversarial Networks, 2017, arXiv:1611.04076, equation 2; the defaults are
        its equation 9.
    """

    def __init__(self, real: float = 1.0, fake: float = 0.0, generator: float = 1.0) -> None:
        if not all(map(math.isfinite, (real, fake, generator))) or real <= fake or generator <= fake:
            raise UserError(
                f"objective: targets real={real} and generator={generator} must be finite and above fake={fake}"
            )
        self.real, self.fake, self.generator = real, fake, generator

    @override
    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return 0.5 * ((real - self.real).square().mean() + (fake - self.fake).square().mean())

    @override
    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return 0.5 * (fake - self.generator).square().mean()

    @override
    def boundary(self, real: Tensor, fake: Tensor) -> Tensor:
        return torch.full((), 0.5 * (self.real + self.fake), device=real.device)


class Hinge(Objective):
    """Hinge loss for the discriminator; the generator maximizes its output.

    Between the margins, where all outputs start, the discriminator's loss does not change with their common level. At
    the best discriminator it is ``2 - 2 TV(p_data, p_model)``, with the total variation distance TV.

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


class Wasserstein(Objective):
    """The critic maximizes the mean of its outputs for real examples less that for samples.

    Its maximum over 1-Lipschitz critics is the Wasserstein-1 distance; a penalty or clipping keeps the critic near
    such functions.

    References:
        Arjovsky, Chintala, Bottou: Wasserstein GAN, 2017, arXiv:1701.07875, equation 2.
    """

    last_bias = False

    @override
    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake.mean() - real.mean()

    @override
    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return -fake.mean()

    @override
    def boundary(self, real: Tensor, fake: Tensor) -> Tensor:
        return middle(real, fake)


class RelativisticPairing(Objective):
    """Each sample is compared with a real example: the discriminator says which of the two is real, in nats.

    The generator's landscape has no bad local minima, as that of the separate objectives has; R1 and R2 make its
    training converge locally.

    References:
        Jolicoeur-Martineau: The relativistic discriminator, 2019, arXiv:1807.00734, equations 5 and 6.
        Huang et al.: The GAN is dead; long live the GAN! A Modern Baseline GAN, 2024, arXiv:2501.05441, equation 2.
    """

    last_bias = False
    generator_sees_real = True

    @override
    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(fake - real).mean()

    @override
    def generator_loss(self, real: Tensor | None, fake: Tensor) -> Tensor:
        assert real is not None
        return F.softplus(real - fake).mean()

    @override
    def boundary(self, real: Tensor, fake: Tensor) -> Tensor:
        return middle(real, fake)
