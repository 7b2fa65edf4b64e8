"""Tests of the standard error of a mean likelihood and of its parts."""

import math

import pytest
import torch
from torch import Tensor

from lit_gen.contract import ExampleValues
from lit_gen.likelihood import Likelihood
from lit_gen.scoring.uncertainty import mean_nats


def collected(*replicates: Tensor) -> ExampleValues:
    values = ExampleValues()
    found = [Likelihood(nats, "bound", "elbo") for nats in replicates]
    values.update(torch.arange(len(found[0].nats)), found)
    values.finish(lambda tensor, how: tensor)
    return values


def test_independent_examples_have_the_usual_error() -> None:
    nats = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = mean_nats(collected(nats), None)
    assert found.standard_error == pytest.approx(float(nats.std()) / 20)
    assert found.parts.from_draws is None
    assert found.parts.from_examples is None
    alone = mean_nats(collected(nats), torch.arange(400))
    assert alone.standard_error == pytest.approx(found.standard_error)


def test_the_parts_are_those_of_the_simulation() -> None:
    generator, n = torch.Generator().manual_seed(0), 500
    means, examples, draws = [], [], []
    for _ in range(400):
        true = 3.0 * torch.randn(n, generator=generator)
        found = mean_nats(collected(*(true + 2.0 * torch.randn(n, generator=generator) for _ in range(2))), None)
        means.append(found.mean)
        examples.append(found.parts.from_examples)
        draws.append(found.parts.from_draws)
    assert torch.tensor(examples).mean() == pytest.approx(3 / math.sqrt(n), rel=0.02)
    assert torch.tensor(draws).mean() == pytest.approx(2 / math.sqrt(2 * n), rel=0.02)
    assert torch.tensor(means).std() == pytest.approx(math.sqrt((9 + 2) / n), rel=0.08)


def test_the_error_over_groups_is_that_of_the_simulation() -> None:
    """Windows of one recording share what the recording is like; each of them counted alone is 2.6 times too sure."""
    generator, means, errors, naive = torch.Generator().manual_seed(0), [], [], []
    for _ in range(500):
        sizes = torch.randint(1, 12, (60,), generator=generator)
        group = torch.arange(60).repeat_interleave(sizes)
        nats = torch.randn(60, generator=generator)[group] + 0.3 * torch.randn(len(group), generator=generator)
        found = mean_nats(collected(nats), group, "recording")
        means.append(found.mean)
        errors.append(found.standard_error)
        naive.append(mean_nats(collected(nats), None).standard_error)
        assert (found.parts.group, found.parts.num_groups) == ("recording", 60)
    spread = float(torch.tensor(means).std())
    assert sum(errors) / 500 == pytest.approx(spread, rel=0.1)
    assert sum(naive) / 500 < 0.45 * spread


def test_an_exact_value_has_no_error_from_draws() -> None:
    values = ExampleValues()
    values.update(torch.arange(30), [Likelihood(torch.randn(30), "exact", "softmax")])
    values.finish(lambda tensor, how: tensor)
    found = mean_nats(values, None)
    assert found.parts.from_draws == 0
    assert found.parts.from_examples == found.standard_error


def test_values_of_several_processes_are_one_split() -> None:
    """Every process has its own rows; sums and the largest index are reduced over all of them."""
    parts = [ExampleValues(), ExampleValues()]
    nats = torch.arange(7.0)
    for rank, values in enumerate(parts):
        rows = torch.arange(rank, 7, 2)
        values.update(rows, [Likelihood(nats[rows], "bound", "elbo"), Likelihood(3 * nats[rows], "bound", "elbo")])
    tables: list[Tensor] = []
    sizes = torch.tensor([7, 2])
    with pytest.raises(StopIteration):
        parts[1].finish(lambda tensor, how: sizes if how == "max" else stop(tables.append(tensor)))
    parts[0].finish(lambda tensor, how: sizes if how == "max" else tensor + tables[-1])
    assert parts[0].index.tolist() == list(range(7))
    assert torch.equal(parts[0].nats, 2 * nats.double())
    assert parts[0].variance is not None
    assert torch.allclose(parts[0].variance, nats.double().square())


def stop(_: object) -> Tensor:
    raise StopIteration


def test_an_example_scored_twice_is_an_error() -> None:
    values = ExampleValues()
    for _ in range(2):
        values.update(torch.tensor([4]), [Likelihood(torch.ones(1), "bound", "elbo")])
    with pytest.raises(RuntimeError, match="example 4 was scored 2 times"):
        values.finish(lambda tensor, how: tensor)


def test_another_unit_scales_all_parts() -> None:
    found = mean_nats(collected(torch.randn(50), torch.randn(50)), None)
    scaled = found.scaled(0.25)
    assert scaled.standard_error == pytest.approx(found.standard_error / 4)
    assert scaled.parts.from_draws == pytest.approx(found.parts.from_draws / 4)
    assert scaled.parts.pareto_k == found.parts.pareto_k
