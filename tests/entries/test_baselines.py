"""Baselines are the distributions that they claim to be."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from lit_gen.entries.baselines import compressors as codes
from lit_gen.entries.baselines.factorized import FactorizedCategorical
from lit_gen.entries.baselines.gaussian import GaussianValues
from lit_gen.entries.baselines.memorizer import Memorizer
from lit_gen.entries.baselines.uniform import UniformNoise
from lit_gen.noise import Noise


def skewed(n: int, shape: tuple[int, ...], levels: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(n, *shape, generator=generator) ** 2 * levels).to(torch.uint8)


def test_the_categorical_sums_to_one_and_has_the_counts_of_the_data() -> None:
    x = skewed(200, (2,), 3)
    model = FactorizedCategorical((2,), 3)
    model.fit(x)
    every = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    nats = model.nll(every, Noise(0, range(9))).nats
    assert float((-nats).exp().sum()) == pytest.approx(1.0, abs=1e-12)
    ones = (x[:, 0] == 1).sum() + 0.5
    twos = (x[:, 1] == 2).sum() + 0.5
    expected = -math.log(float(ones) / 201.5) - math.log(float(twos) / 201.5)
    assert float(model.nll(torch.tensor([[1, 2]]), Noise(0, [0])).nats) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("cls", [UniformNoise, FactorizedCategorical, GaussianValues])
def test_samples_have_the_moments_of_the_distribution(cls: type) -> None:
    x = skewed(4000, (1, 2, 3), 64)
    x[:, 0, 1] = x[:, 0, 0]  # a dependence, which the Gaussian alone knows
    model = cls((1, 2, 3), 64)
    model.fit(x)
    drawn = model.draw(0, range(8000)).flatten(1).double()
    assert drawn.min() >= 0
    assert drawn.max() < 64
    if cls is UniformNoise:
        assert drawn.mean() == pytest.approx(31.5, abs=0.3)
        return
    assert torch.allclose(drawn.mean(0), x.flatten(1).double().mean(0), atol=2.5)
    correlation = torch.corrcoef(drawn.T)[0, 3]
    assert (correlation > 0.95) == (cls is GaussianValues)
    if cls is FactorizedCategorical:
        assert abs(correlation) < 0.05


def test_a_gaussian_is_fitted_to_constant_pixels_too() -> None:
    x = skewed(50, (1, 2, 2), 256)
    x[:, 0, 0, 0] = 7
    model = GaussianValues((1, 2, 2), 256)
    model.fit(x)
    assert (model.draw(0, range(100))[:, 0, 0, 0] == 7).all()


def test_the_memorizer_repeats_a_tenth_of_the_data() -> None:
    x = torch.arange(200, dtype=torch.uint8)[:, None]
    model = Memorizer((1,), 256)
    model.fit(x)
    drawn = model.draw(0, range(500))
    assert len(set(drawn.flatten().tolist())) == 20
    assert model.row == "memorizer of 20 training examples"


@pytest.mark.parametrize("name", ["PNG", "WebP lossless", "FLAC", "zlib", "xz"])
def test_no_code_beats_the_entropy_and_each_uses_what_it_can(name: str) -> None:
    rng = np.random.default_rng(0)
    shape = (1, 1, 512) if name == "FLAC" else (3, 16, 16)
    compress = (codes.compressors("audio", (1, 512)) | codes.compressors("image", (3, 16, 16)))[name]
    random = rng.integers(0, 256, (200, *shape), dtype=np.uint8)
    dimensions = random.size
    # A code is a distribution: none gets below the 8 bits of uniform bytes, and none wastes a tenth on them.
    assert 8.0 <= 8 * compress(random) / dimensions < 8.8
    constant = np.full_like(random, 200)
    assert 8 * compress(constant) / dimensions < 0.2


def test_flac_loses_nothing() -> None:
    x = np.random.default_rng(0).integers(0, 256, 2000, dtype=np.uint8)
    file = io.BytesIO()
    soundfile.write(file, (x.astype(np.int16) - 128) << 8, 8000, format="FLAC", subtype="PCM_S8")
    file.seek(0)
    back, _ = soundfile.read(file, dtype="int16")
    assert np.array_equal((back >> 8) + 128, x)
