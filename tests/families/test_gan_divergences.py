"""At the best discriminator on a discrete space each objective is its paper's divergence; games of one parameter."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from lit_gen.families.gan import (
    R1,
    R2,
    GradientPenalty,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Objective,
    R1AndR2,
    RelativisticPairing,
    Wasserstein,
)
from lit_gen.families.gan.penalty import Penalty, Scored

# Counts of five states among 60 examples of each kind: means over examples are expectations, exactly.
P = torch.tensor([24, 12, 6, 6, 12])
Q = torch.tensor([6, 12, 18, 18, 6])
p, q = P.double() / 60, Q.double() / 60
# Positions of the states on a line, for the Wasserstein distance.
PLACES = torch.tensor([0.0, 1.0, 1.5, 3.0, 4.0], dtype=torch.float64)


def expected(f: Tensor) -> tuple[Tensor, Tensor]:
    """A critic's outputs, by state, for the real examples and for the samples: ``[60]`` each."""
    return f.repeat_interleave(P), f.repeat_interleave(Q)


def loss_of(objective: Objective, f: Tensor) -> Tensor:
    return objective.discriminator_loss(*expected(f))


def jensen_shannon() -> float:
    m = (p + q) / 2
    return float(0.5 * (p * (p / m).log()).sum() + 0.5 * (q * (q / m).log()).sum())


def assert_best(objective: Objective, f: Tensor) -> None:
    """No gradient at f; the losses are convex in f, so that none is smaller.

    Raises:
        AssertionError: There is a gradient.
    """
    f = f.clone().requires_grad_()
    loss_of(objective, f).backward()
    assert f.grad.abs().max() < 1e-12


@pytest.mark.parametrize("objective", [Minimax(), NonSaturating()], ids=lambda o: type(o).__name__)
def test_cross_entropy_is_the_jensen_shannon_divergence(objective: Objective) -> None:
    best = (p / q).log()
    assert_best(objective, best)
    assert float(loss_of(objective, best)) == pytest.approx(math.log(4) - 2 * jensen_shannon(), rel=1e-12)


def test_the_minimax_game_is_zero_sum_up_to_the_real_examples() -> None:
    """The generator minimizes what the discriminator maximizes: the sum does not depend on the samples."""
    real, fake = torch.randn(2, 7, dtype=torch.float64)
    sums = [Minimax().discriminator_loss(real, f) + Minimax().generator_loss(None, f) for f in (fake, 3 * fake)]
    assert torch.allclose(*sums)


def test_least_squares_is_the_pearson_divergence() -> None:
    objective = LeastSquares(real=1.0, fake=-1.0, generator=0.0)
    best = (p - q) / (p + q)
    assert_best(objective, best)
    real, fake = expected(best)
    value = objective.generator_loss(None, real) + objective.generator_loss(None, fake)
    pearson = float(((p + q) - 2 * q).square().div(p + q).sum())
    assert float(value) == pytest.approx(pearson / 2, rel=1e-12)


def test_hinge_is_the_total_variation_distance() -> None:
    best = (p - q).sign()
    total_variation = 0.5 * float((p - q).abs().sum())
    value = float(loss_of(Hinge(), best))
    assert value == pytest.approx(2 - 2 * total_variation, rel=1e-12)
    others = best + torch.randn(500, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert min(float(loss_of(Hinge(), f)) for f in others) > value


def test_wasserstein_is_the_distance_over_critics_of_slope_1() -> None:
    """On a line the distance is the area between the distribution functions."""
    excess, steps = (p - q).cumsum(0)[:-1], PLACES.diff()
    distance = float((excess.abs() * steps).sum())
    best = torch.cat([torch.zeros(1, dtype=torch.float64), -(excess.sign() * steps).cumsum(0)])
    assert float(-loss_of(Wasserstein(), best)) == pytest.approx(distance, rel=1e-12)
    slopes = 2 * torch.rand(500, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 1
    others = torch.cat([torch.zeros(500, 1), (slopes * steps).cumsum(1)], 1)
    assert max(float(-loss_of(Wasserstein(), f)) for f in others) < distance


def test_relativistic_pairing_is_log_2_for_equal_distributions_and_less_otherwise() -> None:
    """Each pair is a coin: of equal distributions none can do better than log 2, by convexity."""
    pairs = [(i, j) for i in range(5) for j in range(5)]

    def loss(f: Tensor, other: Tensor) -> Tensor:
        each = [p[i] * other[j] * RelativisticPairing().discriminator_loss(f[i], f[j]) for i, j in pairs]
        return torch.stack(each).sum()

    f = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    at_zero = loss(f, p)
    assert float(at_zero.detach()) == pytest.approx(math.log(2), rel=1e-12)
    assert torch.autograd.grad(at_zero, f)[0].abs().max() < 1e-12
    assert float(loss(0.5 * (p - q), q)) < math.log(2) - 0.01


@pytest.mark.parametrize("objective", [Wasserstein(), RelativisticPairing()], ids=lambda o: type(o).__name__)
def test_a_shift_of_the_critic_is_not_seen(objective: Objective) -> None:
    real, fake = torch.randn(2, 50, dtype=torch.float64)
    at = [objective.discriminator_loss(real + c, fake + c) for c in (0.0, 7.0)]
    assert torch.allclose(*at, rtol=1e-12)
    # The generator's gradient, since the Wasserstein loss itself is shifted.
    gradients = []
    for c in (0.0, 7.0):
        moved = fake.clone().requires_grad_()
        objective.generator_loss(real + c, moved + c).backward()
        gradients.append(moved.grad)
    assert torch.allclose(*gradients, rtol=1e-12)


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + (-x).exp())


# d loss / d output of an example, times the batch size, by the papers' formulas: for real examples, for samples, and
# for the generator's samples.
SLOPES: dict[str, Any] = {
    "Minimax": (lambda r, f: -sigmoid(-r), lambda r, f: sigmoid(f), lambda r, f: -sigmoid(f)),
    "NonSaturating": (lambda r, f: -sigmoid(-r), lambda r, f: sigmoid(f), lambda r, f: -sigmoid(-f)),
    "LeastSquares": (lambda r, f: r - 1, lambda r, f: f, lambda r, f: f - 1),
    "Hinge": (lambda r, f: -(r < 1).double(), lambda r, f: (f > -1).double(), lambda r, f: -torch.ones_like(f)),
    "Wasserstein": (
        lambda r, f: -torch.ones_like(r), lambda r, f: torch.ones_like(f), lambda r, f: -torch.ones_like(f)
    ),
    "RelativisticPairing": (
        lambda r, f: -sigmoid(f - r), lambda r, f: sigmoid(f - r), lambda r, f: -sigmoid(r - f)
    ),
}  # fmt: skip
OBJECTIVES = [Minimax(), NonSaturating(), LeastSquares(), Hinge(), Wasserstein(), RelativisticPairing()]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)
def test_gradients_are_the_papers_on_a_quadratic_critic(objective: Objective) -> None:
    """D(x) = w.x + a x.x / 2: the discriminator's gradients by w and a, and the generator's by its samples."""
    draw = torch.Generator().manual_seed(0)
    x, x_fake = torch.randn(2, 9, 3, dtype=torch.float64, generator=draw)
    w, a = torch.tensor([0.3, -0.8, 0.5], dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64)
    w.requires_grad_(), a.requires_grad_(), x_fake.requires_grad_()

    def critic(x: Tensor) -> Tensor:
        return x @ w + 0.5 * a * x.square().sum(1)

    real, fake = critic(x), critic(x_fake)
    found = torch.autograd.grad(objective.discriminator_loss(real, fake), (w, a), retain_graph=True)
    (found_x,) = torch.autograd.grad(objective.generator_loss(real, fake), x_fake)
    with torch.no_grad():
        for_real, for_fake, for_generator = (slope(real, fake) / 9 for slope in SLOPES[type(objective).__name__])
        assert torch.allclose(found[0], for_real @ x + for_fake @ x_fake, rtol=1e-10)
        halves = x.square().sum(1) / 2, x_fake.square().sum(1) / 2
        assert torch.allclose(found[1], for_real @ halves[0] + for_fake @ halves[1], rtol=1e-10)
        assert torch.allclose(found_x, for_generator[:, None] * (w + a * x_fake), rtol=1e-10)


# ------------------------------------------------------------------ Dirac games


def distance_after(
    objective: Objective, penalty: Penalty | None, steps: int, rate: float, alternating: bool = True
) -> float:
    """Distance from the equilibrium at 0 of a game with D(x) = psi x, data at 0 and the generator's one sample theta.

    It starts at a distance of sqrt(2).
    """
    theta, psi = torch.ones(1, 1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    x = torch.zeros(1, 1, dtype=torch.float64)
    for _ in range(steps):
        psi = psi.detach().requires_grad_()
        critic = lambda x, psi=psi: x.flatten(1) @ psi  # noqa: E731
        real_x, fake_x = x.clone().requires_grad_(), theta.detach().clone().requires_grad_()
        real, fake = Scored(real_x, critic(real_x)), Scored(fake_x, critic(fake_x))
        loss = objective.discriminator_loss(real.outputs, fake.outputs)
        loss = loss if penalty is None else loss + penalty(critic, real, fake)
        new = (psi - rate * torch.autograd.grad(loss, psi)[0]).detach()
        seen = new if alternating else psi.detach()
        moving = theta.detach().requires_grad_()
        of_real = (x @ seen) if objective.generator_sees_real else None
        (slope,) = torch.autograd.grad(objective.generator_loss(of_real, moving @ seen), moving)
        theta, psi = (moving - rate * slope).detach(), new
    return float(torch.cat([theta.flatten(), psi]).norm())


@pytest.mark.parametrize("objective", [Minimax(), Wasserstein()], ids=lambda o: type(o).__name__)
def test_a_game_without_a_penalty_does_not_converge(objective: Objective) -> None:
    """Mescheder et al. 2018 (arXiv:1801.04406), section 2: simultaneous descent goes away, alternating cycles."""
    start = math.sqrt(2)
    assert distance_after(objective, None, 400, 0.2, alternating=False) > 1.2 * start
    distances = [distance_after(objective, None, steps, 0.2) for steps in (300, 310, 320)]
    assert min(distances) > 0.5 * start
    assert max(distances) < 2 * start


@pytest.mark.parametrize("objective", [NonSaturating(), RelativisticPairing()], ids=lambda o: type(o).__name__)
def test_a_game_of_bounded_slopes_without_a_penalty_has_no_linear_rate(objective: Objective) -> None:
    """The same eigenvalues at the equilibrium, on the imaginary axis: four times the steps gain less than a factor 3.

    Away from it the fields differ, and alternating descent comes closer as the root of the steps.
    """
    few, many = (distance_after(objective, None, steps, 0.2) for steps in (100, 400))
    assert few / 3 < many < few


@pytest.mark.parametrize("penalty", [R1(1.0), R2(1.0), R1AndR2(0.5)], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("objective", [NonSaturating(), RelativisticPairing()], ids=lambda o: type(o).__name__)
def test_a_game_with_a_zero_centred_penalty_converges(objective: Objective, penalty: Penalty) -> None:
    """Theorem 4.1 of the same paper."""
    assert distance_after(objective, penalty, 400, 0.2) < 1e-3
    assert distance_after(objective, penalty, 400, 0.2, alternating=False) < 1e-3


def test_the_game_of_wgan_gp_with_one_step_does_not_converge() -> None:
    """Its section 3.2: the penalty wants a slope of 1 at the equilibrium, whose slope is 0."""
    torch.manual_seed(0)
    distances = [distance_after(Wasserstein(), GradientPenalty(1.0), steps, 0.05) for steps in (500, 520, 540)]
    assert min(distances) > 0.3
