"""Score SDEs and NCSNs: scales, times and weights of the papers, and the laws of all models for each choice."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lit_gen.contract import GenerativeModule
from lit_gen.data import KnownEntropy, SampleSizes
from lit_gen.errors import UserError
from lit_gen.families import NCSN, NCSNv2, ScoreSDE
from lit_gen.families.diffusion import (
    SDE,
    VESDE,
    VPSDE,
    Exact,
    Ladder,
    LikelihoodWeighting,
    NoiseWeighting,
    Sampling,
    Sliced,
    SubVPSDE,
)
from lit_gen.families.diffusion.ncsn_v2 import ladder_for, largest_distance, log_ratio_for
from lit_gen.families.diffusion.prediction import scales
from lit_gen.likelihood import gaussian_kl
from lit_gen.nets import DDPMppNets, EnergyNets, MLPDenoiser, NCSNppNets
from lit_gen.noise import Noise

from . import conformance as laws
from .diffusions import LEVELS, SHAPE, levels, stirred

SDES = [VESDE(), VPSDE(), SubVPSDE()]


def name_of(value: object) -> str:
    return type(value).__name__


def solved(sde: SDE, t: Tensor) -> tuple[Tensor, Tensor]:
    """Signal and deviation at times, float64 ``[n]``, in closed form from the papers' equation 29."""
    if isinstance(sde, VESDE):
        return torch.ones_like(t) + 0 * t, 2 * sde.sigma_min * (sde.sigma_max / sde.sigma_min) ** t
    decay = 0.5 * t**2 * (20.0 - 0.1) + 0.1 * t
    variance = 1 - (-decay).exp()
    return (-0.5 * decay).exp(), variance if isinstance(sde, SubVPSDE) else variance.sqrt()


# ------------------------------------------------------------------ SDEs


@pytest.mark.parametrize("sde", SDES, ids=name_of)
def test_an_sdes_levels_are_the_papers_marginals(sde: SDE) -> None:
    t = torch.linspace(0.001, 1, 400, dtype=torch.float64)
    signal, deviation = solved(sde, t)
    log_snr = sde.log_snr(t)
    assert torch.allclose(log_snr, 2 * (signal / deviation).log(), rtol=1e-9)
    assert torch.allclose(sde.signal(t), signal)
    assert torch.allclose(sde.time(log_snr), t, rtol=1e-6)
    assert torch.allclose(sde.time(log_snr.float()), t.float(), atol=2e-6)
    # z is y with the total scale of signal and noise taken off.
    scale = sde.network_scale(log_snr)
    assert torch.allclose(scale, (signal**2 + deviation**2).sqrt(), rtol=1e-9)


@pytest.mark.parametrize("sde", SDES, ids=name_of)
def test_weights_of_the_likelihood_are_g_squared_over_the_variance(sde: SDE) -> None:
    """With g from the moments' equation ``d variance / dt = 2 f variance + g**2``, where ``f = d log signal / dt``."""
    t = torch.linspace(0.01, 1, 100, dtype=torch.float64).requires_grad_()
    signal, deviation = solved(sde, t)
    (f,) = torch.autograd.grad(signal.log().sum(), t, retain_graph=True)
    (speed,) = torch.autograd.grad(deviation.square().sum(), t, retain_graph=True)
    g_squared = speed - 2 * f * deviation**2
    assert torch.allclose(sde.log_snr_speed(t), g_squared / deviation**2, rtol=1e-6)
    (slope,) = torch.autograd.grad(sde.log_snr(t).sum(), t)
    assert torch.allclose(sde.log_snr_speed(t), -slope, rtol=1e-6)


def test_the_sub_vp_process_has_less_noise_and_the_levels_of_the_vp_process_at_other_times() -> None:
    t = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    sub, vp = SubVPSDE(), VPSDE()
    assert (sub.log_snr(t) > vp.log_snr(t)).all()
    other = vp.time(sub.log_snr(t))
    (signal, deviation), (vp_signal, vp_deviation) = solved(sub, t), solved(vp, other)
    assert torch.allclose(signal / deviation, vp_signal / vp_deviation)
    assert (other < t).all()


@pytest.mark.parametrize("sde", SDES, ids=name_of)
def test_both_samplings_of_times_estimate_the_same_loss(sde: SDE) -> None:
    """The integral of ``g**2 / (2 deviation**2)`` times a function of the noise level, uniformly in time or level."""
    torch.manual_seed(0)
    found = []
    for weighting in (LikelihoodWeighting(), LikelihoodWeighting(importance_sampling=False)):
        log_snr, weight = weighting.draw(sde, 400_000, torch.device("cpu"))
        values = weight * (1 + torch.sigmoid(log_snr))
        found.append((float(values.mean()), float(values.std()) / math.sqrt(400_000)))
    (even, error), (times, times_error) = found
    assert even == pytest.approx(times, abs=4 * math.hypot(error, times_error))
    if not isinstance(sde, VESDE):  # whose times are even in the log-SNR already
        assert error < times_error
    log_snr, weight = NoiseWeighting().draw(sde, 1_000, torch.device("cpu"))
    assert (weight == 1).all()
    assert (sde.time(log_snr) <= 1 + 1e-5).all()


@pytest.mark.parametrize("sde", SDES, ids=name_of)
def test_the_network_sees_the_papers_scale_and_time(sde: SDE) -> None:
    model, seen = stirred(ScoreSDE, sde=sde), []
    model.net.register_forward_hook(lambda module, args, output: seen.append((args[0], args[1], output)))
    t = torch.tensor([0.05, 0.4, 0.9])
    signal, deviation = (part.float().view(-1, 1, 1, 1) for part in solved(sde, t.double()))
    x, eps = torch.rand(3, *SHAPE) * 2 - 1, torch.randn(3, *SHAPE)
    log_snr = sde.log_snr(t)
    alpha, sigma = scales(log_snr, x)
    found = model.denoise(alpha * x + sigma * eps, log_snr)
    y, time, output = seen[0]
    assert torch.allclose(y, signal * x + deviation * eps, rtol=1e-4, atol=1e-4)
    expected = (deviation.flatten() / 2).log() if isinstance(sde, VESDE) else 999 * t
    assert torch.allclose(time, expected, rtol=1e-3, atol=1e-4)
    assert torch.equal(found.eps_hat, output)


def test_unit_inputs_have_unit_variance() -> None:
    model, seen = stirred(ScoreSDE, sde=VESDE(unit_inputs=True)), []
    model.net.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    z = torch.randn(3, *SHAPE)
    model.denoise(z, torch.full((3,), -8.0))
    assert torch.equal(seen[0], z)


# ------------------------------------------------------------------ NCSN


def test_the_ladder_is_geometric_on_the_papers_scale() -> None:
    model = NCSN(SHAPE, 256, ladder=Ladder(1.0, 0.01, 10))
    sigmas = 0.5 * torch.exp(-0.5 * model.log_snr_grid(10))
    assert torch.allclose(sigmas, torch.logspace(0, -2, 10, dtype=torch.float64), rtol=1e-6)
    assert torch.allclose(0.5 * torch.exp(-0.5 * model.log_snr_grid(4)), torch.logspace(0, -2, 4).double(), rtol=1e-6)
    with pytest.raises(UserError, match="steps=11 exceeds the 10 noise levels"):
        model.log_snr_grid(11)
    for options in ({"sigma_max": 0.01, "sigma_min": 0.02}, {"num_sigmas": 1}):
        with pytest.raises(UserError, match="ladder:"):
            Ladder(**options)


@pytest.mark.parametrize("family", [NCSN, NCSNv2])
def test_the_networks_output_is_the_score_on_the_papers_scale(family: type) -> None:
    """Or that times sigma: then the network does not know the level."""
    model, seen = stirred(family), []
    model.net.register_forward_hook(lambda module, args, output: seen.append((args, output)))
    levels = torch.tensor([model.log_snr_max, model.log_snr_min])
    z = torch.randn(2, *SHAPE)
    alpha, sigma = scales(levels, z)
    score = -model.denoise(z, levels).eps_hat / (0.5 * sigma / alpha)  # of unscaled data from 0 to 1
    ((inputs, times, _), output) = seen[0]
    assert torch.allclose(inputs, z / alpha)
    if family is NCSN:
        assert torch.allclose(score, output, rtol=1e-4)
        assert times.tolist() == pytest.approx([0.0, 1000.0])
    else:
        assert torch.allclose(score * (0.5 * sigma / alpha), output, rtol=1e-4)
        assert times.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(("dims", "sigma", "published"), [(3_072, 50, 232), (12_288, 90, 500)])
def test_the_number_of_levels_is_near_the_papers(dims: int, sigma: float, published: int) -> None:
    """The overlap is only said to be about one half; at the paper's numbers it is 0.567."""
    assert ladder_for(sigma, 0.01, dims).num_sigmas == pytest.approx(published, rel=0.06)
    ladder = math.log(sigma / 0.01) / (published - 1)
    assert log_ratio_for(dims, overlap=0.567) == pytest.approx(ladder, rel=0.003)
    assert log_ratio_for(4) == pytest.approx(math.log(2))


def test_the_largest_distance_is_that_of_two_examples() -> None:
    x = torch.randint(17, (1_500, 1, 2, 2), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    x[3], x[1_400] = 0, 16
    assert largest_distance(x, 17) == pytest.approx(2.0)


# ------------------------------------------------------------------ the laws of all models, for each choice

CHOICES: dict[str, Callable[..., GenerativeModule]] = {
    "VE": lambda *space: ScoreSDE(*space, sde=VESDE(unit_inputs=True)),
    "sub-VP": lambda *space: ScoreSDE(*space, sde=SubVPSDE(), weighting=LikelihoodWeighting()),
    "sliced": lambda *space: ScoreSDE(*space, objective=Sliced()),
    "energy": lambda *space: ScoreSDE(*space, nets=EnergyNets()),
}


@pytest.mark.parametrize(
    "build",
    [pytest.param(b, id=n, marks=[] if n == "sub-VP" else [pytest.mark.slow]) for n, b in CHOICES.items()],
)
def test_every_choice_obeys_the_laws_of_likelihoods_and_samples(build: Callable[..., GenerativeModule]) -> None:
    torch.manual_seed(0)
    model = build((1, 2, 2), 3)
    source = KnownEntropy((1, 2, 2), 3, splits=SampleSizes(num_test=600, num_val=200), batch_size=200)
    gradients = laws.Gradients()
    laws.fit(model, source, 150, gradients)
    assert gradients.not_zero == {name for name, p in model.named_parameters() if p.requires_grad}
    for estimator in model.estimators:
        laws.assert_mass_is_lawful(model, source.enumerate(), estimator)
        laws.assert_uniform_noise_is_dear(model, source.enumerate(), 3, estimator)
        assert laws.bits_above_entropy(model, source, estimator, 1 if estimator == "ode" else 4) < 1.4
    whole = model.sample(6)
    assert torch.equal(model.sample(2, first=4), whole[4:])


@pytest.mark.parametrize("objective", [Sliced(2), Sliced(1, variance_reduction=False), Exact()], ids=name_of)
def test_objectives_with_a_derivative_train_a_compiled_network_uncompiled(objective: Any) -> None:
    model = NCSN(SHAPE, LEVELS, objective=objective)
    calls: list[str] = []
    model.net._compiled_call_impl = lambda *args: calls.append("compiled")
    model.training_step((levels(8), None, torch.arange(8)), 0).backward()
    assert not calls
    assert any(p.grad.any() for p in model.net.parameters() if p.grad is not None)


def test_the_bound_is_scoreflows() -> None:
    """Prior and diffusion terms, less the first latent's entropy, are theorem 3 of Song et al. 2021b, whatever the SDE.

    ``-E log pi(y_T) + 1/2 E int g**2 (||s - grad||**2 - ||grad||**2) - 2 div f``, by quadrature over time, for a
    network that predicts no noise: ``s = 0``.
    """
    x = torch.tensor([[[[0.3, -0.8], [1.0, 0.1]]]], dtype=torch.float64)
    for sde in SDES:
        # A fresh network predicts zero; clipping its predicted data would improve on it.
        model = ScoreSDE(SHAPE, 256, sde=sde, sampling=Sampling("ddim", 10, clip_denoised=False))
        low, high = model.log_snr_min, model.log_snr_max
        first = float(sde.time(torch.tensor(high, dtype=torch.float64)))
        edges = torch.logspace(math.log10(first), 0, 20_001, dtype=torch.float64)
        t = ((edges[1:] + edges[:-1]) / 2).requires_grad_()
        signal, deviation = solved(sde, t)
        (f,) = torch.autograd.grad(signal.log().sum(), t)
        with torch.no_grad():
            g_squared = sde.log_snr_speed(t) * deviation**2
            # s = 0, so that the first two terms cancel.
            integral = float(((0 * g_squared - 4 * 2 * f) * edges.diff()).sum()) / 2
            end_signal, end_deviation = solved(sde, torch.ones(1, dtype=torch.float64))
            total = float((end_signal**2 + end_deviation**2).sqrt())  # what the last latent is modelled with
            second = float((end_signal * x).square().sum() + 4 * end_deviation**2)
            bound = 0.5 * second / total**2 + 4 * math.log(total) + 2 * math.log(2 * math.pi) + integral
            _, sigma = solved(sde, torch.tensor(first, dtype=torch.float64))
            entropy = 4 * 0.5 * (1 + math.log(2 * math.pi)) + 4 * float(sigma.log())
            alpha, end_sigma = math.sqrt(1 / (1 + math.exp(-low))), math.sqrt(1 / (1 + math.exp(low)))
            prior = gaussian_kl(alpha * x, torch.full_like(x, 2 * math.log(end_sigma)))
            diffusion = 0.5 * (high - low) * 4  # of ||eps||**2
        assert bound - entropy == pytest.approx(float(prior) + diffusion, abs=0.02), name_of(sde)
        with torch.no_grad():
            found = model.nll(levels(64), Noise(0, range(64)), "vlb", draws=16).parts["diffusion"]
        assert float(found.mean()) == pytest.approx(diffusion, rel=0.1)


# ------------------------------------------------------------------ networks


@pytest.mark.parametrize(("nets", "blocks", "millions"), [(NCSNppNets, 4, 62.8), (NCSNppNets, 8, 107.6),
                                                          (DDPMppNets, 4, 61.8)])
def test_networks_have_the_published_size(nets: type, blocks: int, millions: float) -> None:
    with torch.device("meta"):
        net = nets(128, (1, 2, 2, 2), blocks, (16,), 0.1).build((3, 32, 32), 3, 3, 0)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize("nets", [NCSNppNets, DDPMppNets])
def test_residual_sums_keep_the_variance(nets: type) -> None:
    """A fresh network's branches are zero: through its blocks, feature maps are halved in variance, never grow."""
    torch.manual_seed(0)
    net = nets(16, (1, 2), 2, (4,)).build((1, 8, 8), 1, 1, 3)
    out = net(torch.randn(4, 1, 8, 8), torch.randn(4), torch.tensor([0, 1, 2, 3]))
    assert out.shape == (4, 1, 8, 8)
    assert not out.any()
    laws.stir(net, scale=0.05)
    first = net(torch.randn(2, 1, 8, 8), torch.zeros(2))
    assert first.isfinite().all()
    assert not torch.equal(net(torch.zeros(1, 1, 8, 8), torch.zeros(1)), net(torch.zeros(1, 1, 8, 8), torch.ones(1)))


def test_an_energys_field_is_a_gradient() -> None:
    """Its Jacobian is symmetric, which a network's own is not; it works where gradients are off."""
    torch.manual_seed(0)
    net = EnergyNets(MLPDenoiser(32)).build((4,), 4, 4, 0)
    laws.stir(net, scale=0.3)
    x, time = torch.randn(1, 4), torch.zeros(1)
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x, time), x)[0, :, 0]
    own = torch.autograd.functional.jacobian(lambda x: net.net(x, time), x)[0, :, 0]
    assert torch.allclose(jacobian, jacobian.T, atol=1e-4)
    assert not torch.allclose(own, own.T, atol=1e-2)
    with torch.no_grad():
        plain = net(x, time)
    with torch.inference_mode():
        inference = net(x, time)
    assert torch.allclose(plain, net(x, time))
    assert torch.allclose(inference, plain)
