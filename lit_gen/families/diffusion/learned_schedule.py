"""Learned noise schedules: monotone functions of time between two learned ends."""

from __future__ import annotations

import abc
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.families.diffusion.noise_levels import check_log_snrs


class LearnedSchedule(nn.Module, abc.ABC):
    """The schedule ``gamma(t)``, minus the log-SNR at time t in [0, 1], increasing, with learned ends.

    Args:
        gamma_min: Initial value at t = 0.
        gamma_max: Initial value at t = 1.

    Raises:
        UserError: If the first is not below the second, or float32 holds no noise or no signal at one of them.
    """

    def __init__(self, gamma_min: float, gamma_max: float) -> None:
        super().__init__()
        if not gamma_min < gamma_max:
            raise UserError(f"schedule: gamma_min={gamma_min} must be below gamma_max={gamma_max}")
        check_log_snrs("schedule: its ends", -gamma_min, -gamma_max)
        self.ends = nn.Parameter(torch.tensor([gamma_min, gamma_max], dtype=torch.float32))

    @abc.abstractmethod
    def shape(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """An increasing function from 0 to 1 at times ``[B]``, and its derivative, each ``[B]``."""

    def forward(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """``gamma(t)`` and its derivative, each ``[B]``."""
        return self.scaled(*self.shape(t))

    def scaled(self, height: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Scales the function and the derivative of :meth:`shape` to the learned ends."""
        span = self.ends[1] - self.ends[0]
        return self.ends[0] + span * height, span * slope


class LinearGamma(LearnedSchedule):
    """A straight line with learned ends."""

    @override
    def shape(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return t, torch.ones_like(t)


class MonotoneGamma(LearnedSchedule):
    """A network with positive weights: a straight line plus a hidden layer of sigmoids.

    Args:
        gamma_min: Initial value at t = 0.
        gamma_max: Initial value at t = 1.
        width: Width of the hidden layer.

    References:
        Kingma, Salimans, Poole, Ho 2021, arXiv:2107.00630, appendix H.
    """

    def __init__(self, gamma_min: float, gamma_max: float, width: int = 1024) -> None:
        super().__init__(gamma_min, gamma_max)
        if width < 1:
            raise UserError(f"schedule: width={width} must be at least 1")
        # Values before the softplus: a line of slope one, and sigmoids spread over the unit interval, which hardly bend
        # the line.
        self.line = nn.Parameter(torch.tensor([0.5413]))
        self.into = nn.Parameter(8.0 + torch.randn(width))
        self.bias = nn.Parameter(-8.0 * torch.rand(width))
        self.out = nn.Parameter(torch.full((width,), math.log(math.expm1(0.2 / width))))

    @override
    def shape(self, t: Tensor) -> tuple[Tensor, Tensor]:
        height, slope = self._raw(t)
        (low, high), _ = self._raw(torch.arange(2.0, device=t.device))
        return (height - low) / (high - low), slope / (high - low)

    def _raw(self, t: Tensor) -> tuple[Tensor, Tensor]:
        line, into, out = F.softplus(self.line), F.softplus(self.into), F.softplus(self.out)
        first = line * t  # [B]
        hidden = torch.sigmoid(first[:, None] * into + self.bias)  # [B, width]
        bend = hidden * (1 - hidden) * into
        return first + hidden @ out, line * (1 + bend @ out)


class ScheduleOf(abc.ABC):
    """Builds a learned schedule, as selected in a configuration."""

    @abc.abstractmethod
    def build(self, gamma_min: float, gamma_max: float) -> LearnedSchedule:
        """Builds the schedule with the given initial ends."""


class Linear(ScheduleOf):
    """A straight line with learned ends, as in the code published with the paper."""

    @override
    def build(self, gamma_min: float, gamma_max: float) -> LearnedSchedule:
        return LinearGamma(gamma_min, gamma_max)


class Monotone(ScheduleOf):
    """A monotone network, as in the paper.

    Args:
        width: Width of its hidden layer.
    """

    def __init__(self, width: int = 1024) -> None:
        self.width = width

    @override
    def build(self, gamma_min: float, gamma_max: float) -> LearnedSchedule:
        return MonotoneGamma(gamma_min, gamma_max, self.width)
