"""Generative adversarial networks: a generator and a discriminator, each with its own optimizer."""

from __future__ import annotations

from typing import cast

import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from typing_extensions import override

from lit_gen.contract import Batch, GenerativeModule
from lit_gen.contract.compilation import uncompiled
from lit_gen.errors import UserError
from lit_gen.families.gan.objective import NonSaturating, Objective
from lit_gen.families.gan.penalty import Penalty, Scored
from lit_gen.families.gan.updates import Updates
from lit_gen.nets import DCGAN, AdversarialNets
from lit_gen.noise import Noise
from lit_gen.optim import AdversarialAdamW, parameter_groups
from lit_gen.quantization import from_symmetric, to_symmetric


class GAN(GenerativeModule):
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
        updates: Steps of the discriminator for each of the generator, and clipping.
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
        generator_optimizer: OptimizerCallable = AdversarialAdamW,
        discriminator_optimizer: OptimizerCallable = AdversarialAdamW,
    ) -> None:
        super().__init__(shape, num_levels)
        self.automatic_optimization = False
        if num_latents < 1:
            raise UserError(f"{type(self).__name__}: num_latents={num_latents} must be at least 1")
        nets = nets or DCGAN(channels=16)
        self.objective, self.penalty, self.updates = objective or NonSaturating(), penalty, updates
        self.num_latents = num_latents
        self.generator = nets.generator(num_latents, self.shape)
        self.discriminator = nets.discriminator(self.shape, last_bias=self.objective.last_bias)
        self.generator_optimizer, self.discriminator_optimizer = generator_optimizer, discriminator_optimizer
        self.discriminator_steps = 0

    def get_extra_state(self) -> int:
        """Number of discriminator steps taken, which the lazy penalty and the generator's updates depend on."""
        return self.discriminator_steps

    def set_extra_state(self, state: int) -> None:
        """Restores the number of discriminator steps taken."""
        self.discriminator_steps = state

    # -------------------------------------------------------------- training

    @property
    def update_period(self) -> int:
        """Batches for each update of the generator."""
        return self.updates.discriminator_steps

    @property
    @override
    def own_clipping(self) -> str | None:
        return "updates.clip_norm" if self.updates.clip_norm else None

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """The generator's optimizer, then the discriminator's."""
        return [
            self.generator_optimizer(parameter_groups(self.generator)),
            self.discriminator_optimizer(parameter_groups(self.discriminator)),
        ]

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """One step of the discriminator and, if it is due, one of the generator."""
        opt_g, opt_d = cast(list[LightningOptimizer], self.optimizers())
        self.count_only_steps_of(opt_g)
        x = to_symmetric(batch[0], self.num_levels)
        generator_is_due = (self.discriminator_steps + 1) % self.updates.discriminator_steps == 0
        z = torch.randn(len(x), self.num_latents, device=x.device)
        with torch.set_grad_enabled(generator_is_due):
            x_fake = self.generator(z)

        loss_d, penalty = self._discriminator_loss(x, x_fake.detach())
        self._update(opt_d, loss_d + penalty)
        self.discriminator_steps += 1
        losses = {"discriminator_loss": loss_d.detach(), "penalty": penalty.detach()}
        if not generator_is_due:
            return losses
        # The generator did not change, so its forward pass is reused; the discriminator needs no gradient.
        self.toggle_optimizer(opt_g)
        loss_g = self._generator_loss(x, x_fake)
        self._update(opt_g, loss_g)
        self.untoggle_optimizer(opt_g)
        return {"loss": loss_g.detach(), **losses}

    def _discriminator_loss(self, x: Tensor, x_fake: Tensor) -> tuple[Tensor, Tensor]:
        """The objective's loss, and the weighted penalty of this step, both scalars."""
        penalty = self.penalty if self.penalty is not None and self.penalty.due(self.discriminator_steps) else None
        if penalty is None:
            return self._objective_loss(x, x_fake)[0], torch.zeros((), device=x.device)
        x = x.requires_grad_(penalty.needs_real_gradient)
        with uncompiled(self.discriminator):  # its gradient is differentiated again
            loss, real, fake = self._objective_loss(x, x_fake)
            return loss, penalty(self.discriminator, real, fake)

    def _objective_loss(self, x: Tensor, x_fake: Tensor) -> tuple[Tensor, Scored, Scored]:
        real, fake = Scored(x, self.discriminator(x)), Scored(x_fake, self.discriminator(x_fake))
        return self.objective.discriminator_loss(real.outputs, fake.outputs), real, fake

    def _generator_loss(self, x: Tensor, x_fake: Tensor) -> Tensor:
        real = self.discriminator(x.detach()) if self.objective.generator_sees_real else None
        return self.objective.generator_loss(real, self.discriminator(x_fake))

    def _update(self, optimizer: LightningOptimizer, loss: Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        if self.updates.clip_norm:
            self.configure_gradient_clipping(optimizer.optimizer, self.updates.clip_norm, "norm")
        optimizer.step()

    # -------------------------------------------------------------- samples

    def generate(self, noise: Noise, label: Tensor | None = None) -> Tensor:
        """G(z), rounded to the nearest value."""
        self.count_evaluations(len(noise))
        return from_symmetric(self.generator(noise.normal(self.num_latents)), self.num_levels)
