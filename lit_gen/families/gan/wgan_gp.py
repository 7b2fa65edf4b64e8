"""Wasserstein GAN with gradient penalty."""

from __future__ import annotations

from lightning.pytorch.cli import OptimizerCallable

from lit_gen.families.gan.augmentation import Augmentation
from lit_gen.families.gan.gan import GAN
from lit_gen.families.gan.generator_sampling import GeneratorSampling
from lit_gen.families.gan.objective import Wasserstein
from lit_gen.families.gan.penalty import GradientPenalty
from lit_gen.families.gan.updates import Updates
from lit_gen.nets import AdversarialNets
from lit_gen.optim import AdversarialAdamW


class WGANGP(GAN):
    """Wasserstein GAN with gradient penalty: a critic with five steps for each of the generator.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values; linked from the data.
        num_latents: Dimensions of z.
        nets: Generator and critic; a small DCGAN if not given. The critic must not normalize over the batch.
        penalty_weight: Weight of the gradient penalty; lambda in the paper.
        updates: Steps of the critic for each of the generator, and clipping.
        num_classes: Number of label classes, which both networks are given; 0 means unconditional.
        augmentation: Augmentation of what the critic sees; none if not given.
        sampling: Truncation of latents, and batch norm's statistics for samples.
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
        num_classes: int = 0,
        augmentation: Augmentation | None = None,
        sampling: GeneratorSampling = GeneratorSampling(),
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
            num_classes=num_classes,
            augmentation=augmentation,
            sampling=sampling,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
        )
