"""Integers and the real numbers that stand for them: the values of images, and mu-law for waveforms.

The width of a bin, which is what makes a density comparable with a probability, is stated here and nowhere else.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def to_symmetric(x: Tensor, num_levels: int) -> Tensor:
    """Levels to float32 in [-1, 1]: the lowest level is -1, the highest 1, a bin is 2/(num_levels-1) wide."""
    return x.float() * (2.0 / (num_levels - 1)) - 1.0


def to_unit(x: Tensor, num_levels: int) -> Tensor:
    """Levels to float32 in [0, 1]: the lowest level is 0, so that an empty background feeds nothing into a net."""
    return x.float() * (1.0 / (num_levels - 1))


def from_symmetric(x_hat: Tensor, num_levels: int) -> Tensor:
    """The nearest level, uint8, of numbers in [-1, 1]; what lies outside goes to the end levels.

    >>> from_symmetric(to_symmetric(torch.arange(17), 17), 17).tolist() == list(range(17))
    True
    """
    return ((x_hat.float() + 1.0) * ((num_levels - 1) / 2.0)).round().clamp(0, num_levels - 1).to(torch.uint8)


def dequantize(x: Tensor, u: Tensor, num_levels: int) -> Tensor:
    """``(x + u) / num_levels`` in [0, 1) with u in [0, 1): noise is added before scaling.

    A density p of the result, integrated over u, is a probability of x after ``+ D ln(num_levels)`` nats.

    References:
        Theis, van den Oord, Bethge: A note on the evaluation of generative models, 2016, arXiv:1511.01844.
    """
    # Beside 255, float32 has steps of 2**-16: a larger u would round up into the next bin, and the last to 1.
    return (x.float() + u.clamp_max(1 - 2**-16)) / num_levels


def symmetric_to_bins(y: Tensor, num_levels: int) -> Tensor:
    """Numbers in [-1, 1] as points of dequantized data: what stands for a level goes to the middle of its bin.

    >>> symmetric_to_bins(torch.tensor([-1.0, 1.0]), 4).tolist()
    [0.125, 0.875]
    """
    return ((y + 1.0) * ((num_levels - 1) / 2.0) + 0.5) / num_levels


def bins_to_symmetric(y: Tensor, num_levels: int) -> Tensor:
    """The inverse of :func:`symmetric_to_bins`: points of dequantized data as numbers on the scale from -1 to 1."""
    return (y * num_levels - 0.5) * (2.0 / (num_levels - 1)) - 1.0


def to_uint8(x: Tensor, num_levels: int) -> Tensor:
    """Levels spread over 0..255, uint8: what eyes, PNG files and feature extractors are given."""
    if num_levels == 256:
        return x.to(torch.uint8)
    return (x.float() * (255.0 / (num_levels - 1))).round().to(torch.uint8)


# ------------------------------------------------------------------ waveforms

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
