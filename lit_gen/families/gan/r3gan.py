"""R3GAN: relativistic pairing with two zero-centred gradient penalties, and nets without normalization."""

from __future__ import annotations

from lightning.pytorch.cli import OptimizerCallable

from lit_gen.families.gan.augmentation import Augmentation
from lit_gen.families.gan.gan import GAN
from lit_gen.families.gan.generator_sampling import GeneratorSampling
from lit_gen.families.gan.objective import RelativisticPairing
from lit_gen.families.gan.penalty import Penalty, R1AndR2
from lit_gen.families.gan.updates import Updates
from lit_gen.nets import AdversarialNets, R3GANNets
from lit_gen.optim import AdversarialAdamW


class R3GAN(GAN):
    """Relativistic pairing, with gradient penalties at real examples and at samples.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values; linked from the data.
        num_latents: Dimensions of z.
        nets: Generator and discriminator; small residual nets if not given.
        penalty: Gradient penalty on the discriminator; R1 and R2 with weight 1 if not given.
        updates: Steps of the discriminator for each of the generator, parts of a batch, and clipping.
        num_classes: Number of label classes, which both networks are given; 0 means unconditional.
        augmentation: Augmentation of what the discriminator sees; none if not given.
        sampling: Truncation of latents.
        generator_optimizer: Optimizer of the generator.
        discriminator_optimizer: Optimizer of the discriminator.

    References:
        Huang et al.: The GAN is dead; long live the GAN! A Modern Baseline GAN, 2024, arXiv:2501.05441.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        num_latents: int = 16,
        nets: AdversarialNets | None = None,
        penalty: Penalty | None = None,
        updates: Updates = Updates(),
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
            nets=nets or R3GANNets(channels=(16, 16), blocks=1, groups=4),
            objective=RelativisticPairing(),
            penalty=penalty or R1AndR2(),
            updates=updates,
            num_classes=num_classes,
            augmentation=augmentation,
            sampling=sampling,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
        )
