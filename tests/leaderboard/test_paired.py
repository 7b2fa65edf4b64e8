"""Paired errors of differences: by hand, by simulation, and in the marks of the leaderboard."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from records.makers import make_bpd, make_record

from lit_gen.errors import UserError
from lit_gen.leaderboard.collect import Run
from lit_gen.leaderboard.group import build_sections
from lit_gen.leaderboard.paired import paired_difference, score_difference
from lit_gen.records.per_example import ExampleNats, write_examples
from lit_gen.records.record import Record, Score

DIMS = 64
FILE = "per_example/test.csv.gz"


def examples(nats: Sequence[float], groups: Sequence[int] | None = None) -> list[ExampleNats]:
    return [ExampleNats(i, i if groups is None else groups[i], value, None) for i, value in enumerate(nats)]


def scored(directory: Path, bits: Sequence[float], **fields: Any) -> Score:
    """A score of bits/dim with its file, and the error of independent examples."""
    write_examples(directory / FILE, examples([value * DIMS * math.log(2) for value in bits]))
    mean = math.fsum(bits) / len(bits)
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in bits) / (len(bits) - 1) / len(bits))
    return dataclasses.replace(make_bpd(mean, error, **fields), per_example=FILE)


def test_the_error_of_single_examples_is_that_of_their_differences() -> None:
    found = paired_difference(examples([1.0, 4.0, 2.0, 7.0]), examples([2.0, 3.0, 2.0, 4.0]))
    differences = [-1.0, 1.0, 0.0, 3.0]
    variance = sum((d - 0.75) ** 2 for d in differences) / 3
    assert found.mean == 0.75
    assert found.standard_error == pytest.approx(math.sqrt(variance / 4), rel=1e-12)
    assert (found.num_examples, found.num_groups) == (4, 4)
    a, b = (-2.5, 0.5, -1.5, 3.5), (-0.75, 0.25, -0.75, 1.25)
    expected = sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
    assert found.correlation == pytest.approx(expected, rel=1e-12)


def test_the_error_of_groups_is_that_of_their_sums() -> None:
    a, b = [1.0, 4.0, 2.0, 7.0, 5.0], [2.0, 3.0, 2.0, 4.0, 5.0]
    found = paired_difference(examples(a, [0, 0, 1, 1, 2]), examples(b))  # of the two, the fewer groups count
    mean = 3 / 5
    sums = [-1 + 1 - 2 * mean, 0 + 3 - 2 * mean, 0 - mean]
    assert found.standard_error == pytest.approx(math.sqrt(3 / 2 * sum(s * s for s in sums) / 25), rel=1e-12)
    assert found.num_groups == 3


def test_the_order_of_a_file_does_not_matter() -> None:
    a, b = examples([1.0, 4.0, 2.0]), examples([2.0, 3.0, 2.5])
    assert paired_difference(a[::-1], b) == paired_difference(a, b)


def test_errors_hold_for_dependent_examples() -> None:
    """Of equal models, the difference is beyond two errors in about 5% of cases if its error is over groups."""
    rng, beyond = random.Random(0), {"groups": 0, "examples": 0}
    groups = [i // 10 for i in range(400)]
    for _ in range(300):
        shared = [rng.gauss(0, 1) for _ in range(40)]
        a = [shared[g] + rng.gauss(0, 0.5) for g in groups]
        b = [0.0] * 400
        for name, found in (("groups", paired_difference(examples(a, groups), examples(b, groups))),
                            ("examples", paired_difference(examples(a), examples(b)))):
            beyond[name] += abs(found.mean) > 2 * found.standard_error
    assert beyond["groups"] / 300 == pytest.approx(0.05, abs=0.04)
    assert beyond["examples"] / 300 > 0.3


@pytest.mark.parametrize(("b", "message"), [
    ([ExampleNats(0, 0, 1.0, None), ExampleNats(2, 2, 1.0, None)], "of different examples"),
    ([ExampleNats(0, 0, 1.0, None), ExampleNats(1, 0, 1.0, None)], "takes two groups of examples, and there are 1"),
])
def test_what_cannot_be_paired_says_why(b: list[ExampleNats], message: str) -> None:
    with pytest.raises(UserError, match=message):
        paired_difference(examples([1.0, 2.0]), b)


def test_a_difference_of_scores_is_in_their_unit(tmp_path: Path) -> None:
    a, b = scored(tmp_path / "a", [1.0, 2.0, 4.0]), scored(tmp_path / "b", [1.5, 2.0, 3.0])
    found = score_difference(a, tmp_path / "a", b, tmp_path / "b")
    assert found.mean == pytest.approx(a.value - b.value, rel=1e-12)
    assert found.standard_error == pytest.approx(math.sqrt((4 / 9 + 1 / 36 + 25 / 36) / 2 / 3), rel=1e-12)


def test_a_file_of_another_score_is_not_taken(tmp_path: Path) -> None:
    a, b = scored(tmp_path / "a", [1.0, 2.0, 4.0]), scored(tmp_path / "b", [1.5, 2.0, 3.0])
    with pytest.raises(UserError, match=r"test\.csv\.gz is not of score bpd 2\.34: its mean is 103\.\d+ nats"):
        score_difference(dataclasses.replace(a, value=2.34), tmp_path / "a", b, tmp_path / "b")


def marked(tmp_path: Path, *runs: Record) -> set[float]:
    section, = build_sections([Run(record, tmp_path / record.run_name) for record in runs])
    return {score.value for score in section.best[0]}


def test_marks_rest_on_paired_errors(tmp_path: Path) -> None:
    rng = random.Random(0)
    hard = [rng.gauss(3, 0.5) for _ in range(200)]
    a, b, c = (scored(tmp_path / name, [h + shift + rng.gauss(0, 0.05) for h in hard])
               for name, shift in (("a", 0.0), ("b", 0.03), ("c", 0.002)))
    records = [make_record(score, run_name=name) for name, score in (("a", a), ("b", b), ("c", c))]
    assert b.value - a.value < a.standard_error  # type: ignore[operator]
    assert marked(tmp_path, *records) == {a.value, c.value}
    without = [dataclasses.replace(record, scores=[dataclasses.replace(record.scores[0], per_example=None)])
               for record in records]
    assert marked(tmp_path, *without) == {a.value, b.value, c.value}


def test_a_missing_file_leaves_the_unpaired_error(tmp_path: Path) -> None:
    a, b = scored(tmp_path / "a", [1.0, 2.0, 4.0]), scored(tmp_path / "b", [1.1, 2.1, 4.1])
    records = [make_record(a, run_name="a"), make_record(b, run_name="b")]
    assert marked(tmp_path, *records) == {a.value}
    (tmp_path / "b" / FILE).unlink()
    assert marked(tmp_path, make_record(dataclasses.replace(a, standard_error=0.1), run_name="a"),
                  make_record(dataclasses.replace(b, standard_error=0.1), run_name="b")) == {a.value, b.value}
