"""Nats, bits, bins: laws of the pure functions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from lit_gen.likelihood import (
    LogMeanExp,
    RunningNats,
    bernoulli_log_prob,
    bits_per_dim,
    categorical_log_prob,
    discretized_logistic_log_prob,
    gaussian_kl,
    gaussian_log_prob,
    standard_normal_log_prob,
)
from lit_gen.quantization import dequantize, from_symmetric, to_symmetric, to_uint8

ALMOST_ONE = 1 - 2**-24  # the largest float32 that torch.rand returns


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ------------------------------------------------------------------ bits


@pytest.mark.parametrize("num_levels", [2, 17, 256])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 4), (7,)])
def test_the_uniform_distribution_costs_log2_levels(num_levels: int, shape: tuple[int, ...]) -> None:
    x = torch.randint(num_levels, (3, *shape), generator=rng())
    nats = -categorical_log_prob(torch.zeros(3, num_levels, *shape), x)
    assert torch.allclose(bits_per_dim(nats.double(), shape), torch.tensor(math.log2(num_levels)).double())
    nats_of_noise = math.prod(shape) * math.log(num_levels)
    assert bits_per_dim(nats_of_noise, shape) == pytest.approx(math.log2(num_levels))


# ------------------------------------------------------------------ integers and the real line


@pytest.mark.parametrize("num_levels", range(2, 257))
def test_round_trips_for_every_number_of_levels(num_levels: int) -> None:
    x = torch.arange(num_levels, dtype=torch.uint8)
    symmetric = to_symmetric(x, num_levels)
    assert symmetric[0] == -1
    assert float(symmetric[-1]) == pytest.approx(1, abs=2e-7)
    assert torch.equal(from_symmetric(symmetric, num_levels), x)
    # Anything inside a bin goes to its level; anything outside to an end.
    within = 0.98 / (num_levels - 1)
    assert torch.equal(from_symmetric(symmetric + within, num_levels), x)
    assert torch.equal(from_symmetric(symmetric - within, num_levels), x)
    assert from_symmetric(torch.tensor([-9.0, 9.0]), num_levels).tolist() == [0, num_levels - 1]

    grey = to_uint8(x, num_levels)
    assert grey.dtype == torch.uint8
    assert (grey[0], grey[-1]) == (0, 255)
    assert torch.equal((grey.double() * (num_levels - 1) / 255).round().to(torch.uint8), x)
    steps = grey.double().diff()
    assert steps.max() - steps.min() <= 1, "the levels are spread evenly"


def test_256_levels_are_grey_values_already() -> None:
    x = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(x, 256), x)


@pytest.mark.parametrize("num_levels", [2, 3, 17, 255, 256])
def test_dequantized_levels_fill_their_own_bins(num_levels: int) -> None:
    """Noise first, scaling afterwards: level k gets [k/L, (k+1)/L), never 1, never a neighbour's bin."""
    x = torch.arange(num_levels, dtype=torch.uint8)
    low, high = (dequantize(x, torch.full(x.shape, u), num_levels).double() for u in (0.0, ALMOST_ONE))
    edges = torch.arange(num_levels + 1, dtype=torch.float64) / num_levels
    assert torch.allclose(low, edges[:-1], rtol=0, atol=1e-7)
    assert torch.allclose(high, edges[1:], rtol=0, atol=3e-5 / num_levels)
    assert high[-1] < 1
    assert ((high * num_levels).floor() == x).all()


def test_dequantizing_after_scaling_is_another_lattice() -> None:
    """(x/255) + u/256 overlaps from bin to bin and leaves [0, 1): the trap that dequantize is not in."""
    x, u = torch.arange(256), torch.full((256,), 0.999)
    trap = x / 255 + u / 256
    ours = dequantize(x, u, 256)
    assert trap.max() > 1 > ours.max()
    assert ((trap * 256).floor() != x).sum() > 100
    assert ((ours * 256).floor() == x).all()


def test_a_dequantized_density_is_a_probability_after_the_log_levels() -> None:
    """Integrated over u, a density on [0, 1) times 1/L is each level's mass: 2 y, with mass (2k+1)/L^2."""
    num_levels, n = 17, 1_001
    u = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    x = torch.arange(num_levels)
    y = dequantize(x[:, None].expand(-1, n), u.float().expand(num_levels, n), num_levels).double()
    mass = (2 * y).mean(1) / num_levels
    assert torch.allclose(mass, (2 * x.double() + 1) / num_levels**2, rtol=0, atol=1e-7)


def test_bins_on_the_symmetric_scale_cost_log2_127_5_bits_not_7() -> None:
    """From a density on [-1, 1] to a probability of 256 levels: the affine map's 127.5, 6.9944 bits."""
    assert to_symmetric(torch.arange(256), 256).double().diff().mean() == pytest.approx(2 / 255)
    x = torch.arange(60, 200)[:, None]
    mean, log_scale = torch.full(x.shape, 0.1), torch.full(x.shape, -0.5)
    centred = (to_symmetric(x, 256) - mean).double() * math.exp(0.5)
    log_density = -centred - 2 * torch.nn.functional.softplus(-centred) + 0.5
    cost = log_density[:, 0] - discretized_logistic_log_prob(mean, log_scale, x, 256)
    assert float(cost.mean()) / math.log(2) == pytest.approx(6.9944, abs=3e-4)
    assert float(cost.std()) < 1e-3


# ------------------------------------------------------------------ observation models


def masses(log_prob: Tensor) -> Tensor:
    """Total mass of ``[L, N]`` log probabilities of one-dimensional examples, ``[N]``."""
    return log_prob.double().exp().sum(0)


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_bernoulli_and_categorical_sum_to_one(scale: float) -> None:
    logits = scale * torch.randn(200, 1, generator=rng())
    both = torch.stack([bernoulli_log_prob(logits, torch.full((200, 1), x)) for x in (0, 1)])
    assert torch.allclose(masses(both), torch.ones(200, dtype=torch.float64), atol=1e-6)
    logits = scale * torch.randn(200, 17, 1, generator=rng(1))
    every = torch.stack([categorical_log_prob(logits, torch.full((200, 1), x)) for x in range(17)])
    assert torch.allclose(masses(every), torch.ones(200, dtype=torch.float64), atol=1e-6)


def test_bernoulli_and_categorical_values() -> None:
    logits = torch.tensor([[[0.3, -2.0]]])
    p = torch.sigmoid(logits.double())
    expected = float(p[0, 0, 0].log() + (1 - p[0, 0, 1]).log())
    assert float(bernoulli_log_prob(logits[0], torch.tensor([[1, 0]]))) == pytest.approx(expected, rel=1e-6)
    logits = torch.tensor([[[0.1, 1.0], [2.0, -1.0], [0.0, 0.5]]])  # [1, 3 levels, 2 dims]
    p = logits[0].double().softmax(0)
    expected = float(p[2, 0].log() + p[0, 1].log())
    assert float(categorical_log_prob(logits, torch.tensor([[2, 0]]))) == pytest.approx(expected, rel=1e-6)


def every_mean(num_levels: int) -> Tensor:
    """Means in and outside of [-1, 1], on levels, and just on the bins' edges, where rounding hurts most."""
    levels = to_symmetric(torch.arange(num_levels), num_levels)
    edges = levels[:-1] + 1 / (num_levels - 1)
    return torch.cat([torch.linspace(-1.3, 1.3, 53), levels, edges])


LOG_SCALES = [math.log(1e-7), -7.0, -3.0, 0.0, 3.0, math.log(1e7)]


@pytest.mark.parametrize("num_levels", [2, 3, 17, 256])
@pytest.mark.parametrize("log_scale", LOG_SCALES)
def test_the_discretized_logistic_sums_to_one_at_any_scale(num_levels: int, log_scale: float) -> None:
    mean = every_mean(num_levels)[:, None].requires_grad_()
    scale = torch.full(mean.shape, log_scale, requires_grad=True)
    x = torch.arange(num_levels)
    log_prob = torch.stack(
        [discretized_logistic_log_prob(mean, scale, level.expand(mean.shape), num_levels) for level in x]
    )
    assert log_prob.isfinite().all()
    assert float((masses(log_prob.detach()) - 1).abs().max()) < 2e-6
    log_prob.sum().backward()
    assert mean.grad.isfinite().all()
    assert scale.grad.isfinite().all()


def logistic_mass(mean: Tensor, log_scale: float, x: Tensor, num_levels: int) -> Tensor:
    """The same by definition, float64: a difference of sigmoids, taken in the tail that does not cancel."""
    centred = 2 * x.double() / (num_levels - 1) - 1 - mean.double()
    half, scale = 1 / (num_levels - 1), math.exp(log_scale)
    upper = torch.where(x == num_levels - 1, torch.inf, (centred + half) / scale)
    lower = torch.where(x == 0, -torch.inf, (centred - half) / scale)
    flip = (lower + upper) > 0
    return torch.where(flip, (-lower).sigmoid() - (-upper).sigmoid(), upper.sigmoid() - lower.sigmoid())


@pytest.mark.parametrize("num_levels", [3, 17, 256])
@pytest.mark.parametrize("log_scale", [-5.0, -3.0, -1.0, 0.0, 3.0, 10.0])
def test_the_discretized_logistic_against_float64(num_levels: int, log_scale: float) -> None:
    mean = torch.linspace(-1.2, 1.2, 41)
    x = torch.arange(num_levels)[:, None].expand(-1, 41)
    expected = logistic_mass(mean, log_scale, x, num_levels).log()
    means = mean.expand(num_levels, 41)[..., None].flatten(0, 1)
    ours = discretized_logistic_log_prob(
        means, torch.full_like(means, log_scale), x.flatten()[:, None], num_levels
    ).reshape(num_levels, 41)
    kept = expected > -200  # below, float64 differences of sigmoids are no reference themselves
    assert kept.float().mean() > 0.7
    assert torch.allclose(ours.double()[kept], expected[kept], rtol=2e-5, atol=2e-5)


def test_gradients_of_the_discretized_logistic() -> None:
    x, num_levels = torch.tensor([[0], [3], [16]]), 17
    mean = torch.tensor([[0.2], [-0.4], [0.7]], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor([[-1.0], [0.5], [-2.0]], dtype=torch.float64, requires_grad=True)
    # float64 in, float64 out but for to_symmetric, whose float32 is constant in both.
    assert torch.autograd.gradcheck(
        lambda m, s: discretized_logistic_log_prob(m, s, x, num_levels), (mean, scale), eps=1e-5, atol=1e-4
    )


def test_log_probs_sum_over_all_dimensions() -> None:
    maps = torch.randn(4, 17, 2, 3, generator=rng())
    x = torch.randint(17, (4, 2, 3), generator=rng(1))
    one_by_one = sum(categorical_log_prob(maps[:, :, i, j, None], x[:, i, j, None]) for i in range(2) for j in range(3))
    assert torch.allclose(categorical_log_prob(maps, x), one_by_one, rtol=1e-5)
    mean, log_scale = maps[:, 0], maps[:, 1]
    one_by_one = sum(
        discretized_logistic_log_prob(mean[:, i, j, None], log_scale[:, i, j, None], x[:, i, j, None], 17)
        for i in range(2)
        for j in range(3)
    )
    assert torch.allclose(discretized_logistic_log_prob(mean, log_scale, x, 17), one_by_one, rtol=1e-5)


# ------------------------------------------------------------------ Gaussians and bounds


def test_gaussians_against_torch_distributions() -> None:
    mean, log_var, z = (torch.randn(6, 2, 3, generator=rng(i)).double() for i in range(3))
    q = torch.distributions.Normal(mean, (0.5 * log_var).exp())
    prior = torch.distributions.Normal(torch.zeros_like(mean), 1.0)
    assert torch.allclose(gaussian_log_prob(z, mean, log_var), q.log_prob(z).sum((1, 2)))
    assert torch.allclose(standard_normal_log_prob(z), prior.log_prob(z).sum((1, 2)))
    assert torch.allclose(gaussian_kl(mean, log_var), torch.distributions.kl_divergence(q, prior).sum((1, 2)))
    assert torch.equal(gaussian_kl(torch.zeros(3, 4), torch.zeros(3, 4)), torch.zeros(3))


def test_gaussian_kl_against_monte_carlo() -> None:
    mean, log_var = torch.tensor([[0.7, -1.0]]).double(), torch.tensor([[-1.5, 0.4]]).double()
    z = mean + (0.5 * log_var).exp() * torch.randn(100_000, 2, generator=rng(), dtype=torch.float64)
    terms = gaussian_log_prob(z, mean, log_var) - standard_normal_log_prob(z)
    error = float(terms.std()) / math.sqrt(len(z))
    assert float(terms.mean()) == pytest.approx(float(gaussian_kl(mean, log_var)), abs=4 * error)


@pytest.mark.parametrize("sizes", [[1] * 12, [5, 7], [1, 11], [12]])
def test_log_mean_exp_in_chunks_is_the_whole(sizes: list[int]) -> None:
    weights = 300 * torch.randn(12, 5, generator=rng()) - 2_000  # exp of any of them is 0 in float64
    expected = torch.logsumexp(weights.double(), 0) - math.log(12)
    total = LogMeanExp()
    for chunk in weights.split(sizes):
        total.update(chunk)
    assert total.value.dtype == torch.float64
    assert torch.allclose(total.value, expected, rtol=1e-12)


def test_log_mean_exp_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no weights"):
        _ = LogMeanExp().value


# ------------------------------------------------------------------ sums over a split


def test_running_nats_are_numpys_mean_and_standard_error() -> None:
    nats = 5_000 + 3 * torch.randn(1_001, generator=rng())
    running = RunningNats()
    for batch in nats.split(64):
        running.update(batch)
    values = nats.numpy().astype(np.float64)
    assert (running.count, running.non_finite) == (1_001, 0)
    assert running.mean == pytest.approx(values.mean(), rel=1e-12)
    assert running.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(1_001), rel=1e-6)


def test_running_nats_do_not_depend_on_the_batches_or_the_processes() -> None:
    nats = 100 * torch.rand(103, generator=rng())
    whole = RunningNats()
    whole.update(nats)
    for size in (1, 10, 102):
        split = RunningNats()
        for batch in nats.split(size):
            split.update(batch)
        assert split.count == 103
        assert split.mean == pytest.approx(whole.mean, rel=1e-12)
        assert split.standard_error == pytest.approx(whole.standard_error, rel=1e-9)
    ranks = [RunningNats(), RunningNats()]
    for rank, running in enumerate(ranks):
        running.update(nats[rank::2])
    together = RunningNats(ranks[0].sums + ranks[1].sums)
    assert together.mean == pytest.approx(whole.mean, rel=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_counted_and_spoils_the_mean(bad: float) -> None:
    running = RunningNats()
    running.update(torch.tensor([1.0, bad, 2.0]))
    running.update(torch.tensor([3.0, 4.0]))
    assert (running.count, running.non_finite) == (5, 1)
    assert not math.isfinite(running.mean)


def test_a_mean_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no example was scored"):
        _ = RunningNats().mean
