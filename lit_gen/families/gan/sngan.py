"""Spectrally normalized GAN."""

from __future__ import annotations

from lightning.pytorch.cli import OptimizerCallable

from lit_gen.families.gan.augmentation import Augmentation
from lit_gen.families.gan.gan import GAN
from lit_gen.families.gan.generator_sampling import GeneratorSampling
from lit_gen.families.gan.objective import Hinge, Objective
from lit_gen.families.gan.updates import Updates
from lit_gen.nets import AdversarialNets, SNGANNets
from lit_gen.optim import AdversarialAdamW


class SNGAN(GAN):
    """Spectrally normalized GAN with the hinge loss, and five discriminator steps for each of the generator.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values; linked from the data.
        num_latents: Dimensions of z.
        nets: Generator and discriminator; small residual nets if not given.
        objective: What the two networks minimize; the hinge loss if not given.
        updates: Steps of the discriminator for each of the generator, parts of a batch, and clipping.
        num_classes: Number of label classes; 0 means unconditional. With classes, this is a projection discriminator.
        augmentation: Augmentation of what the discriminator sees; none if not given.
        sampling: Truncation of latents, and batch norm's statistics for samples.
        generator_optimizer: Optimizer of the generator.
        discriminator_optimizer: Optimizer of the discriminator.

    References:
        Miyato et al.: Spectral Normalization for Generative Adversarial Networks, 2018, arXiv:1802.05957.
        Miyato, Koyama: cGANs with Projection Discriminator, 2018, arXiv:1802.05637.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        num_latents: int = 16,
        nets: AdversarialNets | None = None,
        objective: Objective | None = None,
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
            nets=nets or SNGANNets(generator_channels=(16, 16), discriminator_channels=(16, 16), halvings=1),
            objective=objective or Hinge(),
            updates=updates,
            num_classes=num_classes,
            augmentation=augmentation,
            sampling=sampling,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
        )
