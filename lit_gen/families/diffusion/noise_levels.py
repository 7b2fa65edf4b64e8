"""Noise levels at which a likelihood is evaluated."""

from __future__ import annotations

import math


def finest_log_snr(num_levels: int) -> float:
    """The log-SNR at which the noise's standard deviation is a sixth of the distance between values of the data.

    The value is then almost certain, so that the reconstruction term is negligible; for 256 values it is 13.3,
    where VDM's schedule starts.
    """
    return -2 * math.log(2 / (num_levels - 1) / 6)
