"""Tests of importance sampling of noise levels."""

import pytest
import torch
from torch import Tensor

from lit_gen.families import DDPM
from lit_gen.families.diffusion import LinearBetas
from lit_gen.families.diffusion.allocation import PILOT_EXAMPLES, Allocation, pilot
from lit_gen.noise import Noise

UNEVEN = Allocation(torch.tensor([0.05, 0.6, 0.1, 0.25]), torch.tensor([3.0, -1.0, 0.5, 7.0]))


def steep(x: Tensor, position: Tensor, noise: Noise) -> Tensor:
    """An integrand whose integral is 1, most of it near 1, multiplied by noise of mean 1."""
    return 20 * position.pow(19) * (0.8 + 0.4 * noise.uniform())


def estimates(allocation: Allocation, draws: int, n: int = 20_000) -> Tensor:
    noise = Noise(3, range(n))
    return allocation.integral(lambda position: steep(position, position, noise), noise, draws)


@pytest.mark.parametrize("allocation", [Allocation.even(), UNEVEN, pilot(steep, torch.zeros(5), 0)])
@pytest.mark.parametrize("draws", [1, 3])
def test_every_allocation_gives_an_unbiased_estimate(allocation: Allocation, draws: int) -> None:
    found = estimates(allocation, draws)
    assert float(found.mean()) == pytest.approx(1.0, abs=4 * float(found.std()) / len(found) ** 0.5)


def test_positions_have_the_allocations_density_and_their_weights_are_its_inverse() -> None:
    position, weight = UNEVEN.draw(Noise(0, range(20_000)).uniform())
    bins = (position * 4).long()
    shares = bins.bincount(minlength=4) / len(bins)
    assert torch.allclose(shares, UNEVEN.probabilities, atol=0.015)
    assert torch.allclose(weight, 1 / (4 * UNEVEN.probabilities[bins]))
    assert float((position * 4 % 1).mean()) == pytest.approx(0.5, abs=0.01)


def test_the_control_has_the_integral_that_is_added_for_it() -> None:
    even = (torch.arange(100_000) + 0.5) / 100_000
    assert float(UNEVEN.control(even).double().mean()) == pytest.approx(float(UNEVEN.typical.mean()), abs=1e-5)
    middles = (torch.arange(4) + 0.5) / 4
    assert torch.allclose(UNEVEN.control(middles), UNEVEN.typical)


def test_draws_of_one_example_are_spread_over_the_density() -> None:
    drawn: list[Tensor] = []
    Allocation.even().integral(lambda position: drawn.append(position) or position, Noise(0, range(1_000)), 4)
    assert ((torch.stack(drawn) * 4).floor() == torch.arange(4)[:, None]).all()


def test_a_pilot_run_removes_most_of_the_variance_and_bounds_the_weights() -> None:
    found = pilot(steep, torch.zeros(7), 0)
    assert estimates(found, 1).var() < 0.02 * estimates(Allocation.even(), 1).var()
    assert float(found.draw(Noise(1, range(5_000)).uniform())[1].max()) <= 10.001


def test_each_bin_of_a_pilot_run_is_measured_on_different_examples() -> None:
    seen: dict[int, set[int]] = {}

    def integrand(x: Tensor, position: Tensor, noise: Noise) -> Tensor:
        for row, at in zip(x.tolist(), position.tolist(), strict=True):
            seen.setdefault(int(at * 32), set()).add(row)
        return torch.ones(len(x))

    pilot(integrand, torch.arange(32), 0)
    assert {len(rows) for rows in seen.values()} == {PILOT_EXAMPLES // 32}


def test_a_constant_integrand_is_known_exactly() -> None:
    found = pilot(lambda x, position, noise: torch.full((len(x),), 3.0), torch.zeros(3), 0)
    assert torch.allclose(found.integral(lambda position: torch.full_like(position, 3.0), Noise(0, [1, 2]), 1),
                          torch.tensor([3.0, 3.0]))


@pytest.mark.parametrize("size", [float("nan"), float("inf")])
def test_a_pilot_run_without_a_finite_size_leaves_the_draws_even(size: float) -> None:
    found = pilot(lambda x, position, noise: torch.full((len(x),), size), torch.zeros(3), 0)
    assert torch.equal(found.probabilities, Allocation.even().probabilities)


def test_timesteps_are_drawn_with_the_probability_that_their_terms_are_divided_by() -> None:
    model = DDPM((1, 2, 2), 16, schedule=LinearBetas(50, 1e-3, 0.4))
    drawn: list[Tensor] = []
    model.step_nats = lambda x, timestep, predicted: (drawn.append(timestep), torch.ones(len(x)))[1]  # type: ignore
    n = 40_000
    noise = Noise(0, range(n))
    inverse = model.nats_at(torch.zeros(n, 1, 2, 2), noise.uniform(), noise)
    shares = drawn[0].bincount(minlength=50)[1:] / n
    assert float(inverse.mean()) == pytest.approx(49, rel=0.03)  # each of the 49 terms is 1
    assert torch.allclose(shares, model.ends.diff(prepend=torch.zeros(1)), atol=0.005)
