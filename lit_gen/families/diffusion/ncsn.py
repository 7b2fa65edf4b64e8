"""Noise conditional score networks."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, replace

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from typing_extensions import override

from lit_gen.contract import Batch
from lit_gen.contract.compilation import uncompiled
from lit_gen.errors import UserError
from lit_gen.families.diffusion.diffusion import Diffusion
from lit_gen.families.diffusion.labels import Labels
from lit_gen.families.diffusion.langevin import Langevin
from lit_gen.families.diffusion.noise_levels import check_log_snrs, finest_log_snr
from lit_gen.families.diffusion.ode import OdeSettings
from lit_gen.families.diffusion.prediction import Prediction, from_eps, scales
from lit_gen.families.diffusion.sampling import Sampling
from lit_gen.families.diffusion.score_matching import Denoising, ScoreMatching
from lit_gen.nets import DenoisingNets, MLPDenoiser
from lit_gen.optim import AdamW
from lit_gen.quantization import to_symmetric


@dataclass(frozen=True)
class Ladder:
    """Deviations of the noise, decreasing geometrically, on the papers' scale of data from 0 to 1.

    Attributes:
        sigma_max: Largest deviation.
        sigma_min: Smallest deviation; null for a sixth of the distance between the data's values.
        num_sigmas: Number of noise levels L.

    Raises:
        UserError: If the deviations are not positive and decreasing.

    References:
        Song, Ermon 2019, arXiv:1907.05600, section 3.1.
    """

    sigma_max: float = 1.0
    sigma_min: float | None = None
    num_sigmas: int = 10

    def __post_init__(self) -> None:
        """Validates the fields."""
        if not 0 < (self.sigma_min or 0.5 * self.sigma_max) < self.sigma_max < math.inf:
            raise UserError(f"ladder: sigma_max={self.sigma_max} must be above a positive sigma_min={self.sigma_min}")
        if self.num_sigmas < 2:
            raise UserError(f"ladder: num_sigmas={self.num_sigmas} must be at least 2")

    def ends(self, num_levels: int) -> tuple[float, float]:
        """Log-SNRs of the smallest and the largest deviation, for data of so many values."""
        first = finest_log_snr(num_levels) if self.sigma_min is None else -2 * math.log(2 * self.sigma_min)
        last = -2 * math.log(2 * self.sigma_max)
        check_log_snrs("ladder: its ends", first, last)
        if first <= last:
            raise UserError(f"ladder: sigma_max={self.sigma_max} is below a sixth of the distance between values")
        return first, last


class NCSN(Diffusion):
    """Noise is added to unscaled data at L levels, and the network predicts the score at each of them.

    Trained by score matching, weighted by sigma**2, the same for all noise levels, and sampled by annealed Langevin
    dynamics. The paper has no likelihood. But the network is a denoiser, and a denoiser at all noise levels between the
    ladder's ends defines a diffusion, whose bound and ODE these are; between two levels it is given a fractional index.
    They score the network, as other diffusion models' bounds do for deterministic samplers, and not the Langevin
    dynamics, whose samples have no known density. The bound is loose where ``sigma_max`` leaves much of the data.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        nets: Network, whose output is the score, on the papers' scale of data; a small MLP if not given.
        ladder: Noise levels.
        objective: Objective at each noise level; denoising score matching if not given.
        labels: Number of label classes, and the fraction of training labels that are dropped.
        sampling: Sampling options; by default annealed Langevin dynamics at all levels.
        ode: Accuracy of the probability-flow ODE solver.
        optimizer: Optimizer of all parameters.

    References:
        Song, Ermon: Generative Modeling by Estimating Gradients of the Data Distribution, 2019, arXiv:1907.05600,
        equations 5 and 6, and algorithm 1.
    """

    denoises_last = False

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        nets: DenoisingNets | None = None,
        ladder: Ladder = Ladder(),
        objective: ScoreMatching | None = None,
        labels: Labels = Labels(),
        sampling: Sampling = Sampling("annealed_langevin", langevin=Langevin(5)),
        ode: OdeSettings = OdeSettings(),
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        net = (nets or MLPDenoiser()).build(shape, shape[0], shape[0], labels.num_classes)
        if sampling.steps is None:
            sampling = replace(sampling, steps=ladder.num_sigmas)
        super().__init__(shape, num_levels, net, labels=labels, sampling=sampling, ode=ode, optimizer=optimizer)
        self.ladder, self.objective = ladder, objective or Denoising()
        self.log_snr_max, self.log_snr_min = ladder.ends(num_levels)
        self.check_sampling(sampling)

    @override
    def denoise(self, z: Tensor, log_snr: Tensor, label: Tensor | None = None) -> Prediction:
        """Converts z: z / alpha is unscaled data with noise."""
        return from_eps(z, log_snr, self.noise(z, log_snr, label))

    def noise(self, z: Tensor, log_snr: Tensor, label: Tensor | None) -> Tensor:
        """Predicted noise of z at log-SNRs ``[B]``."""
        alpha, sigma = scales(log_snr, z)
        deviation = 0.5 * sigma / alpha  # on the papers' scale
        # The fractional index of the level, scaled as for 1,000 of them; geometric deviations are even log-SNRs.
        time = 1000 * (self.log_snr_max - log_snr) / (self.log_snr_max - self.log_snr_min)
        return -deviation * self.net(z / alpha, time, label).float()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The objective at random noise levels, a mean over dimensions."""
        x = to_symmetric(batch[0], self.num_levels)
        share = torch.randint(self.ladder.num_sigmas, (len(x),), device=x.device) / (self.ladder.num_sigmas - 1)
        log_snr = self.log_snr_max + (self.log_snr_min - self.log_snr_max) * share
        label, eps = self.training_label(batch[1]), torch.randn_like(x)
        alpha, sigma = scales(log_snr, x)
        plain = uncompiled(self.net) if self.objective.contains_gradient else contextlib.nullcontext()
        with plain:
            loss = self.objective.loss(lambda z: self.noise(z, log_snr, label), alpha * x + sigma * eps, eps, sigma)
        return loss.mean()

    @override
    def sampler_settings(self) -> dict[str, str | int | float | bool]:
        """Adds the ends of the ladder, on the papers' scale."""
        ends = {"sigma_max": self.log_snr_min, "sigma_min": self.log_snr_max}
        return super().sampler_settings() | {name: 0.5 * math.exp(-0.5 * end) for name, end in ends.items()}

    def log_snr_grid(self, steps: int) -> Tensor:
        """Noise levels spread evenly over the ladder; clean data follow where the last step denoises."""
        if steps > self.ladder.num_sigmas:
            raise UserError(f"sampling: steps={steps} exceeds the {self.ladder.num_sigmas} noise levels of the model")
        share = torch.linspace(0, self.ladder.num_sigmas - 1, steps, dtype=torch.float64).round()
        share = share / (self.ladder.num_sigmas - 1)
        grid = self.log_snr_min + (self.log_snr_max - self.log_snr_min) * share
        clean = torch.tensor([torch.inf] * self.denoises_last, dtype=torch.float64)
        return torch.cat([grid, clean])
