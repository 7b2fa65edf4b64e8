"""Noise schedules that are learned with the model: monotone from the noise at the data to that at the end."""

from __future__ import annotations

import abc
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.errors import UserError


class LearnedSchedule(nn.Module, abc.ABC):
    """``gamma(t)``, minus the log signal-to-noise ratio at time t in [0, 1], rising; its two ends are learned.

    Args:
        gamma_min: Where it starts, at t = 0.
        gamma_max: Where it ends, at t = 1.

    Raises:
        UserError: The first is not below the second.
    """

    def __init__(self, gamma_min: float, gamma_max: float) -> None:
        super().__init__()
        if not gamma_min < gamma_max:
            raise UserError(f"schedule: gamma_min={gamma_min} must be below gamma_max={gamma_max}")
        self.ends = nn.Parameter(torch.tensor([gamma_min, gamma_max]))

    @abc.abstractmethod
    def shape(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """At times ``[B]``: a rising function from 0 to 1, and its derivative, each ``[B]``."""

    def forward(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """``gamma(t)`` and its derivative, each ``[B]``."""
        return self.scaled(*self.shape(t))

    def scaled(self, height: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """The same of what :meth:`shape` has said."""
        span = self.ends[1] - self.ends[0]
        return self.ends[0] + span * height, span * slope


class LinearGamma(LearnedSchedule):
    """A straight line, of which the ends alone are learned."""

    @override
    def shape(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return t, torch.ones_like(t)


class MonotoneGamma(LearnedSchedule):
    """A network of positive weights: a straight line, and beside it a hidden layer of sigmoids.

    Args:
        gamma_min: See :class:`LearnedSchedule`.
        gamma_max: See :class:`LearnedSchedule`.
        width: Of the hidden layer.

    References:
        Kingma, Salimans, Poole, Ho 2021, arXiv:2107.00630, appendix H.
    """

    def __init__(self, gamma_min: float, gamma_max: float, width: int = 1024) -> None:
        super().__init__(gamma_min, gamma_max)
        if width < 1:
            raise UserError(f"schedule: width={width} must be at least 1")
        # Before the softplus that makes them positive: a line of slope one, and a layer of steps all over the unit
        # interval, which hardly bends it.
        self.line = nn.Parameter(torch.tensor([0.5413]))
        self.into = nn.Parameter(8.0 + torch.randn(width))
        self.bias = nn.Parameter(-8.0 * torch.rand(width))
        self.out = nn.Parameter(torch.full((width,), math.log(math.expm1(0.2 / width))))

    @override
    def shape(self, t: Tensor) -> tuple[Tensor, Tensor]:
        height, slope = self._raw(t)
        (low, high), _ = self._raw(torch.tensor([0.0, 1.0], device=t.device))
        return (height - low) / (high - low), slope / (high - low)

    def _raw(self, t: Tensor) -> tuple[Tensor, Tensor]:
        line, into, out = F.softplus(self.line), F.softplus(self.into), F.softplus(self.out)
        first = line * t  # [B]
        hidden = torch.sigmoid(first[:, None] * into + self.bias)  # [B, width]
        bend = hidden * (1 - hidden) * into
        return first + hidden @ out, line * (1 + bend @ out)


class ScheduleOf(abc.ABC):
    """Which schedule, as a configuration names it."""

    @abc.abstractmethod
    def build(self, gamma_min: float, gamma_max: float) -> LearnedSchedule:
        """The schedule between its ends' first values."""


class Linear(ScheduleOf):
    """A straight line whose ends are learned, as in the code that came with the paper."""

    @override
    def build(self, gamma_min: float, gamma_max: float) -> LearnedSchedule:
        return LinearGamma(gamma_min, gamma_max)


class Monotone(ScheduleOf):
    """A monotone network, as in the paper.

    Args:
        width: Of its hidden layer.
    """

    def __init__(self, width: int = 1024) -> None:
        self.width = width

    @override
    def build(self, gamma_min: float, gamma_max: float) -> LearnedSchedule:
        return MonotoneGamma(gamma_min, gamma_max, self.width)
