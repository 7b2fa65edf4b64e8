"""Tests of splits by the content of files."""

from __future__ import annotations

import numpy as np
import pytest

from lit_gen.data.content_splits import carve_by_content
from lit_gen.errors import UserError

ORDER = np.array([2, 1, 0])  # train, val, test: a file may only move to a larger number
SIZES = pytest.mark.parametrize("sizes", [{"val": 10, "test": 10}, {"val": 0.1, "test": 0.05}, {"val": 0.2, "test": 7}])


def digests(count: int) -> list[bytes]:
    rng = np.random.default_rng(0)
    return [rng.bytes(32) for _ in range(count)]


def test_copies_are_assigned_together() -> None:
    files = [bytes([i // 3]) for i in range(30)]  # ten files, three times each
    for seed in range(5):
        assigned = carve_by_content(files, {"val": 4, "test": 4}, seed, "here").reshape(10, 3)
        assert (assigned == assigned[:, :1]).all()
        assert sorted(np.bincount(assigned[:, 0])) == [1, 2, 7]  # test has 6, validation begins at the 5th
    with pytest.raises(UserError, match=r"has 30 training examples, of which 1 are distinct, and 8 are held out"):
        carve_by_content([b"0"] * 30, {"val": 4, "test": 4}, 0, "here")


@SIZES
def test_files_that_are_added_move_others_only_towards_train(sizes: dict) -> None:
    files = digests(500)
    for n in range(100, 493, 7):
        before = carve_by_content(files[:n], sizes, 0, "here")
        after = carve_by_content(files[: n + 7], sizes, 0, "here")[:n]
        assert (ORDER[after] >= ORDER[before]).all()


def test_fractions_take_their_share_of_many_and_two_of_few() -> None:
    found = np.bincount(carve_by_content(digests(10_000), {"val": 0.1, "test": 0.2}, 0, "it"))
    assert abs(found[1] - 1000) < 120
    assert abs(found[2] - 2000) < 160
    for seed in range(20):
        few = carve_by_content(digests(6), {"val": 0.001, "test": 0.001}, seed, "it")
        assert np.bincount(few).tolist() == [2, 2, 2]


def test_a_number_is_met_exactly_and_the_seed_changes_the_order() -> None:
    first, second = (carve_by_content(digests(100), {"val": 13, "test": 21}, seed, "it") for seed in (0, 1))
    assert np.bincount(first).tolist() == np.bincount(second).tolist() == [66, 13, 21]
    assert (first != second).any()


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"val": 0.1, "test": 0}, "split 'test' of it would be empty: splits.num_test is 0; raise it"),
        ({"val": 3, "test": 1}, "it has 4 training examples and 4 are held out; lower splits.num_val or"),
        ({"val": 0.5, "test": 0.5}, "it has 4 training examples and 4 are held out; lower splits.num_val or"),
    ],
)
def test_splits_that_leave_nothing_are_rejected(sizes: dict, message: str) -> None:
    with pytest.raises(UserError) as caught:
        carve_by_content(digests(4), sizes, 0, "it")
    assert str(caught.value).startswith(message)
