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
from lit_gen.families.diffusion.noise_levels import even_shares, finest_log_snr
from lit_gen.families.diffusion.ode import OdeSettings
from lit_gen.families.diffusion.prediction import diffuse, from_eps, scales
from lit_gen.families.diffusion.samplers import Prediction
from lit_gen.families.diffusion.sampling import Sampling
from lit_gen.likelihood import gaussian_kl
from lit_gen.nets import DenoisingNets, MLPDenoiser
from lit_gen.noise import Noise
from lit_gen.optim import AdamW
from lit_gen.quantization import to_symmetric


class VDM(Diffusion):
    """Continuous time, a learned schedule, Fourier features of z, and nothing but the bound as objective.

    The bound's middle part, in continuous time, does not depend on the schedule's shape, but the spread of its
    estimate does: so the shape is fitted to make the squares small, and the ends to make the bound tight.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        nets: Denoising network; a small MLP if not given. The paper's does not change the sides: one multiplier.
        schedule: Learned with the model; a monotone network if not given.
        gamma_min: First value of minus the log signal-to-noise ratio at the data; a noise of a sixth of the distance
            between levels if not given, which for 256 levels is the paper's -13.3.
        gamma_max: The same at the end.
        fourier_features: Whether sines and cosines of z stand beside it, of a period of two levels and of one.
        labels: Number of label classes, and how many training labels are hidden.
        sampling: How samples are drawn: by default 100 steps of the reverse process.
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
        # As many as make the finest sine one level long.
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
        """Of the first latent, as it has been learned."""
        return -float(self.schedule.ends[0].detach())

    @property
    def log_snr_min(self) -> float:  # type: ignore[override]
        """Of the last one."""
        return -float(self.schedule.ends[1].detach())

    # -------------------------------------------------------------- the network

    @override
    def denoise(self, z: Tensor, log_snr: Tensor, label: Tensor | None = None) -> Prediction:
        """The network adds to z, which at much noise is the noise."""
        low, high = self.schedule.ends.detach()
        time = 1000 * (-log_snr - low) / (high - low)
        features = [z] + [f(2**n * math.pi * z) for n in self.octaves for f in (torch.sin, torch.cos)]
        return from_eps(z, log_snr, z + self.net(torch.cat(features, 1), time, label).float())

    # -------------------------------------------------------------- training

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The bound in nats an example, and its three parts."""
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
        """One draw of the levels between, ``[B]``: times spread evenly over the batch, from one draw."""
        t = torch.rand(1, device=x.device) + torch.arange(len(x), device=x.device) / len(x)
        height, slope = self.schedule.shape(t % 1)
        weights: list[Tensor] = []
        if height.requires_grad:
            # The gradient that reaches the shape becomes that of the squares, of which it is 2 L times the gradient of
            # L; over L's mean, so that its size is that of a gradient of nats.
            for output in (height, slope):
                output.register_hook(lambda gradient: 2 * gradient * weights[0])
        gamma, derivative = self.schedule.scaled(height, slope)
        eps = torch.randn_like(x)
        predicted = self.denoise(diffuse(x, eps, -gamma), -gamma, label)
        nats = 0.5 * derivative * (eps - predicted.eps_hat).square().flatten(1).sum(1)
        weights.append((nats / nats.mean()).detach())
        return nats

    # -------------------------------------------------------------- the bound

    @override
    def diffusion_nats(self, x: Tensor, noise: Noise, draws: int) -> Tensor:
        """At the schedule's own levels, which it was fitted for."""
        total = torch.zeros(len(x), device=x.device)
        for t in even_shares(noise, draws):
            gamma, derivative = self.schedule(t)
            total += 0.5 * derivative * self._squared_error(x, -gamma, noise)
        return total / draws

    # -------------------------------------------------------------- samples

    @torch.no_grad()
    def log_snr_grid(self, steps: int) -> Tensor:
        """Evenly in the schedule's time, to the first latent, whose nearest levels are the sample."""
        gamma, _ = self.schedule(torch.linspace(1, 0, steps + 1, device=self.schedule.ends.device))
        return -gamma.cpu().double()
