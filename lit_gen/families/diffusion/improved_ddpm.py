"""Improved denoising diffusion probabilistic models: reverse steps with learned variances."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from typing_extensions import override

from lit_gen.contract import Batch
from lit_gen.families.diffusion.ddpm import DDPM
from lit_gen.families.diffusion.decoder import discretized_gaussian_log_prob
from lit_gen.families.diffusion.labels import Labels
from lit_gen.families.diffusion.ode import OdeSettings
from lit_gen.families.diffusion.prediction import Prediction, diffuse, from_eps
from lit_gen.families.diffusion.sampling import Sampling
from lit_gen.families.diffusion.schedules import NoiseSchedule
from lit_gen.likelihood import bits_per_dim
from lit_gen.nets import DenoisingNets
from lit_gen.optim import AdamW
from lit_gen.quantization import to_symmetric


class ImprovedDDPM(DDPM):
    """Variances between ``beta_tilde`` and ``beta``, predicted by the network for each dimension.

    Trained by the hybrid objective: L_simple plus the bound in bits per dimension with a small weight, whose
    gradient reaches the variances only.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        nets: Denoising network; a small MLP if not given.
        schedule: Noise schedule; :class:`CosineSchedule` in the paper. If not given, that of :class:`DDPM`.
        bound_weight: Weight of the bound, for a sum over 1,000 timesteps.
        labels: Number of label classes, and the fraction of training labels that are dropped.
        sampling: Sampling options; by default all T steps of the reverse process.
        ode: Accuracy of the probability-flow ODE solver.
        optimizer: Optimizer of all parameters.

    References:
        Nichol, Dhariwal: Improved Denoising Diffusion Probabilistic Models, 2021, arXiv:2102.09672, equations 15, 16.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        nets: DenoisingNets | None = None,
        schedule: NoiseSchedule | None = None,
        bound_weight: float = 0.001,
        labels: Labels = Labels(),
        sampling: Sampling = Sampling(),
        ode: OdeSettings = OdeSettings(),
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        super().__init__(
            shape=shape,
            num_levels=num_levels,
            nets=nets,
            schedule=schedule,
            labels=labels,
            sampling=sampling,
            ode=ode,
            optimizer=optimizer,
        )
        self.bound_weight = bound_weight

    @staticmethod
    @override
    def num_maps(shape: tuple[int, ...]) -> tuple[int, int]:
        """Numbers of channels: the output is the noise and the variances."""
        return shape[0], 2 * shape[0]

    @override
    def read(self, z: Tensor, log_snr: Tensor, output: Tensor) -> Prediction:
        """The outputs for the variances are on the scale from -1 to 1, without clipping."""
        eps_hat, mix = output.float().chunk(2, 1)
        return from_eps(z, log_snr, eps_hat, 0.5 * (mix + 1))

    @override
    def decoder_log_prob(self, x: Tensor, predicted: Prediction) -> Tensor:
        """The variance is between the second's ``beta_tilde`` and the first's ``beta``."""
        log_large = F.logsigmoid(-self.log_snrs[0])  # all that the first step adds is noise
        log_small = log_large + self.log_shares[0]
        log_var = log_small + predicted.variance_mix * (log_large - log_small)
        return discretized_gaussian_log_prob(x, predicted.x_hat, log_var, self.num_levels)

    @override
    def sampler_settings(self) -> dict[str, str | int | float | bool]:
        """Adds that the variances are learned."""
        settings = super().sampler_settings()
        return {name: value for name, value in settings.items() if name != "variance_mix"}

    # -------------------------------------------------------------- training

    def term_nats(self, levels: Tensor, x: Tensor, timestep: Tensor, predicted: Prediction) -> Tensor:
        """Terms of the bound for reverse steps from timesteps ``[B]``; from 0, the decoder of x: nats, ``[B]``."""
        later = self.step_nats(x, timestep.clamp_min(1), predicted)
        # The decoder gets the true x in the other rows: at high noise x_hat is far away, where its gradient is NaN, and
        # NaN times zero is NaN.
        first = (timestep == 0).view(-1, *[1] * (x.ndim - 1))
        mix = torch.where(first, torch.as_tensor(predicted.variance_mix, device=x.device), 0.5)
        near = Prediction(torch.where(first, predicted.x_hat, x), predicted.eps_hat, mix)
        return torch.where(timestep > 0, later, -self.decoder_log_prob(levels, near))

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The hybrid objective and its two terms: a mean over dimensions, and bits per dimension."""
        x = to_symmetric(batch[0], self.num_levels)
        timestep = torch.randint(self.num_timesteps, (len(x),), device=x.device)
        eps = torch.randn_like(x)
        log_snr = self.log_snrs[timestep]
        z = diffuse(x, eps, log_snr)
        predicted = self.read(z, log_snr, self.net(z, self.time(timestep), self.training_label(batch[1])))
        simple = F.mse_loss(predicted.eps_hat, eps)
        variances_alone = Prediction(predicted.x_hat.detach(), predicted.eps_hat.detach(), predicted.variance_mix)
        nats = self.num_timesteps * self.term_nats(batch[0], x, timestep, variances_alone).mean()
        bound = bits_per_dim(nats, self.shape)
        return {"loss": simple + self.bound_weight * bound, "simple": simple, "bound": bound.detach()}


class ImprovedDDPMVLB(ImprovedDDPM):
    """The same model trained by the bound alone, with importance sampling of timesteps.

    A timestep is drawn in proportion to the root mean square of its last ten terms, once each has ten; before that,
    and with probability 0.001 afterwards, uniformly.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        nets: Denoising network; a small MLP if not given.
        schedule: Noise schedule; :class:`CosineSchedule` in the paper. If not given, that of :class:`DDPM`.
        labels: Number of label classes, and the fraction of training labels that are dropped.
        sampling: Sampling options; by default all T steps of the reverse process.
        ode: Accuracy of the probability-flow ODE solver.
        optimizer: Optimizer of all parameters.

    References:
        Nichol, Dhariwal 2021, arXiv:2102.09672, section 3.3, equation 18.
    """

    history: Tensor
    counts: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        nets: DenoisingNets | None = None,
        schedule: NoiseSchedule | None = None,
        labels: Labels = Labels(),
        sampling: Sampling = Sampling(),
        ode: OdeSettings = OdeSettings(),
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        super().__init__(
            shape=shape,
            num_levels=num_levels,
            nets=nets,
            schedule=schedule,
            labels=labels,
            sampling=sampling,
            ode=ode,
            optimizer=optimizer,
        )
        # Part of the state, so that a resumed run continues with the same history.
        self.register_buffer("history", torch.zeros(self.num_timesteps, 10, dtype=torch.float32))
        self.register_buffer("counts", torch.zeros(self.num_timesteps, dtype=torch.int64))

    def timestep_probabilities(self) -> Tensor:
        """Sampling probabilities of the timesteps: ``[T]``, summing to one."""
        even = torch.full_like(self.history[:, 0], 1 / self.num_timesteps)
        size = self.history.square().mean(1).sqrt()
        filled = (self.counts >= self.history.shape[1]).all()
        return torch.where(filled, torch.lerp(size / size.sum(), even, 0.001), even)  # the host does not wait for it

    @torch.no_grad()
    def remember(self, timestep: Tensor, nats: Tensor) -> None:
        """Adds terms ``[B]`` of timesteps ``[B]`` to the history, gathered from all processes."""
        if self.trainer.world_size > 1:
            timestep, nats = (self.all_gather(v).flatten(0, 1) for v in (timestep, nats))  # type: ignore[union-attr]
        finite = nats.isfinite()  # the loss shows others; probabilities must stay finite
        length = self.history.shape[1]
        same = (timestep[:, None] == timestep) & finite
        place = self.counts[timestep] + same.tril(-1).sum(1)
        kept = finite & (same.triu(1).sum(1) < length)  # a batch may have more terms of a timestep than its history
        # What is not kept goes to a place beyond the end: selecting rows would make the host wait for their number.
        beyond = self.history.numel()
        padded = F.pad(self.history.flatten(), (0, 1))
        padded[torch.where(kept, timestep * length + place % length, beyond)] = nats
        self.history.copy_(padded[:-1].view_as(self.history))
        self.counts.index_add_(0, timestep, finite.long())

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The bound in bits per dimension without its constant part, the prior."""
        x = to_symmetric(batch[0], self.num_levels)
        probabilities = self.timestep_probabilities()
        timestep = torch.multinomial(probabilities, len(x), replacement=True)
        log_snr = self.log_snrs[timestep]
        z = diffuse(x, torch.randn_like(x), log_snr)
        predicted = self.read(z, log_snr, self.net(z, self.time(timestep), self.training_label(batch[1])))
        nats = self.term_nats(batch[0], x, timestep, predicted)
        self.remember(timestep, nats.detach())
        return {"loss": bits_per_dim((nats / probabilities[timestep]).mean(), self.shape)}
