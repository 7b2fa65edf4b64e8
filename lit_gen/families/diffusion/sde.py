"""The stochastic differential equations of score-based models, and how their scales and times relate to the log-SNR."""

from __future__ import annotations

import abc
import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.families.diffusion.noise_levels import check_log_snrs


class SDE(abc.ABC):
    """``dy = f(t) y dt + g(t) dw`` for t from 0, data, to 1: y is ``signal x + deviation eps`` at each time.

    Only the ratio of signal and deviation, the log-SNR, distinguishes one noise level from another; y itself is the
    variance-preserving z times ``signal / alpha``. For any of these, ``g**2 / deviation**2`` is minus the derivative of
    the log-SNR by t.

    Attributes:
        first: Smallest time in training; the noise vanishes at time 0.

    References:
        Song, Sohl-Dickstein, Kingma, Kumar, Ermon, Poole: Score-Based Generative Modeling through Stochastic
        Differential Equations, 2021, arXiv:2011.13456, appendices B and C.
    """

    first: ClassVar[float] = 1.0e-5

    @abc.abstractmethod
    def log_snr(self, t: Tensor) -> Tensor:
        """Log-SNRs at times, of the same shape."""

    @abc.abstractmethod
    def time(self, log_snr: Tensor) -> Tensor:
        """Times at log-SNRs, of the same shape: the inverse of :meth:`log_snr`."""

    @abc.abstractmethod
    def signal(self, t: Tensor) -> Tensor:
        """Factor of the data in y at times, of the same shape."""

    @abc.abstractmethod
    def log_snr_speed(self, t: Tensor) -> Tensor:
        """``g**2 / deviation**2`` at times, of the same shape: minus the derivative of the log-SNR."""

    @abc.abstractmethod
    def network_time(self, t: Tensor) -> Tensor:
        """What the papers' networks are given for times, of the same shape."""

    def network_scale(self, log_snr: Tensor) -> Tensor:
        """Factor from z to the network's input at log-SNRs, of the same shape: y, as in the papers."""
        return self.signal(self.time(log_snr)) / torch.sigmoid(log_snr).sqrt()

    def ends(self) -> tuple[float, float]:
        """Log-SNRs at the smallest time in training and at time 1."""
        first, last = self.log_snr(torch.tensor([self.first, 1.0], dtype=torch.float64)).tolist()
        check_log_snrs("sde: its ends", first, last)
        return first, last


class VESDE(SDE):
    """Variance exploding: noise is added to data that are not scaled, and its deviation grows geometrically.

    Args:
        sigma_min: Deviation at time 0, on the papers' scale of data from 0 to 1; half of ours.
        sigma_max: Deviation at time 1; the papers take the largest distance between two examples.
        unit_inputs: Whether the network is given z, of about unit variance, in place of y, whose deviation is up to
            ``2 sigma_max``: not in the papers, but a network without norms needs it.

    Raises:
        UserError: If the deviations are not positive and increasing.
    """

    def __init__(self, sigma_min: float = 0.01, sigma_max: float = 50.0, unit_inputs: bool = False) -> None:
        if not 0 < sigma_min < sigma_max < math.inf:
            raise UserError(f"sde: 0 < sigma_min={sigma_min} < sigma_max={sigma_max} must hold")
        self.sigma_min, self.sigma_max, self.unit_inputs = sigma_min, sigma_max, unit_inputs
        self.growth = math.log(sigma_max / sigma_min)

    @override
    def log_snr(self, t: Tensor) -> Tensor:
        return -2 * (math.log(2 * self.sigma_min) + self.growth * t)

    @override
    def time(self, log_snr: Tensor) -> Tensor:
        return (-0.5 * log_snr - math.log(2 * self.sigma_min)) / self.growth

    @override
    def signal(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    @override
    def log_snr_speed(self, t: Tensor) -> Tensor:
        return torch.full_like(t, 2 * self.growth)

    @override
    def network_time(self, t: Tensor) -> Tensor:
        """Log of the deviation."""
        return math.log(self.sigma_min) + self.growth * t

    @override
    def network_scale(self, log_snr: Tensor) -> Tensor:
        return torch.ones_like(log_snr) if self.unit_inputs else super().network_scale(log_snr)


class LinearRateSDE(SDE):
    """The data decay with a rate ``beta(t) / 2`` that grows linearly.

    Args:
        beta_min: beta at time 0.
        beta_max: beta at time 1.

    Raises:
        UserError: If the rates are not positive and increasing.
    """

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0) -> None:
        if not 0 < beta_min < beta_max < math.inf:
            raise UserError(f"sde: 0 < beta_min={beta_min} < beta_max={beta_max} must hold")
        self.beta_min, self.beta_max = beta_min, beta_max

    def decay(self, t: Tensor) -> Tensor:
        """Integral of beta from 0 to t."""
        return t * (self.beta_min + 0.5 * (self.beta_max - self.beta_min) * t)

    def time_of(self, decay: Tensor) -> Tensor:
        """Times at which the integral of beta is ``decay``; in a form that does not cancel near 0."""
        slope = self.beta_max - self.beta_min
        return 2 * decay / (self.beta_min + (self.beta_min**2 + 2 * slope * decay).sqrt())

    def beta(self, t: Tensor) -> Tensor:
        """The rate at times."""
        return self.beta_min + (self.beta_max - self.beta_min) * t

    @override
    def signal(self, t: Tensor) -> Tensor:
        return (-0.5 * self.decay(t)).exp()

    @override
    def network_time(self, t: Tensor) -> Tensor:
        """Of the size of 1,000 timesteps."""
        return 999 * t


class VPSDE(LinearRateSDE):
    """Variance preserving: DDPM in continuous time; ``deviation**2 = 1 - signal**2``.

    Args:
        beta_min: beta at time 0.
        beta_max: beta at time 1.
    """

    @override
    def log_snr(self, t: Tensor) -> Tensor:
        return -torch.log(torch.expm1(self.decay(t)))

    @override
    def time(self, log_snr: Tensor) -> Tensor:
        return self.time_of(F.softplus(-log_snr))

    @override
    def log_snr_speed(self, t: Tensor) -> Tensor:
        return self.beta(t) / -torch.expm1(-self.decay(t))


class SubVPSDE(LinearRateSDE):
    """Less noise than the variance-preserving one for the same signal: ``deviation = 1 - signal**2``.

    With ``deviation / signal = 2 sinh(decay / 2)``, its noise levels are those of the variance-preserving process at
    other times: at the same time its log-SNR is larger.

    Args:
        beta_min: beta at time 0.
        beta_max: beta at time 1.
    """

    @override
    def log_snr(self, t: Tensor) -> Tensor:
        return -2 * torch.log(2 * torch.sinh(0.5 * self.decay(t)))

    @override
    def time(self, log_snr: Tensor) -> Tensor:
        return self.time_of(2 * torch.asinh(0.5 * torch.exp(-0.5 * log_snr)))

    @override
    def log_snr_speed(self, t: Tensor) -> Tensor:
        return self.beta(t) / torch.tanh(0.5 * self.decay(t))
