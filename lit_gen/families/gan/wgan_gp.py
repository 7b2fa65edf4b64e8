"""Wasserstein GAN with gradient penalty."""

from __future__ import annotations

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.families.gan.gan import GAN
from lit_gen.families.gan.objective import Objective
from lit_gen.families.gan.penalty import Penalty, Scored, input_gradient
from lit_gen.families.gan.updates import Updates
from lit_gen.nets import AdversarialNets
from lit_gen.optim import AdversarialAdamW


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
    def value(self, discriminator: nn.Module, real: Scored, fake: Scored) -> Tensor:
        share = torch.rand(len(real.x), *[1] * (real.x.ndim - 1), device=real.x.device)
        x = torch.lerp(real.x.detach().float(), fake.x.detach().float(), share).requires_grad_()
        gradient = input_gradient(Scored(x, discriminator(x))).float()
        return (gradient.norm(dim=1) - 1).square().mean()


class WGANGP(GAN):
    """Wasserstein GAN with gradient penalty: a critic with five steps for each of the generator.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values; linked from the data.
        num_latents: Dimensions of z.
        nets: Generator and critic; a small DCGAN if not given. The critic must not normalize over the batch.
        penalty_weight: Weight of the gradient penalty; lambda in the paper.
        updates: Steps of the critic for each of the generator, and clipping.
        generator_optimizer: Optimizer of the generator.
        discriminator_optimizer: Optimizer of the critic.

    References:
        Gulrajani et al.: Improved Training of Wasserstein GANs, 2017, arXiv:1704.00028, algorithm 1.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        num_latents: int = 16,
        nets: AdversarialNets | None = None,
        penalty_weight: float = 10.0,
        updates: Updates = Updates(discriminator_steps=5),
        generator_optimizer: OptimizerCallable = AdversarialAdamW,
        discriminator_optimizer: OptimizerCallable = AdversarialAdamW,
    ) -> None:
        super().__init__(
            shape,
            num_levels,
            num_latents=num_latents,
            nets=nets,
            objective=Wasserstein(),
            penalty=GradientPenalty(penalty_weight),
            updates=updates,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
        )
