"""A flow's density is one: it integrates to one, and its bound on levels to no more."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lit_gen.families.flow import Flow
from lit_gen.likelihood import LogMeanExp
from lit_gen.noise import Noise

from . import conformance as laws
from . import flows

# ------------------------------------------------------------------ the integral over real numbers


@torch.no_grad()
def integral_on_a_square(model: Flow, label: int | None = None, n: int = 400, ends: float = 11.0) -> float:
    """Of the density of two dimensions over all of its support, the image of the plane of logits: trapezoids."""
    logit = torch.linspace(-ends, ends, n, dtype=torch.float64)
    alpha = model.alpha  # type: ignore[attr-defined]
    s = torch.sigmoid(logit)
    y, weight = (s - alpha) / (1 - 2 * alpha), s * (1 - s) / (1 - 2 * alpha) * (logit[1] - logit[0])
    grid = torch.cartesian_prod(y.float(), y.float())
    weights = torch.cartesian_prod(weight, weight).prod(1)
    total = 0.0
    for part, w in zip(grid.split(50_000), weights.split(50_000), strict=True):
        labels = None if label is None else torch.full((len(part),), label)
        total += float((model.log_density(part, labels).double().exp() * w).sum())
    return total


@pytest.mark.parametrize("seed", [0, 2])
@pytest.mark.parametrize("name", flows.OF_VECTORS)
def test_a_density_of_two_numbers_integrates_to_one(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    # A wide alpha, and not stirred much: float32 has no numbers for logits near the ends of the support.
    model = flows.OF_VECTORS[name]((2,), 4, alpha=0.01)
    laws.stir(model, seed, scale=0.1)
    assert integral_on_a_square(model.eval()) == pytest.approx(1, abs=3e-4)


def test_each_class_s_density_integrates_to_one() -> None:
    torch.manual_seed(0)
    model = flows.OF_VECTORS["MLPRealNVP"]((2,), 4, alpha=0.01, num_classes=3)
    laws.stir(model, scale=0.1)
    for label in (None, 0, 2):
        assert integral_on_a_square(model.eval(), label) == pytest.approx(1, abs=3e-4)


def test_a_trained_density_integrates_to_one() -> None:
    model = flows.trained_on_classes()
    assert integral_on_a_square(model, ends=13.0) == pytest.approx(1, abs=0.01)


@torch.no_grad()
def integral_by_importance(model: Flow, logit: bool, n: int = 60_000) -> tuple[float, float]:
    """Over all of its support, and its standard error; from Student-t's of 5 degrees, as wide as the samples.

    The proposal lives on the logits where the flow opens with one, and knows nothing of the flow's volume.
    """
    alpha = model.alpha if logit else 0.0  # type: ignore[attr-defined]
    generator = torch.Generator().manual_seed(0)
    y = model.bijection.inverse(model.prior.sample(Noise(0, range(4_000)))).flatten(1).double()
    v = torch.logit((alpha + (1 - 2 * alpha) * y).clamp(1e-12, 1 - 1e-12)) if logit else y
    mean, root = v.mean(0), torch.linalg.cholesky(1.5 * torch.cov(v.T))
    D = y.shape[1]
    chi = torch.distributions.Chi2(torch.tensor(5.0, dtype=torch.float64))
    torch.manual_seed(0)
    t = torch.randn(n, D, generator=generator, dtype=torch.float64) / (chi.sample((n, 1)) / 5).sqrt()
    v = mean + t @ root.T
    log_q = (
        math.lgamma((5 + D) / 2) - math.lgamma(2.5) - D / 2 * math.log(5 * math.pi)
        - root.logdet() - (5 + D) / 2 * torch.log1p(t.square().sum(1) / 5)
    )  # fmt: skip
    s = torch.sigmoid(v)
    y = (s - alpha) / (1 - 2 * alpha) if logit else v
    if logit:
        log_q = log_q - (s.log() + torch.log1p(-s) - math.log(1 - 2 * alpha)).sum(1)
    inside = (v.abs() < 12).all(1) if logit else torch.ones(n, dtype=torch.bool)  # beyond, y rounds to the ends
    y = torch.where(inside[:, None], y, 0.5).float().reshape(n, *model.shape)
    log_p = torch.cat([model.log_density(part) for part in y.split(20_000)]).double()
    weight = torch.where(inside, (log_p - log_q).exp(), 0.0)
    return float(weight.mean()), float(weight.std()) / math.sqrt(n)


@pytest.mark.parametrize("kind", ["stirred", "trained"])
@pytest.mark.parametrize("name", flows.OF_IMAGES)
def test_a_density_of_images_integrates_to_one(name: str, kind: str) -> None:
    model = flows.stirred(name, scale=0.1) if kind == "stirred" else flows.trained(name)
    total, error = integral_by_importance(model, logit=name == "RealNVP")
    assert error < 0.04, "the integral is too noisy to say anything"
    assert total == pytest.approx(1, abs=4 * error + 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", flows.MULTI_SCALE)
def test_a_density_in_two_scales_integrates_to_one(name: str) -> None:
    model = flows.stirred(name, scale=0.05)
    total, error = integral_by_importance(model, logit=name.startswith("RealNVP"), n=400_000)
    assert error < 0.05
    assert total == pytest.approx(1, abs=4 * error + 1e-3)


# ------------------------------------------------------------------ the sum over levels


@pytest.mark.parametrize("name", ["MAF MoG", "MADE MoG", *flows.LEARNED])
def test_the_bounds_sum_to_at_most_one(name: str) -> None:
    """Those that no config enrols among the laws of all families."""
    for estimator in ("dequantized", "importance"):
        laws.assert_mass_is_lawful(flows.stirred(name), flows.source(name).enumerate(), estimator)


@pytest.mark.parametrize("family", ["MLPRealNVP", "Glow"])
def test_the_bounds_of_classes_sum_to_at_most_one(family: str) -> None:
    model = flows.stirred(family, num_classes=3)
    for estimator in ("dequantized", "importance"):
        laws.assert_mass_is_lawful(model, flows.source(family).enumerate(), estimator)


def masses(model: Flow, states: Tensor, draws: int = 16, repeats: int = 16) -> Tensor:
    """Sums over all states of ``exp(-importance)``, each an unbiased draw of the mass on [0, 1]^D."""
    return torch.stack(
        [(-laws.nll(model, states, "importance", draws, seed).nats).exp().sum() for seed in range(repeats)]
    )


@pytest.mark.parametrize("name", [*flows.OF_VECTORS, "MLPRealNVP, variational"])
def test_importance_weights_are_unbiased(name: str) -> None:
    """Where the support is [0, 1] all but 1e-6, the mean mass is one: neither more nor less."""
    total = masses(flows.trained(name), flows.source(name).enumerate())
    error = error_of(total)
    assert error < 0.03
    assert float(total.mean()) == pytest.approx(1, abs=4 * error + 1e-4)


@pytest.mark.parametrize("name", ["RealNVP", "Glow", "SplineFlow"])
def test_mass_beside_the_data_is_lost(name: str) -> None:
    """These flows' support is wider than [0, 1]: what samples land outside is what the bound's sum lacks."""
    model = flows.stirred(name)
    total = masses(model, flows.source(name).enumerate(), repeats=20)
    n = 8_000
    with torch.no_grad():
        y = model.bijection.inverse(model.prior.sample(Noise(3, range(n))))
    inside = float(((y >= 0) & (y < 1)).flatten(1).all(1).float().mean())
    error = math.hypot(error_of(total), math.sqrt(inside * (1 - inside) / n))
    assert inside < 0.99
    assert error < 0.02
    assert float(total.mean()) == pytest.approx(inside, abs=4 * error)


@pytest.mark.parametrize("name", ["MLPRealNVP", "MAF MoG", "Glow", "MLPRealNVP, variational"])
def test_importance_draws_tighten_the_bound(name: str) -> None:
    model = flows.stirred(name, scale=0.3 if name == "Glow" else 0.1)
    x = flows.source(name).split("test").x[:1_000]
    bounds = {k: -laws.nll(model, x, "importance", k).nats.double() for k in (1, 4, 32)}
    for few, many in ((1, 4), (4, 32)):  # each example's first draws are the same
        gain = bounds[many] - bounds[few]
        assert float(gain.mean()) > 3 * error_of(gain)
    plain = -laws.nll(model, x, "dequantized", 4, seed=2).nats.double()
    difference = plain - bounds[1]
    assert abs(float(difference.mean())) < 4 * error_of(difference), "with one draw it is the plain bound"
    alike = x[:1].expand_as(x)
    bound = -laws.nll(model, alike, "importance", 4).nats.double()
    total = LogMeanExp()
    total.update(-laws.nll(model, alike, "importance", 32, seed=1).nats[:, None])
    assert float(bound.mean()) <= float(total.value) + 4 * error_of(bound), "above 32,000 draws in one"


def error_of(values: Tensor) -> float:
    return float(values.std()) / math.sqrt(len(values))


@pytest.mark.parametrize("name", flows.ENUMERABLE)
def test_estimators_are_the_direct_formulas(name: str) -> None:
    model, x = flows.stirred(name), flows.source(name).split("test").x[:9]
    noise, D = Noise(0, range(9)), model.num_dims
    weights = []
    with torch.no_grad():
        for _ in range(5):
            u, log_q = model.dequantizer(x, model.dequantizer.noise_for(x, noise))
            log_p = model.log_density((x + u) / model.num_levels)
            weights.append(log_p - D * math.log(model.num_levels) - log_q)
    w = torch.stack(weights).double()
    plain, tight = laws.nll(model, x, None, 5), laws.nll(model, x, "importance", 5)
    assert torch.allclose(-plain.nats.double(), w.mean(0), atol=1e-4)
    assert torch.allclose(-tight.nats.double(), w.logsumexp(0) - math.log(5), atol=1e-4)
    kind = "variational" if "variational" in name else "uniform"
    assert (plain.kind, plain.estimator) == ("bound", f"dequantized-{kind}")
    assert (tight.kind, tight.estimator) == ("bound", f"importance-5-{kind}")
