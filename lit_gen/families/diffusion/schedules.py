"""Noise schedules in discrete time."""

from __future__ import annotations

import abc
import math

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.families.diffusion.noise_levels import LARGEST_LOG_SNR


class NoiseSchedule(abc.ABC):
    """T timesteps with increasing noise.

    Args:
        num_timesteps: Number of timesteps T.

    Raises:
        UserError: If there are fewer than two timesteps.
    """

    def __init__(self, num_timesteps: int = 1000) -> None:
        if num_timesteps < 2:
            raise UserError(f"schedule: num_timesteps={num_timesteps} must be at least 2")
        self.num_timesteps = num_timesteps

    @abc.abstractmethod
    def log_snrs(self) -> Tensor:
        """Log-SNRs ``alpha_bar / (1 - alpha_bar)`` in logarithm at timesteps 1 to T, decreasing: float64 ``[T]``."""

    def checked_log_snrs(self) -> Tensor:
        """The same, after a check that a model can compute with them in float32.

        Raises:
            UserError: If a log-SNR is not finite, is so large that no noise or so small that no signal is left in
                float32, or is not below the one before it.
        """
        log_snrs, name = self.log_snrs(), f"schedule: {type(self).__name__} with {self.num_timesteps} timesteps"
        if not log_snrs.isfinite().all():
            raise UserError(f"{name} has noise levels that are not finite; give less extreme arguments")
        if log_snrs[0] > LARGEST_LOG_SNR:
            raise UserError(
                f"{name} adds no noise at timestep 1 (its log-SNR is {float(log_snrs[0]):.4g}, above"
                f" {LARGEST_LOG_SNR:.0f}); give it more noise"
            )
        if (gone := int((log_snrs < -LARGEST_LOG_SNR).sum())) > 0:
            first = self.num_timesteps - gone + 1
            raise UserError(
                f"{name} leaves no signal from timestep {first} on (its log-SNR is below -{LARGEST_LOG_SNR:.0f}); use"
                " fewer timesteps, or less noise in each"
            )
        if (log_snrs.float().diff() >= 0).any():
            raise UserError(f"{name} has equal noise levels at two timesteps; use fewer timesteps")
        return log_snrs


def log_snrs_of(betas: Tensor) -> Tensor:
    """Log-SNRs after forward steps with these variances, both float64 ``[T]``."""
    log_alpha_bars = torch.log1p(-betas).cumsum(0)
    return log_alpha_bars - torch.log(-torch.expm1(log_alpha_bars))


class LinearBetas(NoiseSchedule):
    """Variances increasing linearly.

    Args:
        num_timesteps: Number of timesteps T.
        beta_first: Variance of the first step.
        beta_last: Variance of the last step.

    References:
        Ho, Jain, Abbeel 2020, arXiv:2006.11239, section 4.
    """

    def __init__(self, num_timesteps: int = 1000, beta_first: float = 1.0e-4, beta_last: float = 0.02) -> None:
        super().__init__(num_timesteps)
        if not 0 < beta_first <= beta_last < 1:
            raise UserError(f"schedule: 0 < beta_first={beta_first} <= beta_last={beta_last} < 1 must hold")
        self.beta_first, self.beta_last = beta_first, beta_last

    @override
    def log_snrs(self) -> Tensor:
        return log_snrs_of(torch.linspace(self.beta_first, self.beta_last, self.num_timesteps, dtype=torch.float64))


class CosineSchedule(NoiseSchedule):
    """The signal decays like a squared cosine, so that little noise is added at either end.

    Args:
        num_timesteps: Number of timesteps T.
        offset: Offset s of the paper, which keeps the first steps from being too small.
        beta_max: Largest variance of a step.

    References:
        Nichol, Dhariwal: Improved Denoising Diffusion Probabilistic Models, 2021, arXiv:2102.09672, equation 17.
    """

    def __init__(self, num_timesteps: int = 1000, offset: float = 0.008, beta_max: float = 0.999) -> None:
        super().__init__(num_timesteps)
        if not (0 < offset < math.inf and 0 < beta_max < 1):
            raise UserError(f"schedule: offset={offset} must be positive, beta_max={beta_max} between 0 and 1")
        self.offset, self.beta_max = offset, beta_max

    @override
    def log_snrs(self) -> Tensor:
        t = torch.arange(self.num_timesteps + 1, dtype=torch.float64) / self.num_timesteps
        f = torch.cos((t + self.offset) / (1 + self.offset) * (math.pi / 2)).square()
        return log_snrs_of((1 - f[1:] / f[:-1]).clamp_max(self.beta_max))


class EvenLevels(NoiseSchedule):
    """Noise levels evenly spaced in the log-SNR.

    Not from a paper, but its first noise level is configurable: with few values, data are recognizable long before the
    first noise level of the papers' schedules, which are made for 256 values.

    Args:
        log_snr_first: Log-SNR at timestep 1.
        log_snr_last: Log-SNR at timestep T.
        num_timesteps: Number of timesteps T.
    """

    def __init__(self, log_snr_first: float, log_snr_last: float = -10.0, num_timesteps: int = 1000) -> None:
        super().__init__(num_timesteps)
        if not math.inf > log_snr_first > log_snr_last > -math.inf:
            raise UserError(
                f"schedule: log_snr_first={log_snr_first} must be above log_snr_last={log_snr_last}, both finite"
            )
        self.log_snr_first, self.log_snr_last = log_snr_first, log_snr_last

    @override
    def log_snrs(self) -> Tensor:
        return torch.linspace(self.log_snr_first, self.log_snr_last, self.num_timesteps, dtype=torch.float64)
