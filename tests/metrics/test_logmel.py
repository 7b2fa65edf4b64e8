"""Log-mel features: bands where the scale puts them, tones in the right one, noise at the right distance."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.metrics.factory import score_specs
from lit_gen.metrics.quality import score_samples
from lit_gen.metrics.reference import reference_summaries
from lit_gen.metrics.spaces.logmel import FLOOR, LogMel, band_edges, hz_to_mel, mel_bank
from lit_gen.metrics.statistics.frechet import FrechetDistance, Moments, frechet_distance
from lit_gen.quantization import mu_law_encode

from .test_quality import assert_close, on_ranks

RATE, T = 8000, 1024


def levels(waveform: Tensor) -> Tensor:
    """Waveforms [B, T] as the data have them: uint8 [B, 1, T]."""
    return torch.from_numpy(mu_law_encode(waveform.numpy()))[:, None]


def tone(frequency: float, amplitude: float = 0.5) -> Tensor:
    return amplitude * torch.sin(2 * math.pi * frequency * torch.arange(T, dtype=torch.float64) / RATE)[None]


def noise(n: int, amplitude: float = 0.1, seed: int = 0) -> Tensor:
    return amplitude * torch.randn(n, T, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def chords(n: int, seed: int = 0) -> Tensor:
    """Two tones each, of random pitch and loudness."""
    generator = torch.Generator().manual_seed(seed)
    pitch = 200 + 1500 * torch.rand(n, 2, 1, generator=generator, dtype=torch.float64)
    loud = 0.1 + 0.2 * torch.rand(n, 2, 1, generator=generator, dtype=torch.float64)
    return (loud * torch.sin(2 * math.pi * pitch * torch.arange(T) / RATE)).sum(1)


# ------------------------------------------------------------------ the bank


def test_bands_are_equally_far_apart_in_mel() -> None:
    """By the scale's other form, 1127 ln(1 + f / 700), by which 1,000 Hz are 1,000 mel as well."""
    edge = band_edges(RATE, 40)
    mel = 1127 * torch.log1p(edge / 700)
    torch.testing.assert_close(mel, torch.linspace(0, float(mel[-1]), 42, dtype=torch.float64), rtol=0, atol=1e-6)
    assert (float(edge[0]), float(edge[-1])) == pytest.approx((0, 4000))
    assert 1127 * math.log1p(1000 / 700) == pytest.approx(1000, abs=0.05)
    assert hz_to_mel(1000) == pytest.approx(1000, abs=0.05)
    # 1,000 mel are 46.6 % of the 2,146 mel of 4,000 Hz: edge 19.1 of 41.
    assert float(edge[19]) < 1000 < float(edge[20])


def test_triangles_rise_to_one_at_their_centre_and_cross_at_a_half_between() -> None:
    """At a frequency resolution of 1 Hz."""
    bank, edge = mel_bank(RATE, RATE, 20), band_edges(RATE, 20)
    assert bank.argmax(0).tolist() == edge[1:-1].round().long().tolist()
    assert (bank.amax(0) > 0.98).all()
    assert bank.count_nonzero(0).tolist() == pytest.approx((edge[2:] - edge[:-2]).tolist(), abs=1.01)
    # Between two centres the one falls as the other rises.
    inside = slice(math.ceil(edge[1]), math.floor(edge[-2]) + 1)
    torch.testing.assert_close(bank[inside].sum(1), torch.ones(bank[inside].shape[0]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("band", [3, 11, 20, 33, 38])
def test_a_pure_tone_peaks_in_its_band(band: int) -> None:
    extractor = LogMel(RATE)
    frequency = float(band_edges(RATE, 40)[band + 1])
    mean = extractor(levels(tone(frequency))).features[0, :40]
    assert int(mean.argmax()) == band
    far = torch.tensor([i for i in range(40) if abs(i - band) > 4])
    assert float(mean[band] - mean[far].max()) > 4, "4 nats are 17 dB"


def test_energies_are_powers_of_the_waveform() -> None:
    """White noise of variance v gives a band v times its width in frequencies; twice as loud is 4 times as much."""
    extractor = LogMel(RATE)
    energy = extractor.log_energies(noise(400, 0.1).float()).exp().mean((0, 1)) - FLOOR
    torch.testing.assert_close(energy / extractor.bank.sum(0), torch.full((40,), 0.01), rtol=0.1, atol=0)
    soft, loud = (extractor(levels(tone(1000, a))).features[0] for a in (0.2, 0.4))
    peak = int(soft[:40].argmax())
    assert float(loud[peak] - soft[peak]) == pytest.approx(2 * math.log(2), abs=0.05)


def test_steady_sound_varies_in_no_band_and_a_burst_does() -> None:
    steady = tone(1000)
    burst = torch.cat([steady[:, : T // 2], 0 * steady[:, T // 2 :]], 1)
    extractor = LogMel(RATE, hop=64)  # 1,000 Hz go through 8 whole periods a hop
    peak = int(extractor(levels(steady)).features[0, :40].argmax())
    deviation = [float(extractor(levels(x)).features[0, 40 + peak]) for x in (steady, burst)]
    assert deviation[0] < 0.01
    assert deviation[1] > 3


# ------------------------------------------------------------------ the distance


def test_the_distance_falls_as_less_noise_is_added() -> None:
    extractor = LogMel(RATE)
    real = Moments.of(extractor(levels(chords(300, seed=1))).features)
    clean = chords(300)
    distance = [
        frechet_distance(Moments.of(extractor(levels(clean + noise(300, a))).features), real)
        for a in (0.1, 0.03, 0.01, 0.0)
    ]
    assert distance == sorted(distance, reverse=True)
    assert all(more > 1.5 * less for more, less in itertools.pairwise(distance)), distance


def test_the_batch_changes_nothing() -> None:
    extractor, x = LogMel(RATE), levels(noise(60))
    whole = extractor(x).features
    assert torch.equal(torch.cat([extractor(part).features for part in x[:6].split(1)])[:1], whole[:1])
    torch.testing.assert_close(torch.cat([extractor(row[None]).features for row in x]), whole, rtol=1e-5, atol=1e-5)
    assert torch.equal(extractor(x).features, whole)
    assert whole.dtype == torch.float32


@pytest.mark.parametrize("world_size", [2, 3])
def test_any_number_of_ranks_gives_one_answer(world_size: int) -> None:
    extractor, x = LogMel(RATE, num_bands=6), levels(noise(58))
    references = [vars(Moments.of(extractor(levels(noise(100, 0.2, seed=1))).features))]
    alone = score_samples(lambda i, n: x[i : i + n], extractor, [FrechetDistance], references, 58, block=10)

    def run(rank: int, all_reduce: object) -> object:
        ranks: dict[str, object] = {"rank": rank, "world_size": world_size, "all_reduce": all_reduce}
        return score_samples(lambda i, n: x[i : i + n], extractor, [FrechetDistance], references, 58, block=10, **ranks)  # type: ignore[arg-type]

    for scores in on_ranks(world_size, run):
        assert_close(scores, alone, rel=1e-6)


def test_statistics_are_kept_by_settings(tmp_path: object) -> None:
    x = levels(noise(30))
    for i, extractor in enumerate((LogMel(RATE, 6), LogMel(RATE, 7), LogMel(RATE, 6, hop=64), LogMel(16_000, 6)), 1):
        reference_summaries(x, extractor, [FrechetDistance], "val", tmp_path)  # type: ignore[arg-type]
        assert len(list(tmp_path.iterdir())) == i  # type: ignore[attr-defined]
    reference_summaries(x, LogMel(RATE, 6), [FrechetDistance], "val", tmp_path)  # type: ignore[arg-type]
    assert len(list(tmp_path.iterdir())) == 4  # type: ignore[attr-defined]


def test_names() -> None:
    assert [spec.name(LogMel().network) for spec in score_specs(LogMel(), None)] == ["fd_logmel", "kid_logmel"]


# ------------------------------------------------------------------ what is refused


def test_waveforms_shorter_than_a_frame_are_refused() -> None:
    extractor = LogMel(RATE)
    extractor(torch.zeros(1, 1, 256, dtype=torch.uint8))
    with pytest.raises(UserError, match="waveforms of 255 samples are shorter than its frame of 256; set its frame"):
        extractor(torch.zeros(1, 1, 255, dtype=torch.uint8))
    with pytest.raises(UserError, match="waveforms of 255 samples"):
        extractor.check_data((1, 255), 256, RATE)


def test_data_of_another_rate_or_without_mu_law_are_refused() -> None:
    LogMel(RATE).check_data((1, 256), 256, RATE)
    with pytest.raises(UserError, match=r"for 8000 Hz, and the data have 16000 Hz; set its sample_rate to 16000"):
        LogMel(RATE).check_data((1, 256), 256, 16_000)
    with pytest.raises(UserError, match="256 levels of 8-bit mu-law, and the data have 16"):
        LogMel(RATE).check_data((1, 256), 16, RATE)


@pytest.mark.parametrize("settings", [{"sample_rate": 0}, {"num_bands": 0}, {"hop": 0}, {"frame": 1}])
def test_settings_that_cannot_be(settings: dict[str, int]) -> None:
    ((name, value),) = settings.items()
    with pytest.raises(UserError, match=f"{name}={value}"):
        LogMel(**settings)


def test_bands_that_would_hear_nothing_are_refused() -> None:
    with pytest.raises(UserError, match=r"of 200 bands lie between the frequencies.*lower num_bands, or raise frame"):
        LogMel(RATE, num_bands=200)


@pytest.mark.parametrize("x", [torch.zeros(2, 1, 999), torch.zeros(2, 2, 999).byte(), torch.zeros(0, 1, 999).byte()])
def test_other_inputs_are_refused(x: Tensor) -> None:
    with pytest.raises(ValueError, match=r"logmel takes uint8 \[B, 1, T\]"):
        LogMel()(x)


def test_the_levels_are_decoded_as_the_data_decode_them() -> None:
    """Encoded silence has the energy of its level's amplitude, 8.6e-5, which is far below the floor."""
    silence = LogMel(RATE)(levels(torch.zeros(1, T, dtype=torch.float64))).features[0]
    np.testing.assert_allclose(silence[1:40], math.log(FLOOR), atol=1e-3)
