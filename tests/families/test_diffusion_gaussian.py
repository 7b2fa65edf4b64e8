"""On Gaussian data all is known in closed form: the score, the samplers' ends, the ODE's likelihood."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from families.gaussians import GaussianSource, PerfectDiffusion, correlated
from lit_gen.errors import UserError
from lit_gen.families.diffusion import samplers
from lit_gen.families.diffusion.ode import dormand_prince, log_density
from lit_gen.families.diffusion.samplers import SAMPLERS, alpha_sigma
from lit_gen.noise import Noise
from lit_gen.quantization import to_symmetric

DETERMINISTIC = {"ddim": 1, "euler": 1, "heun": 2, "edm_heun": 2, "dpmpp_2m": 2}


@pytest.fixture(autouse=True)
def double() -> object:
    """Orders of convergence are seen above float32's rounding only."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def even(first: float, last: float, steps: int) -> list[float]:
    return torch.linspace(first, last, steps + 1, dtype=torch.float64).tolist()


@pytest.mark.parametrize("log_snr", [-4.0, 0.0, 3.0])
def test_the_predicted_noise_is_the_score(log_snr: float) -> None:
    source = correlated()
    z = torch.randn(50, 3, generator=torch.Generator().manual_seed(1))
    _, sigma = alpha_sigma(log_snr)
    at = z.clone().requires_grad_()
    (score,) = torch.autograd.grad(source.log_prob(at, log_snr).sum(), at)
    model = PerfectDiffusion(source)
    eps_hat = model.denoise(z, torch.full((50,), log_snr)).eps_hat
    assert torch.allclose(-eps_hat / sigma, score, atol=1e-9)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_a_samplers_error_falls_at_its_order(name: str) -> None:
    source, noise = correlated(), Noise(0, range(40))
    z = torch.randn(40, 3, generator=torch.Generator().manual_seed(2))
    truth = source.flow(z, -5.0, 4.0)
    errors = [
        float((SAMPLERS[name](source.denoise, z, even(-5.0, 4.0, steps), noise) - truth).norm())
        for steps in (40, 80, 160)
    ]
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(DETERMINISTIC[name], abs=0.25), errors


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_samples_reach_the_data_from_pure_noise(name: str) -> None:
    """The last step goes to clean data; the first may start where no signal is left."""
    source, noise = correlated(), Noise(0, range(40))
    z = torch.randn(40, 3, generator=torch.Generator().manual_seed(3))
    inner = even(-12.0, 14.0, 400)
    for first in ([], [-math.inf]):
        grid = [*first, *inner, math.inf]
        truth = source.flow(z, grid[0], math.inf)
        assert torch.allclose(SAMPLERS[name](source.denoise, z, grid, noise), truth, atol=0.02)


def test_euler_is_ddim_and_both_are_eulers_method_on_straight_lines() -> None:
    source, noise = correlated(), Noise(0, range(8))
    z = torch.randn(8, 3)
    times = torch.linspace(0.9, 0.1, 9).tolist()  # of (1 - t) x + t eps
    y = z / sum(alpha_sigma(2 * math.log((1 - 0.9) / 0.9)))
    for t, s in pairwise(times):
        log_snr = 2 * math.log((1 - t) / t)
        predicted = source.denoise(y * sum(alpha_sigma(log_snr)), log_snr)
        y = y + (s - t) * (predicted.eps_hat - predicted.x_hat)
    grid = [2 * math.log((1 - t) / t) for t in times]
    found = samplers.euler(source.denoise, z, grid, noise)
    assert torch.allclose(found, y * sum(alpha_sigma(grid[-1])), atol=1e-12)
    assert torch.equal(found, samplers.ddim(source.denoise, z, grid, noise))


def test_edm_heun_is_algorithm_2() -> None:
    """Written once more in the paper's own scale, ``y = x + sigma n``."""
    source, noise = correlated(), Noise(0, range(8))
    sigmas = [80.0, 20.0, 5.0, 1.0, 0.2, 0.01, 0.0]
    y = 80.0 * torch.randn(8, 3)

    def slope(y: Tensor, sigma: float) -> Tensor:
        log_snr = -2 * math.log(sigma)
        return (y - source.denoise(y * alpha_sigma(log_snr)[0], log_snr).x_hat) / sigma

    z = y * alpha_sigma(-2 * math.log(80.0))[0]
    for t, s in pairwise(sigmas):
        d = slope(y, t)
        following = y + (s - t) * d
        if s:
            following = y + (s - t) * 0.5 * (d + slope(following, s))
        y = following
    grid = [-2 * math.log(sigma) for sigma in sigmas[:-1]] + [math.inf]
    assert torch.allclose(samplers.edm_heun(source.denoise, z, grid, noise), y, atol=1e-9)


class ManyRows:
    """Noise for more rows than it is worth starting a stream each for."""

    def __init__(self, rows: int) -> None:
        self.rows, self.generator = rows, torch.Generator().manual_seed(5)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.rows, *shape, generator=self.generator)


def test_ancestral_samples_come_to_have_the_datas_moments() -> None:
    source, n = correlated(), 40_000
    errors = []
    for steps in (50, 400):
        noise = ManyRows(n)
        x = samplers.ancestral(source.denoise, noise.normal(3), [*even(-10.0, 10.0, steps), math.inf], noise)
        errors.append(float((x.T.cov() - source.covariance).norm() / source.covariance.norm()))
    deviation = (source.covariance.diagonal() / n).sqrt()
    assert ((x.mean(0) - source.mean).abs() < 5 * deviation).all()
    assert errors[1] < 0.03, errors
    assert errors[1] < 0.3 * errors[0], errors


def test_ddim_is_deterministic_and_goes_back_the_way_it_came() -> None:
    source = correlated()
    z = torch.randn(30, 3)
    errors = []
    for steps in (50, 200):
        grid = even(-6.0, 6.0, steps)
        there = samplers.ddim(source.denoise, z, grid, Noise(0, range(30)))
        assert torch.equal(there, samplers.ddim(source.denoise, z, grid, Noise(1, range(30))))
        back = samplers.ddim(source.denoise, there, grid[::-1], Noise(0, range(30)))
        errors.append(float((back - z).abs().max()))
    assert errors[1] < 0.3 * errors[0] < 0.3
    assert errors[1] < 0.05


# ------------------------------------------------------------------ the ODE's likelihood


def test_the_solver_keeps_its_tolerance_and_knows_no_neighbours() -> None:
    rates = torch.tensor([0.1, 1.0, 30.0])

    def slope(t: Tensor, y: Tensor, rows: Tensor) -> Tensor:
        return torch.stack([-rates[rows] * y[:, 0], t.cos()], 1)

    start = torch.ones(3, 2)
    for tolerance in (1e-4, 1e-7):
        y = dormand_prince(slope, start, 0.0, 2.0, tolerance)
        truth = torch.stack([(-2 * rates).exp(), torch.full((3,), 1 + math.sin(2.0))], 1)
        assert torch.allclose(y, truth, atol=10 * tolerance, rtol=0)
        alone = dormand_prince(lambda t, y, rows: slope(t, y, rows + 1), start[1:2], 0.0, 2.0, tolerance)
        assert torch.equal(alone, y[1:2])
    back = dormand_prince(slope, y[:2], 2.0, 0.0, 1e-9)
    assert torch.allclose(back, start[:2], atol=1e-5)


def test_what_stops_the_solver_is_said() -> None:
    with pytest.raises(UserError, match="not finite"):
        dormand_prince(lambda t, y, rows: y * math.nan, torch.ones(2, 1), 0.0, 1.0, 1e-3, max_steps=5)
    with pytest.raises(UserError, match=r"more than 5 steps at a tolerance of 0\.001; raise ode\.tolerance"):
        dormand_prince(lambda t, y, rows: -1e4 * y, torch.ones(2, 1), 0.0, 1.0, 1e-3, max_steps=5)


def test_the_densitys_error_falls_with_the_tolerance() -> None:
    """One probe is enough where dimensions are independent: the trace of a diagonal is then exact."""
    source = GaussianSource(torch.tensor([0.2, -0.1]), torch.diag(torch.tensor([0.3, 0.05])))
    z = torch.randn(20, 2)
    model = PerfectDiffusion(source)
    truth = source.log_prob(z, 8.0)
    errors = []
    for tolerance in (1e-2, 1e-4, 1e-6):
        found = log_density(model._eps_hat, z, torch.ones_like(z), 8.0, -20.0, tolerance)
        errors.append(float((found - truth).abs().max()))
    assert errors[2] < 1e-4
    assert errors[2] < errors[1] < errors[0]


def test_the_traces_estimate_is_unbiased() -> None:
    source, n = correlated(), 4_000
    z = torch.randn(1, 3).expand(n, 3)
    probe = (torch.rand(n, 3) < 0.5).double() * 2 - 1
    found = log_density(PerfectDiffusion(source)._eps_hat, z, probe, 6.0, -20.0, 1e-4)
    error = float(found.std() / math.sqrt(n))
    assert error > 1e-4, "every probe gives the same: nothing was tested"
    assert float(found.mean()) == pytest.approx(float(source.log_prob(z[:1], 6.0)), abs=4 * error + 1e-3)


def test_the_estimate_is_the_integers_cost_under_the_gaussian() -> None:
    """Bins are narrow: the cost of an integer is the density times the bin's width, hardly more."""
    source = GaussianSource(torch.tensor([0.2, -0.1]), torch.diag(torch.tensor([0.3, 0.1])))
    model = PerfectDiffusion(source)
    x = torch.randint(60, 200, (40, 2)).to(torch.uint8)
    found = model.nll(x, Noise(0, range(40)), "ode", draws=40)
    truth = -source.log_prob(to_symmetric(x, 256).double(), math.inf) - 2 * math.log(2 / 255)
    assert found.kind == "estimate"
    assert found.estimator == "ode-dopri5-0.0001"
    # A bound's estimate: above the truth, by what the first latent leaves open.
    assert 0 < float((found.nats - truth).mean()) < 0.05
    assert torch.allclose(found.parts["reconstruction"] + found.parts["latent"] - found.parts["entropy"], found.nats)


def test_the_bound_is_tight_for_a_perfect_model() -> None:
    """In continuous time nothing is lost but what a draw of the first latent leaves open."""
    source = GaussianSource(torch.tensor([0.2, -0.1]), torch.diag(torch.tensor([0.3, 0.1])))
    model = PerfectDiffusion(source)
    # Its mean over the data's distribution would be tight; for any fixed x it may lie on either side.
    draw = torch.distributions.MultivariateNormal(source.mean, source.covariance).sample((4_000,))
    levels = ((draw + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    found = model.nll(levels, Noise(0, range(4_000)), "vlb", draws=16)
    truth = -source.log_prob(to_symmetric(levels, 256).double(), math.inf) - 2 * math.log(2 / 255)
    error = float((found.nats - truth).std() / math.sqrt(4_000))
    assert float(found.nats.mean()) == pytest.approx(float(truth.mean()), abs=4 * error + 0.01)
    assert error < 0.1
