"""Noise that makes integers real: a distribution on the unit cube, and worth its price."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from lit_gen.bijections import Chain
from lit_gen.data import KnownEntropy, SampleSizes
from lit_gen.families.flow import Dequantization, Flow, UniformDequantization, VariationalDequantization
from lit_gen.families.flow.dequantization import Dequantizer
from lit_gen.likelihood import standard_normal_log_prob
from lit_gen.nets import GatedCouplings, MLPCouplings, ResidualCouplings
from lit_gen.noise import Noise

from . import conformance as laws
from . import flows
from .conformance import adamw

SHAPES: dict[tuple[int, ...], Dequantization] = {
    (2,): VariationalDequantization(3, MLPCouplings((8,), "tanh")),
    (3, 2): VariationalDequantization(2, MLPCouplings((8,))),
    (5,): VariationalDequantization(3, MLPCouplings((8,), "tanh")),
    (1, 2, 3): VariationalDequantization(2, GatedCouplings(6, 1)),
    (2, 2, 2): VariationalDequantization(3, ResidualCouplings(6, 1)),
    (1, 3, 2): VariationalDequantization(2, MLPCouplings((8,))),
}
LEVELS = 4


def built(shape: tuple[int, ...], scale: float = 0.3) -> Dequantizer:
    torch.manual_seed(0)
    made = SHAPES[shape].build(shape, LEVELS)
    laws.stir(made, scale=scale)  # type: ignore[arg-type]
    return made


def some_levels(shape: tuple[int, ...], n: int) -> Tensor:
    return torch.randint(LEVELS, (n, *shape), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


@pytest.mark.parametrize("shape", SHAPES)
def test_log_q_is_the_change_of_variables(shape: tuple[int, ...]) -> None:
    q, x = built(shape), some_levels(shape, 6)
    eps = torch.randn(6, *shape)
    u, log_q = q(x, eps)
    rows = torch.autograd.functional.jacobian(lambda eps: q(x, eps)[0].flatten(1).sum(0), eps)
    volume = rows.transpose(0, 1).flatten(2).double().slogdet().logabsdet
    assert u.shape == eps.shape
    assert torch.allclose(log_q.double(), standard_normal_log_prob(eps) - volume, atol=1e-3)
    with torch.no_grad():
        other, _ = q(LEVELS - 1 - x, eps)
    assert (other - u).flatten(1).abs().amax(1).min() > 1e-3, "the noise looks at the data"


@torch.no_grad()
def test_q_integrates_to_one_on_the_square() -> None:
    """Trapezoids over the logits of u, each taken back to the eps it comes from."""
    q = built((2,), scale=0.1)
    logit = torch.linspace(-13, 13, 400, dtype=torch.float64)
    step = float(logit[1] - logit[0])
    h = torch.cartesian_prod(logit, logit)
    inside = (torch.sigmoid(h) * torch.sigmoid(-h)).prod(1)
    for x in (torch.tensor([[0, 3]]), torch.tensor([[2, 2]])):
        x = x.to(torch.uint8).expand(len(h), 2)
        context = q.context(x.float() * 2 / 3 - 1)  # type: ignore[operator]
        eps = q.bijection.inverse(h.float(), context) * (-q.log_scale).exp()  # type: ignore[operator]
        u, log_q = q(x, eps)
        assert torch.allclose(u, torch.sigmoid(h).float(), atol=1e-5)
        assert float((log_q.double().exp() * inside).sum() * step**2) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
@torch.no_grad()
def test_the_noise_has_the_density_it_says(shape: tuple[int, ...]) -> None:
    """E_q [f(u) / q(u)] is the integral of f over the cube, for two polynomials f."""
    q, n = built(shape, scale=0.1), 20_000
    x = some_levels(shape, 1).expand(n, *shape)
    u, log_q = q(x, q.noise_for(x, Noise(0, range(n))))
    assert u.min() >= 0
    assert u.max() <= 1
    u = u.flatten(1).double()
    for f in ((6 * u * (1 - u)).prod(1), (12 * u * u * (1 - u)).prod(1)):
        ratio = f * (-log_q.double()).exp()
        error = float(ratio.std()) / math.sqrt(n)
        assert error < 0.05
        assert float(ratio.mean()) == pytest.approx(1, abs=4 * error)


@pytest.mark.parametrize("shape", SHAPES)
@torch.no_grad()
def test_it_starts_near_the_uniform_distribution(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    q, x = SHAPES[shape].build(shape, LEVELS), some_levels(shape, 2_000)
    u, log_q = q(x, q.noise_for(x, Noise(0, range(2_000))))
    D = math.prod(shape)
    assert float(log_q.mean()) / D < 0.02, "nats a dimension of divergence from uniform noise"
    assert float(u.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(u.var()) == pytest.approx(1 / 12, abs=0.01)


def test_uniform_noise_is_uniform_and_costs_nothing() -> None:
    q = UniformDequantization().build((3,), LEVELS)
    x = some_levels((3,), 4_000)
    for eps in (q.noise_like(x), q.noise_for(x, Noise(0, range(4_000)))):
        u, log_q = q(x, eps)
        assert torch.equal(log_q, torch.zeros(4_000))
        assert float(u.mean()) == pytest.approx(0.5, abs=0.02)
        assert float(u.var()) == pytest.approx(1 / 12, abs=0.003)
        assert u.min() >= 0
        assert u.max() < 1
    assert not list(q.parameters())


def test_images_get_checkerboards_and_vectors_every_second() -> None:
    made = VariationalDequantization().build((1, 4, 4), 2)
    assert isinstance(made.bijection, Chain)
    assert [type(step).__name__ for step in made.bijection.steps] == ["CheckerboardCoupling"] * 4
    assert [step.parity for step in made.bijection.steps] == [0, 1, 0, 1]
    made = VariationalDequantization().build((7,), 2)
    assert [type(step).__name__ for step in made.bijection.bijection.steps] == ["Coupling"] * 4  # type: ignore[union-attr]


# ------------------------------------------------------------------ what it is good for


def gain(build: Any, shape: tuple[int, ...], steps: int, seed: int, nets: Any) -> tuple[float, float]:
    """Nats that variational noise saves after equal training, and their standard error over the test examples."""
    source = KnownEntropy(shape, 2, splits=SampleSizes(num_train=4_000, num_test=3_000, num_val=10), batch_size=128)
    x, nats = source.split("test").x, []
    for dequantization in (UniformDequantization(), VariationalDequantization(4, nets)):
        torch.manual_seed(seed)
        model: Flow = build(shape, 2, dequantization=dequantization, optimizer=adamw(lr=5e-3))
        laws.fit(model, source, steps)
        laws.bits_above_entropy(model, source)
        nats.append(laws.nll(model, x, "dequantized", draws=4).nats.double())
    saved = nats[0] - nats[1]
    return float(saved.mean()), float(saved.std()) / math.sqrt(len(saved))


def test_variational_noise_is_tighter_where_the_flow_is_weak() -> None:
    """Two levels as one affine layer sees them: two boxes, whose edges it can never have; q needs none."""
    saved, error = gain(flows.OF_VECTORS["MLPRealNVP"], (2,), 200, 0, MLPCouplings((16, 16), "silu"))
    assert saved > 5 * error


@pytest.mark.slow
@pytest.mark.parametrize("family", ["MLPRealNVP", "RealNVP", "Glow"])
def test_variational_noise_is_never_looser(family: str) -> None:
    vectors = family in flows.OF_VECTORS
    build = {**flows.OF_VECTORS, **flows.OF_IMAGES}[family]
    nets = MLPCouplings((32, 32), "silu") if vectors else GatedCouplings(8, 1)
    saved, error = gain(build, (4,) if vectors else (1, 2, 2), 600, 0, nets)
    assert saved > -3 * error
    assert saved > 0.02, "on two levels it must help"
