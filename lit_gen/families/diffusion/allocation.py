"""Allocation of an estimator's draws to noise levels, by a pilot run: importance sampling with a control variate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lit_gen.noise import Noise

PILOT_EXAMPLES = 256
"""Number of pilot draws, each of one example; the network is evaluated once for each."""

_BINS = 32
_EVEN = 0.1  # share of the draws that is spread evenly: no weight exceeds its inverse, 10


@dataclass(frozen=True)
class Allocation:
    """How the integral of a function over [0, 1] is estimated from few draws.

    With c the typical function, g the density of the draws and u drawn from it, ``c's integral + (f(u) - c(u)) / g(u)``
    is an unbiased estimate of the integral of f, whatever c and g are. With c close to f, most of the variance is
    gone. Examples deviate from what is typical by a factor rather than by a term, so g is in proportion to the size of
    f: an example's deviation is then about the same at all its draws.

    Args:
        probabilities: Probabilities of draws in equally wide bins, ``[J]``, positive.
        typical: Typical values at the middle of the bins, ``[J]``, linear between them.

    References:
        Owen: Monte Carlo theory, methods and examples, 2013, sections 8.9 and 9.12.
    """

    probabilities: Tensor
    typical: Tensor

    @classmethod
    def even(cls) -> Allocation:
        """Uniform draws, without a control variate."""
        return cls(torch.ones(1), torch.zeros(1))

    @classmethod
    def for_values(cls, values: Tensor) -> Allocation:
        """The allocation for an integrand that was measured at pilot draws: values ``[R, J]`` in J bins.

        A tenth of the draws is spread evenly, and a bin is as likely as the larger of its neighbours, because sizes
        from a few pilot draws may be wrong. Not more: draws where f is small all have about the same value, and if
        most of the variance lay in few such draws, a split of 30 examples would now and then have none of them.
        """
        size = values.square().mean(0).sqrt()
        size = F.max_pool1d(size[None], 3, stride=1, padding=1)[0]
        total = size.sum()
        if not torch.isfinite(total):
            return cls.even()
        bins = values.shape[1]
        share = size / total if total > 0 else torch.full_like(size, 1 / bins)
        return cls((1 - _EVEN) * share + _EVEN / bins, values.mean(0))

    def integral(self, integrand: Callable[[Tensor], Tensor], noise: Noise, draws: int) -> Tensor:
        """An unbiased estimate of the integral of an integrand over [0, 1] for each example, ``[B]``.

        The draws of an example are equally spaced with respect to their density, with one random shift.

        Args:
            integrand: Function from positions ``[B]`` to values ``[B]``.
            noise: Source of the draws, with B rows.
            draws: Number of draws per example.

        References:
            Kingma et al. 2021, arXiv:2107.00630, appendix I.1, along the draws of an example.
        """
        first = noise.uniform()
        total = torch.zeros_like(first)
        for k in range(draws):
            position, weight = self.draw((first + k) / draws)
            total += weight * (integrand(position) - self.control(position))
        return total / draws + self.typical.mean().to(total.device)

    def draw(self, share: Tensor) -> tuple[Tensor, Tensor]:
        """Positions where the integral of the density is ``share``, and its inverse there, each ``[B]``."""
        probabilities = self.probabilities.to(share.device)
        ends = probabilities.cumsum(0)
        share = share * ends[-1]
        bins = torch.searchsorted(ends, share, right=True).clamp_max(len(ends) - 1)
        inside = 1 - (ends[bins] - share) / probabilities[bins]
        position = (bins + inside.clamp(0, 1 - 2**-24)) / len(ends)
        return position, 1 / (probabilities[bins] * len(ends))

    def control(self, position: Tensor) -> Tensor:
        """Typical values at positions ``[B]``; their integral over [0, 1] is the mean of ``typical``."""
        typical = self.typical.to(position.device)
        place = (position * len(typical) - 0.5).clamp(0, len(typical) - 1)
        left = place.long().clamp_max(max(0, len(typical) - 2))
        right = (left + 1).clamp_max(len(typical) - 1)
        return torch.lerp(typical[left], typical[right], place - left)


def pilot(integrand: Callable[[Tensor, Tensor, Noise], Tensor], x: Tensor, seed: int) -> Allocation:
    """Measures an integrand on separate draws, which do not enter any estimate, and returns the allocation for it.

    Args:
        integrand: Function from examples ``[b, *shape]``, positions ``[b]`` and noise to values ``[b]``.
        x: Examples; they are repeated if there are fewer than :data:`PILOT_EXAMPLES`.
        seed: Seed of the pilot draws, unrelated to that of the estimates.
    """
    values = []
    for first in range(0, PILOT_EXAMPLES, _BINS):
        noise = Noise(seed, range(first, first + _BINS), x.device)  # one draw in each bin
        positions = (torch.arange(_BINS, device=x.device) + noise.uniform()) / _BINS
        rows = (torch.arange(first, first + _BINS) + first // _BINS) % len(x)  # not always the same example in a bin
        values.append(integrand(x[rows.to(x.device)], positions, noise).float().cpu())
    return Allocation.for_values(torch.stack(values))
