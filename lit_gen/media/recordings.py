"""Samples of sound: WAV files."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor


class ShowsAudio(Protocol):
    """Data whose levels are sound.

    Attributes:
        sample_rate: In Hz.
    """

    sample_rate: int

    def decode(self, x: Tensor) -> Tensor:
        """The waveform in [-1, 1] of levels ``[1, T]``: float ``[T]``."""


def write_wavs(x: Tensor, data: ShowsAudio, stem: Path) -> list[Path]:
    """Writes a file ``<stem>-<i>.wav`` for each sample.

    Args:
        x: Levels ``[N, 1, T]``.
        data: Decodes them, and knows the rate.
        stem: The files' path without their ends.
    """
    named = [(row, stem.with_name(f"{stem.name}-{i}.wav")) for i, row in enumerate(x)]
    return [write_wav(data.decode(row), data.sample_rate, path) for row, path in named]


def write_wav(waveform: Tensor, sample_rate: int, path: Path) -> Path:
    """Writes a mono WAV file, 16-bit PCM; its folder is made.

    Args:
        waveform: Amplitudes ``[T]``; what is outside [-1, 1] is cut off.
        sample_rate: In Hz.
        path: The file.
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
    """A row for W&B with a player for each file, ``samples/<i>``.

    One column a file: for a list in one column W&B wants a package more, which it then makes no use of.
    """
    import wandb

    return {f"samples/{i}": wandb.Audio(str(file)) for i, file in enumerate(files)}
