"""The best validation for at most so much training."""

from __future__ import annotations

import itertools
import math

import pytest

from lit_gen.records.validation import MOST_VALIDATIONS, Validation, best_within, thinned

ROWS = [Validation(examples_seen=100 * i, value=value, seconds=2.0 * i)
        for i, value in enumerate([5.0, 3.0, 4.0, 2.0], start=1)]


@pytest.mark.parametrize(("limits", "value"), [
    ({}, 2.0), ({"examples": 399}, 3.0), ({"examples": 400}, 2.0), ({"seconds": 6.0}, 3.0), ({"examples": 99}, None),
    ({"examples": 400, "seconds": 2.5}, 5.0),
])
def test_the_best_so_far(limits: dict[str, float], value: float | None) -> None:
    found = best_within(ROWS, higher_is_better=False, **limits)
    assert (found and found.value) == value


def test_upwards_and_without_times() -> None:
    found = best_within(ROWS, higher_is_better=True, examples=300)
    assert found is not None
    assert found.value == 5.0
    untimed = [Validation(examples_seen=1, value=1.0)]
    assert best_within(untimed, higher_is_better=False, seconds=1e9) is None
    assert best_within(untimed, higher_is_better=False) == untimed[0]


def test_many_are_thinned_to_first_last_and_between() -> None:
    rows = [Validation(examples_seen=i, value=1.0) for i in range(10_001)]
    kept = thinned(rows)
    assert len(kept) == MOST_VALIDATIONS
    assert (kept[0], kept[-1]) == (rows[0], rows[-1])
    gaps = [b.examples_seen - a.examples_seen for a, b in itertools.pairwise(kept)]
    assert max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize("fields", [{"value": math.nan}, {"examples_seen": -1}, {"seconds": math.inf}])
def test_impossible_numbers_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="a validation's"):
        Validation(**{"examples_seen": 1, "value": 1.0, **fields})  # type: ignore[arg-type]
