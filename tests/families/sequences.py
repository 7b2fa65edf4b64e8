"""The laws of models that read a sequence: what the tests of the transformer and of WaveNet share."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lit_gen.data import KnownEntropy, SampleSizes
from lit_gen.families.autoregressive.sequence import SequenceModel
from lit_gen.likelihood import categorical_log_prob
from lit_gen.noise import Noise

from . import conformance as laws


def labels(model: SequenceModel, n: int) -> Tensor | None:
    return torch.arange(n) % model.num_classes if model.num_classes else None


def levels(model: SequenceModel, n: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, model.num_levels, (n, *model.shape), generator=generator, dtype=torch.uint8)


def assert_the_cache_draws_what_full_passes_draw(
    model: SequenceModel, monkeypatch: pytest.MonkeyPatch, n: int = 60
) -> None:
    """The logits of every position, given the same values, and whole samples, given the same noise."""
    label, nothing = labels(model, n), torch.zeros(n, *model.shape, dtype=torch.uint8)
    x = levels(model, n).flatten(1)[:, model.order].long()
    cached, naive = model.conditionals(n, label), model.naive_conditionals(n, label)
    with torch.no_grad():
        for i in range(model.num_dims):
            value = x[:, i - 1] if i else None
            assert torch.allclose(cached.next(value), naive.next(value), atol=1e-5, rtol=1e-5), f"position {i}"
    drawn = model.complete(nothing, 0, Noise(3, range(n)), label)
    monkeypatch.setattr(model, "conditionals", model.naive_conditionals)
    assert torch.equal(model.complete(nothing, 0, Noise(3, range(n)), label), drawn)
    assert len(drawn.unique(dim=0)) > n / 2


def assert_log_probs_are_those_of_the_logits(model: SequenceModel) -> None:
    """The layout of the loss is its own; in which order an image is read is the base's."""
    x = levels(model, 20)
    label = labels(model, 20)
    with torch.no_grad():
        expected = categorical_log_prob(model.logits(x, label), x)
        assert torch.allclose(model.log_prob(x, label), expected, rtol=1e-5, atol=1e-4)


def assert_samples_occur_as_often_as_they_are_likely(model: SequenceModel, n: int = 20_000) -> None:
    """Probabilities sum to one, also given a class, and a chi-square test finds the samples to be theirs."""
    levels_, dims = model.num_levels, model.num_dims
    states = KnownEntropy(model.shape, levels_).enumerate()
    digits = levels_ ** torch.arange(dims)
    own = states.flatten(1).long() @ digits
    for c in range(max(model.num_classes, 1)):
        label = torch.full((len(states),), c) if model.num_classes else None
        with torch.no_grad():
            p = model.log_prob(states, label).double().exp()
        assert float(p.sum()) == pytest.approx(1, abs=1e-5)
        samples = model.sample(n, block=n, label=c if model.num_classes else None)
        seen = torch.bincount(samples.flatten(1).long() @ digits, minlength=len(states))[own].double()
        chi_square, degrees = float(((seen - n * p).square() / (n * p)).sum()), len(p) - 1
        assert abs(chi_square - degrees) < 5 * math.sqrt(2 * degrees), f"chi-square {chi_square:.0f} of {degrees}"


def assert_the_known_entropy_is_reached(model: SequenceModel, steps: int) -> None:
    """To within 0.02 bits/dim."""
    splits = SampleSizes(num_train=20_000, num_test=20_000)
    source = KnownEntropy(model.shape, model.num_levels, splits=splits, batch_size=200)
    laws.fit(model, source, steps)
    excess = laws.bits_above_entropy(model, source, "chain-rule", draws=1)
    assert -0.01 < excess < 0.02, f"{excess:.4f} bits/dim above the entropy"
