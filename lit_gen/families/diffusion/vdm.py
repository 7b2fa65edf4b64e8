"""Variational diffusion models."""

from __future__ import annotations

import math

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from typing_extensions import override

from lit_gen.contract import Batch
from lit_gen.families.diffusion.decoder import nearest_level_log_prob
from lit_gen.families.diffusion.diffusion import Diffusion
from lit_gen.families.diffusion.labels import Labels
from lit_gen.families.diffusion.learned_schedule import Monotone, ScheduleOf
from lit_gen.families.diffusion.noise_levels import finest_log_snr
from lit_gen.families.diffusion.ode import OdeSettings
from lit_gen.families.diffusion.prediction import Prediction, diffuse, from_eps, scales
from lit_gen.families.diffusion.sampling import Sampling
from lit_gen.likelihood import gaussian_kl
from lit_gen.nets import DenoisingNets, MLPDenoiser
from lit_gen.optim import AdamW
from lit_gen.quantization import to_symmetric


class VDM(Diffusion):
    """Continuous time, a learned schedule, Fourier features of z, and the bound as objective.

    The diffusion term of the bound in continuous time does not depend on the schedule's shape, but the variance of
    its estimate does: the shape is trained to reduce that variance, and the ends to tighten the bound.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        nets: Denoising network; a small MLP if not given. The paper's does not downsample: one multiplier.
        schedule: Learned schedule; a monotone network if not given.
        gamma_min: Initial value of minus the log-SNR at the data; for a noise of a sixth of the distance between
            values if not given, which for 256 values is the paper's -13.3.
        gamma_max: Initial value of minus the log-SNR at the end.
        fourier_features: Whether sines and cosines of z, with periods of two values and one, are further inputs.
        labels: Number of label classes, and the fraction of training labels that are dropped.
        sampling: Sampling options; by default 100 steps of the reverse process.
        ode: Accuracy of the probability-flow ODE solver.
        optimizer: Optimizer of all parameters.

    References:
        Kingma, Salimans, Poole, Ho: Variational Diffusion Models, 2021, arXiv:2107.00630, equations 11 to 20, and
        appendices C, H and I.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        nets: DenoisingNets | None = None,
        schedule: ScheduleOf | None = None,
        gamma_min: float | None = None,
        gamma_max: float = 5.0,
        fourier_features: bool = True,
        labels: Labels = Labels(),
        sampling: Sampling = Sampling("ancestral", 100),
        ode: OdeSettings = OdeSettings(),
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        # As many as make the period of the finest sine one value.
        finest = round(math.log2(num_levels))
        octaves = (max(finest - 1, 1), max(finest, 2)) if fourier_features else ()
        net = (nets or MLPDenoiser()).build(shape, shape[0] * (1 + 2 * len(octaves)), shape[0], labels.num_classes)
        super().__init__(shape, num_levels, net, labels=labels, sampling=sampling, ode=ode, optimizer=optimizer)
        self.octaves = octaves
        first = -finest_log_snr(num_levels) if gamma_min is None else gamma_min
        self.schedule = (schedule or Monotone()).build(first, gamma_max)
        self.check_sampling(sampling)

    @property
    def log_snr_max(self) -> float:  # type: ignore[override]
        """Learned log-SNR of the first latent."""
        return -float(self.schedule.ends[0].detach())

    @property
    def log_snr_min(self) -> float:  # type: ignore[override]
        """Learned log-SNR of the last latent."""
        return -float(self.schedule.ends[1].detach())

    # -------------------------------------------------------------- the network

    @override
    def denoise(self, z: Tensor, log_snr: Tensor, label: Tensor | None = None) -> Prediction:
        """The network's output is added to z, which at high noise is the noise."""
        low, high = self.schedule.ends.detach()
        time = 1000 * (-log_snr - low) / (high - low)
        features = [z] + [f(2**n * math.pi * z) for n in self.octaves for f in (torch.sin, torch.cos)]
        return from_eps(z, log_snr, z + self.net(torch.cat(features, 1), time, label).float())

    # -------------------------------------------------------------- training

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The bound in nats per example, and its three terms."""
        levels, label, _ = batch
        x = to_symmetric(levels, self.num_levels)
        first, last = self.schedule.ends
        z = diffuse(x, torch.randn_like(x), -first.expand(len(x)))
        alpha, sigma = scales(-first.view(1), x)
        reconstruction = -nearest_level_log_prob(levels, z / alpha, sigma / alpha, self.num_levels)
        alpha, sigma = scales(-last.view(1), x)
        prior = gaussian_kl(alpha * x, (2 * sigma.log()).expand_as(x))
        middle = self._middle(x, self.training_label(label))
        parts = {"prior": prior.mean(), "diffusion": middle.mean(), "reconstruction": reconstruction.mean()}
        return {"loss": sum(parts.values()), **{k: v.detach() for k, v in parts.items()}}  # type: ignore[dict-item]

    def _middle(self, x: Tensor, label: Tensor | None) -> Tensor:
        """One draw of the diffusion term, ``[B]``, at times spread evenly over the batch."""
        t = torch.rand(1, device=x.device) + torch.arange(len(x), device=x.device) / len(x)
        height, slope = self.schedule.shape(t % 1)
        weights: list[Tensor] = []
        if height.requires_grad:
            # Replaces the gradient of the shape by that of the squared terms, 2 L times the gradient of L; divided by
            # the mean of L, so that it has the scale of a gradient of nats.
            for output in (height, slope):
                output.register_hook(lambda gradient: 2 * gradient * weights[0])
        gamma, derivative = self.schedule.scaled(height, slope)
        eps = torch.randn_like(x)
        predicted = self.denoise(diffuse(x, eps, -gamma), -gamma, label)
        nats = 0.5 * derivative * (eps - predicted.eps_hat).square().flatten(1).sum(1)
        weights.append((nats / nats.mean()).detach())
        return nats

    # -------------------------------------------------------------- samples

    @torch.no_grad()
    def log_snr_grid(self, steps: int) -> Tensor:
        """Evenly spaced in the schedule's time, to the first latent, whose nearest values are the sample."""
        gamma, _ = self.schedule(torch.linspace(1, 0, steps + 1, device=self.schedule.ends.device))
        return -gamma.cpu().double()
