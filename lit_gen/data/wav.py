"""Reading WAV files: PCM of any width to amplitudes, mono, at the rate that is asked for."""

from __future__ import annotations

import io
import math
import wave
from pathlib import Path

import numpy as np

from lit_gen.errors import UserError


def read_wav(file: bytes | Path, sample_rate: int, where: str) -> np.ndarray:
    """Amplitudes in [-1, 1] of a PCM WAV file, float64 [L]: channels averaged, resampled if need be.

    A recording at a higher rate is resampled by scipy's ``resample_poly``: a linear-phase low-pass filter, so that
    nothing is folded down from above half the new rate. One at a lower rate is refused: samples that nobody
    recorded follow from their neighbours, and would make bits per sample look better than they are.

    Args:
        file: content or path.
        sample_rate: in Hz.
        where: what messages call the file.

    Raises:
        UserError: no PCM WAV file, no sample in it, or a lower rate.
    """
    try:
        with wave.open(io.BytesIO(file) if isinstance(file, bytes) else str(file)) as opened:
            channels, width, rate, count = opened.getparams()[:4]
            frames = opened.readframes(count)
    except (wave.Error, EOFError, OSError) as error:
        reason = str(error) or "it ends too early"
        raise UserError(f"{where} is not a PCM WAV file ({reason}); convert it to 16-bit PCM") from error
    if not frames:
        raise UserError(f"{where} has no samples; remove it")
    x = _amplitudes(frames[: len(frames) - len(frames) % (width * channels)], width)
    x = x.reshape(-1, channels).mean(1)
    if rate < sample_rate:
        raise UserError(f"{where} was recorded at {rate} Hz, below sample_rate {sample_rate}; lower sample_rate")
    return x if rate == sample_rate else _resample(x, rate, sample_rate)


def _amplitudes(frames: bytes, width: int) -> np.ndarray:
    """Integers of ``width`` bytes, little-endian, as fractions of the largest: one byte has no sign, more have."""
    if width == 1:
        return (np.frombuffer(frames, np.uint8).astype(np.float64) - 128) / 128
    if width == 3:
        # numpy has no such type: the three bytes become the upper ones of four
        bytes_ = np.frombuffer(frames, np.uint8).reshape(-1, 3)
        frames, width = np.pad(bytes_, ((0, 0), (1, 0))).tobytes(), 4
    return np.frombuffer(frames, f"<i{width}").astype(np.float64) / 2.0 ** (8 * width - 1)


def _resample(x: np.ndarray, rate: int, sample_rate: int) -> np.ndarray:
    from scipy.signal import resample_poly

    divisor = math.gcd(rate, sample_rate)
    return np.asarray(resample_poly(x, sample_rate // divisor, rate // divisor))
