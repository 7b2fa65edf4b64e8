"""Audio samples: WAV files."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor


class ShowsAudio(Protocol):
    """Data whose integers are audio.

    Attributes:
        sample_rate: Sample rate in Hz.
    """

    sample_rate: int

    def decode(self, x: Tensor) -> Tensor:
        """Decodes integers ``[1, T]`` to the waveform in [-1, 1]: float ``[T]``."""


def write_wavs(x: Tensor, data: ShowsAudio, stem: Path) -> list[Path]:
    """Writes a file ``<stem>-<i>.wav`` for each sample.

    Args:
        x: Integers ``[N, 1, T]``.
        data: Data module that decodes them and has the sample rate.
        stem: Path of the files without their suffixes.
    """
    named = [(row, stem.with_name(f"{stem.name}-{i}.wav")) for i, row in enumerate(x)]
    return [write_wav(data.decode(row), data.sample_rate, path) for row, path in named]


def write_wav(waveform: Tensor, sample_rate: int, path: Path) -> Path:
    """Writes a mono WAV file, 16-bit PCM; its folder is created.

    Args:
        waveform: Amplitudes ``[T]``, clipped to [-1, 1].
        sample_rate: Sample rate in Hz.
        path: Path of the file.
    """
    pcm = (waveform.double().clamp(-1, 1) * 32767).round().numpy().astype(np.dtype("<i2"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(pcm.tobytes())
    return path


def players(files: list[Path]) -> dict[str, Any]:
    """A row for W&B with an audio player for each file, ``samples/<i>``.

    One column per file: for a list in one column W&B requires another package, without using it.
    """
    import wandb

    return {f"samples/{i}": wandb.Audio(str(file)) for i, file in enumerate(files)}
