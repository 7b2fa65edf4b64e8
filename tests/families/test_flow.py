"""Every flow after some training: it comes back, its volume is autograd's, its samples are its density's."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.families.flow import MAF, Glow, MLPRealNVP, MLPSplineFlow, RealNVP, SplineFlow
from lit_gen.families.flow.prior import StandardNormal
from lit_gen.noise import Noise

from . import conformance as laws
from . import flows


def points(name: str, n: int) -> Tensor:
    """Dequantized data and the flow's own samples: ``[2n, *shape]``."""
    model = flows.trained(name)
    y = flows.dequantized(model, flows.source(name).split("test").x[:n])
    z = model.prior.sample(Noise(5, range(n)))
    with torch.no_grad():
        return torch.cat([y, model.bijection.inverse(z)])


@pytest.mark.parametrize("name", flows.ALL)
def test_there_and_back_after_training(name: str) -> None:
    model, y = flows.trained(name), points(name, 500)
    with torch.no_grad():
        z, _ = model.bijection(y)
        back = model.bijection.inverse(z)
    assert z.shape == (len(y), model.num_dims)
    assert (back - y).abs().max() < 1e-4
    start, _ = flows.fresh(name).bijection(y)
    assert (z - start).abs().mean() > 0.2, "training moved it"


@pytest.mark.parametrize("name", flows.ALL)
def test_the_volume_of_the_whole_is_autograd_s(name: str) -> None:
    model, y = flows.trained(name), points(name, 5)
    rows = torch.autograd.functional.jacobian(lambda y: model.bijection(y)[0].sum(0), y)
    expected = rows.transpose(0, 1).flatten(2).double().slogdet().logabsdet
    with torch.no_grad():
        z, volume = model.bijection(y)
        assert torch.allclose(volume.double(), expected, rtol=1e-4, atol=1e-3)
        assert torch.allclose(model.log_density(y), model.prior.log_prob(z) + volume, atol=1e-5)
    assert float(expected.std()) > 0.1


@pytest.mark.parametrize("name", flows.ALL)
def test_levels_come_back_from_their_latents(name: str) -> None:
    model, x = flows.trained(name), flows.source(name).split("test").x[:300]
    with torch.no_grad():
        z = model.to_latent(x, Noise(0, range(300)))
        assert torch.equal(model.from_latent(z), x)


@pytest.mark.parametrize("name", [*flows.OF_VECTORS, "MLPRealNVP, variational"])
def test_samples_have_the_probabilities_that_are_scored(name: str) -> None:
    """A chi-square over all 81 states; the logit leaves no mass outside, so that both are whole."""
    model, states, n = flows.trained(name), flows.source(name).enumerate(), 8_000
    p = torch.stack([(-laws.nll(model, states, "importance", 32, seed).nats).exp() for seed in range(6)])
    error = p.std(0) / math.sqrt(6)
    p = p.mean(0)
    assert float(p.sum()) == pytest.approx(1, abs=4 * float(error.square().sum().sqrt()) + 1e-3)
    place = 3 ** torch.arange(3, -1, -1)
    codes = (model.sample(n, seed=1, block=1_000).long() * place).sum(1)
    counts = torch.bincount(codes, minlength=81).double()
    common = n * p > 4
    chi_square = ((counts - n * p) ** 2 / (n * p + (n * error) ** 2))[common].sum()
    degrees = int(common.sum())
    assert degrees > 20
    assert float(chi_square) < degrees + 5 * math.sqrt(2 * degrees)


@pytest.mark.parametrize("name", ["MLPRealNVP", "MLPSplineFlow", "MAF", "MAF MoG"])
def test_latents_of_samples_are_the_prior_s(name: str) -> None:
    """Through levels, 256 of them, and dequantized again: means, widths and tails of a standard normal."""
    torch.manual_seed(0)
    model = flows.OF_VECTORS[name]((4,), 256)
    laws.stir(model, scale=0.1)
    n = 4_000
    with torch.no_grad():
        z = model.to_latent(model.sample(n, block=1_000), Noise(1, range(n)))
        if name == "MAF MoG":
            z = _standardized(model.prior, z)
    assert (z.mean(0).abs() < 5 / math.sqrt(n)).all()
    assert (z.var(0) - 1).abs().max() < 5 * math.sqrt(2 / n)
    assert float((z.abs() > 1.96).float().mean()) == pytest.approx(0.05, abs=0.01)
    correlation = torch.corrcoef(z.T) - torch.eye(4)
    assert correlation.abs().max() < 5 / math.sqrt(n)


def _standardized(prior: torch.nn.Module, z: Tensor) -> Tensor:
    """Each dimension through the distribution function of its mixture, and back through the normal's."""
    logits, mean, log_scale = prior._mixture(prior.net(z), 1)  # type: ignore[operator]
    below = torch.special.ndtr((z[:, None] - mean) * (-log_scale).exp())
    return torch.special.ndtri((logits.softmax(1) * below).sum(1).double().clamp(1e-7, 1 - 1e-7))


# ------------------------------------------------------------------ sampling


@pytest.mark.parametrize("name", flows.ALL)
def test_one_call_of_the_network_is_one_sample(name: str) -> None:
    model = flows.fresh(name)
    model.sample(7, block=4)
    assert model.function_evaluations == 7


@pytest.mark.parametrize("name", flows.ALL)
def test_the_temperature_scales_the_latents(name: str) -> None:
    cold, warm = flows.stirred(name, temperature=0.0), flows.stirred(name, temperature=0.5)
    assert warm.sampler_settings() == {"name": "inverse", "temperature": 0.5}
    noise = Noise(0, range(20))
    if isinstance(warm.prior, StandardNormal):
        assert len(cold.sample(50).unique(dim=0)) == 1
        half, whole = warm.prior.sample(noise, None, 0.5), warm.prior.sample(Noise(0, range(20)))
        assert torch.equal(half, 0.5 * whole)
        with torch.no_grad():
            assert torch.equal(warm.generate(Noise(0, range(20))), warm.decode(half))
    else:  # which component of a mixture is drawn is no matter of width: at most 3 in each dimension
        assert 1 < len(cold.sample(200).unique(dim=0)) <= 81
        assert len(warm.prior.sample(Noise(0, range(200)), None, 0.0).unique(dim=0)) <= 81


# ------------------------------------------------------------------ refusals


def test_sizes_that_cannot_be_are_refused_in_one_line() -> None:
    for family in (RealNVP, Glow, SplineFlow):
        with pytest.raises(UserError, match=r"needs images \[C, H, W\], the data have shape \(4,\)"):
            family((4,), 3)
        with pytest.raises(UserError, match=r"cannot be halved|leaves .* pixels"):
            family((1, 6, 6), 3, num_scales=3)
    for refused, match in (
        (lambda: RealNVP((1, 4, 4), 2, num_couplings=0), "must be at least 1"),
        (lambda: Glow((1, 4, 4), 2, num_steps=0), "must be at least 1"),
        (lambda: MLPRealNVP((4,), 2, num_couplings=0), "num_couplings=0 must be"),
        (lambda: MLPSplineFlow((4,), 2, alpha=0.7), "alpha is 0.7"),
        (lambda: MAF((4,), 2, num_layers=0), "must not both be 0"),
        (lambda: MAF((4,), 2, num_components=2, num_classes=3), "leave num_classes out"),
        (lambda: MAF((1,), 2), "at least 2 dimensions"),
        (lambda: MLPSplineFlow((1,), 2), "at least 2 dimensions"),
        (lambda: MAF((4,), 2, temperature=-1.0), "must be a number of at least 0"),
    ):
        with pytest.raises(UserError, match=match):
            refused()
