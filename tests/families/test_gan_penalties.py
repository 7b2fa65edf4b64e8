"""Penalties are those of autograd on a net, and of closed forms on polynomials."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.func import grad, vmap

from lit_gen.errors import UserError
from lit_gen.families.gan import DRAGAN, R1, R2, GradientPenalty, R1AndR2
from lit_gen.families.gan.penalty import Penalty, Scored


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.Softplus(), nn.Linear(8, 1), nn.Flatten(0)).double()


def slopes(net: nn.Module, x: Tensor) -> Tensor:
    """Gradient norms of each example by torch.func, one at a time: ``[B]``."""
    return vmap(grad(lambda each: net(each[None]).sum()))(x).flatten(1).norm(dim=1)


def found(penalty: Penalty, net: nn.Module, x: Tensor, x_fake: Tensor) -> float:
    x, x_fake = (
        x.clone().requires_grad_(penalty.needs_real_gradient),
        x_fake.clone().requires_grad_(penalty.needs_fake_gradient),
    )
    value = penalty(net, Scored(x, net(x)), Scored(x_fake, net(x_fake)))
    value.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net[1].parameters())
    return float(value.detach())


def test_zero_centred_penalties_are_autograds(net: nn.Module) -> None:
    x, x_fake = torch.randn(2, 6, 4, dtype=torch.float64)
    real, fake = (0.5 * float(slopes(net, each).square().mean().detach()) for each in (x, x_fake))
    assert abs(real - fake) > 0.01 * real, "the two would not differ"
    assert found(R1(2.0, every=3), net, x, x_fake) == pytest.approx(6 * real)
    assert found(R2(2.0), net, x, x_fake) == pytest.approx(2 * fake)
    assert found(R1AndR2(2.0), net, x, x_fake) == pytest.approx(2 * (real + fake))


def test_the_gradient_penalty_is_autograds_between_the_pairs(net: nn.Module) -> None:
    x, x_fake = torch.randn(2, 6, 4)
    torch.manual_seed(1)
    share = torch.rand(6, 1)
    between = torch.lerp(x, x_fake, share)
    expected = 10 * float((slopes(net.float(), between) - 1).square().mean().detach())
    torch.manual_seed(1)
    assert found(GradientPenalty(), net, x, x_fake) == pytest.approx(expected, rel=1e-5)


def test_dragan_is_autograds_around_the_real_examples(net: nn.Module) -> None:
    x, x_fake = torch.randn(2, 6, 4)
    torch.manual_seed(1)
    around = x + 0.25 * x.std() * torch.randn(6, 4)
    expected = 5 * float((slopes(net.float(), around) - 1).square().mean().detach())
    torch.manual_seed(1)
    assert found(DRAGAN(5.0, scale=0.25), net, x, x_fake) == pytest.approx(expected, rel=1e-5)
    torch.manual_seed(1)
    assert found(DRAGAN(5.0, scale=0.25), net, x, 9 * x_fake) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_a_scale_of_noise_that_cannot_be_is_named(scale: float) -> None:
    with pytest.raises(UserError, match="scale="):
        DRAGAN(scale=scale)
