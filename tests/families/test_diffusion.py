"""Identities of all diffusion models: Bayes' rule, marginals, the bound's terms; inside any Trainer."""

from __future__ import annotations

import itertools
import math
from typing import Any

import lightning as L
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from lit_gen.data import Digits, KnownEntropy, SampleSizes
from lit_gen.families import DDPM, FlowMatching
from lit_gen.families.diffusion import CosineSchedule, Labels, LinearBetas
from lit_gen.families.diffusion.decoder import discretized_gaussian_log_prob, nearest_level_log_prob
from lit_gen.families.diffusion.prediction import diffuse
from lit_gen.families.diffusion.samplers import alpha_sigma, posterior
from lit_gen.families.diffusion.schedules import NoiseSchedule
from lit_gen.noise import Noise
from lit_gen.quantization import to_symmetric

from . import conformance as laws
from .diffusions import FAMILIES, LEVELS, SHAPE, levels, stirred

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
    """Each timestep at the middle of its positions, against divergences that torch takes."""
    model = stirred(DDPM, schedule=LinearBetas(6, 0.05, 0.9), variance_mix=variance_mix)
    x, n = levels(5), 5
    noise, real = Noise(3, range(n)), to_symmetric(x, LEVELS)
    edges = [0.0, *model.ends.tolist()]
    found = sum(
        (high - low) * model.nats_at(real, torch.full((n,), (low + high) / 2), noise)
        for low, high in itertools.pairwise(edges)
    )
    noise = Noise(3, range(n))
    log_snrs = model.log_snrs.tolist()
    total = torch.zeros(n)
    for k in range(1, 6):
        level = model.log_snrs[k].expand(n)
        z_t = diffuse(real, noise.normal(*SHAPE), level)
        x_hat = model.predict(z_t, level).x_hat
        q_mean, log_small, log_large = posterior(z_t, real, log_snrs[k], log_snrs[k - 1])
        p_mean, _, _ = posterior(z_t, x_hat, log_snrs[k], log_snrs[k - 1])
        q = Normal(q_mean, math.exp(0.5 * log_small))
        p = Normal(p_mean, math.exp(0.5 * (log_small + variance_mix * (log_large - log_small))))
        total = total + kl_divergence(q, p).flatten(1).sum(1)
    assert torch.allclose(found, total, rtol=1e-4)


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


# ------------------------------------------------------------------ inside Trainers


@pytest.mark.parametrize("inference_mode", [False, True])
def test_the_ode_is_solved_in_any_trainer(inference_mode: bool) -> None:
    """Where gradients are off, and in inference mode, which forbids them (Lightning issue 19910)."""
    model, source = FlowMatching((1, 2, 2), 3), KnownEntropy((1, 2, 2), 3, splits=SampleSizes(num_test=40))
    model.test_estimation = [type(model.val_estimation)("ode", 1, 0)]
    trainer = laws.trainer(1, inference_mode=inference_mode)
    trainer.test(model, source.test_dataloader(), verbose=False)
    (values,) = model.test_values
    assert len(values) == 40
    direct = laws.nll(model, source.split("test").x, "ode").nats
    assert float(values.nats.mean()) == pytest.approx(float(direct.mean()), rel=1e-4)


def test_the_ode_validates_inside_a_fit() -> None:
    model, source = DDPM((1, 2, 2), 3), KnownEntropy((1, 2, 2), 3, splits=SampleSizes(num_train=256, num_val=40))
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
    model = DDPM((1, 8, 8), 17, labels=Labels(10, 0.5))
    laws.fit(model, Digits(batch_size=50), 4)
    x = Digits().split("test").x[:4]
    first = model.nll(x, Noise(0, range(4))).nats
    with torch.no_grad():
        model.net.label.weight[:10] += 100.0
    assert torch.equal(model.nll(x, Noise(0, range(4))).nats, first)
    assert not torch.equal(model.sample(8, label=1), model.sample(8, label=2))
