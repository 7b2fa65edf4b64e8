"""On mixtures of Gaussians the score is known: objectives, scales, likelihoods and trained models against it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from lit_gen.data import Mixture, Moons, PlaneDensity, Rings, SampleSizes, Toy2D
from lit_gen.families import ScoreSDE
from lit_gen.families.diffusion import (
    SDE,
    VESDE,
    VPSDE,
    Denoising,
    Exact,
    LikelihoodWeighting,
    ScoreMatching,
    Sliced,
    SubVPSDE,
)
from lit_gen.families.diffusion.ode import log_density
from lit_gen.families.diffusion.prediction import scales
from lit_gen.families.diffusion.samplers import alpha_sigma
from lit_gen.nets import DenoisingNets, MLPDenoiser
from lit_gen.noise import Noise

from . import conformance as laws

SDES = [VESDE(), VPSDE(), SubVPSDE()]


def name_of(value: object) -> str:
    return type(value).__name__


@pytest.fixture
def double() -> object:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def true_score(density: PlaneDensity, y: Tensor, variance: float) -> Tensor:
    """Of unscaled data with noise, ``[B, 2]``."""
    at = y.detach().clone().requires_grad_()
    with torch.enable_grad():
        (score,) = torch.autograd.grad(density.log_density(at, variance).sum(), at)
    return score


class Perfect(nn.Module):
    """The network that has learnt a mixture, from the inputs and the time that an SDE's network is given."""

    def __init__(self, sde: SDE, density: PlaneDensity) -> None:
        super().__init__()
        self.sde, self.density, self.weight = sde, density, nn.Parameter(torch.zeros(1))

    def forward(self, inputs: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        sde = self.sde
        if isinstance(sde, VESDE):
            deviation = 2 * time.exp()
            y = inputs
        else:
            t = time / 999
            deviation = torch.exp(-0.5 * sde.log_snr(t))
            y = inputs / sde.signal(t)[:, None]
        total = deviation.square()[:, None] + self.density.deviation**2
        away = y[:, None] - self.density.centres().to(y.dtype)
        weights = torch.softmax(-0.5 * away.square().sum(2) / total, 1)
        return deviation[:, None] * (weights[..., None] * away).sum(1) / total


class PerfectNets(DenoisingNets):
    def __init__(self, sde: SDE, density: PlaneDensity) -> None:
        self.net = Perfect(sde, density)

    def build(self, shape: tuple[int, ...], in_channels: int, out_channels: int, num_classes: int) -> nn.Module:
        return self.net


# ------------------------------------------------------------------ data


@pytest.mark.parametrize("density", [Mixture(), Rings(), Moons()], ids=name_of)
def test_probabilities_of_pairs_are_the_densitys_integrals(density: PlaneDensity) -> None:
    p = density.bin_probabilities(64)
    assert float(p.sum()) == pytest.approx(1, abs=1e-12)
    # The middle of a bin of an inner region, refined 20 times.
    width = 2 / 63
    fine = (torch.arange(20, dtype=torch.float64) + 0.5) / 20 - 0.5
    best = int(p.argmax())
    for i, j in ((best // 64, best % 64), (40, 30)):
        at = torch.cartesian_prod(i + fine, j + fine) * width - 1
        mass = float(density.log_density(at).exp().mean()) * width**2
        assert float(p[i, j]) == pytest.approx(mass, rel=0.01, abs=1e-9)
    data = Toy2D(density, splits=SampleSizes(2_000, 100, 20_000))
    x = data.split("test").x
    mean = float(-data.log_prob(x).mean())
    assert mean == pytest.approx(data.entropy_nats, abs=5 * float(data.log_prob(x).std()) / math.sqrt(20_000))
    # Narrow bins: the density's own entropy, less the logarithm of a bin's area.
    fine_bins = -float(density.log_density(x.double() * (2 / 255) - 1).mean()) - 2 * math.log(2 / 255)
    assert fine_bins == pytest.approx(data.entropy_nats, abs=0.05)


# ------------------------------------------------------------------ objectives


@pytest.mark.parametrize("objective", [Sliced(), Sliced(3, variance_reduction=False), Exact()], ids=name_of)
def test_all_objectives_have_the_same_gradient_in_expectation(objective: ScoreMatching) -> None:
    """Each weight's gradient, within the error over independent batches; and so the same minimizer."""
    torch.manual_seed(0)
    net = MLPDenoiser(16, 1).build((2,), 2, 2, 0)
    laws.stir(net, scale=0.3)
    centres = Mixture(4, 0.7, 0.1).centres().float()
    differences, sizes, losses = [], [], []
    for _ in range(60):
        x = centres[torch.randint(4, (2_000,))] + 0.1 * torch.randn(2_000, 2)
        log_snr = torch.full((2_000,), 1.0)
        alpha, sigma = scales(log_snr, x)
        eps = torch.randn_like(x)
        found = []
        for each in (Denoising(), objective):
            loss = each.loss(lambda z: net(z, torch.zeros(len(z))), alpha * x + sigma * eps, eps, sigma).mean()
            gradients = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True)
            found.append(torch.cat([g.flatten() for g in gradients if g is not None]))
            losses.append(float(loss.detach()))
        differences.append(found[1] - found[0])
        sizes.append(found[0])
    difference, size = torch.stack(differences), torch.stack(sizes).mean(0).norm()
    error = difference.std(0) / math.sqrt(60)
    assert float((difference.mean(0) / error.clamp_min(1e-9)).abs().max()) < 5
    assert float(error.norm()) < 0.2 * float(size), "too noisy to tell anything"
    mean = torch.tensor(losses).view(60, 2).mean(0)
    assert float(mean[1]) == pytest.approx(float(mean[0]), rel=0.1)


def test_the_true_score_is_the_minimizer_of_each_objective(double: object) -> None:
    """The loss of ``c`` times the true score has its minimum at ``c = 1``; the three agree there."""
    torch.manual_seed(0)
    density = Mixture(3, 0.6, 0.1)
    centres, n, log_snr = density.centres(), 60_000, torch.full((60_000,), 2.0)
    net = Perfect(VPSDE(), density)
    time = VPSDE().network_time(VPSDE().time(log_snr))
    x = centres[torch.randint(3, (n,))] + 0.1 * torch.randn(n, 2)
    alpha, sigma = scales(log_snr, x)
    eps = torch.randn_like(x)
    for objective in (Denoising(), Sliced(), Exact()):
        values = [
            float(objective.loss(lambda z, c=c: c * net(z, time), alpha * x + sigma * eps, eps, sigma).mean().detach())
            for c in (0.8, 1.0, 1.2)
        ]
        # A parabola through three points.
        slope, curvature = (values[2] - values[0]) / 0.4, (values[2] - 2 * values[1] + values[0]) / 0.04
        assert 1 - slope / curvature == pytest.approx(1, abs=0.03), name_of(objective)


# ------------------------------------------------------------------ one process in three scales, and its likelihood


def test_all_sdes_are_the_same_process_under_the_change_of_scale(double: object) -> None:
    """The same predictions, the same samples for the same noise levels, and the same likelihood."""
    density = Mixture(5, 0.6, 0.08)
    models = [ScoreSDE((2,), 256, nets=PerfectNets(sde, density), sde=sde) for sde in SDES]
    z = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    for level in (-6.0, 0.0, 5.0):
        found = [model.denoise(z, torch.full((6,), level)).eps_hat.double() for model in models]
        truth = -alpha_sigma(level)[1] * true_score(density, z / alpha_sigma(level)[0], math.exp(-level))
        truth = truth / alpha_sigma(level)[0]
        for eps_hat in found:
            assert torch.allclose(eps_hat, truth, atol=1e-3, rtol=1e-3)
        assert torch.allclose(models[0].score(z, level).double(), true_score(density, z, math.exp(-level)), rtol=1e-3,
                              atol=1e-3 * math.exp(0.5 * level))
    grid, ancestral = [*torch.linspace(-8, 6, 30).tolist(), math.inf], models[0].sampling.algorithm("ancestral")
    ends = [ancestral(model._denoiser(None), z, grid, Noise(0, range(6))) for model in models]
    assert torch.allclose(ends[0], ends[1], atol=1e-3)
    assert torch.allclose(ends[0], ends[2], atol=1e-3)


@pytest.mark.parametrize("sde", SDES, ids=name_of)
def test_the_odes_likelihood_is_the_mixtures_density(sde: SDE, double: object) -> None:
    """To 1e-3 nats: probes (1, 1) and (1, -1) together give the exact trace in two dimensions."""
    density, start = Mixture(5, 0.6, 0.2), 4.0
    model = ScoreSDE((2,), 256, nets=PerfectNets(sde, density), sde=sde)
    alpha, _ = alpha_sigma(start)
    y = torch.rand(8, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1

    def noise_of(z: Tensor, log_snr: Tensor) -> Tensor:
        scale = sde.network_scale(log_snr)[:, None]
        return model.net(scale * z, sde.network_time(sde.time(log_snr)))  # without float32's rounding

    found = [
        log_density(noise_of, alpha * y, torch.tensor([[1.0, sign]]).expand(8, 2), start, -16.0, 1e-7)
        for sign in (1.0, -1.0)
    ]
    truth = density.log_density(y, math.exp(-start)) - 2 * math.log(alpha)
    assert float((sum(found) / 2 - truth).abs().max()) < 1e-3


# ------------------------------------------------------------------ trained models


@pytest.mark.parametrize("sde", [VESDE(0.0007, 2.0, unit_inputs=True), SubVPSDE()], ids=name_of)
def test_a_trained_score_approaches_the_closed_form(sde: SDE) -> None:
    """Relative error of the score's predicted noise where noised data lie; and the entropy is respected."""
    torch.manual_seed(0)
    density = Mixture(4, 0.6, 0.15)
    data = Toy2D(density, splits=SampleSizes(20_000, 100, 2_000), batch_size=512)
    model = ScoreSDE((2,), 256, nets=MLPDenoiser(64, 2), sde=sde, optimizer=laws.adamw(lr=4e-3))
    errors = []
    for steps in (40, 300):
        laws.fit(model, data, steps)
        total = []
        for level in (-2.0, 0.0, 2.0):
            generator = torch.Generator().manual_seed(3)
            x = data.split("test").x.float() * (2 / 255) - 1
            y = x + math.exp(-0.5 * level) * torch.randn(x.shape, generator=generator)
            truth = true_score(density, y, math.exp(-level))
            with torch.no_grad():
                total.append(float((model.score(y, level) - truth).norm() / truth.norm()))
        errors.append(max(total))
    assert errors[1] < errors[0]
    assert errors[1] < 0.3, errors
    excess = laws.bits_above_entropy(model, data, "vlb", 8)  # type: ignore[arg-type]
    assert excess < 1.0


def test_likelihood_weighting_trains_the_bound() -> None:
    """Its loss is the diffusion term of the bound in nats per dimension, to the range of levels."""
    torch.manual_seed(0)
    model = ScoreSDE((2,), 256, sde=SubVPSDE(), weighting=LikelihoodWeighting()).eval()
    laws.stir(model, scale=0.1)
    model.log_snr_max = model.sde.ends()[0]
    data = Toy2D(Mixture(4, 0.6, 0.15), splits=SampleSizes(4_000, 100, 4_000))
    x = data.split("test").x
    with torch.no_grad():
        losses = torch.stack([model.training_step((x, None, torch.arange(len(x))), 0) for _ in range(10)])
        model.sampling = type(model.sampling)("ddim", 10, clip_denoised=False)
        nats = model.nll(x, Noise(0, range(len(x))), "vlb", 10).parts["diffusion"]
    error = math.hypot(float(losses.std()) / math.sqrt(10), float(nats.std()) / 2 / math.sqrt(len(x)))
    assert float(losses.mean()) == pytest.approx(float(nats.mean()) / 2, abs=4 * error)
