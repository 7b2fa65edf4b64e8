"""Identities of the diffusion models: Bayes' rule, marginals, the bound's terms, guidance, each paper's own laws."""

from __future__ import annotations

import itertools
import math
from typing import Any, get_args

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from lit_gen.data import Digits, KnownEntropy
from lit_gen.errors import UserError
from lit_gen.families import DDPM, EDM, VDM, FlowMatching, ImprovedDDPM, ImprovedDDPMVLB
from lit_gen.families.diffusion import CosineSchedule, LinearBetas, OptimalTransportCoupling, Sampling, decoder
from lit_gen.families.diffusion.decoder import discretized_gaussian_log_prob, nearest_level_log_prob
from lit_gen.families.diffusion.learned_schedule import LinearGamma, MonotoneGamma
from lit_gen.families.diffusion.levels import even_shares
from lit_gen.families.diffusion.prediction import diffuse
from lit_gen.families.diffusion.samplers import SAMPLERS, alpha_sigma, posterior
from lit_gen.families.diffusion.sampling import SamplerName
from lit_gen.families.diffusion.schedules import NoiseSchedule
from lit_gen.likelihood import to_symmetric
from lit_gen.noise import Noise

from . import conformance as laws

FAMILIES = [DDPM, ImprovedDDPM, ImprovedDDPMVLB, VDM, EDM, FlowMatching]
SHAPE, LEVELS = (1, 2, 2), 5


def stirred(family: type, **options: Any) -> Any:
    torch.manual_seed(0)
    model = family(SHAPE, LEVELS, **options)
    laws.stir(model, scale=0.1)
    return model.eval()


def levels(n: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(LEVELS, (n, *SHAPE), generator=generator).to(torch.uint8)


# ------------------------------------------------------------------ the forward process


@pytest.mark.parametrize("schedule", [LinearBetas(50, 1e-3, 0.2), CosineSchedule(50)], ids=["linear", "cosine"])
def test_marginals_are_those_of_the_chain(schedule: NoiseSchedule) -> None:
    """Steps ``sqrt(1 - beta) z + sqrt(beta) eps`` one after the other have the moments that the levels state."""
    log_snrs = schedule.log_snrs()
    alpha_bars = torch.sigmoid(log_snrs)
    assert (log_snrs.diff() < 0).all()
    betas = 1 - alpha_bars / torch.cat([torch.ones(1, dtype=torch.float64), alpha_bars[:-1]])
    mean, variance = torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64)
    z = torch.full((200_000,), 1.0)
    generator = torch.Generator().manual_seed(0)
    for k, beta in enumerate(betas):
        mean, variance = (1 - beta).sqrt() * mean, (1 - beta) * variance + beta
        z = (1 - beta).sqrt() * z + beta.sqrt() * torch.randn(len(z), generator=generator)
        alpha, sigma = alpha_sigma(float(log_snrs[k]))
        assert (float(mean), float(variance)) == pytest.approx((alpha, sigma**2), abs=1e-9)
    assert float(z.mean()) == pytest.approx(alpha, abs=0.01)
    assert float(z.std()) == pytest.approx(sigma, abs=0.01)
    if isinstance(schedule, LinearBetas):
        assert torch.allclose(betas, torch.linspace(1e-3, 0.2, 50, dtype=torch.float64), atol=1e-12)


def test_the_cosine_schedule_is_the_papers() -> None:
    t, s = torch.tensor([1.0, 500.0, 900.0]) / 1000, 0.008
    f = torch.cos((t + s) / (1 + s) * math.pi / 2) ** 2 / math.cos(s / (1 + s) * math.pi / 2) ** 2
    found = torch.sigmoid(CosineSchedule(1000).log_snrs())[[0, 499, 899]]
    assert torch.allclose(found.float(), f, rtol=1e-4)


@pytest.mark.parametrize(("t", "s"), [(-1.0, 0.5), (2.0, 2.3), (-math.inf, 0.0), (0.0, math.inf)])
def test_the_posterior_is_bayes_rule(t: float, s: float) -> None:
    """Against ``q(z_t | z_s) q(z_s | x)``, normalized over a grid of z_s."""
    (alpha_t, sigma_t), (alpha_s, sigma_s) = alpha_sigma(t), alpha_sigma(s)
    x, z_t = 0.7, -0.4
    mean, log_small, log_large = posterior(torch.tensor([[z_t]]).double(), torch.tensor([[x]]).double(), t, s)
    if s == math.inf:
        assert float(mean) == pytest.approx(x)
        assert log_small == -math.inf
        return
    z_s = torch.linspace(-8, 8, 200_001, dtype=torch.float64)
    ratio = alpha_t / alpha_s
    step = math.sqrt(sigma_t**2 - (ratio * sigma_s) ** 2)
    joint = Normal(ratio * z_s, step).log_prob(torch.tensor(z_t)) + Normal(alpha_s * x, sigma_s).log_prob(z_s)
    weight = (joint - joint.max()).exp()
    weight /= weight.sum()
    truth = (weight * z_s).sum()
    assert float(mean) == pytest.approx(float(truth), abs=1e-6)
    assert math.exp(log_small) == pytest.approx(float((weight * (z_s - truth) ** 2).sum()), rel=1e-5)
    assert math.exp(log_large) == pytest.approx(step**2, rel=1e-9)


# ------------------------------------------------------------------ the bound


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("estimator", ["vlb", "ode"])
def test_the_parts_sum_to_the_whole(family: type, estimator: str) -> None:
    found = stirred(family).nll(levels(6), Noise(0, range(6)), estimator, draws=2)
    assert found.kind == {"vlb": "bound", "ode": "estimate"}[estimator]
    signs = {"entropy": -1}
    total = sum(signs.get(name, 1) * nats for name, nats in found.parts.items())
    assert torch.allclose(total, found.nats, atol=1e-4)
    assert all(nats.abs().max() > 0 for nats in found.parts.values())


@pytest.mark.parametrize("variance_mix", [0.0, 1.0])
def test_the_discrete_bound_is_the_sum_of_its_terms(variance_mix: float) -> None:
    """With a draw for each timestep, against divergences that torch takes."""
    model = stirred(DDPM, schedule=LinearBetas(6, 0.05, 0.9), variance_mix=variance_mix)
    x, n = levels(5), 5
    found = model.nll(x, Noise(3, range(n)), "vlb", draws=5)
    noise, real = Noise(3, range(n)), to_symmetric(x, LEVELS)
    log_snrs = model.log_snrs.tolist()
    z = diffuse(real, noise.normal(*SHAPE), model.log_snrs[:1].expand(n))
    noise.uniform()
    prior = kl_divergence(Normal(alpha_sigma(log_snrs[-1])[0] * real, alpha_sigma(log_snrs[-1])[1]), Normal(0.0, 1.0))
    total = prior.flatten(1).sum(1)
    for k in range(1, 6):
        level = model.log_snrs[k].expand(n)
        z_t = diffuse(real, noise.normal(*SHAPE), level)
        x_hat = model.predict(z_t, level).x_hat
        q_mean, log_small, log_large = posterior(z_t, real, log_snrs[k], log_snrs[k - 1])
        p_mean, _, _ = posterior(z_t, x_hat, log_snrs[k], log_snrs[k - 1])
        q = Normal(q_mean, math.exp(0.5 * log_small))
        p = Normal(p_mean, math.exp(0.5 * (log_small + variance_mix * (log_large - log_small))))
        total = total + kl_divergence(q, p).flatten(1).sum(1)
    total = total - model.reconstruction_log_prob(x, z, clip=True)
    assert torch.allclose(found.nats, total, rtol=1e-4)


def test_shares_are_one_in_each_part_and_uniform() -> None:
    shares = torch.stack(even_shares(Noise(0, range(4_000)), 4))
    assert ((shares * 4).floor() == torch.arange(4)[:, None]).all()
    assert (shares * 4 % 1).mean() == pytest.approx(0.5, abs=0.02)


def test_discretized_gaussians_sum_to_one() -> None:
    x = torch.arange(256)[:, None]
    for mean, deviation in itertools.product([-1.4, -1.0, -0.31, 0.0, 0.5, 1.2], [1e-3, 0.01, 0.3, 10.0]):
        log_prob = discretized_gaussian_log_prob(x, torch.tensor(mean), torch.tensor(2 * math.log(deviation)), 256)
        assert log_prob.isfinite().all() or deviation < 0.01
        assert float(log_prob.exp().sum()) == pytest.approx(1, abs=2e-5)
    near = discretized_gaussian_log_prob(torch.tensor([[130]]), torch.tensor(0.1), torch.tensor(math.log(0.04)), 256)
    edges = (to_symmetric(torch.tensor([129.5, 130.5]), 256) - 0.1) / 0.2
    assert float(near) == pytest.approx(float(Normal(0.0, 1.0).cdf(edges).diff().log()), abs=1e-4)


def test_probabilities_of_the_nearest_levels_are_bayes_rule() -> None:
    x = torch.arange(5)[:, None]
    y, deviation = torch.full((5, 1), 0.2), 0.3
    density = Normal(to_symmetric(x[:, 0], 5), deviation).log_prob(torch.tensor(0.2)).exp()
    assert torch.allclose(nearest_level_log_prob(x, y, deviation, 5).exp(), density / density.sum(), atol=1e-6)


# ------------------------------------------------------------------ samples


@pytest.mark.parametrize(("sampler", "evaluations"), [("ancestral", 7), ("ddim", 7), ("euler", 7), ("dpmpp_2m", 7),
                                                      ("heun", 13), ("edm_heun", 13)])
@pytest.mark.parametrize("family", FAMILIES)
def test_evaluations_are_counted(family: type, sampler: str, evaluations: int) -> None:
    model = stirred(family, sampling=Sampling(sampler, 7))
    rows: list[int] = []
    model.sampling_network.register_forward_hook(lambda module, args, output: rows.append(len(args[0])))
    model.sample(3)
    # VDM ends at its first latent, whose nearest levels are the sample, so that its last step too has two; and where
    # flow matching starts, at pure noise, sigma / alpha is infinite.
    more = {(VDM, "heun"): 1, (VDM, "edm_heun"): 1, (FlowMatching, "edm_heun"): -1}.get((family, sampler), 0)
    assert sum(rows) == 3 * (evaluations + more)


def test_guidance_moves_from_no_class_through_the_class() -> None:
    model = stirred(FlowMatching, num_classes=3)
    z, label, noise = torch.randn(4, *SHAPE), torch.tensor([0, 1, 2, 0]), Noise(0, range(4))

    def x_hat(guidance: float) -> Tensor:
        model.sampling = Sampling("euler", 5, guidance, clip_denoised=False)
        return model._denoiser(label)(z, 0.3).x_hat

    plain = model.denoise(z, torch.full((4,), 0.3), label).x_hat
    without = model.denoise(z, torch.full((4,), 0.3)).x_hat
    assert not torch.allclose(plain, without, atol=1e-3)
    assert torch.allclose(x_hat(1.0), plain, atol=1e-5)
    assert torch.allclose(x_hat(0.0), without, atol=1e-5)
    assert torch.allclose(x_hat(2.5), without + 2.5 * (plain - without), atol=1e-4)
    model.sampling = Sampling("euler", 5, 2.5)
    assert model.sampler_settings()["guidance"] == 2.5
    assert model.generate(noise, label).shape == (4, *SHAPE)


def test_guidance_doubles_the_evaluations_and_needs_classes() -> None:
    model = stirred(DDPM, num_classes=3, sampling=Sampling("ddim", 5, 2.0))
    rows: list[int] = []
    model.net.register_forward_hook(lambda module, args, output: rows.append(len(args[0])))
    model.sample(4, label=1)
    assert sum(rows) == 4 * 10
    with pytest.raises(UserError, match="needs classes"):
        DDPM(SHAPE, LEVELS, sampling=Sampling("ddim", 5, 2.0)).check_sampling(Sampling("ddim", 5, 2.0))
    with pytest.raises(UserError, match="label_dropout"):
        DDPM(SHAPE, LEVELS, num_classes=3, label_dropout=0.0)
    with pytest.raises(UserError, match="101"):
        DDPM(SHAPE, LEVELS, sampling=Sampling("ddim", 101))


@pytest.mark.parametrize("family", [DDPM, VDM, EDM, FlowMatching])
def test_latents_lead_back_to_their_example(family: type) -> None:
    torch.manual_seed(0)
    model = family(SHAPE, LEVELS, lr=4e-3)
    source = KnownEntropy(SHAPE, LEVELS, num_train=2_000, num_val=20, num_test=60)
    laws.fit(model, source, 150)
    model.sampling = Sampling("ancestral", 100, clip_denoised=False)
    x = source.split("test").x
    with torch.no_grad():
        z = model.to_latent(x, Noise(0, range(60)))
        found = model.from_latent(z)
    assert 0.6 < float(z.std()) < 1.5
    assert float((found == x).float().mean()) > 0.97
    chance = torch.roll(x, 1, 0)
    assert float((chance == x).float().mean()) < 0.6


def test_clipped_predictions_lie_in_the_datas_range() -> None:
    model = stirred(EDM, sampling=Sampling("edm_heun", 5, clip_denoised=True))
    z = 3 * torch.randn(20, *SHAPE)
    predicted = model._denoiser(None)(z, 1.0)
    alpha, sigma = alpha_sigma(1.0)
    assert predicted.x_hat.abs().max() <= 1
    assert torch.allclose(alpha * predicted.x_hat + sigma * predicted.eps_hat, z, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_predictions_are_what_z_is_made_of(family: type) -> None:
    model = stirred(family)
    for level in (-3.0, 0.0, 2.0):
        z = torch.randn(5, *SHAPE)
        predicted = model.denoise(z, torch.full((5,), level))
        alpha, sigma = alpha_sigma(level)
        assert torch.allclose(alpha * predicted.x_hat + sigma * predicted.eps_hat, z, atol=1e-4)


def test_labels_are_hidden_at_the_stated_rate() -> None:
    model = DDPM(SHAPE, LEVELS, num_classes=3, label_dropout=0.25)
    label = model.training_label(torch.ones(20_000, dtype=torch.long))
    assert set(label.tolist()) == {1, 3}
    assert float((label == 3).float().mean()) == pytest.approx(0.25, abs=0.015)


# ------------------------------------------------------------------ each paper's own


def test_timesteps_lie_at_their_levels_and_between_them() -> None:
    model = DDPM(SHAPE, 256, schedule=LinearBetas())
    whole = torch.arange(1000)
    assert torch.allclose(model.timestep(model.log_snrs), whole.float(), atol=1e-3)
    between = model.timestep((model.log_snrs[10:11] + model.log_snrs[11:12]) / 2)
    assert float(between) == pytest.approx(10.5, abs=1e-3)
    assert model.timestep(torch.tensor([99.0, -99.0])).tolist() == [0.0, 999.0]


def test_fewer_steps_visit_timesteps_evenly_from_the_last_to_the_first() -> None:
    model = DDPM(SHAPE, 256, schedule=LinearBetas())
    grid = model.log_snr_grid(5)
    chosen = [999, 749, 500, 250, 0]
    assert torch.allclose(grid[:-1].float(), model.log_snrs[chosen])
    assert grid[-1] == math.inf


def test_learned_variances_get_their_gradient_from_the_bound_alone_and_means_from_the_error_alone() -> None:
    model = stirred(ImprovedDDPM)
    outputs: list[Tensor] = []

    def keep(module: nn.Module, args: Any, output: Tensor) -> None:
        output.retain_grad()
        outputs.append(output)

    model.net.register_forward_hook(keep)
    x, before = levels(64), torch.zeros(())
    for weight, reaches in ((0.0, False), (1.0, True)):
        model.bound_weight = weight
        torch.manual_seed(1)
        model.training_step((x, None, torch.arange(64)), 0)["loss"].backward()
        eps_gradient, mix_gradient = outputs.pop().grad.chunk(2, 1)
        assert bool(mix_gradient.any()) is reaches
        if reaches:
            assert torch.allclose(eps_gradient, before, atol=1e-7)
        before = eps_gradient


@pytest.mark.parametrize("num_timesteps", [1000, 4000])
def test_learned_variances_have_finite_gradients_out_of_any_noise(num_timesteps: int) -> None:
    """Far out the decoder's gradient is no number, and a masked row's would still reach all weights."""
    torch.manual_seed(0)
    model = ImprovedDDPM((1, 4, 4), 256, schedule=CosineSchedule(num_timesteps))
    laws.stir(model, scale=0.1)
    timestep = torch.cat([torch.arange(64), torch.arange(num_timesteps - 64, num_timesteps)])
    x = torch.randint(256, (128, 1, 4, 4)).to(torch.uint8)
    real, log_snr = to_symmetric(x, 256), model.log_snrs[timestep]
    z = diffuse(real, torch.randn_like(real), log_snr)
    predicted = model.denoise(z, log_snr)
    assert predicted.x_hat.abs().max() > 1_000
    model.term_nats(x, real, timestep, predicted).mean().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_weight_decay_is_for_the_network_alone() -> None:
    model = stirred(VDM, weight_decay=0.5)
    network, rest = model.configure_optimizers().param_groups
    assert network["weight_decay"] == 0.5
    assert rest["weight_decay"] == 0.0
    assert any(p is model.schedule.ends for p in rest["params"])
    assert len(network["params"]) + len(rest["params"]) == len(list(model.parameters()))


def test_what_a_score_of_samples_depends_on_is_said() -> None:
    assert DDPM(SHAPE, LEVELS, variance_mix=0.5).sampler_settings()["variance_mix"] == 0.5
    assert "variance_mix" not in ImprovedDDPM(SHAPE, LEVELS).sampler_settings()
    assert EDM(SHAPE, LEVELS, rho=5.0).sampler_settings()["rho"] == 5.0
    assert DDPM(SHAPE, LEVELS, num_classes=2).sampler_settings()["class_conditional"] is True
    assert "class_conditional" not in DDPM(SHAPE, LEVELS).sampler_settings()


def test_a_schedule_that_stops_short_of_noise_is_told() -> None:
    """The paper's variances are made for 1,000 timesteps; with 100 of them a third of the data is left."""
    with pytest.warns(UserWarning, match=r"36\.\d% of the data's variance is left"):
        DDPM(SHAPE, LEVELS, schedule=LinearBetas(100))
    for schedule in (LinearBetas(), CosineSchedule(100), None):
        DDPM(SHAPE, LEVELS, schedule=schedule)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Sampling("foo"), "no sampler 'foo'"),  # type: ignore[arg-type]
        (lambda: Sampling("ddim", 5, math.nan), "must be a number"),
        (lambda: Sampling("ddim", 5, -1.0), "not negative"),
        (lambda: FlowMatching(SHAPE, LEVELS, coupling=OptimalTransportCoupling(), num_classes=2), "no longer normal"),
        (lambda: FlowMatching(SHAPE, LEVELS, sampling=Sampling("euler", 1)).to_latent(levels(2), Noise(0, range(2))),
         "at least 2 steps"),
    ],
)
def test_what_makes_no_sense_is_refused(build: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        build()


def test_the_nearest_levels_of_large_images_are_asked_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randint(LEVELS, (6, 3, 8, 8)).to(torch.uint8)
    y = to_symmetric(x, LEVELS) + 0.3 * torch.randn(6, 3, 8, 8)
    found = []
    for logits in (decoder._LOGITS, 6 * LEVELS * 50):
        monkeypatch.setattr(decoder, "_LOGITS", logits)
        deviation = torch.tensor(0.3, requires_grad=True)
        whole = nearest_level_log_prob(x, y, deviation, LEVELS)
        (gradient,) = torch.autograd.grad(whole.sum(), deviation)
        with torch.no_grad():
            assert torch.allclose(nearest_level_log_prob(x, y, 0.3, LEVELS), whole, atol=1e-3)
        found.append(torch.cat([whole, gradient[None]]))
    assert torch.allclose(found[0], found[1], rtol=1e-4)


def test_timesteps_are_drawn_where_the_terms_are_large_once_all_are_known() -> None:
    model = ImprovedDDPMVLB(SHAPE, LEVELS, schedule=LinearBetas(4, 0.3, 0.95))
    model._trainer = type("OneProcess", (), {"world_size": 1})()  # type: ignore[assignment]
    even = torch.full((4,), 0.25)
    model.remember(torch.arange(4).repeat(9), torch.ones(36))
    assert torch.allclose(model.timestep_probabilities(), even)
    model.remember(torch.arange(4), torch.ones(4))
    assert torch.allclose(model.timestep_probabilities(), even)
    model.remember(torch.tensor([2] * 10), torch.full((10,), 5.0))
    expected = 0.999 * torch.tensor([1, 1, 5, 1]) / 8 + 0.001 / 4
    assert torch.allclose(model.timestep_probabilities(), expected)
    model.remember(torch.tensor([2]), torch.tensor([1.0]))  # the oldest of ten makes room
    assert model.timestep_probabilities()[2] < expected[2]
    other = ImprovedDDPMVLB(SHAPE, LEVELS, schedule=LinearBetas(4, 0.3, 0.95))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.timestep_probabilities(), model.timestep_probabilities())


@torch.no_grad()
def test_edms_loss_starts_at_one_at_every_level() -> None:
    """A network that says nothing costs the same everywhere, for data of the stated deviation (equation 8)."""
    model = EDM((1, 8, 8), 256, sigma_data=0.5)
    n = 4_000
    x = 0.5 * torch.randn(n, 1, 8, 8)
    for sigma in (0.01, 0.5, 30.0):
        noise = torch.full((n, 1, 1, 1), sigma)
        seen: list[Tensor] = []
        handle = model.net.register_forward_hook(lambda module, args, output, seen=seen: seen.append(args[0]))
        x_hat = model.preconditioned(x + sigma * torch.randn_like(x), noise, None)
        handle.remove()
        weight = (sigma**2 + 0.25) / (sigma * 0.5) ** 2
        assert float((weight * (x_hat - x).square()).mean()) == pytest.approx(1, abs=0.03)
        assert float(seen[0].std()) == pytest.approx(1, abs=0.02)


def test_edms_levels_are_equation_5() -> None:
    model = EDM(SHAPE, 256)
    sigma = torch.exp(-0.5 * model.log_snr_grid(18))
    truth = [(80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(18)] + [0.0]
    assert torch.allclose(sigma, torch.tensor(truth, dtype=torch.float64), rtol=1e-9)


def test_optimal_transport_is_the_cheapest_pairing() -> None:
    generator = torch.Generator().manual_seed(0)
    x, eps = torch.randn(2, 5, *SHAPE, generator=generator)
    paired = OptimalTransportCoupling().pair(x, eps)
    costs = {
        order: float((x - eps[list(order)]).square().sum()) for order in itertools.permutations(range(5))
    }
    assert float((x - paired).square().sum()) == pytest.approx(min(costs.values()), rel=1e-5)
    assert min(costs.values()) < 0.8 * costs[(0, 1, 2, 3, 4)]


def test_flow_matching_learns_the_lines_direction() -> None:
    """The target is eps - x at ``(1 - t) x + t eps``, and the denoiser takes both apart again."""
    model = FlowMatching(SHAPE, LEVELS)
    x, eps, t = torch.randn(6, *SHAPE), torch.randn(6, *SHAPE), 0.3
    log_snr = torch.full((6,), 2 * math.log((1 - t) / t))
    seen: list[Tensor] = []

    class Truth(nn.Module):
        def forward(self, y: Tensor, time: Tensor, label: Tensor | None) -> Tensor:
            seen.extend([y, time])
            return eps - x

    model.net = Truth()
    predicted = model.denoise(diffuse(x, eps, log_snr), log_snr)
    assert torch.allclose(seen[0], (1 - t) * x + t * eps, atol=1e-5)
    assert torch.allclose(seen[1], torch.full((6,), 300.0), atol=1e-2)
    assert torch.allclose(predicted.x_hat, x, atol=1e-5)
    assert torch.allclose(predicted.eps_hat, eps, atol=1e-5)


# ------------------------------------------------------------------ VDM's schedule


def test_the_learned_schedule_rises_between_its_ends_and_knows_its_slope() -> None:
    torch.manual_seed(0)
    schedule = MonotoneGamma(-7.0, 5.0, width=32)
    with torch.no_grad():
        for parameter in (schedule.line, schedule.into, schedule.bias, schedule.out):
            parameter.add_(2 + 2 * torch.randn_like(parameter))
    t = torch.linspace(0, 1, 101, requires_grad=True)
    gamma, slope = schedule(t)
    (truth,) = torch.autograd.grad(gamma.sum(), t)
    assert (slope > 0).all()
    assert torch.allclose(slope, truth, rtol=1e-3)
    assert slope.max() > 1.2 * slope.min(), "a straight line"
    assert gamma[[0, -1]].tolist() == pytest.approx([-7.0, 5.0], abs=1e-4)


def test_the_bound_does_not_depend_on_the_schedules_shape() -> None:
    torch.manual_seed(0)
    model = stirred(VDM)
    x, n = levels(40), 40
    found = []
    for schedule in (LinearGamma(-5.0, 5.0), MonotoneGamma(-5.0, 5.0, 8)):
        if isinstance(schedule, MonotoneGamma):
            with torch.no_grad():
                schedule.out[:2].add_(8.0)
        model.schedule = schedule
        nats = model.nll(x, Noise(0, range(n)), "vlb", draws=400).parts["diffusion"]
        found.append(nats.mean())
    shape = model.schedule.shape(torch.tensor([0.25, 0.5]))[0]
    assert (shape - torch.tensor([0.25, 0.5])).abs().max() > 0.05, "a straight line"
    assert float(found[0].detach()) == pytest.approx(float(found[1].detach()), rel=0.02)


def test_the_shape_is_fitted_to_small_squares_and_the_ends_to_the_bound() -> None:
    model = stirred(VDM)
    x = levels(32)
    batch = (x, None, torch.arange(32))
    torch.manual_seed(5)
    model.training_step(batch, 0)["loss"].backward()
    shape_gradient = model.schedule.out.grad.clone()
    net_gradient = model.net.leave.weight.grad.clone()
    model.zero_grad()

    torch.manual_seed(5)
    real = to_symmetric(x, LEVELS)
    torch.randn_like(real)  # of the first latent
    t = (torch.rand(1) + torch.arange(32) / 32) % 1
    gamma, slope = model.schedule(t)
    eps = torch.randn_like(real)
    error = (eps - model.denoise(diffuse(real, eps, -gamma), -gamma).eps_hat).square().flatten(1).sum(1)
    nats = 0.5 * slope * error
    second_moment = (nats.square() / nats.detach().mean()).mean()
    (squares,) = torch.autograd.grad(second_moment, model.schedule.out, retain_graph=True)
    (plain,) = torch.autograd.grad(nats.mean(), model.net.leave.weight)
    assert torch.allclose(shape_gradient, squares, rtol=1e-3, atol=1e-7)
    assert torch.allclose(net_gradient, plain, rtol=1e-3, atol=1e-6)


# ------------------------------------------------------------------ inside Trainers


@pytest.mark.parametrize("inference_mode", [False, True])
def test_the_ode_is_solved_in_any_trainer(inference_mode: bool) -> None:
    """Where gradients are off, and in inference mode, which forbids them (Lightning issue 19910)."""
    model, source = FlowMatching((1, 2, 2), 3), KnownEntropy((1, 2, 2), 3, num_test=40)
    model.test_estimation = type(model.test_estimation)("ode", 1, 0)
    trainer = laws.trainer(1, inference_mode=inference_mode)
    trainer.test(model, source.test_dataloader(), verbose=False)
    assert model.test_nats.count == 40
    direct = laws.nll(model, source.split("test").x, "ode").nats
    assert model.test_nats.mean == pytest.approx(float(direct.mean()), rel=1e-4)


def test_the_ode_validates_inside_a_fit() -> None:
    model, source = DDPM((1, 2, 2), 3), KnownEntropy((1, 2, 2), 3, num_train=256, num_val=40)
    model.val_estimation = type(model.val_estimation)("ode", 1, 0)

    class Seen(L.Callback):
        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            self.metrics = dict(trainer.callback_metrics)

    seen = Seen()
    laws.fit(model, source, 2, seen, limit_val_batches=1.0)
    assert {"val/bpd", "val/latent", "val/reconstruction", "val/entropy"} <= set(seen.metrics)


def test_low_precision_does_not_reach_the_ode() -> None:
    model = stirred(FlowMatching)
    x, noise = levels(8), [Noise(0, range(8)) for _ in range(2)]
    plain = model.nll(x, noise[0], "ode").nats
    with torch.autocast("cpu", torch.bfloat16):
        cast = model.nll(x, noise[1], "ode").nats
    assert torch.allclose(plain, cast, rtol=1e-3)


def test_a_class_conditional_model_scores_x_alone_and_trains_both() -> None:
    model = DDPM((1, 8, 8), 17, num_classes=10, label_dropout=0.5)
    laws.fit(model, Digits(batch_size=50), 4)
    x = Digits().split("test").x[:4]
    first = model.nll(x, Noise(0, range(4))).nats
    with torch.no_grad():
        model.net.label.weight[:10] += 100.0
    assert torch.equal(model.nll(x, Noise(0, range(4))).nats, first)
    assert not torch.equal(model.sample(8, label=1), model.sample(8, label=2))


def test_all_samplers_have_a_name_that_the_schema_knows() -> None:
    assert set(get_args(SamplerName)) == set(SAMPLERS)
