"""p(x | z): what is sampled is what is scored."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.families.vae import Bernoulli, Categorical, DiscretizedLogistic, Observation
from lit_gen.noise import Noise

CASES = [
    (Bernoulli(), 2, 1.0),
    (Categorical(), 2, 1.0),
    (Categorical(), 17, 1.0),
    (Categorical(), 17, 3.0),
    (DiscretizedLogistic(), 2, 1.0),
    (DiscretizedLogistic(), 17, 1.0),
    (DiscretizedLogistic(), 256, 0.5),
]


def some_maps(observation: Observation, num_levels: int, scale: float) -> Tensor:
    """Maps ``[1, M, 2]`` of two dimensions; a logistic's log scale is about -1."""
    num_maps = observation.num_maps(num_levels)
    maps = scale * torch.randn(1, num_maps, 2, generator=torch.Generator().manual_seed(num_levels))
    if isinstance(observation, DiscretizedLogistic):
        maps[:, 1] -= 1
    return maps


@pytest.mark.parametrize(("observation", "num_levels", "scale"), CASES)
def test_samples_have_the_scored_probabilities(observation: Observation, num_levels: int, scale: float) -> None:
    n = 8_000
    maps = some_maps(observation, num_levels, scale)
    samples = observation.sample(maps.expand(n, -1, -1), Noise(7, range(n)), num_levels)
    assert samples.dtype == torch.uint8
    for d in range(2):
        x = torch.arange(num_levels)[:, None]
        log_prob = observation.log_prob(maps[..., d : d + 1].expand(num_levels, -1, -1), x, num_levels)
        expected = n * log_prob.double().exp()
        counts = torch.bincount(samples[:, d].long(), minlength=num_levels).double()
        # Rare levels are counted together: chi-square wants five in a cell.
        rare = expected < 5
        expected = torch.cat([expected[~rare], expected[rare].sum()[None]])
        counts = torch.cat([counts[~rare], counts[rare].sum()[None]])
        cells = int((expected > 1e-3).sum())
        chi_square = float(((counts - expected) ** 2 / expected.clamp_min(1)).sum())
        assert chi_square < cells + 5 * math.sqrt(2 * cells)


@pytest.mark.parametrize("observation", [Categorical(), DiscretizedLogistic()])
def test_dimensions_are_drawn_independently(observation: Observation) -> None:
    n = 8_000
    maps = some_maps(observation, 3, 1.0)
    samples = observation.sample(maps.expand(n, -1, -1), Noise(3, range(n)), 3).long()
    for a, b in itertools.product(range(3), repeat=2):
        log_prob = observation.log_prob(maps, torch.tensor([[a, b]]), 3)
        p = float(log_prob.exp())
        seen = float(((samples[:, 0] == a) & (samples[:, 1] == b)).double().mean())
        assert seen == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / n) + 1e-4)


@pytest.mark.parametrize(("observation", "num_levels", "scale"), CASES)
def test_probabilities_of_two_dimensions_sum_to_one(observation: Observation, num_levels: int, scale: float) -> None:
    maps = some_maps(observation, num_levels, scale)
    levels = torch.arange(num_levels)
    states = torch.cartesian_prod(levels, levels)
    log_prob = observation.log_prob(maps.expand(len(states), -1, -1), states, num_levels)
    assert float(log_prob.double().exp().sum()) == pytest.approx(1, abs=1e-5)


def test_a_sure_level_is_always_drawn() -> None:
    maps = torch.full((500, 5, 3), -1e4)
    maps[:, 2] = 1e4
    assert (Categorical().sample(maps, Noise(0, range(500)), 5) == 2).all()
    for mean, level in ((-1.0, 0), (0.0, 2), (1.0, 4), (-9.0, 0), (9.0, 4)):
        maps = torch.stack([torch.full((500, 3), mean), torch.full((500, 3), -50.0)], 1)
        assert (DiscretizedLogistic().sample(maps, Noise(0, range(500)), 5) == level).all()
    for logit, level in ((1e4, 1), (-1e4, 0)):
        assert (Bernoulli().sample(torch.full((500, 1, 3), logit), Noise(0, range(500)), 2) == level).all()


def test_the_floor_of_the_log_scale_holds_for_scores_and_samples() -> None:
    floored, plain = DiscretizedLogistic(min_log_scale=-1.0), DiscretizedLogistic()
    n = 50
    below = torch.stack([torch.zeros(n, 4), torch.full((n, 4), -6.0)], 1)
    at = torch.stack([torch.zeros(n, 4), torch.full((n, 4), -1.0)], 1)
    x = torch.arange(n)[:, None].expand(-1, 4) % 17
    assert torch.equal(floored.log_prob(below, x, 17), plain.log_prob(at, x, 17))
    expected = plain.sample(at, Noise(0, range(n)), 17)
    assert torch.equal(floored.sample(below, Noise(0, range(n)), 17), expected)
    assert not torch.equal(plain.sample(below, Noise(0, range(n)), 17), expected)


def test_bernoulli_refuses_more_levels() -> None:
    with pytest.raises(UserError, match="Bernoulli is for 2 levels, the data have 17"):
        Bernoulli().num_maps(17)
