"""Companding: waveforms as 256 levels, finer where sound is faint."""

from __future__ import annotations

import numpy as np

MU = 255
ZERO_LEVEL = 128
"""The level of silence: the lower edge of its bin is an amplitude of exactly 0."""


def mu_law_encode(waveform: np.ndarray) -> np.ndarray:
    """Levels of a waveform: uint8, of the same shape.

    The amplitude is companded by ``f(x) = sign(x) ln(1 + mu |x|) / ln(1 + mu)`` with mu = 255, and [-1, 1] then
    rounded to 256 levels 2/255 apart, the lowest at -1 and the highest at 1. This is the continuous curve of the
    WaveNet paper; telephony's G.711 approximates it by straight lines, and its bytes are others.

    Args:
        waveform: amplitudes; what is outside [-1, 1] is cut off.

    References:
        van den Oord et al.: WaveNet, 2016, arXiv:1609.03499, section 2.2.

    >>> mu_law_encode(np.array([-1.0, -0.01, 0.0, 0.01, 1.0])).tolist()
    [0, 98, 128, 157, 255]
    """
    # In float64: the same levels on every machine, for the 65,536 amplitudes of a 16-bit file at least.
    x = np.clip(np.asarray(waveform, np.float64), -1.0, 1.0)
    companded = np.sign(x) * np.log1p(MU * np.abs(x)) / np.log1p(MU)
    return np.floor((companded + 1) / 2 * MU + 0.5).astype(np.uint8)


def mu_law_decode(level: np.ndarray) -> np.ndarray:
    """Amplitudes in [-1, 1] of levels: float32, the middle of each level's bin on the companded scale.

    >>> bool((mu_law_encode(mu_law_decode(np.arange(256))) == np.arange(256)).all())
    True
    """
    companded = np.asarray(level, np.float64) * (2 / MU) - 1
    return (np.sign(companded) * np.expm1(np.abs(companded) * np.log1p(MU)) / MU).astype(np.float32)
