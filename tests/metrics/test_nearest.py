"""Nearest neighbours: exact, whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from lit_gen.metrics import nearest
from lit_gen.metrics.nearest import nearest_neighbours


def levels(seed: int, *shape: int, num_levels: int = 256) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(num_levels, shape, generator=generator, dtype=torch.uint8)


def by_hand(queries: Tensor, examples: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """All squared distances, in whole numbers, and their order; the lower row first among equals."""
    q, e = (x.flatten(1).numpy().astype(np.int64) for x in (queries, examples))
    squared = ((q[:, None] - e[None]) ** 2).sum(2)
    return squared, squared.argsort(1, kind="stable")


@pytest.mark.parametrize("elements", [1, 60, 500, 1 << 22], ids="{} numbers a block".format)
@pytest.mark.parametrize("num_levels", [2, 256])  # with two levels, most distances are shared by many
def test_agrees_with_brute_force_in_any_blocks(
    num_levels: int, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "_BLOCK_ELEMENTS", elements)
    queries, examples = levels(0, 23, 1, 4, 5, num_levels=num_levels), levels(1, 57, 1, 4, 5, num_levels=num_levels)
    squared, order = by_hand(queries, examples)
    for k in (1, 4, 57):
        found = nearest_neighbours(queries, examples, k)
        assert found.index.tolist() == order[:, :k].tolist()
        expected = np.take_along_axis(squared, order[:, :k], 1)
        assert found.distance.square().round().long().tolist() == expected.tolist()


def test_an_example_is_its_own_nearest_at_distance_zero() -> None:
    examples = levels(2, 200, 3, 32, 32)
    found = nearest_neighbours(examples, examples, 1)
    assert found.index[:, 0].tolist() == list(range(200))
    assert found.distance.count_nonzero() == 0


def test_one_level_of_one_pixel_is_a_distance_of_one() -> None:
    """Beside squares that sum to 2e8, where float32 counts in steps of 16."""
    bright = torch.full((1, 3, 32, 32), 254, dtype=torch.uint8)
    examples = bright.repeat(3, 1, 1, 1)
    examples[0, 0, 0, :2] += 1
    examples[1, 1, 5, 5] += 1
    examples[2, 2] -= 1
    found = nearest_neighbours(bright, examples, 3)
    assert found.index.tolist() == [[1, 0, 2]]
    assert found.distance.tolist() == [[1.0, 2**0.5, 32.0]]


@pytest.mark.parametrize("k", [0, 4])
def test_as_many_neighbours_as_there_are_not_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match=f"k is {k}, and there are 3 examples"):
        nearest_neighbours(levels(0, 2, 5), levels(1, 3, 5), k)
