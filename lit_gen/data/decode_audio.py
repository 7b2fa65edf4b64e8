"""From an audio file to amplitudes: mono, float64, at the sample rate that is asked for."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np

from lit_gen.errors import UserError


class UnreadableAudioError(UserError):
    """A file holds no recording that can be decoded.

    Args:
        where: What messages call the file.
        reason: What is wrong with it, as the rest of a sentence that begins with the file.
        remedy: What the user can do.

    Attributes:
        reason: The same.
    """

    def __init__(self, where: str, reason: str, remedy: str) -> None:
        super().__init__(f"{where} {reason}; {remedy}")
        self.reason = reason


_BLOCK = 2**20  # frames read at once, because a damaged header may announce more than memory holds


def decode_audio(file: bytes | Path, sample_rate: int, where: str) -> np.ndarray:
    """Decodes one recording: channels are averaged, and a higher sample rate is converted to ``sample_rate``.

    libsndfile detects the format by content: WAV with PCM of any width or floats, FLAC, Ogg Vorbis and others.
    Integers are scaled by a power of two, so they survive exactly.

    A recording at a higher rate is resampled by scipy's ``resample_poly``: a linear-phase low-pass filter, so that
    nothing is aliased from above half the new rate. One at a lower rate is an error: interpolated samples are
    predictable from their neighbours, and would make bits per sample look better than they are.

    Args:
        file: Content or path.
        sample_rate: In Hz.
        where: What messages call the file.

    Returns:
        Amplitudes, float64 ``[L]``; in [-1, 1] for integer formats.

    Raises:
        UnreadableAudioError: The file cannot be decoded, is truncated, has no samples or some that are not finite.
        UserError: The recording has a lower rate.
    """
    channels, rate = _read(file, where)
    if not len(channels):
        raise UnreadableAudioError(where, "has no samples", "remove it")
    x = channels.mean(1)
    if not np.isfinite(x).all():
        raise UnreadableAudioError(
            where, "has samples that are NaN or infinite", "remove it, or convert it to 16-bit PCM"
        )
    if rate < sample_rate:
        raise UserError(f"{where} was recorded at {rate} Hz, below sample_rate {sample_rate}; lower sample_rate")
    return x if rate == sample_rate else _resample(x, rate, sample_rate)


def _read(file: bytes | Path, where: str) -> tuple[np.ndarray, int]:
    """All frames, float64 ``[L, channels]``, and the sample rate."""
    import soundfile

    try:
        # by content alone, because soundfile takes some file names for a format
        content = file if isinstance(file, bytes) else file.read_bytes()
        with soundfile.SoundFile(io.BytesIO(content)) as sound:
            blocks, missing = [np.empty((0, sound.channels))], sound.frames
            while len(block := sound.read(min(_BLOCK, missing), dtype="float64", always_2d=True)):
                blocks.append(block)
                missing -= len(block)
            rate = sound.samplerate
    except (soundfile.SoundFileError, OSError) as error:
        raise UnreadableAudioError(
            where,
            f"is not an audio file that can be decoded ({_reason(error)})",
            "convert it to WAV or FLAC, or remove it",
        ) from error
    if missing:
        raise UnreadableAudioError(
            where, f"is truncated: {missing:,} of its frames are missing", "replace or remove it"
        )
    return np.concatenate(blocks), rate


def _reason(error: Exception) -> str:
    """The library's reason in one line, without the name of the file object."""
    reason = getattr(error, "error_string", None) or str(error)
    return " ".join(reason.split()).rstrip(".")


def _resample(x: np.ndarray, rate: int, sample_rate: int) -> np.ndarray:
    from scipy.signal import resample_poly

    divisor = math.gcd(rate, sample_rate)
    return np.asarray(resample_poly(x, sample_rate // divisor, rate // divisor))
