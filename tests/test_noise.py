"""Noise belongs to the example: its company, its order and the global generators do not matter."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from lit_gen.noise import Noise, mix


def test_a_row_is_the_same_in_any_company() -> None:
    whole, alone = Noise(3, range(50)), [Noise(3, [i]) for i in range(50)]
    # 5 and 40 numbers: torch draws short and long rows by different code.
    for shape in ((), (5,), (2, 3), (40,)):
        assert torch.equal(whole.normal(*shape), torch.cat([noise.normal(*shape) for noise in alone]))
        assert torch.equal(whole.uniform(*shape), torch.cat([noise.uniform(*shape) for noise in alone]))


def test_rows_follow_their_indices() -> None:
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Noise(3, order).normal(7), Noise(3, range(50)).normal(7)[order])


def test_a_list_a_range_and_a_tensor_name_the_same_rows() -> None:
    expected = Noise(1, range(4)).uniform(3)
    assert torch.equal(Noise(1, [0, 1, 2, 3]).uniform(3), expected)
    assert torch.equal(Noise(1, torch.arange(4)).uniform(3), expected)


def test_draws_go_on_and_do_not_repeat() -> None:
    noise = Noise(0, range(3))
    first, second = noise.normal(4), noise.normal(4)
    assert (first != second).all()
    again = Noise(0, range(3))
    assert torch.equal(again.normal(4), first)
    assert torch.equal(again.normal(4), second)


def test_seeds_give_other_numbers() -> None:
    # Large ones too: all of a seed's bits count, though a generator keeps 32 of its own.
    draws = torch.stack([Noise(seed, range(100)).uniform(3) for seed in (*range(18), 2**32, 2**40, -1)])
    assert len(draws.flatten().unique()) > 0.999 * draws.numel()


def test_global_generators_are_neither_read_nor_moved() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = Noise(0, range(5)).normal(3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(Noise(0, range(5)).normal(3), first)


@pytest.mark.parametrize("position", [0, 1, 7])
def test_uniform_over_neighbouring_indices(position: int) -> None:
    n, bins = 6_400, 64
    u = Noise(11, range(n)).uniform(8)[:, position]
    assert u.min() >= 0
    assert u.max() < 1
    counts = torch.bincount((u * bins).long(), minlength=bins).double()
    chi_square = ((counts - n / bins) ** 2 / (n / bins)).sum()
    # Both tails: a lattice over the indices would be too even.
    assert abs(float(chi_square) - (bins - 1)) < 5 * math.sqrt(2 * (bins - 1))


@pytest.mark.parametrize("lag", [1, 2, 256])
def test_neighbouring_examples_are_unrelated(lag: int) -> None:
    n = 10_000
    normal = Noise(5, range(n)).normal(20)
    a, b = normal[:-lag].double(), normal[lag:].double()
    correlation = (a * b).mean(0)
    assert correlation.abs().max() < 5 / math.sqrt(n)
    # Signs and sizes too: numbers may be uncorrelated and yet each other's function.
    assert ((a.abs() - 0.7979) * (b.abs() - 0.7979)).mean(0).abs().max() < 5 * 0.3634 / math.sqrt(n)


@pytest.mark.parametrize("length", [1, 20])
def test_normal_has_the_normal_moments(length: int) -> None:
    n = 20_000
    z = Noise(2, range(n)).normal(length)[:, -1].double()
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(float((z**power).mean()) - moment) < 5 * math.sqrt(variance / n), f"moment {power}"
    below = float((z < 1).double().mean())
    assert below == pytest.approx(0.8413, abs=5 * math.sqrt(0.8413 * 0.1587 / n))


def test_streams_of_neighbouring_seeds_are_unrelated() -> None:
    n = 5_000
    a, b = (Noise(seed, range(n)).normal(4).double() for seed in (0, 1))
    assert (a * b).mean(0).abs().max() < 5 / math.sqrt(n)


def test_no_two_examples_share_a_generators_seed() -> None:
    far = [2**20, 2**31 - 1, 2**31, 2**32 - 1]
    noise = Noise(0, [*range(20_000), *far])
    seeds = {generator.initial_seed() for generator in noise._generators}
    assert len(seeds) == 20_000 + len(far)
    # What torch keeps of a seed: were more handed over, distinct seeds would give equal streams.
    assert max(seeds) < 2**32


def test_mix_has_no_collision_on_a_grid() -> None:
    pairs = {mix(a, b) for a, b in itertools.product(range(64), repeat=2)}
    assert len(pairs) == 64**2
    triples = {mix(a, b, c) for a, b, c in itertools.product(range(13), repeat=3)}
    assert len(triples) == 13**3
    assert len({mix(), mix(0), mix(0, 0), mix(0, 0, 0)}) == 4


def test_mix_depends_on_every_bit() -> None:
    """One bit more or less in either word turns half of the 32 bits."""
    turned = []
    for bit in range(64):
        turned.append(bin(mix(9, 4) ^ mix(9 ^ 1 << bit, 4)).count("1"))
        turned.append(bin(mix(9, 4) ^ mix(9, 4 ^ 1 << bit)).count("1"))
    assert min(turned) >= 5
    assert sum(turned) / len(turned) == pytest.approx(16, abs=5 * math.sqrt(8 / len(turned)))


def test_mix_stays_in_32_bits_and_takes_negative_words() -> None:
    values = [mix(-1), mix(2**64), mix(2**70 + 3, -5)]
    assert all(0 <= value < 2**32 for value in values)
    assert mix(-1) == mix(2**64 - 1)
