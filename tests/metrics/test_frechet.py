"""The Frechet distance: closed forms, streaming, singular covariances, and an error bar that is one."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from torch import Tensor

from lit_gen.metrics.gaussians import FewExamples
from lit_gen.metrics.statistics.frechet import FrechetDistance, FrechetReference, Moments, frechet_distance


def normal(n: int, dim: int, seed: int) -> Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_moments(mean: Tensor, covariance: Tensor, n: int = 400) -> Moments:
    """Sums of a set of features whose sample mean and covariance are exactly these."""
    x = normal(n, len(mean), seed=1)
    x = x - x.mean(0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(x.T @ x / (n - 1)), x.T, upper=False).T
    return Moments.of(white @ torch.linalg.cholesky(covariance).T + mean)


def test_moments_are_those_of_numpy() -> None:
    x = normal(50, 6, seed=0) * 3 + 7
    sums = Moments.of(x)
    np.testing.assert_allclose(sums.mean, x.numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(sums.covariance, np.cov(x.numpy(), rowvar=False), rtol=1e-10)


def test_a_far_mean_does_not_eat_the_covariance() -> None:
    x = normal(500, 4, seed=0) * 0.01 + 100  # in float32 sums nothing would be left
    np.testing.assert_allclose(
        Moments.of(x).covariance, np.cov(x.numpy(), rowvar=False), rtol=1e-5, atol=1e-10
    )


def test_diagonal_gaussians_in_closed_form() -> None:
    a = with_moments(
        torch.tensor([1.0, 2.0, 3.0]).double(), torch.diag(torch.tensor([1.0, 4.0, 9.0]).double())
    )
    b = with_moments(
        torch.tensor([1.0, 0.0, 6.0]).double(), torch.diag(torch.tensor([4.0, 1.0, 25.0]).double())
    )
    # squared differences of the means, and of the standard deviations: 0 + 4 + 9 and 1 + 1 + 4
    assert frechet_distance(a, b) == pytest.approx(13 + 6, rel=1e-9)


def test_rotated_gaussians_in_closed_form() -> None:
    """For 2x2 matrices tr M^(1/2) is sqrt(tr M + 2 sqrt(det M)), which needs no eigenvalue."""
    c_a = torch.tensor([[2.0, 1.2], [1.2, 3.0]]).double()
    c_b = torch.tensor([[5.0, -2.0], [-2.0, 1.5]]).double()
    zero = torch.zeros(2).double()
    product = c_a @ c_b
    cross = (product.trace() + 2 * torch.linalg.det(product).sqrt()).sqrt()
    expected = float(c_a.trace() + c_b.trace() - 2 * cross)
    assert frechet_distance(with_moments(zero, c_a), with_moments(zero, c_b)) == pytest.approx(
        expected, rel=1e-9
    )


@pytest.mark.parametrize(("n", "dim"), [(300, 16), (20, 64)])
def test_a_set_against_itself_is_zero(n: int, dim: int) -> None:
    sums = Moments.of(normal(n, dim, seed=0))
    assert abs(frechet_distance(sums, sums)) < 1e-9 * float(sums.covariance.trace())


@pytest.mark.parametrize(("n_a", "n_b"), [(400, 300), (400, 20), (20, 400), (20, 30)])
def test_equals_the_nuclear_norm_of_the_centred_features(n_a: int, n_b: int) -> None:
    """tr (C_a C_b)^(1/2) is the nuclear norm of A B^T: another road, without covariances or their roots."""
    a, b = normal(n_a, 48, seed=0) @ normal(48, 48, seed=2), normal(n_b, 48, seed=1) + 0.3
    centred_a, centred_b = (a - a.mean(0)) / (n_a - 1) ** 0.5, (b - b.mean(0)) / (n_b - 1) ** 0.5
    cross = torch.linalg.svdvals(centred_a @ centred_b.T).sum()
    expected = (
        (a.mean(0) - b.mean(0)).square().sum()
        + centred_a.square().sum()
        + centred_b.square().sum()
        - 2 * cross
    )
    value = frechet_distance(Moments.of(a), Moments.of(b))
    assert value == pytest.approx(float(expected), rel=1e-9)
    assert frechet_distance(Moments.of(b), Moments.of(a)) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("n", [64, 600])
def test_agrees_with_torch_fidelity_on_the_same_features(n: int) -> None:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    a, b = (normal(n, 128, seed=s).float().relu() * (1 + s) for s in range(2))
    theirs = fid_statistics_to_metric(
        fid_features_to_statistics(a), fid_features_to_statistics(b), verbose=False
    )["frechet_inception_distance"]
    assert frechet_distance(Moments.of(a), Moments.of(b)) == pytest.approx(theirs, rel=1e-6)


def estimate(x: Tensor, reference: Moments) -> tuple[float, float]:
    """The distance of features and its standard error."""
    statistic = FrechetDistance(x.shape[1], vars(reference))
    statistic.update(x, torch.arange(len(x)))
    found = statistic.compute()
    return found["fd"].item(), found["fd_se"].item()


def test_streaming_equals_batch_and_the_summary_is_the_whole() -> None:
    x = normal(103, 8, seed=0).float()
    whole = Moments.of(x)
    for num_groups in (1, 10):
        streamed = FrechetDistance(8, num_groups=num_groups)
        for part, index in zip(x.split(10), torch.arange(103).split(10), strict=True):
            streamed.update(part, index)
        summary = streamed.summary()
        assert summary["count"] == 103
        torch.testing.assert_close(summary["total"], whole.total, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(summary["outer"], whole.outer, rtol=1e-12, atol=1e-12)


def test_a_singular_reference_keeps_only_the_directions_it_has() -> None:
    reference = FrechetReference.of(Moments.of(normal(9, 32, seed=0)))
    assert reference.factor.shape == (32, 8)


@pytest.mark.parametrize("dim", [4, 24])
def test_the_jackknife_error_is_the_spread_over_redrawn_samples(dim: int) -> None:
    """200 draws of 400 samples: the mean of the estimated variances against the variance seen, to 30 %."""
    scale = torch.linspace(0.5, 2, dim).double()
    reference = Moments.of(normal(5000, dim, seed=10_000))
    values, variances = [], []
    for seed in range(200):
        x = normal(400, dim, seed) * scale + 0.3
        value, error = estimate(x, reference)
        assert value == pytest.approx(frechet_distance(Moments.of(x), reference), rel=1e-9)
        values.append(value)
        variances.append(error**2)
    assert 0.7 < np.mean(variances) / np.var(values, ddof=1) < 1.4


def test_at_the_null_the_jackknife_error_is_too_large_rather_than_too_small() -> None:
    reference = Moments.of(normal(5000, 8, seed=10_000))
    values, variances = [], []
    for seed in range(150):
        x = normal(400, 8, seed)
        value, error = estimate(x, reference)
        values.append(value)
        variances.append(error**2)
    assert 1 < np.mean(variances) / np.var(values, ddof=1) < 6


def test_what_has_no_distance_is_refused() -> None:
    good = Moments.of(normal(10, 3, seed=0))
    with pytest.raises(ValueError, match="2 examples or more, not 1"):
        frechet_distance(Moments.of(normal(1, 3, seed=0)), good)
    broken = normal(10, 3, seed=0)
    broken[4, 1] = float("nan")
    for pair in [(Moments.of(broken), good), (good, Moments.of(broken))]:
        with pytest.raises(ValueError, match="not finite"):
            frechet_distance(*pair)
    alone = FrechetDistance(3, vars(good), num_groups=1)
    alone.update(normal(10, 3, seed=1), torch.arange(10))
    with pytest.raises(ValueError, match="2 groups"):
        alone.compute()
    without = FrechetDistance(3)
    without.update(normal(10, 3, seed=1), torch.arange(10))
    with pytest.raises(ValueError, match="FrechetDistance needs a reference"):
        without.compute()


@pytest.mark.parametrize(("n", "n_reference", "mean"), [(60, 400, 0.0), (60, 40, 5.0), (96, 97, 0.5), (25, 96, 0.0)])
def test_few_samples_give_the_same_numbers_without_a_covariance(n: int, n_reference: int, mean: float) -> None:
    """Up to as many samples as features, the distance comes from a matrix of samples times samples."""
    scale = torch.linspace(0.1, 2, 96)
    x, y = (normal(n, 96, 3) * scale + mean).float(), (normal(n_reference, 96, 4) * scale * 1.2).float()
    reference = vars(Moments.of(y))
    few, many = FrechetDistance(96, reference, num_samples=n), FrechetDistance(96, reference)
    for index in torch.arange(n).split(17):
        few.update(x[index], index)
        many.update(x[index], index)
    assert "outer" not in few._defaults
    assert "features" not in many._defaults
    found, expected = few.compute(), many.compute()
    centred = [z.double() - z.double().mean(0) for z in (x, y)]
    nuclear = torch.linalg.svdvals(centred[0] @ centred[1].T).sum() / ((n - 1) * (n_reference - 1)) ** 0.5
    traces = sum(z.square().sum() / (len(z) - 1) for z in centred)
    truth = float((x.double().mean(0) - y.double().mean(0)).square().sum() + traces - 2 * nuclear)
    assert found["fd"].item() == pytest.approx(truth, rel=1e-9)
    assert found["fd"].item() == pytest.approx(expected["fd"].item(), rel=1e-9)
    assert found["fd_se"].item() == pytest.approx(expected["fd_se"].item(), rel=1e-7)
    for name, value in many.summary().items():
        torch.testing.assert_close(few.summary()[name], value, rtol=1e-12, atol=1e-9)


def test_few_samples_that_are_missing_or_not_finite_raise() -> None:
    reference = vars(Moments.of(normal(50, 16, 0)))
    statistic = FrechetDistance(16, reference, num_samples=12)
    statistic.update(normal(10, 16, 1), torch.arange(10))
    with pytest.raises(ValueError, match="10 samples were added, 12 expected"):
        statistic.compute()
    statistic.update(torch.full((2, 16), torch.nan), torch.arange(10, 12))
    with pytest.raises(ValueError, match="not finite"):
        statistic.summary()


@pytest.mark.slow
def test_at_2048_dimensions_few_samples_take_a_tenth_of_the_products_eigenvalues() -> None:
    """Prints seconds; run with -s. Both begin with the samples' features and the reference's moments."""
    n, dim = 1_000, 2_048
    scale = torch.arange(1, dim + 1) ** -0.4
    x, y = normal(n, dim, 0).float() * scale, normal(3_000, dim, 1).float() * scale * 1.1
    reference = Moments.of(y)
    seconds = math.inf
    for _ in range(3):  # the first meets cold pages
        before = time.process_time()
        ours = FewExamples(x, reference).distance(torch.ones(n, dtype=torch.bool))
        seconds = min(seconds, time.process_time() - before)
    before = time.process_time()
    moments = Moments.of(x)
    eigenvalues = torch.linalg.eigvals(moments.covariance @ reference.covariance)
    product = time.process_time() - before
    cross = eigenvalues.real.sort().values[-(n - 1) :].clamp(min=0).sqrt().sum()
    squared = (moments.mean - reference.mean).square().sum()
    theirs = float(squared + moments.covariance.trace() + reference.covariance.trace() - 2 * cross)
    statistic = FrechetDistance(dim, vars(reference), num_samples=n)
    statistic.update(x, torch.arange(n))
    before = time.process_time()
    found = statistic.compute()
    jackknife = time.process_time() - before
    print(
        f"\n{seconds:.2f} s, with its standard error {jackknife:.2f} s; eigenvalues of the product {product:.1f} s;"
        f" {ours:.12g}, {theirs:.12g}"
    )
    assert ours == pytest.approx(theirs, rel=1e-9)
    assert found["fd"].item() == pytest.approx(ours, rel=1e-12)
    assert product > 10 * seconds
