"""The generative adversarial network with the non-saturating loss."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from lit_gen.contract import GenerativeModule
from lit_gen.errors import UserError
from lit_gen.nets import DCGAN, AdversarialNets
from lit_gen.nets.gan.dcgan import gradient_norm_squared
from lit_gen.noise import Noise
from lit_gen.quantization import from_symmetric, to_symmetric


class GAN(GenerativeModule):
    """A generator and a discriminator, each with its own optimizer. There is no density.

    The discriminator minimises ``softplus(-D(x)) + softplus(D(G(z))) + r1/2 ||dD/dx||^2``, the generator
    ``softplus(-D(G(z)))``, which is the non-saturating game with the R1 penalty on real examples.

    One step of the Trainer is one turn of both players: ``global_step`` counts the generator's updates, so
    that checkpoints, curves and budgets mean the same as for a family with one optimizer.

    Args:
        shape: Of one example; linked from the data.
        num_levels: Of the data; linked from the data.
        num_latents: Dimensions of z.
        nets: Generator and discriminator; a small DCGAN if not given.
        lr_generator: Adam's learning rate for the generator.
        lr_discriminator: And for the discriminator.
        beta1: Adam's first decay, both players.
        beta2: Adam's second decay, both players.
        r1: Weight of the R1 penalty (gamma in the paper); 0 for none.
        r1_every: The penalty is taken every so many steps, with its weight multiplied as much
            (lazy regularization, Karras et al. 2020, arXiv:1912.04958, section 3.1).
        clip_norm: Largest gradient norm of either player; 0 for no clipping. The Trainer's own
            ``gradient_clip_val`` cannot be used where there are two optimizers.

    References:
        Goodfellow et al.: Generative Adversarial Nets, 2014, arXiv:1406.2661, section 3.
        Mescheder, Geiger, Nowozin: Which Training Methods for GANs do actually Converge?, 2018,
        arXiv:1801.04406, equation 9.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        num_latents: int = 16,
        nets: AdversarialNets | None = None,
        lr_generator: float = 2.0e-4,
        lr_discriminator: float = 2.0e-4,
        beta1: float = 0.5,
        beta2: float = 0.999,
        r1: float = 1.0,
        r1_every: int = 1,
        clip_norm: float = 0.0,
    ) -> None:
        super().__init__(shape, num_levels)
        self.automatic_optimization = False
        if num_latents < 1 or r1_every < 1 or min(lr_generator, lr_discriminator) < 0:
            raise UserError(
                f"model: num_latents={num_latents} and r1_every={r1_every} must be at least 1,"
                f" lr_generator={lr_generator} and lr_discriminator={lr_discriminator} not negative"
            )
        nets = nets or DCGAN(channels=16)
        self.num_latents = num_latents
        self.generator = nets.generator(num_latents, self.shape)
        self.discriminator = nets.discriminator(self.shape)
        self.lr_generator, self.lr_discriminator = lr_generator, lr_discriminator
        self.betas = (beta1, beta2)
        self.r1, self.r1_every = r1, r1_every
        self.clip_norm = clip_norm
        self.turns = 0  # turns taken; saved, because the lazy penalty depends on it

    def get_extra_state(self) -> int:
        """The number of turns taken, for the checkpoint."""
        return self.turns

    def set_extra_state(self, state: int) -> None:
        """Takes the number of turns from a checkpoint."""
        self.turns = state

    # -------------------------------------------------------------- training

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam for each player: the generator's first."""
        return [
            torch.optim.Adam(self.generator.parameters(), self.lr_generator, self.betas, fused=True),
            torch.optim.Adam(self.discriminator.parameters(), self.lr_discriminator, self.betas, fused=True),
        ]

    def training_step(
        self, batch: tuple[Tensor, Tensor | None, Tensor], batch_idx: int
    ) -> dict[str, Tensor]:
        """One turn: the discriminator's update, then the generator's against the new discriminator."""
        opt_g, opt_d = cast(list[LightningOptimizer], self.optimizers())
        # The Trainer counts every optimizer step; only the generator's shall count (Lightning issue 17958).
        opt_d._on_before_step = opt_d._on_after_step = lambda: None
        x = to_symmetric(batch[0], self.num_levels)
        x_fake = self.generator(torch.randn(len(x), self.num_latents, device=x.device))

        loss_d, penalty = self._discriminator_loss(x, x_fake.detach())
        self._update(opt_d, loss_d + penalty)

        # The generator did not change, so its forward pass serves again; the critic's weights need no gradient.
        self.toggle_optimizer(opt_g)
        loss_g = F.softplus(-self.discriminator(x_fake)).mean()
        self._update(opt_g, loss_g)
        self.untoggle_optimizer(opt_g)
        self.turns += 1
        return {
            "loss": loss_g.detach(),
            "discriminator_loss": loss_d.detach(),
            "r1_penalty": penalty.detach(),
        }

    def _discriminator_loss(self, x: Tensor, x_fake: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy in nats, and the weighted penalty of this turn, both scalars."""
        penalised = self.r1 > 0 and self.turns % self.r1_every == 0
        x = x.requires_grad_(penalised)
        logits_real, logits_fake = self.discriminator(x), self.discriminator(x_fake)
        loss = F.softplus(-logits_real).mean() + F.softplus(logits_fake).mean()
        penalty = torch.zeros((), device=x.device)
        if penalised:
            penalty = 0.5 * self.r1 * self.r1_every * gradient_norm_squared(logits_real, x).mean()
        return loss, penalty

    def _update(self, optimizer: LightningOptimizer, loss: Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        if self.clip_norm:
            self.clip_gradients(cast(Any, optimizer), self.clip_norm, "norm")
        optimizer.step()

    # -------------------------------------------------------------- the contract

    @property
    def sampling_network(self) -> nn.Module:
        """The generator."""
        return self.generator

    def generate(self, noise: Noise, label: Tensor | None = None) -> Tensor:
        """G(z), to the nearest level."""
        return from_symmetric(self.generator(noise.normal(self.num_latents)), self.num_levels)
