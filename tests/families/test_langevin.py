"""Samplers with Langevin dynamics, and reverse diffusion: in the papers' own scales, and on Gaussians."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from families.gaussians import GaussianSource, correlated
from lit_gen.errors import UserError
from lit_gen.families import VDM, FlowMatching
from lit_gen.families.diffusion import Langevin, Sampling
from lit_gen.families.diffusion.langevin import (
    annealed_langevin,
    corrected,
    pc_reverse_ve,
    pc_reverse_vp,
    step_size_for,
)
from lit_gen.families.diffusion.samplers import alpha_sigma
from lit_gen.noise import Noise

from .diffusions import FAMILIES, stirred


@pytest.fixture(autouse=True)
def double() -> object:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


class ManyRows:
    """Noise from one generator, for many rows."""

    def __init__(self, rows: int, seed: int = 5) -> None:
        self.rows, self.generator = rows, torch.Generator().manual_seed(seed)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.rows, *shape, generator=self.generator)


def even(first: float, last: float, steps: int) -> list[float]:
    return torch.linspace(first, last, steps + 1, dtype=torch.float64).tolist()


def independent(dims: int, variance: float) -> GaussianSource:
    return GaussianSource(torch.zeros(dims), variance * torch.eye(dims))


# ------------------------------------------------------------------ the papers' algorithms, in their scales


@pytest.mark.parametrize(("steps", "own_norm"), [(1, True), (2, False)])
def test_pc_reverse_ve_is_algorithm_2_with_4(steps: int, own_norm: bool) -> None:
    source, how = correlated(), Langevin(steps, 0.3, own_norm)
    sigmas, r, n = [10.0, 3.0, 0.7, 0.1], 0.3, 6
    start, noise = torch.randn(n, 3), ManyRows(n)
    y = start / alpha_sigma(-2 * math.log(10.0))[0]

    def score(y: Tensor, sigma: float) -> Tensor:
        covariance = source.covariance + sigma**2 * torch.eye(3)
        return -torch.linalg.solve(covariance, (y - source.mean).T).T

    for sigma, following in pairwise([*sigmas, 0.0]):
        for _ in range(steps):
            g = score(y, sigma)
            norm = g.norm(dim=1, keepdim=True) if own_norm else math.sqrt(3) / sigma
            step = 2 * (r * math.sqrt(3) / norm) ** 2
            y = y + step * g + (2 * step) ** 0.5 * noise.normal(3)
        y = y + (sigma**2 - following**2) * score(y, sigma)
        if following:
            y = y + math.sqrt(sigma**2 - following**2) * noise.normal(3)
    grid = [-2 * math.log(sigma) for sigma in sigmas] + [math.inf]
    assert torch.allclose(pc_reverse_ve(source.denoise, start, grid, ManyRows(n), how), y, atol=1e-9)


def test_pc_reverse_vp_is_algorithm_3_with_5() -> None:
    source, how, n = correlated(), Langevin(1, 0.2), 6
    betas = [0.4, 0.3, 0.1, 0.02]  # from the noise to the data
    start, noise = torch.randn(n, 3), ManyRows(n)
    x, alpha_bars = start, [math.prod(1 - beta for beta in betas[i:]) for i in range(4)]
    grid = [math.log(a / (1 - a)) for a in alpha_bars] + [math.inf]
    for i, beta in enumerate(betas):
        g = source.score(x, grid[i])
        step = 2 * (0.2 * math.sqrt(3) / g.norm(dim=1, keepdim=True)) ** 2
        x = x + step * g + (2 * step).sqrt() * noise.normal(3)
        x = (2 - math.sqrt(1 - beta)) * x + beta * source.score(x, grid[i])
        if i < 3:
            x = x + math.sqrt(beta) * noise.normal(3)
    assert torch.allclose(pc_reverse_vp(source.denoise, start, grid, ManyRows(n), how), x, atol=1e-9)


@pytest.mark.parametrize("denoised", [False, True])
def test_annealed_langevin_is_algorithm_1(denoised: bool) -> None:
    """With the factor of one half of the first paper: its epsilon is ``2 h sigma_L**2``."""
    source, n, sigmas, epsilon = correlated(), 6, [4.0, 1.0, 0.25], 0.01
    start, noise = torch.randn(n, 3), ManyRows(n)
    y = start / alpha_sigma(-2 * math.log(4.0))[0]

    def score(y: Tensor, sigma: float) -> Tensor:
        return -torch.linalg.solve(source.covariance + sigma**2 * torch.eye(3), (y - source.mean).T).T

    for sigma in sigmas:
        step = epsilon * sigma**2 / 0.25**2
        for _ in range(3):
            y = y + step / 2 * score(y, sigma) + math.sqrt(step) * noise.normal(3)
    y = y + 0.25**2 * score(y, 0.25) if denoised else y
    grid = [-2 * math.log(sigma) for sigma in sigmas]
    how = Langevin(3, step_size=epsilon / (2 * 0.25**2))
    found = annealed_langevin(source.denoise, start, grid + [math.inf] * denoised, ManyRows(n), how)
    assert torch.allclose(found, y if denoised else y * alpha_sigma(grid[-1])[0], atol=1e-9)


@pytest.mark.parametrize(("sigma", "levels", "published"), [(50, 232, 6.2e-6), (90, 500, 3.3e-6)])
def test_the_step_size_is_that_of_the_papers_table(sigma: float, levels: int, published: float) -> None:
    """CIFAR-10 and CelebA in NCSNv2, table 4: T = 5 steps and sigma_L = 0.01."""
    found = step_size_for(math.log(sigma / 0.01) / (levels - 1), 5) * 0.01**2
    assert found == pytest.approx(published, rel=0.015)


# ------------------------------------------------------------------ stationary moments


def stationary(source: GaussianSource, level: float, how: Langevin, steps: int, n: int, annealed: bool) -> Tensor:
    """z after so many steps at one level, from its exact distribution."""
    mean, covariance = source.moments(level)
    z = torch.distributions.MultivariateNormal(mean, covariance).sample((n,))
    noise = ManyRows(n)
    if annealed:
        return annealed_langevin(source.denoise, z, [level], noise, Langevin(steps, step_size=how.step_size))
    for _ in range(steps):
        z = corrected(source.denoise(z, level), z, level, noise, how)
    return z


@pytest.mark.parametrize("annealed", [False, True], ids=["corrector", "annealed"])
@pytest.mark.parametrize("h", [0.5, 0.02])
def test_a_constant_step_inflates_the_variance_by_a_known_factor_that_vanishes(h: float, annealed: bool) -> None:
    """``z' = (1 - a) z + sqrt(2 h) sigma n`` with ``a = h sigma**2 / S`` has variance ``S / (1 - a/2)``."""
    torch.manual_seed(0)
    source, level, n = independent(8, 0.2), 0.5, 4_000
    variance = float(source.moments(level)[1][0, 0])
    a = h * alpha_sigma(level)[1] ** 2 / variance
    how = Langevin(snr=math.sqrt(h / 2), own_norm=False, step_size=h)
    z = stationary(source, level, how, round(2 / a), n, annealed)
    found = float(z.square().mean()) / variance
    error = math.sqrt(2 / (8 * n))
    assert found == pytest.approx(1 / (1 - a / 2), abs=4 * error)
    assert found > 1 + 10 * error if h == 0.5 else found < 1 + 6 * error


def test_an_own_step_size_leaves_a_bias_of_few_dimensions() -> None:
    """With a step in proportion to ``1 / ||score||**2``, the density tends to ``p ||score||**2``."""
    torch.manual_seed(0)
    source, level = independent(8, 1.0), 0.0  # z is standard normal at every level
    z = stationary(source, level, Langevin(snr=0.06, own_norm=True), 350, 8_000, annealed=False)
    assert float(z.square().mean()) == pytest.approx((8 + 2) / 8, rel=0.04)


@pytest.mark.parametrize("name", ["reverse_diffusion_ve", "reverse_diffusion_vp", "pc_ancestral", "pc_reverse_ve",
                                  "pc_reverse_vp"])
def test_samples_come_to_have_the_datas_moments(name: str) -> None:
    source, n, errors = correlated(), 10_000, []
    for steps in (40, 320):
        noise = ManyRows(n)
        run = Sampling(name, steps, langevin=Langevin(1, 0.8 * steps**-0.5, own_norm=False)).algorithm()
        grid = [-math.inf, *even(-10.0, 9.0, steps), math.inf]
        x = run(source.denoise, noise.normal(3), grid, noise)
        errors.append(float((x.T.cov() - source.covariance).norm() / source.covariance.norm()))
    deviation = (source.covariance.diagonal() / n).sqrt()
    assert ((x.mean(0) - source.mean).abs() < 5 * deviation).all()
    assert errors[1] < 0.06, errors
    assert errors[1] < 0.5 * errors[0], errors


@pytest.mark.parametrize("steps", [24, 250])
def test_reverse_diffusion_ve_has_more_noise_than_its_level(steps: int) -> None:
    """Around a single point, ``r**4 v + 1 - r**2`` for a ratio r of two levels has its fixed point at ``v = r**-2``."""
    source, n = independent(8, 1e-14), 4_000
    grid, noise = even(-8.0, 8.0, steps), ManyRows(n)
    run = Sampling("reverse_diffusion_ve", steps).algorithm()
    _, sigma = alpha_sigma(grid[0])
    z = run(source.denoise, sigma * noise.normal(8), grid, noise)
    excess = float((z / alpha_sigma(grid[-1])[1]).square().mean())
    assert excess == pytest.approx(math.exp(16 / steps), abs=4 * excess * math.sqrt(2 / (8 * n)))


def test_annealed_langevin_comes_to_have_the_datas_moments() -> None:
    """With more and smaller steps at each level."""
    source, n, errors = correlated(), 3_000, []
    for steps, size in ((4, 0.25), (40, 0.1), (300, 0.02)):
        noise = ManyRows(n)
        grid = [*even(-6.0, 9.0, 12), math.inf]
        x = annealed_langevin(source.denoise, noise.normal(3), grid, noise, Langevin(steps, step_size=size))
        errors.append(float((x.T.cov() - source.covariance).norm() / source.covariance.norm()))
    assert errors[0] > errors[1] > errors[2], errors
    assert errors[2] < 0.16, errors


def test_correctors_repair_what_a_predictor_gets_wrong() -> None:
    """With few steps, a coarse predictor's covariance is off; correctors at the same levels bring it back."""
    source, n = correlated(), 20_000
    errors = []
    for corrections in (0, 1, 8):
        noise, grid = ManyRows(n), [*even(-8.0, 6.0, 12), math.inf]
        how = Sampling("pc_reverse_ve" if corrections else "reverse_diffusion_ve", 12,
                       langevin=Langevin(max(corrections, 1), 0.3, own_norm=False))
        x = how.algorithm()(source.denoise, noise.normal(3), grid, noise)
        errors.append(float((x.T.cov() - source.covariance).norm() / source.covariance.norm()))
    assert errors[0] > errors[1] > errors[2], errors


# ------------------------------------------------------------------ in models


@pytest.mark.parametrize(("sampler", "evaluations"), [("reverse_diffusion_ve", 7), ("reverse_diffusion_vp", 7),
                                                      ("pc_ancestral", 21), ("pc_reverse_ve", 21),
                                                      ("pc_reverse_vp", 21), ("annealed_langevin", 15)])
@pytest.mark.parametrize("family", FAMILIES)
def test_evaluations_are_counted_and_the_settings_stated(family: type, sampler: str, evaluations: int) -> None:
    torch.set_default_dtype(torch.float32)
    model = stirred(family, sampling=Sampling(sampler, 7, langevin=Langevin(2, 0.2)))
    rows: list[int] = []
    model.net.register_forward_hook(lambda module, args, output: rows.append(len(args[0])))
    x = model.sample(3)
    assert len(x.unique(dim=0)) > 1
    # VDM ends at its first latent, without a step to clean data; flow matching starts at pure noise, without steps.
    more = {VDM: 1, FlowMatching: -2}.get(family, 0) if sampler == "annealed_langevin" else 0
    assert sum(rows) == model.function_evaluations == 3 * (evaluations + more)
    settings = model.sampler_settings()
    if sampler.startswith("pc"):
        assert (settings["langevin_steps"], settings["snr"], settings["own_norm"]) == (2, 0.2, True)
    elif sampler == "annealed_langevin":
        assert 0 < settings["step_size"] < 1
    else:
        assert "snr" not in settings


def test_what_cannot_be_is_refused_in_a_line() -> None:
    for options, words in (({"steps": 0}, "langevin.steps=0"), ({"snr": 0.0}, "langevin.snr=0"),
                           ({"step_size": 2.0}, "langevin.step_size=2.0")):
        with pytest.raises(UserError, match=words):
            Langevin(**options)
    with pytest.raises(UserError, match="there is no sampler 'langevin'"):
        Sampling("langevin", 5)
    assert Noise(0, [1]).normal(2).shape == (1, 2)
