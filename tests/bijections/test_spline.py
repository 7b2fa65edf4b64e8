"""The spline and its handwritten gradient against the paper's equations, written out and left to autograd."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lit_gen.bijections import RationalQuadraticSpline
from lit_gen.bijections.spline import _FindBin
from lit_gen.errors import UserError

BOUND, LEAST = 3.0, 1e-3


def raw_parameters(shape: tuple[int, ...], num_bins: int, scale: float = 1.0, seed: int = 0) -> Tensor:
    """For x of ``[B, *shape]``: ``[B, 3K - 1, *shape]``."""
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(shape[0], 3 * num_bins - 1, *shape[1:], generator=generator)


def knots(raw: Tensor, K: int) -> tuple[Tensor, Tensor, Tensor]:
    """``x^(k)``, ``y^(k)`` and ``delta^(k)`` for k in 0..K, in dimension 1."""

    def ends(raw: Tensor) -> Tensor:
        sizes = LEAST + (1 - LEAST * K) * torch.softmax(raw, 1)
        return 2 * BOUND * torch.cat([torch.zeros_like(sizes[:, :1]), torch.cumsum(sizes, 1)], 1) - BOUND

    inner = LEAST + F.softplus(raw[:, 2 * K :] + math.log(math.expm1(1 - LEAST)))
    one = torch.ones_like(inner[:, :1])
    return ends(raw[:, :K]), ends(raw[:, K : 2 * K]), torch.cat([one, inner, one], 1)


def by_the_paper(x: Tensor, raw: Tensor, K: int) -> tuple[Tensor, Tensor]:
    """z and log dz/dx by equations 4 and 5 of arXiv:1906.04032, bin by bin."""
    xs, ys, delta = knots(raw, K)
    z, slope = x, torch.ones_like(x)
    for k in range(K):
        here = (xs[:, k] <= x) & ((x < xs[:, k + 1]) if k < K - 1 else (x <= BOUND))
        height, s = ys[:, k + 1] - ys[:, k], (ys[:, k + 1] - ys[:, k]) / (xs[:, k + 1] - xs[:, k])
        xi = (x - xs[:, k]) / (xs[:, k + 1] - xs[:, k])
        xi = torch.where(here, xi, 0.5)
        bottom = s + (delta[:, k + 1] + delta[:, k] - 2 * s) * xi * (1 - xi)
        top = delta[:, k + 1] * xi**2 + 2 * s * xi * (1 - xi) + delta[:, k] * (1 - xi) ** 2
        z = torch.where(here, ys[:, k] + height * (s * xi**2 + delta[:, k] * xi * (1 - xi)) / bottom, z)
        slope = torch.where(here, s**2 * top / bottom**2, slope)
    return z, slope.log()


def gradients(f: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
    """Of a sum of z and log slope with weights of either sign."""
    x, raw = x.clone().requires_grad_(), raw.clone().requires_grad_()
    z, log_slope = f(x, raw)
    generator = torch.Generator().manual_seed(3)
    weights = torch.randn(2, *x.shape, generator=generator).to(x.dtype)
    (weights[0] * z + weights[1] * log_slope).sum().backward()
    assert x.grad is not None
    assert raw.grad is not None
    return x.grad, raw.grad


@pytest.mark.parametrize("num_bins", [2, 3, 8])
@pytest.mark.parametrize("shape", [(400, 2), (40, 3, 2, 2)])
def test_values_and_gradients_are_the_paper_s(num_bins: int, shape: tuple[int, ...]) -> None:
    spline = RationalQuadraticSpline(num_bins, BOUND, LEAST)
    x = 2 * torch.randn(shape, generator=torch.Generator().manual_seed(1))
    raw = raw_parameters(shape, num_bins)
    assert (x.abs() > BOUND).any()
    z, log_slope = spline(x, raw)
    expected, expected_log = by_the_paper(x.double(), raw.double(), num_bins)
    assert torch.allclose(z.double(), expected, rtol=0, atol=2e-5)
    assert torch.allclose(log_slope.double(), expected_log, rtol=0, atol=5e-4)
    assert log_slope.abs().max() > 1, "steep and flat parts are among them"

    of_x, of_raw = gradients(spline, x, raw)
    expected_x, expected_raw = gradients(lambda x, raw: by_the_paper(x, raw, num_bins), x.double(), raw.double())
    for said, expected in ((of_x, expected_x), (of_raw, expected_raw)):
        gap = (said.double() - expected).abs() / (1 + expected.abs())
        assert gap.max() < 2e-3
        assert gap.mean() < 1e-5


@pytest.mark.parametrize("num_bins", [2, 5])
@pytest.mark.parametrize("by_height", [False, True])
def test_the_search_has_the_right_gradient(num_bins: int, by_height: bool) -> None:
    """In float64, against finite differences; the positions lie in every bin."""
    raw = raw_parameters((30,), num_bins).double().requires_grad_()
    position = torch.linspace(0.003, 0.997, 30, dtype=torch.float64)
    index = _FindBin.apply(raw, position, num_bins, LEAST, by_height)[-1]
    assert set(index.tolist()) == set(range(num_bins))
    assert torch.autograd.gradcheck(lambda raw: _FindBin.apply(raw, position, num_bins, LEAST, by_height)[:6], (raw,))


def test_the_derivative_is_autograd_s() -> None:
    spline = RationalQuadraticSpline(6, BOUND, LEAST)
    x = torch.linspace(-4, 4, 999).requires_grad_()
    raw = raw_parameters((1,), 6).expand(999, -1)
    z, log_slope = spline(x, raw)
    (slope,) = torch.autograd.grad(z.sum(), x)
    assert torch.allclose(slope.log(), log_slope, atol=2e-4)


# ------------------------------------------------------------------ the shape of the map


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_monotone_and_the_identity_outside(scale: float) -> None:
    spline = RationalQuadraticSpline(5, BOUND, LEAST)
    x = torch.linspace(-4, 4, 4_001)
    for seed in range(20):
        z, log_slope = spline(x, raw_parameters((1,), 5, scale, seed).expand(len(x), -1))
        assert (z.diff() >= 0).all()
        assert scale > 1 or (z.diff() > 0).all(), "as flat as float32 cannot tell"
        outside = x.abs() > BOUND
        assert torch.equal(z[outside], x[outside])
        assert torch.equal(log_slope[outside], torch.zeros_like(x[outside]))
        assert (z[~outside].abs() <= BOUND + 1e-5).all()


def test_once_differentiable_at_the_bound_and_at_every_knot() -> None:
    spline = RationalQuadraticSpline(5, BOUND, LEAST)
    for seed in range(20):
        raw = raw_parameters((1,), 5, 1.0, seed)
        xs, ys, delta = (t[0] for t in knots(raw.double(), 5))
        assert delta[0] == delta[-1] == 1
        assert xs.abs().max() == pytest.approx(BOUND)
        z, log_slope = spline(xs.float().clamp(-BOUND, BOUND), raw.expand(6, -1))
        assert torch.allclose(z.double(), ys, atol=1e-5), "knots lie where they should"
        assert torch.allclose(log_slope.double(), delta.log(), atol=1e-3)
        step = 1e-4 * float(xs.diff().min())
        for side in (-step, step):
            near, near_log = spline((xs + side).float(), raw.expand(6, -1))
            assert torch.allclose(near, z, atol=1e-4 + 20 * step)
            assert torch.allclose(near_log, log_slope, atol=0.02)


def test_the_last_point_inside_has_slope_one() -> None:
    spline = RationalQuadraticSpline(8, BOUND, LEAST)
    raw = raw_parameters((500,), 8)
    for end in (-BOUND, BOUND):
        z, log_slope = spline(torch.full((500,), end), raw)
        assert torch.allclose(z, torch.full((500,), end), atol=1e-5)
        assert log_slope.abs().max() < 0.01


# ------------------------------------------------------------------ back


@pytest.mark.parametrize(("scale", "num_bins"), [(1.0, 8), (2.0, 8), (4.0, 4), (8.0, 8), (0.5, 64)])
def test_the_inverse_is_as_good_as_rounding_allows(scale: float, num_bins: int) -> None:
    """Put through the paper's map in float64, x gives z but for the rounding of both.

    Quadratics whose slopes are far larger than the bin's own have a negative b, and lose all digits in the form
    that is right for a positive one: x comes out of the interval.
    """
    spline = RationalQuadraticSpline(num_bins, BOUND, LEAST)
    n = 160_000 // num_bins
    z = 2 * BOUND * torch.rand(n, generator=torch.Generator().manual_seed(1)) - BOUND
    raw = raw_parameters((n,), num_bins, scale)
    x = spline.inverse(z, raw)
    assert x.abs().max() <= BOUND + 1e-5
    again, log_slope = by_the_paper(x.double(), raw.double(), num_bins)
    rounding = 3e-7 * log_slope.exp() + 4e-7
    assert float(((again - z).abs() / rounding).max()) < 20


def test_there_and_back() -> None:
    spline = RationalQuadraticSpline(8, BOUND, LEAST)
    x = 2 * torch.randn(2_000, 3, generator=torch.Generator().manual_seed(1))
    raw = raw_parameters((2_000, 3), 8, 0.5)
    assert torch.allclose(spline.inverse(spline(x, raw)[0], raw), x, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("scale", "num_bins"), [(1.0, 8), (4.0, 4), (10.0, 3), (10.0, 8), (10.0, 64)])
@pytest.mark.parametrize("start", ["x", "z"])
def test_back_and_there_is_the_same_z(scale: float, num_bins: int, start: str) -> None:
    """Also where the slope is about 1e-7, where many x have the same z, so that only z can be compared.

    A root computed with cancellation leaves its bin there: z moved by 6, the whole interval.
    """
    spline = RationalQuadraticSpline(num_bins, BOUND, LEAST)
    n = 400_000 // num_bins
    z = 2 * BOUND * torch.rand(n, generator=torch.Generator().manual_seed(2)) - BOUND
    raw = raw_parameters((n,), num_bins, scale)
    if start == "x":  # uniform in x, many values are in flat parts
        z, log_slope = spline(z, raw)
        assert scale < 10 or (log_slope < math.log(1e-6)).any()
    x = spline.inverse(z, raw)
    again, log_slope = spline(x, raw)
    rounding = 2.4e-7 * (1 + log_slope.exp())  # of z and of x, which are as large as 3
    assert float(((again - z).abs() / rounding).max()) < 8
    assert float((again - z)[log_slope < 0].abs().max()) < 1e-5


@pytest.mark.parametrize("end", [0, 1])
def test_a_value_at_a_knot_stays_in_its_bin(end: int) -> None:
    """Rounding may place it outside, where the rational function may have a pole."""
    spline = RationalQuadraticSpline(8, BOUND, LEAST)
    raw = raw_parameters((20_000,), 8, 10.0)
    xs = knots(raw, 8)[0]
    for knot in range(8):
        x = xs[:, knot + end].clamp(-BOUND, BOUND)
        for moved in (x, x.nextafter(torch.tensor(9.0)), x.nextafter(torch.tensor(-9.0))):
            z, log_slope = spline(moved, raw)
            assert log_slope.isfinite().all()
            assert (z - knots(raw, 8)[1][:, knot + end]).abs().max() < 2e-3
            assert float(log_slope.max()) < 25


# ------------------------------------------------------------------ extremes


@pytest.mark.parametrize("scale", [30.0, 1e4])
def test_extreme_parameters_stay_finite(scale: float) -> None:
    spline = RationalQuadraticSpline(8, BOUND, LEAST)
    x = torch.cat([torch.randn(2_000, generator=torch.Generator().manual_seed(1)), torch.tensor([-3.0, 3.0, 1e6])])
    raw = raw_parameters((len(x),), 8, scale)
    z, log_slope = spline(x, raw)
    of_x, of_raw = gradients(spline, x, raw)
    back = spline.inverse(x, raw)
    for found in (z, log_slope, of_x, of_raw, back):
        assert found.isfinite().all()
    inside = x.abs() <= BOUND
    for found in (z, back):
        assert found[inside].abs().max() <= BOUND + 1e-4


@pytest.mark.parametrize("arguments", [(1,), (1_000,), (8, 0.0)])
def test_splines_that_cannot_be_are_refused(arguments: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match=": give 2 to 500 bins"):
        RationalQuadraticSpline(*arguments)
