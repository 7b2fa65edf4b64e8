"""Tests of the tail check."""

import pytest
import torch
from torch import Tensor

from lit_gen.records.error_parts import PARETO_LIMIT
from lit_gen.scoring.pareto import pareto_k


def generalized_pareto(k: float, n: int, seed: int = 0) -> Tensor:
    u = torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (u**-k - 1) / k


@pytest.mark.parametrize("k", [0.25, 0.5, 0.9, 1.5])
def test_the_shape_of_a_generalized_pareto_distribution_is_found(k: float) -> None:
    found = torch.tensor([pareto_k(generalized_pareto(k, 10_000, seed)) for seed in range(20)])
    assert float(found.mean()) == pytest.approx(k, abs=0.08)


def test_the_shape_does_not_depend_on_unit_origin_and_order() -> None:
    x = generalized_pareto(0.6, 500)
    assert pareto_k(1e9 * x.flip(0) - 3e9) == pytest.approx(pareto_k(x), abs=1e-6)


@pytest.mark.parametrize("n", [30, 100, 1000])
def test_light_tails_rarely_raise_an_alarm(n: int) -> None:
    generator = torch.Generator().manual_seed(1)
    found = [pareto_k(torch.randn(n, generator=generator)) for _ in range(300)]
    assert sum(k > PARETO_LIMIT for k in found) <= 9


@pytest.mark.parametrize("n", [100, 1000])
def test_a_sum_that_lies_in_a_few_values_raises_one(n: int) -> None:
    """As in a bound half of which lies in 2% of its terms, estimated by one term of each example."""
    generator = torch.Generator().manual_seed(2)
    found = []
    for _ in range(100):
        rare = torch.rand(n, generator=generator) < 0.02
        found.append(pareto_k(torch.randn(n, generator=generator) * 0.1 + 50 * rare))
    assert sum(k > PARETO_LIMIT for k in found) >= 80


def test_too_few_values_say_nothing() -> None:
    assert pareto_k(torch.arange(24.0)) is None
    assert pareto_k(torch.ones(500)) is None
