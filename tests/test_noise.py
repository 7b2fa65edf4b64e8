"""Noise belongs to the example: its company, its order and the global generators do not matter."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from lit_gen.noise import Noise, mix, streams


def test_a_row_is_the_same_in_any_company() -> None:
    whole, alone = Noise(3, range(50)), [Noise(3, [i]) for i in range(50)]
    # Odd and even numbers, shorter and longer than a vector of the processor.
    for shape in ((), (1,), (5,), (2, 3), (40,), (33,)):
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
    # Large ones too: all of a seed's bits count.
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


def test_no_two_examples_share_a_stream() -> None:
    far = [2**20, 2**31, 2**32, 2**63 - 1, -1]
    words = Noise(0, torch.tensor([*range(20_000), *far])).words(4)
    assert len(words.unique()) == words.numel()


def test_words_are_those_of_splitmix64() -> None:
    """The generator that the paper's authors publish, in Python's integers, from an example's key."""
    key = int(Noise(7, [3])._keys[0]) % 2**64
    state, expected = key, []
    for _ in range(5):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        expected.append(z ^ (z >> 31))
    assert (Noise(7, [3]).words(5)[0].numpy().view("uint64") == expected).all()
    # The reference implementation, from state 1234567: the values that other implementations test against.
    assert int(streams._finalize(torch.tensor([1234567 + 0x9E3779B97F4A7C15 - 2**64]))) % 2**64 == 6457827717110365317


def test_normal_draws_are_box_mullers_of_the_words() -> None:
    word = Noise(1, range(100)).words(3).numpy().view("uint64")
    radius = np.sqrt(-2 * np.log(((word & 0xFFFFFFFF) + 0.5) / 2**32))
    angle = (word >> np.uint64(32)).astype("uint32").view("int32") * (np.pi / 2**31)
    expected = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], 1)
    assert np.abs(Noise(1, range(100)).normal(6).numpy() - expected).max() < 2e-6
    assert torch.equal(Noise(1, range(100)).normal(5), Noise(1, range(100)).normal(6)[:, :5])


def test_all_blocks_are_one_stream() -> None:
    """Rows and lengths around the number of words that are made at a time."""
    for rows, length in ((3, 40_000), (5, 2 * 16_384), (70_000, 1), (20_000, 3)):
        noise = Noise(2, range(rows)).normal(length)
        for row in (0, rows // 2, rows - 1):
            assert torch.equal(noise[row], Noise(2, [row]).normal(length)[0])


def test_half_precision_and_default_devices_leave_it_alone() -> None:
    expected = Noise(2, range(8)).normal(33)
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        assert torch.equal(Noise(2, range(8)).normal(33), expected)
    with torch.device("meta"):
        assert torch.equal(Noise(2, torch.arange(8, device="cpu")).normal(33), expected)


def test_tails_are_the_normal_distributions() -> None:
    n = 4_000_000
    z = Noise(4, range(2_000)).normal(n // 2_000).double()
    for limit in (3.0, 4.0, 4.5):
        expected = n * math.erfc(limit / math.sqrt(2))
        assert abs(int((z.abs() > limit).sum()) - expected) < 5 * math.sqrt(expected)


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


IN_THE_INTERPRETER = """
import torch
from lit_gen.noise import Noise
from lit_gen.noise.triton_kernel import draw

for rows, number in ((5, 7), (3, 1), (2, 2100), (4, 0)):
    for drawn in (0, 3, 2**31 - 2, 2**33):
        keys, half = Noise(5, torch.arange(rows) * 2**40 - 1)._keys, (number + 1) // 2
        for normal in (False, True):
            noise = Noise(5, torch.arange(rows) * 2**40 - 1)
            noise._drawn = drawn
            expected = noise.normal(number) if normal else noise.uniform(number)
            found = draw(keys, drawn, half, normal)[:, :number]
            differ = float((found - expected).abs().max()) if number else 0.0
            assert differ <= (1e-6 if normal else 0.0), (rows, number, drawn, normal, differ)
"""


def test_the_kernel_for_gpus_draws_the_same_numbers() -> None:
    pytest.importorskip("triton", reason="this build of torch has no Triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}  # is read when Triton is imported
    done = subprocess.run([sys.executable, "-c", IN_THE_INTERPRETER], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_without_triton_a_gpu_uses_tensor_operations(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "lit_gen.noise.triton_kernel", None)
    streams._kernel.cache_clear()
    assert streams._kernel(torch.device("cuda", 7)) is None
    assert "Triton cannot be used here (ModuleNotFoundError)" in caplog.text
    assert streams._kernel(torch.device("cpu")) is None
    streams._kernel.cache_clear()


@pytest.mark.parametrize(("normal", "error"), [(False, 2.0**-24), (True, 1e-4)])
def test_a_kernel_with_other_numbers_is_not_used(normal: bool, error: float) -> None:
    def draw(keys: torch.Tensor, drawn: int, half: int, of_normal: bool) -> torch.Tensor:
        noise = Noise(1, [-1, 0, 2**40])
        numbers = noise.normal(2 * half) if of_normal else noise.uniform(2 * half)
        return numbers + (error * wrong if of_normal == normal else 0.0)

    wrong = 0.0
    assert streams._draws_the_same(draw, torch.device("cpu"))
    wrong = 1.0
    assert not streams._draws_the_same(draw, torch.device("cpu"))
