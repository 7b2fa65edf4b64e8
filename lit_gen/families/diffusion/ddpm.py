"""Denoising diffusion probabilistic models."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import Tensor
from typing_extensions import override

from lit_gen.contract import Batch
from lit_gen.errors import UserError
from lit_gen.families.diffusion.decoder import discretized_gaussian_log_prob
from lit_gen.families.diffusion.diffusion import Diffusion
from lit_gen.families.diffusion.labels import Labels
from lit_gen.families.diffusion.noise_levels import finest_log_snr
from lit_gen.families.diffusion.ode import OdeSettings
from lit_gen.families.diffusion.prediction import Prediction, clipped, diffuse, from_eps
from lit_gen.families.diffusion.sampling import Sampling
from lit_gen.families.diffusion.schedules import EvenLevels, NoiseSchedule
from lit_gen.nets import DenoisingNets, MLPDenoiser
from lit_gen.noise import Noise
from lit_gen.optim import AdamW
from lit_gen.quantization import to_symmetric

_SERIES_BELOW = 0.3
_LEFT_AT_MOST = 0.01  # the papers' schedules leave at most 0.00004


class DDPM(Diffusion):
    """Diffusion with T timesteps on a fixed noise schedule; the network predicts the noise.

    Trained by ``||eps - eps_hat||**2``, the same for all timesteps (the paper's L_simple), a mean over dimensions.
    Scored by the bound with T steps, whose reverse variances are fixed, and by the ODE, which evaluates the network at
    fractional timesteps for noise levels between two timesteps.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        nets: Denoising network; a small MLP if not given.
        schedule: Noise schedule; :class:`LinearBetas` in the paper. If not given, 100 even noise levels, where the
            first noise has a sixth of the distance between the data's values.
        variance_mix: Variance of the reverse steps: 0 for ``beta_tilde``, the lower of the paper's two, 1 for ``beta``.
        labels: Number of label classes, and the fraction of training labels that are dropped.
        sampling: Sampling options; by default all T steps of the reverse process.
        ode: Accuracy of the probability-flow ODE solver.
        optimizer: Optimizer of all parameters.

    References:
        Ho, Jain, Abbeel: Denoising Diffusion Probabilistic Models, 2020, arXiv:2006.11239.
    """

    log_snrs: Tensor
    log_shares: Tensor
    log_ratios: Tensor
    ends: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        nets: DenoisingNets | None = None,
        schedule: NoiseSchedule | None = None,
        variance_mix: float = 0.0,
        labels: Labels = Labels(),
        sampling: Sampling = Sampling(),
        ode: OdeSettings = OdeSettings(),
        optimizer: OptimizerCallable = AdamW,
    ) -> None:
        schedule = schedule or EvenLevels(finest_log_snr(num_levels), num_timesteps=100)
        if not 0 <= variance_mix <= 1:
            raise UserError(f"{type(self).__name__}: variance_mix={variance_mix} must be between 0 and 1")
        net = (nets or MLPDenoiser()).build(shape, *self.num_maps(shape), labels.num_classes)
        if sampling.steps is None:
            sampling = replace(sampling, steps=schedule.num_timesteps)
        super().__init__(shape, num_levels, net, labels=labels, sampling=sampling, ode=ode, optimizer=optimizer)
        self.num_timesteps, self.variance_mix = schedule.num_timesteps, variance_mix
        log_snrs = schedule.checked_log_snrs()
        # Ratio of a reverse step's variance to its noise level's: in float64, because high levels are close together.
        log_shares = torch.log(-torch.expm1(log_snrs.diff()))
        self.register_buffer("log_snrs", log_snrs.float(), persistent=False)
        self.register_buffer("log_shares", log_shares.float(), persistent=False)
        # Log of the two variances' ratio, each of a step: likewise close to each other.
        self.register_buffer("log_ratios", F.logsigmoid(-log_snrs).diff().float(), persistent=False)
        # A timestep's share of the positions in [0, 1] is that of its step in the log-SNR, to which its term is roughly
        # proportional: in time itself, half of the bound of a linear schedule would lie in 2% of the timesteps.
        ends = log_snrs[0] - log_snrs[1:]
        self.register_buffer("ends", (ends / ends[-1]).float(), persistent=False)
        self.log_snr_max, self.log_snr_min = float(log_snrs[0]), float(log_snrs[-1])
        self.check_sampling(sampling)
        if (left := float(torch.sigmoid(log_snrs[-1]))) > _LEFT_AT_MOST:
            rank_zero_warn(
                f"schedule: {left:.1%} of the data's variance is left at the last timestep, but samples start from"
                " pure noise; use more timesteps, or larger betas"
            )

    @staticmethod
    def num_maps(shape: tuple[int, ...]) -> tuple[int, int]:
        """Numbers of input and output channels of the network."""
        return shape[0], shape[0]

    # -------------------------------------------------------------- the network

    @override
    def denoise(self, z: Tensor, log_snr: Tensor, label: Tensor | None = None) -> Prediction:
        return self.read(z, log_snr, self.net(z, self.time(self.timestep(log_snr)), label))

    def read(self, z: Tensor, log_snr: Tensor, output: Tensor) -> Prediction:
        """Converts the network's output into a prediction."""
        return from_eps(z, log_snr, output.float(), self.variance_mix)

    def time(self, timestep: Tensor) -> Tensor:
        """The network's time input for timesteps counted from 0, scaled as for 1,000 timesteps."""
        return timestep * (1000.0 / self.num_timesteps)

    def timestep(self, log_snr: Tensor) -> Tensor:
        """Fractional timesteps, counted from 0, at log-SNRs ``[B]``; integers at the schedule's own noise levels."""
        right = torch.searchsorted(-self.log_snrs, -log_snr).clamp(1, self.num_timesteps - 1)
        high, low = self.log_snrs[right - 1], self.log_snrs[right]
        return right - 1 + ((high - log_snr) / (high - low)).clamp(0, 1)

    # -------------------------------------------------------------- training

    def training_step(
        self, batch: Batch, batch_idx: int
    ) -> Tensor | dict[str, Tensor]:
        """The squared error of the noise, a mean over dimensions."""
        x = to_symmetric(batch[0], self.num_levels)
        timestep = torch.randint(self.num_timesteps, (len(x),), device=x.device)
        eps = torch.randn_like(x)
        z = diffuse(x, eps, self.log_snrs[timestep])
        return F.mse_loss(self.net(z, self.time(timestep), self.training_label(batch[1])), eps)

    # -------------------------------------------------------------- the bound

    @override
    def nats_at(self, x: Tensor, position: Tensor, noise: Noise) -> Tensor:
        """One of the T - 1 terms between the ends, divided by the share of its timestep."""
        timestep = torch.searchsorted(self.ends, position, right=True).clamp_max(self.num_timesteps - 2)
        share = self.ends[timestep] - torch.where(timestep > 0, self.ends[timestep - 1], 0.0)
        log_snr = self.log_snrs[timestep + 1]
        z = diffuse(x, noise.normal(*self.shape), log_snr)
        return self.step_nats(x, timestep + 1, self.predict(z, log_snr)) / share

    def step_nats(self, x: Tensor, timestep: Tensor, predicted: Prediction) -> Tensor:
        """KL divergence between posterior and reverse step, for timesteps ``[B]`` counted from 0, none of which is 0.

        References:
            Ho et al. 2020, equations 5 and 7.
        """
        shaped = (-1, *[1] * (x.ndim - 1))
        s = self.log_snrs[timestep - 1].view(shaped)
        log_share, log_ratio = self.log_shares[timestep - 1].view(shaped), self.log_ratios[timestep - 1].view(shaped)
        excess = predicted.variance_mix * log_ratio  # log variance above the posterior's
        # The means differ by alpha_s share (x - x_hat), and alpha_s**2 / sigma_s**2 is the SNR at s.
        distance = torch.exp(s + log_share - excess) * (x - predicted.x_hat).square()
        return 0.5 * (excess_nats(excess) + distance).flatten(1).sum(1)

    def reconstruction_log_prob(self, x: Tensor, z: Tensor, clip: bool = False) -> Tensor:
        """A discretized Gaussian around x_hat."""
        log_snr = self.log_snrs[:1].expand(len(x))
        predicted = self.denoise(z, log_snr)
        return self.decoder_log_prob(x, clipped(z, log_snr, predicted) if clip else predicted)

    def decoder_log_prob(self, x: Tensor, predicted: Prediction) -> Tensor:
        """The same for a prediction at the first timestep; both choices use the ``beta_tilde`` of the second."""
        log_var = F.logsigmoid(-self.log_snrs[0]) + self.log_shares[0]
        return discretized_gaussian_log_prob(x, predicted.x_hat, log_var, self.num_levels)

    # -------------------------------------------------------------- samples

    @override
    def sampler_settings(self) -> dict[str, str | int | float | bool]:
        """Adds the choice of the fixed variances."""
        return {**super().sampler_settings(), "variance_mix": self.variance_mix}

    def log_snr_grid(self, steps: int) -> Tensor:
        """Timesteps evenly spaced from T to 1, then clean data (Nichol, Dhariwal 2021, section 4)."""
        if steps > self.num_timesteps:
            raise UserError(f"sampling: steps={steps} exceeds the {self.num_timesteps} timesteps of the model")
        chosen = torch.linspace(self.num_timesteps - 1, 0, steps, dtype=torch.float64).round().long()
        return torch.cat([self.log_snrs.cpu()[chosen].double(), torch.tensor([torch.inf], dtype=torch.float64)])


def excess_nats(excess: Tensor) -> Tensor:
    """``e + exp(-e) - 1``, of any shape: twice the KL divergence from N(0, 1) to N(0, exp(e)).

    Near 0, where the terms cancel, their Taylor series is used: a bound divides this by a timestep's share, 1/T and
    less, which would multiply the rounding error.
    """
    e = excess.clamp(-_SERIES_BELOW, _SERIES_BELOW)
    series = torch.zeros_like(e)
    for n in range(8, 1, -1):  # the next term is below 2e-9 of the first
        series = (series + (-1) ** n / math.factorial(n)) * e
    return torch.where(excess.abs() < _SERIES_BELOW, series * e, excess + torch.expm1(-excess))
