"""Noise levels: which of them a likelihood asks about."""

from __future__ import annotations

import math

from torch import Tensor

from lit_gen.noise import Noise


def even_shares(noise: Noise, draws: int) -> list[Tensor]:
    """So many numbers ``[B]`` in [0, 1), one in each of as many equal parts; each is uniform in its part.

    One draw moves them all, so that their mean over an integrand is unbiased and its spread small.

    References:
        Kingma et al. 2021, arXiv:2107.00630, appendix I.1, along the draws of an example.
    """
    first = noise.uniform()
    return [(first + k) / draws for k in range(draws)]


def finest_log_snr(num_levels: int) -> float:
    """A level at which the noise's deviation is a sixth of the distance between neighbouring levels of the data.

    Which level it was is then all but certain, so that nothing is left to reconstruct; with 256 levels it is 13.3,
    which is where VDM's schedule starts.
    """
    return -2 * math.log(2 / (num_levels - 1) / 6)
