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


@pytest.mark.parametrize(("observation", "num_levels", "scale"), CASES)
def test_no_level_is_more_probable_than_the_mode(observation: Observation, num_levels: int, scale: float) -> None:
    n = 2_000
    maps = scale * torch.randn(n, observation.num_maps(num_levels), 1, generator=torch.Generator().manual_seed(1))
    if isinstance(observation, DiscretizedLogistic):
        maps[:, 1] = maps[:, 1] * 4 - 1  # from needles to scales at which an end bin, with its tail, holds the most
    mode = observation.mode(maps, num_levels)
    assert (mode.dtype, mode.shape) == (torch.uint8, (n, 1))
    each = torch.stack(
        [observation.log_prob(maps, torch.full((n, 1), level), num_levels) for level in range(num_levels)]
    )
    best = each.max(0).values
    assert len(mode.unique()) >= min(num_levels, 10)
    # A mean halfway between two levels makes them equal, up to rounding.
    torch.testing.assert_close(observation.log_prob(maps, mode, num_levels), best, rtol=1e-5, atol=1e-6)


def test_an_end_level_is_the_mode_where_its_tail_outweighs_the_mean_s_bin() -> None:
    scales = torch.tensor([-3.0, 1.0])
    maps = torch.stack([torch.full((2,), 0.2), scales], 1)[..., None]
    assert DiscretizedLogistic().mode(maps, 5).tolist() == [[2], [4]]
    assert DiscretizedLogistic().mode(-maps * torch.tensor([1.0, -1.0])[:, None], 5).tolist() == [[2], [0]]


def test_modes_keep_the_place_of_each_dimension() -> None:
    x = torch.randint(5, (7, 1, 3, 4), generator=torch.Generator().manual_seed(0))
    one_hot = torch.nn.functional.one_hot(x, 5).movedim(-1, 1).float()
    assert torch.equal(Categorical().mode(one_hot, 5), x.to(torch.uint8))
    needles = torch.stack([x / 2 - 1, torch.full(x.shape, -5.0)], 1)
    assert torch.equal(DiscretizedLogistic().mode(needles, 5), x.to(torch.uint8))
    binary = x % 2
    assert torch.equal(Bernoulli().mode((binary * 2.0 - 1)[:, None], 2), binary.to(torch.uint8))


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
    with pytest.raises(UserError, match="Bernoulli is for data with 2 values, but these have 17"):
        Bernoulli().num_maps(17)
