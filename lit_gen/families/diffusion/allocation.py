"""Allocation of an estimator's draws to noise levels: importance sampling with weights from a pilot run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lit_gen.noise import Noise

PILOT_EXAMPLES = 256
"""Number of pilot draws, each of one example; the network is evaluated once for each."""

_BINS = 32
_EVEN = 0.25  # share of the draws that is spread evenly: no weight exceeds its inverse, 4


@dataclass(frozen=True)
class Allocation:
    """A piecewise constant density of positions in [0, 1), from which noise levels are drawn.

    Args:
        probabilities: Probabilities of equally wide bins, ``[J]``, positive.
        block: Number of consecutive examples over which draws are evenly spaced.
    """

    probabilities: Tensor
    block: int = 1

    @classmethod
    def even(cls) -> Allocation:
        """The uniform density."""
        return cls(torch.ones(1))

    @classmethod
    def for_sizes(cls, sizes: Tensor, block: int = 1) -> Allocation:
        """The density for an integrand whose root mean squares in the bins are ``sizes`` ``[J]``.

        Probabilities in proportion to the root mean square give the smallest variance of one draw; a quarter of the
        draws is spread evenly, because sizes from a few pilot draws may be wrong.
        """
        total = sizes.sum()
        if not torch.isfinite(total) or total <= 0:
            return cls(torch.ones(1), block)
        return cls((1 - _EVEN) * sizes / total + _EVEN / len(sizes), block)

    def draw(self, noise: Noise, draws: int) -> list[tuple[Tensor, Tensor]]:
        """Positions ``[B]`` and weights ``[B]`` of an estimate with ``draws`` draws per example.

        The mean over draws of ``weight * f(position)`` is an unbiased estimate of the integral of f over [0, 1]. The
        draws of an example are equally spaced with respect to the density, and those of a block of examples between
        them, with one random shift: the terms of all examples depend on the noise level in a similar way.

        References:
            Kingma et al. 2021, arXiv:2107.00630, appendix I.1.
        """
        first = noise.spread(self.block)
        probabilities = self.probabilities.to(first.device)
        ends = probabilities.cumsum(0)
        found = []
        for k in range(draws):
            share = (first + k) / draws * ends[-1]
            bins = torch.searchsorted(ends, share, right=True).clamp_max(len(ends) - 1)
            inside = 1 - (ends[bins] - share) / probabilities[bins]
            position = (bins + inside.clamp(0, 1 - 2**-24)) / len(ends)
            found.append((position, 1 / (probabilities[bins] * len(ends))))
        return found


def pilot(integrand: Callable[[Tensor, Tensor, Noise], Tensor], x: Tensor, seed: int, block: int) -> Allocation:
    """Measures an integrand on separate draws, which do not enter any estimate, and returns the allocation for it.

    Args:
        integrand: Function from examples ``[b, *shape]``, positions ``[b]`` and noise to values ``[b]``.
        x: Examples; they are repeated if there are fewer than :data:`PILOT_EXAMPLES`.
        seed: Seed of the pilot draws, unrelated to that of the estimates.
        block: Number of consecutive examples over which draws are to be evenly spaced.
    """
    squares = torch.zeros(_BINS)
    for first in range(0, PILOT_EXAMPLES, _BINS):
        noise = Noise(seed, range(first, first + _BINS), x.device)  # one draw in each bin
        positions = (torch.arange(_BINS, device=x.device) + noise.uniform()) / _BINS
        rows = (torch.arange(first, first + _BINS) + first // _BINS) % len(x)  # not always the same example in a bin
        squares += integrand(x[rows.to(x.device)], positions, noise).float().square().cpu()
    return Allocation.for_sizes((squares * (_BINS / PILOT_EXAMPLES)).sqrt(), block)
