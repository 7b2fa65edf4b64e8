"""Noise levels at which a likelihood is evaluated."""

from __future__ import annotations

import math

from torch import Tensor

from lit_gen.noise import Noise


def even_shares(noise: Noise, draws: int) -> list[Tensor]:
    """Stratified numbers ``[B]`` in [0, 1), one in each of ``draws`` equal intervals; each is uniform in its interval.

    One draw shifts all of them, so that the mean of an integrand is unbiased and has a small variance.

    References:
        Kingma et al. 2021, arXiv:2107.00630, appendix I.1, along the draws of an example.
    """
    first = noise.uniform()
    return [(first + k) / draws for k in range(draws)]


def finest_log_snr(num_levels: int) -> float:
    """The log-SNR at which the noise's standard deviation is a sixth of the distance between values of the data.

    The value is then almost certain, so that the reconstruction term is negligible; for 256 values it is 13.3,
    where VDM's schedule starts.
    """
    return -2 * math.log(2 / (num_levels - 1) / 6)
