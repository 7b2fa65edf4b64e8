"""Every bijection comes back, and its volume is autograd's."""

from __future__ import annotations

import math

import pytest
import torch
from families import conformance as laws
from torch import nn

from bijections.cases import CASES, SPLINE, autograd_jacobians, built
from lit_gen.bijections import (
    Affine,
    CheckerboardCoupling,
    Coupling,
    EvenOdd,
    Factor,
    InvertibleConv1x1,
    Logit,
    MaskedAffine,
    SigmoidAffine,
    Squeeze,
    Transform,
)
from lit_gen.errors import UserError
from lit_gen.likelihood import gaussian_log_prob, standard_normal_log_prob

WORDS = ("affine", "spline", "autoregressive", "chain", "expected")
WITH_A_NET = [name for name in CASES if any(word in name for word in WORDS)]


@pytest.mark.parametrize("name", CASES)
def test_there_and_back(name: str) -> None:
    bijection, x, context = built(name, batch=200)
    with torch.no_grad():
        z, _ = bijection(x, context)
        assert torch.allclose(bijection.inverse(z, context), x, rtol=0, atol=1e-4)
        z = torch.rand_like(z) if name == "sigmoid" else 1.5 * torch.randn_like(z)
        again, _ = bijection(bijection.inverse(z, context), context)
    assert torch.allclose(again, z, rtol=1e-3, atol=1e-3), "onto: every z has its x"


@pytest.mark.parametrize("name", CASES)
def test_the_volume_is_autograd_s(name: str) -> None:
    bijection, x, context = built(name)
    expected = autograd_jacobians(lambda x: bijection(x, context)[0], x).slogdet().logabsdet
    said = bijection(x, context)[1]
    assert said.shape == (len(x),)
    assert said.dtype == torch.float32
    assert torch.allclose(said.double(), expected, rtol=1e-5, atol=1e-4), (said.double() - expected).abs().max()
    if name in WITH_A_NET:
        assert float(expected.std()) > 0.01, "the test would not see a volume that is the same everywhere"


@pytest.mark.parametrize("name", CASES)
def test_an_example_is_mapped_as_if_it_were_alone(name: str) -> None:
    bijection, x, context = built(name)
    with torch.no_grad():
        z, volume = bijection(x, context)
        for i in range(len(x)):
            part = None if context is None else context[i : i + 1]
            z_i, volume_i = bijection(x[i : i + 1], part)
            assert torch.allclose(z_i[0], z[i], rtol=1e-5, atol=1e-5)
            assert torch.allclose(volume_i[0], volume[i], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.context])
def test_the_context_matters(name: str) -> None:
    bijection, x, context = built(name)
    assert context is not None
    with torch.no_grad():
        z, volume = bijection(x, context)
        other, other_volume = bijection(x, context + 1)
        assert (other - z).flatten(1).abs().amax(1).min() > 1e-3
        assert (other_volume - volume).abs().max() > 1e-3
        assert (bijection.inverse(z, context + 1) - x).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["logit", "reverse", "rotate an image", "normalize a vector", "autoregressive"])
def test_a_context_without_use_passes(name: str) -> None:
    bijection, x, _ = built(name)
    with torch.no_grad():
        for a, b in zip(bijection(x, torch.randn(len(x), 3)), bijection(x), strict=True):
            assert torch.equal(a, b)


# ------------------------------------------------------------------ what each is meant to do


@pytest.mark.parametrize(
    "name", [name for name in CASES if name.startswith(("affine", "spline", "board", "sigmoid a"))]
)
def test_what_stays_stays_and_all_the_rest_moves(name: str) -> None:
    bijection, x, context = built(name)
    with torch.no_grad():
        same = (bijection(x, context)[0] == x).all(0)
    if isinstance(bijection, CheckerboardCoupling):
        i, j = torch.meshgrid(torch.arange(x.shape[2]), torch.arange(x.shape[3]), indexing="ij")
        stays = ((i + j) % 2 != bijection.parity).expand(x.shape[1:])
    else:
        assert isinstance(bijection, Coupling)
        stays = torch.zeros(x.shape[1:], dtype=torch.bool)
        middle = (len(stays) + 1) // 2
        stays[slice(0, middle) if bijection.moves_upper else slice(middle, None)] = True
    assert torch.equal(same, stays)


def test_the_even_dimensions_come_first() -> None:
    assert EvenOdd()(torch.arange(5.0)[None])[0].tolist() == [[0, 2, 4, 1, 3]]


def test_the_squeeze_makes_channels_of_squares() -> None:
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    z, _ = Squeeze()(x)
    assert z[0, :, 0, 0].tolist() == [0, 1, 4, 5]
    assert z[0, :, 1, 1].tolist() == [10, 11, 14, 15]
    assert Squeeze.output_shape((3, 6, 4)) == (12, 3, 2)
    with pytest.raises(UserError, match="5x4 cannot be halved"):
        Squeeze.output_shape((1, 5, 4))


def test_expected_leavers_are_scored_as_gaussians() -> None:
    """Standardizing and its volume are the density ``N(leaves; mean, exp(2 log_scale))``."""
    factor, x, _ = built("factor, expected")
    assert isinstance(factor, Factor)
    assert factor.expectation is not None
    with torch.no_grad():
        z, volume = factor(x)
        mean, log_scale = factor.expectation(x[:, :2]).chunk(2, 1)
        expected = gaussian_log_prob(x[:, 2:], mean, 2 * log_scale)
    assert torch.allclose(standard_normal_log_prob(z[:, :8]) + volume, expected, atol=1e-4)
    assert torch.equal(z[:, 8:], x[:, :2].flatten(1)), "what stays comes last"
    plain, x, _ = built("factor")
    assert torch.equal(plain(x)[0][:, :4], x[:, 2:].flatten(1)), "what leaves comes first, and the lower half is larger"


def test_the_autoregressive_map_is_triangular() -> None:
    bijection, x, _ = built("autoregressive")
    jacobians = autograd_jacobians(lambda x: bijection(x)[0], x)
    assert torch.equal(jacobians.triu(1), torch.zeros_like(jacobians))
    below = jacobians.abs().amax(0)[torch.ones(5, 5).tril(-1) > 0]
    assert below.min() > 0, "each sees all before it"
    assert isinstance(bijection, MaskedAffine)
    mean, raw = bijection.net(x).unbind(1)
    log_scale = 5 * torch.tanh(raw / 5)
    assert torch.allclose(bijection(x)[0] * log_scale.exp() + mean, x, atol=1e-5)


@pytest.mark.parametrize(("transform", "gap"), [(Affine(3), 1e-6), (SPLINE, 1e-6), (SigmoidAffine(), 0.5)])
def test_parameters_of_zero_leave_things_nearly_as_they_are(transform: Transform, gap: float) -> None:
    x = torch.randn(50, 3)
    z, log_slope = transform(x, torch.zeros(50, transform.num_parameters, 3))
    assert (z - x).abs().max() < gap
    assert log_slope.abs().max() < gap


def test_the_affine_scale_is_bounded_by_what_is_learned() -> None:
    affine = Affine(2)
    nn.init.constant_(affine.log_bound, 0.5)
    parameters = torch.full((1, 2, 2), 100.0)
    _, log_scale = affine(torch.zeros(1, 2), parameters)
    assert log_scale.flatten().tolist() == pytest.approx([math.exp(0.5)] * 2)


@pytest.mark.parametrize("transform", [Affine(3), SigmoidAffine(), SPLINE])
@torch.no_grad()
def test_the_inverse_holds_for_large_parameters(transform: Transform) -> None:
    """Put through the map again, x gives z up to the rounding of x and of the shift."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(20_000, 3, generator=generator)
    parameters = 10 * torch.randn(20_000, transform.num_parameters, 3, generator=generator)
    x = transform.inverse(z, parameters)
    again, log_slope = transform(x, parameters)
    shift = 50 if transform.num_parameters == 2 else 0
    rounding = 1.2e-7 * (z.abs() + shift + (x.abs() + shift) * log_slope.exp() + 3)
    assert float(((again - z).abs() / rounding).max()) < 8


def test_a_rotation_starts_as_one_and_keeps_its_sign() -> None:
    for seed in range(6):
        torch.manual_seed(seed)
        rotation = InvertibleConv1x1(5)
        eye = torch.eye(5)
        W = rotation(eye)[0].T
        assert torch.allclose(W @ W.T, eye, atol=1e-5)
        assert rotation(eye)[1].abs().max() < 1e-5
        sign = W.slogdet().sign
        laws.stir(rotation, scale=1.0)  # type: ignore[arg-type]
        assert rotation(eye)[0].T.slogdet().sign == sign


@pytest.mark.parametrize(
    "name", ["rotate an image", "affine, upper channels", "spline, lower", "board, affine, 0", "factor, expected"]
)
def test_half_precision_of_the_nets_can_be_undone(name: str) -> None:
    bijection, x, context = built(name, batch=100)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        z, volume = bijection(x, context)
        assert z.dtype == volume.dtype == torch.float32
        assert torch.allclose(bijection.inverse(z, context), x, atol=1e-4)


@pytest.mark.parametrize("alpha", [0.0, 0.5, -1.0])
def test_a_logit_without_room_is_refused(alpha: float) -> None:
    with pytest.raises(UserError, match="between 0 and"):
        Logit(alpha)
