"""The extrapolated Frechet distance: a line by hand, no bias on Gaussians, and an error that is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.metrics.statistics.frechet import FrechetDistance, Moments, frechet_distance
from lit_gen.metrics.statistics.frechet_infinity import FrechetInfinity

DIM = 12


def normal(n: int, seed: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(n, DIM, generator=torch.Generator().manual_seed(seed))


REFERENCE = dict(vars(Moments.of(normal(100_000, 0))))


def computed(x: Tensor) -> dict[str, float]:
    statistic = FrechetInfinity(DIM, REFERENCE, num_samples=len(x))
    for index in torch.arange(len(x)).split(70):
        statistic.update(x[index], index)
    return {name: float(value) for name, value in statistic.compute().items()}


def test_it_is_the_line_through_distances_of_nested_subsets() -> None:
    x = normal(300, 1, 1.3)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(2020))
    sizes = np.linspace(150, 300, 10).round().astype(int)
    distances = [frechet_distance(Moments.of(x[order[:size]]), Moments(**REFERENCE)) for size in sizes]
    _, intercept = np.polyfit(1 / sizes, distances, 1)
    assert computed(x)["fdinf"] == pytest.approx(intercept, rel=1e-7)


def test_gaussians_have_their_distance_whatever_the_number_of_samples() -> None:
    """Of scale 1.2 from 1 in 12 dimensions: 12 * 0.2^2; the plain distance is above it by about 1/n."""
    truth = DIM * 0.2**2
    for n in (120, 480):
        found = [computed(normal(n, 10 + seed, 1.2)) for seed in range(30)]
        plain = [frechet_distance(Moments.of(normal(n, 10 + seed, 1.2)), Moments(**REFERENCE)) for seed in range(30)]
        values = torch.tensor([one["fdinf"] for one in found])
        error = float(values.std()) / 30**0.5
        assert abs(float(values.mean()) - truth) < 3 * error
        bias = sum(plain) / 30 - truth
        assert bias > (3 if n == 120 else 0) * abs(float(values.mean()) - truth)
        assert 0.6 < sum(one["fdinf_se"] for one in found) / 30 / float(values.std()) < 1.7


def test_too_few_samples_are_rejected_and_the_reference_is_the_distances() -> None:
    with pytest.raises(UserError, match="12 features need 48 samples or more, not 47"):
        FrechetInfinity(DIM, num_samples=47).check_counts(100)
    assert FrechetInfinity(DIM, num_samples=47).note(0) == (
        "fewer than 4 samples for each feature: the extrapolation does not hold"
    )
    FrechetInfinity(DIM, num_samples=48).check_counts(100)
    assert FrechetInfinity(DIM, num_samples=48).note(0) == ""
    with pytest.raises(UserError, match="num_sizes is 2"):
        FrechetInfinity(DIM, num_samples=48, num_sizes=2)
    few = FrechetInfinity(DIM, num_samples=20, num_groups=1)
    assert few.summary_key() == FrechetDistance(DIM).summary_key()
    few.update(normal(20, 3), torch.arange(20))
    torch.testing.assert_close(few.summary()["outer"], Moments.of(normal(20, 3)).outer)
