"""Generative adversarial networks: a generator and a discriminator, each with its own optimizer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple, cast

import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from typing_extensions import override

from lit_gen.contract import Batch, Diagnosis, Examples
from lit_gen.contract.compilation import uncompiled
from lit_gen.errors import UserError
from lit_gen.families.gan.augmentation import Augmentation
from lit_gen.families.gan.diagnosis import diagnosed, diversity
from lit_gen.families.gan.generator_samples import GeneratorSamples, called
from lit_gen.families.gan.generator_sampling import GeneratorSampling
from lit_gen.families.gan.objective import NonSaturating, Objective
from lit_gen.families.gan.penalty import Critic, Penalty, Scored
from lit_gen.families.gan.two_optimizers import Part, TwoOptimizers
from lit_gen.families.gan.updates import Updates
from lit_gen.nets import DCGAN, AdversarialNets
from lit_gen.noise import Noise
from lit_gen.optim import AdversarialAdamW, parameter_groups
from lit_gen.quantization import to_symmetric

_DIAGNOSIS_SEED = 0xD1A6


class DiscriminatorLoss(NamedTuple):
    """The discriminator's loss on a batch; scalars.

    Attributes:
        loss: The objective's loss.
        penalty: The weighted penalty of this step.
        accuracy_real: Share of real examples that are taken for real.
        accuracy_fake: Share of samples that are not.
    """

    loss: Tensor
    penalty: Tensor
    accuracy_real: Tensor
    accuracy_fake: Tensor


class GAN(TwoOptimizers, GeneratorSamples):
    """A generator and a discriminator, trained by a minimax objective. There is no density.

    Each batch updates the discriminator; every ``updates.discriminator_steps``-th batch also updates the generator,
    against the discriminator just updated. ``global_step`` counts the generator's updates, so that checkpoints and
    curves mean the same as for a family with one optimizer. Budgets count the examples of all batches.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values; linked from the data.
        num_latents: Dimensions of z.
        nets: Generator and discriminator; a small DCGAN if not given.
        objective: What the two networks minimize; the non-saturating loss if not given.
        penalty: Gradient penalty on the discriminator; none if not given.
        updates: Steps of the discriminator for each of the generator, parts of a batch, and clipping.
        num_classes: Number of label classes, which both networks are given; 0 means unconditional.
        augmentation: Augmentation of what the discriminator sees; none if not given.
        sampling: Truncation of latents, and batch norm's statistics for samples.
        generator_optimizer: Optimizer of the generator.
        discriminator_optimizer: Optimizer of the discriminator.

    References:
        Goodfellow et al.: Generative Adversarial Nets, 2014, arXiv:1406.2661.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        num_latents: int = 16,
        nets: AdversarialNets | None = None,
        objective: Objective | None = None,
        penalty: Penalty | None = None,
        updates: Updates = Updates(),
        num_classes: int = 0,
        augmentation: Augmentation | None = None,
        sampling: GeneratorSampling = GeneratorSampling(),
        generator_optimizer: OptimizerCallable = AdversarialAdamW,
        discriminator_optimizer: OptimizerCallable = AdversarialAdamW,
    ) -> None:
        super().__init__(shape, num_levels)
        self.automatic_optimization = False
        for name, least, value in (("num_latents", 1, num_latents), ("num_classes", 0, num_classes)):
            if value < least:
                raise UserError(f"{type(self).__name__}: {name}={value} must be at least {least}")
        if augmentation is not None:
            augmentation.check_shape(self.shape)
        nets = nets or DCGAN(channels=16)
        self.objective, self.penalty, self.updates = objective or NonSaturating(), penalty, updates
        self.num_latents, self.num_classes, self.augmentation = num_latents, num_classes, augmentation
        self.generator = nets.generator(num_latents, self.shape, num_classes)
        self.discriminator = nets.discriminator(self.shape, self.objective.last_bias, num_classes)
        self.generator_optimizer, self.discriminator_optimizer = generator_optimizer, discriminator_optimizer
        self.discriminator_steps = 0
        self.use_sampling(sampling)

    # -------------------------------------------------------------- training

    def on_fit_start(self) -> None:
        """Validates the labels."""
        self.check_labels()

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """The generator's optimizer, then the discriminator's."""
        return [
            self.generator_optimizer(parameter_groups(self.generator)),
            self.discriminator_optimizer(parameter_groups(self.discriminator)),
        ]

    def training_latents(self, batch: Batch) -> Tensor:
        """Latents of a training batch's samples, ``[B, num_latents]``."""
        return torch.randn(len(batch[0]), self.num_latents, device=batch[0].device)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """One step of the discriminator and, if it is due, one of the generator."""
        opt_g, opt_d = cast(list[LightningOptimizer], self.optimizers())
        self.count_only_steps_of(opt_g)
        label = batch[1] if self.num_classes else None
        parts = self._parts(to_symmetric(batch[0], self.num_levels), label, self.training_latents(batch))
        generator_is_due = (self.discriminator_steps + 1) % self.updates.discriminator_steps == 0
        # The generator does not change in between: one pass serves both updates, unless several graphs would be kept.
        shown: dict[str, Tensor] = {}
        self._update(opt_d, self._discriminator_losses(parts, generator_is_due and len(parts) == 1, shown))
        self._clip_weights()
        self.discriminator_steps += 1
        if not generator_is_due:
            return shown
        self.toggle_optimizer(opt_g)  # the discriminator needs no gradient
        self._update(opt_g, self._generator_losses(parts, shown))
        self.untoggle_optimizer(opt_g)
        self.forget_statistics()
        return shown

    def _discriminator_losses(self, parts: list[Part], keep_graph: bool, shown: dict[str, Tensor]) -> Iterator[Tensor]:
        """The losses of each part, whose sum is the batch's; adds what is shown of them."""
        for part in parts:
            with torch.set_grad_enabled(keep_graph):
                x_fake = called(self.generator, part.z, part.label)
            part.x_fake = x_fake if keep_graph else None
            found = self._discriminator_loss(part.x, x_fake.detach(), part.label)
            _add(shown, "discriminator_loss", found.loss, part)
            _add(shown, "penalty", found.penalty, part)
            _add(shown, "accuracy_real", found.accuracy_real, part)
            _add(shown, "accuracy_fake", found.accuracy_fake, part)
            yield part.share * (found.loss + found.penalty)

    def _generator_losses(self, parts: list[Part], shown: dict[str, Tensor]) -> Iterator[Tensor]:
        for part in parts:
            x_fake = called(self.generator, part.z, part.label) if part.x_fake is None else part.x_fake
            loss = self._generator_loss(part.x, x_fake, part.label)
            _add(shown, "loss", loss, part)
            yield part.share * loss

    def _critic(self, label: Tensor | None) -> Critic:
        """The discriminator's outputs for examples of these classes, augmented."""

        def critic(x: Tensor) -> Tensor:
            return called(self.discriminator, x if self.augmentation is None else self.augmentation(x), label)

        return critic

    def _discriminator_loss(self, x: Tensor, x_fake: Tensor, label: Tensor | None = None) -> DiscriminatorLoss:
        critic = self._critic(label)
        penalty = self.penalty if self.penalty is not None and self.penalty.due(self.discriminator_steps) else None
        if penalty is None:
            return self._scored_loss(critic, x, x_fake)
        x = x.detach().requires_grad_(penalty.needs_real_gradient)
        x_fake = x_fake.detach().to(x.dtype).requires_grad_(penalty.needs_fake_gradient)  # autocast made samples
        # Its gradient is differentiated again. In float16, whose scaler knows the loss alone, it might underflow.
        with uncompiled(self.discriminator), _not_in_float16(x.device.type):
            return self._scored_loss(critic, x, x_fake, penalty)

    def _scored_loss(
        self, critic: Critic, x: Tensor, x_fake: Tensor, penalty: Penalty | None = None
    ) -> DiscriminatorLoss:
        real, fake = Scored(x, critic(x)), Scored(x_fake, critic(x_fake))
        loss = self.objective.discriminator_loss(real.outputs, fake.outputs)
        added = torch.zeros((), device=x.device) if penalty is None else penalty(critic, real, fake)
        with torch.no_grad():
            boundary = self.objective.boundary(real.outputs, fake.outputs)
            return DiscriminatorLoss(
                loss, added, (real.outputs > boundary).float().mean(), (fake.outputs < boundary).float().mean()
            )

    def _generator_loss(self, x: Tensor, x_fake: Tensor, label: Tensor | None = None) -> Tensor:
        critic = self._critic(label)
        real = critic(x.detach()) if self.objective.generator_sees_real else None
        return self.objective.generator_loss(real, critic(x_fake))

    # -------------------------------------------------------------- samples and validation

    def generate(self, noise: Noise, label: Tensor | None = None) -> Tensor:
        """G(z), rounded to the nearest value."""
        z = self.sample_latent(noise)
        if self.num_classes and label is None:
            label = self._classes(noise)
        return self.from_latent(z, label)

    @override
    def diagnose(self, train: Examples, held_out: Examples) -> Diagnosis:
        evaluations = self.function_evaluations
        samples, outputs = [], []
        for rows in torch.arange(len(held_out[0])).split(self.sample_block):
            noise = Noise(_DIAGNOSIS_SEED, rows, self.device)
            z = self.sample_latent(noise)
            label = self._classes(noise) if self.num_classes else None
            samples.append(self.from_latent(z, label))
            outputs.append(self._outputs((samples[-1], label)))
        self.function_evaluations = evaluations  # not those of samples that are scored
        spread = diversity(held_out[0])
        relative = diversity(torch.cat(samples)) / spread if spread > 0 else 1.0
        return diagnosed(self.objective, self._outputs(train), self._outputs(held_out), torch.cat(outputs), relative)

    def _outputs(self, examples: Examples) -> Tensor:
        """The discriminator's outputs ``[B]`` for integers, without augmentation."""
        x, label = examples
        labels = [None] * len(x) if label is None or not self.num_classes else label.split(self.sample_block)
        parts = zip(to_symmetric(x, self.num_levels).split(self.sample_block), labels, strict=False)
        return torch.cat([called(self.discriminator, part, of_part) for part, of_part in parts]).float()


def _add(shown: dict[str, Tensor], name: str, value: Tensor, part: Part) -> None:
    """Adds a part's share of a batch's mean."""
    value = value.detach() if part.share == 1 else part.share * value.detach()
    shown[name] = shown[name] + value if name in shown else value


def _not_in_float16(device_type: str) -> contextlib.AbstractContextManager[None]:
    """Turns off an autocast to float16."""
    on = torch.is_autocast_enabled(device_type) and torch.get_autocast_dtype(device_type) == torch.float16
    return torch.autocast(device_type, enabled=False) if on else contextlib.nullcontext()
