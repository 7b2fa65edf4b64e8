"""Each diffusion paper's own laws."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_gen.errors import UserError
from lit_gen.families import DDPM, EDM, VDM, FlowMatching, ImprovedDDPM, ImprovedDDPMVLB
from lit_gen.families.diffusion import (
    CosineSchedule,
    KarrasGrid,
    Labels,
    LinearBetas,
    OptimalTransportPairing,
    Sampling,
    decoder,
)
from lit_gen.families.diffusion.decoder import nearest_level_log_prob
from lit_gen.families.diffusion.learned_schedule import LinearGamma, MonotoneGamma
from lit_gen.families.diffusion.prediction import Prediction, diffuse
from lit_gen.noise import Noise
from lit_gen.quantization import to_symmetric

from . import conformance as laws
from .conformance import adamw
from .diffusions import LEVELS, SHAPE, levels, stirred

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
    model = stirred(VDM, optimizer=adamw(weight_decay=0.5))
    network, rest = model.configure_optimizers().param_groups
    assert network["weight_decay"] == 0.5
    assert rest["weight_decay"] == 0.0
    assert any(p is model.schedule.ends for p in rest["params"])
    assert len(network["params"]) + len(rest["params"]) == len(list(model.parameters()))


def test_what_a_score_of_samples_depends_on_is_said() -> None:
    assert DDPM(SHAPE, LEVELS, variance_mix=0.5).sampler_settings()["variance_mix"] == 0.5
    assert "variance_mix" not in ImprovedDDPM(SHAPE, LEVELS).sampler_settings()
    assert EDM(SHAPE, LEVELS, grid=KarrasGrid(rho=5.0)).sampler_settings()["rho"] == 5.0
    assert DDPM(SHAPE, LEVELS, labels=Labels(2)).sampler_settings()["class_conditional"] is True
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
        (lambda: FlowMatching(SHAPE, LEVELS, pairing=OptimalTransportPairing(), labels=Labels(2)), "no longer normal"),
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


def test_a_timestep_s_last_ten_terms_are_remembered_whatever_the_batch() -> None:
    """One batch may hold a timestep twice, or more often than there are places, or a term that is no number."""
    model = ImprovedDDPMVLB(SHAPE, LEVELS, schedule=LinearBetas(4, 0.3, 0.95))
    model._trainer = type("OneProcess", (), {"world_size": 1})()  # type: ignore[assignment]
    generator = torch.Generator().manual_seed(0)
    terms: list[list[float]] = [[] for _ in range(4)]
    for size in (1, 7, 64, 3, 100, 20):
        timestep, nats = torch.randint(4, (size,), generator=generator), torch.rand(size, generator=generator)
        nats[torch.rand(size, generator=generator) < 0.1] = torch.inf
        model.remember(timestep, nats)
        for t, value in zip(timestep.tolist(), nats.tolist(), strict=True):
            terms[t] += [value] if math.isfinite(value) else []
    for t in range(4):
        assert int(model.counts[t]) == len(terms[t])
        assert sorted(model.history[t].tolist()) == sorted(terms[t][-10:])


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
    paired = OptimalTransportPairing().pair(x, eps)
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


@pytest.mark.parametrize("mix", [0.0, 0.5, 1.0])
def test_terms_of_the_bound_are_precise_where_variances_hardly_differ(mix: float) -> None:
    """A term is divided by its timestep's share: rounding of 1e-7 would be 1e-4 of the bound, and the device's own."""
    model = DDPM(SHAPE, 256, schedule=LinearBetas(), variance_mix=mix)
    timestep = torch.arange(1, 1000)
    x = torch.zeros(999, *SHAPE)
    found = model.step_nats(x, timestep, Prediction(x, x, mix)).double() / x[0].numel()
    log_snrs = LinearBetas().checked_log_snrs()
    log_ratio = torch.nn.functional.logsigmoid(-log_snrs).diff()
    # KL(N(0, small) || N(0, small * ratio**mix)), by the difference of float64, which is enough for float64's 1e-16.
    excess = mix * log_ratio
    expected = 0.5 * (excess + torch.expm1(-excess))
    assert torch.allclose(found, expected, rtol=2e-6, atol=1e-18)
