"""Noise levels at which a likelihood is evaluated."""

from __future__ import annotations

import math

from lit_gen.errors import UserError

LARGEST_LOG_SNR = 80.0
"""Largest absolute log-SNR of a latent: beyond 87 a variance, of the noise or the signal, underflows in float32."""


def check_log_snrs(where: str, *log_snrs: float) -> None:
    """Validates that float32 holds the noise and the signal at log-SNRs.

    Raises:
        UserError: If one is not finite, or larger than :data:`LARGEST_LOG_SNR`; ``where`` starts the message.
    """
    for log_snr in log_snrs:
        if not abs(log_snr) <= LARGEST_LOG_SNR:
            raise UserError(
                f"{where} have a log-SNR of {log_snr:.4g}, at which float32 holds no"
                f" {'noise' if log_snr > 0 else 'signal'}; it must be between -{LARGEST_LOG_SNR:.0f} and"
                f" {LARGEST_LOG_SNR:.0f}"
            )


def finest_log_snr(num_levels: int) -> float:
    """The log-SNR at which the noise's standard deviation is a sixth of the distance between values of the data.

    The value is then almost certain, so that the reconstruction term is negligible; for 256 values it is 13.3,
    where VDM's schedule starts.
    """
    return -2 * math.log(2 / (num_levels - 1) / 6)
