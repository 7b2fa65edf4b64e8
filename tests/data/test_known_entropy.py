"""The source of known entropy: exact, normalised, and sampled as it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lit_gen.data import KnownEntropy, Loader, SampleSizes
from lit_gen.errors import UserError


@pytest.fixture(scope="module")
def source() -> KnownEntropy:
    return KnownEntropy()


def test_every_state_is_there_once(source: KnownEntropy):
    states = source.enumerate()
    assert states.shape == (3**9, 1, 3, 3)
    assert states.dtype == torch.uint8
    assert len(torch.unique(states.flatten(1), dim=0)) == 3**9
    assert states[-1].min() == 2


def test_probabilities_sum_to_one_in_float64(source: KnownEntropy):
    log_p = source.log_prob(source.enumerate())
    assert log_p.dtype == torch.float64
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-12)
    assert torch.isfinite(log_p).all()


def test_entropy_is_the_sum_and_the_units_agree(source: KnownEntropy):
    log_p = source.log_prob(source.enumerate())
    assert source.entropy_nats == pytest.approx(float(-(log_p.exp() * log_p).sum()), rel=1e-12)
    assert source.entropy_bits_per_dim == pytest.approx(source.entropy_nats / math.log(2) / 9, rel=1e-12)
    assert 0 < source.entropy_bits_per_dim < math.log2(3)


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_samples_cost_the_entropy_in_the_mean(source: KnownEntropy, name: str):
    nats = -source.log_prob(source.split(name).x)
    error = float(nats.std()) / len(nats) ** 0.5
    assert abs(float(nats.mean()) - source.entropy_nats) < 4 * error


def test_samples_follow_the_probabilities():
    """Chi-square over the 16 states of a small source."""
    small = KnownEntropy(shape=(1, 2, 2), num_levels=2, splits=SampleSizes(num_train=50_000))
    place = torch.tensor([8, 4, 2, 1])
    counts = torch.bincount((small.split("train").x.flatten(1) * place).sum(1), minlength=16)
    expected = small.log_prob(small.enumerate()).exp() * 50_000
    assert float(((counts - expected) ** 2 / expected).sum()) < 45  # 15 degrees of freedom, p < 1e-4


def test_pixels_depend_on_one_another(source: KnownEntropy):
    """The entropy lies clearly below the sum of the pixels' own entropies."""
    p = source.log_prob(source.enumerate()).exp()
    pixels = source.enumerate().flatten(1)
    marginals = torch.stack([(p[:, None] * (pixels == level)).sum(0) for level in range(3)])
    independent = float(-(marginals * marginals.log()).sum())
    assert source.entropy_nats < independent - 0.1


def test_splits_are_apart_and_of_their_sizes():
    data = KnownEntropy(splits=SampleSizes(num_train=300, num_val=200, num_test=100))
    assert [len(data.split(name).x) for name in ("train", "val", "test")] == [300, 200, 100]
    assert not torch.equal(data.split("train").x[:100], data.split("test").x)


def test_source_seed_alone_chooses_the_source():
    one, same, other = KnownEntropy(), KnownEntropy(loader=Loader(seed=9), batch_size=3), KnownEntropy(source_seed=1)
    assert one.fingerprint("test") == same.fingerprint("test")
    assert one.entropy_nats == same.entropy_nats
    assert abs(one.entropy_nats - other.entropy_nats) > 1e-3


def test_log_prob_of_one_component_is_a_product():
    single = KnownEntropy(shape=(2,), num_levels=3, num_components=1)
    joint = single.log_prob(single.enumerate()).exp().reshape(3, 3).numpy()
    assert np.allclose(joint, np.outer(joint.sum(1), joint.sum(0)), atol=1e-14)


def test_a_space_too_large_is_refused():
    with pytest.raises(UserError, match=r"256\*\*784 states, too many to enumerate"):
        KnownEntropy(shape=(1, 28, 28), num_levels=256)
