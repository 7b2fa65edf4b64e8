"""Wasserstein GAN with weight clipping."""

from __future__ import annotations

from lightning.pytorch.cli import OptimizerCallable

from lit_gen.errors import UserError
from lit_gen.families.gan.augmentation import Augmentation
from lit_gen.families.gan.gan import GAN
from lit_gen.families.gan.generator_sampling import GeneratorSampling
from lit_gen.families.gan.objective import Wasserstein
from lit_gen.families.gan.updates import Updates
from lit_gen.nets import AdversarialNets
from lit_gen.optim import RMSprop


class WGAN(GAN):
    """Wasserstein GAN: a critic whose parameters are clipped, with five steps for each of the generator.

    Clipped parameters make the critic Lipschitz with an unknown constant, to which its loss is proportional.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values; linked from the data.
        num_latents: Dimensions of z.
        nets: Generator and critic; a small DCGAN if not given.
        updates: Steps of the critic for each of the generator, and the limit of its parameters.
        num_classes: Number of label classes, which both networks are given; 0 means unconditional.
        augmentation: Augmentation of what the critic sees; none if not given.
        sampling: Truncation of latents, and batch norm's statistics for samples.
        generator_optimizer: Optimizer of the generator.
        discriminator_optimizer: Optimizer of the critic.

    Raises:
        UserError: If the parameters are not clipped.

    References:
        Arjovsky, Chintala, Bottou: Wasserstein GAN, 2017, arXiv:1701.07875, algorithm 1.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        num_latents: int = 16,
        nets: AdversarialNets | None = None,
        updates: Updates = Updates(discriminator_steps=5, weight_clip=0.01),
        num_classes: int = 0,
        augmentation: Augmentation | None = None,
        sampling: GeneratorSampling = GeneratorSampling(),
        generator_optimizer: OptimizerCallable = RMSprop,
        discriminator_optimizer: OptimizerCallable = RMSprop,
    ) -> None:
        if not updates.weight_clip:
            raise UserError("WGAN: updates.weight_clip is 0, and without a limit its loss has none; give 0.01, say")
        super().__init__(
            shape,
            num_levels,
            num_latents=num_latents,
            nets=nets,
            objective=Wasserstein(),
            updates=updates,
            num_classes=num_classes,
            augmentation=augmentation,
            sampling=sampling,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
        )
