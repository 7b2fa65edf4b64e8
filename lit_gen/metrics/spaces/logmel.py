"""Features of sound: the log energies of mel bands, their means over time and how much they vary."""

from __future__ import annotations

import hashlib
import math
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.metrics.spaces.feature_space import Features, FeatureSpace, Modality, kind_of
from lit_gen.metrics.statistics.frechet import FrechetDistance
from lit_gen.metrics.statistics.kernel import KID
from lit_gen.metrics.statistics.statistic import Statistic
from lit_gen.quantization import MU, mu_law_decode

FLOOR = 1e-6
"""Added to every energy, where white noise as loud as full scale has about 1: what is 60 dB below counts as silence."""


def hz_to_mel(frequency: float) -> float:
    """The mel scale: perceived pitch, 1,000 mel at 1,000 Hz.

    References:
        O'Shaughnessy 1987, Speech Communication: Human and Machine, page 150.

    >>> round(hz_to_mel(1000), 2), round(hz_to_mel(440), 2)
    (999.99, 549.64)
    """
    return 2595 * math.log10(1 + frequency / 700)


def band_edges(sample_rate: int, num_bands: int) -> Tensor:
    """Where bands begin, peak and end, in Hz: float64 [num_bands + 2]; band i does so at places i, i+1 and i+2.

    Equally far apart in mel, from 0 to half the sample rate.
    """
    mel = torch.linspace(0, hz_to_mel(sample_rate / 2), num_bands + 2, dtype=torch.float64)
    return 700 * (10 ** (mel / 2595) - 1)


def mel_bank(sample_rate: int, frame: int, num_bands: int) -> Tensor:
    """What each frequency of a spectrum gives to each band: float32 [frame // 2 + 1, num_bands].

    Triangles over the frequency in Hz that rise from one edge to 1 at the next and fall to 0 at the one after. They
    are rounded to 6 decimals, so that machines whose logarithms differ in the last digit have one checksum.

    References:
        Davis and Mermelstein 1980, Comparison of parametric representations for monosyllabic word recognition,
        https://doi.org/10.1109/TASSP.1980.1163420, figure 1.
    """
    edge = band_edges(sample_rate, num_bands)
    left, centre, right = edge[:-2], edge[1:-1], edge[2:]
    frequency = torch.arange(frame // 2 + 1, dtype=torch.float64)[:, None] * (sample_rate / frame)
    rising, falling = (frequency - left) / (centre - left), (right - frequency) / (right - centre)
    return torch.minimum(rising, falling).clamp(min=0).round(decimals=6).float()


class LogMel(FeatureSpace):
    """Means and standard deviations over time of the log energies of mel bands; nothing is learnt.

    Spectra are those of Hann windows; an energy is a power divided by the window's, summed up by ``mel_bank``; its
    logarithm is in nats. The space sees timbre and loudness, and neither the
    order of the sounds nor what is said.

    Args:
        sample_rate: of the data, in Hz.
        num_bands: N; there are 2 N features.
        frame: samples of a spectrum's window.
        hop: samples from a window to the next.

    Raises:
        UserError: settings that cannot be; bands so narrow that one lies between two frequencies of the spectrum.
    """

    name = "logmel"
    modality: ClassVar[Modality] = "audio"
    internal_batch = 50

    table: Tensor
    window: Tensor
    bank: Tensor

    def __init__(self, sample_rate: int = 8000, num_bands: int = 40, frame: int = 256, hop: int = 128) -> None:
        super().__init__()
        if min(sample_rate, num_bands, hop) < 1 or frame < 2:
            raise UserError(
                f"LogMel: sample_rate={sample_rate}, num_bands={num_bands} and hop={hop} must be at least 1,"
                f" frame={frame} at least 2"
            )
        self.sample_rate, self.frame, self.hop = sample_rate, frame, hop
        bank = mel_bank(sample_rate, frame, num_bands)
        if empty := int((bank.sum(0) == 0).sum()):
            raise UserError(
                f"LogMel: {empty} of {num_bands} bands lie between the frequencies of a spectrum;"
                f" lower num_bands, or raise frame (now {frame})"
            )
        self.register_buffer("bank", bank, persistent=False)
        self.register_buffer("window", torch.hann_window(frame), persistent=False)
        self.register_buffer("table", torch.from_numpy(mu_law_decode(np.arange(MU + 1))), persistent=False)
        self.num_features = 2 * num_bands
        settings = repr((self.name, sample_rate, num_bands, frame, hop, FLOOR, MU))
        self.sha256 = hashlib.sha256(settings.encode() + bank.numpy().tobytes()).hexdigest()

    @property
    @override
    def default_statistics(self) -> tuple[type[Statistic], ...]:
        """The Frechet distance and KID."""
        return (FrechetDistance, KID)

    def check_data(self, shape: tuple[int, ...], num_levels: int, sample_rate: int | None = None) -> None:
        """Validates that windows are at least a frame long, the sample rate, and that data are 8-bit mu-law."""
        if num_levels != MU + 1:
            raise UserError(f"LogMel takes the {MU + 1} levels of 8-bit mu-law, and the data have {num_levels}")
        if sample_rate not in (None, self.sample_rate):
            raise UserError(
                f"LogMel is for {self.sample_rate} Hz, and the data have {sample_rate} Hz;"
                f" set its sample_rate to {sample_rate}"
            )
        self._check_length(shape[-1])

    def _check_length(self, length: int) -> None:
        if length < self.frame:
            raise UserError(
                f"LogMel: waveforms of {length} samples are shorter than its frame of {self.frame};"
                " set its frame to at most that, or the data's length to more"
            )

    def check(self, x: Tensor) -> None:
        """Validates examples.

        Raises:
            ValueError: For another dtype or shape, or an empty batch.
            UserError: For waveforms shorter than a frame.
        """
        if x.dtype != torch.uint8 or x.ndim != 3 or x.shape[1] != 1 or len(x) == 0:
            raise ValueError(f"{self.name} takes uint8 [B, 1, T] with B > 0, not {kind_of(x)}")
        self._check_length(x.shape[-1])

    def log_energies(self, waveform: Tensor) -> Tensor:
        """Of each band in each window: float32 [B, windows, N], in nats; waveform [B, T] in [-1, 1]."""
        spectrum = torch.stft(
            waveform, self.frame, self.hop, window=self.window, center=False, return_complex=True
        )
        power = torch.view_as_real(spectrum).square().sum(-1) / self.window.square().sum()
        return (power.transpose(1, 2) @ self.bank + FLOOR).log()

    def extract(self, x: Tensor) -> Features:
        """Features of uint8 [50, 1, T]: float32 [50, 2 N], the N means first."""
        energies = self.log_energies(self.table[x.squeeze(1).long()])
        features = torch.cat([energies.mean(1), energies.std(1, correction=0)], 1)
        return Features(features, features.new_zeros(len(x), 0))
