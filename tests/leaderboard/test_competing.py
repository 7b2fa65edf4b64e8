"""A run competes with one of its samplings, which was not chosen by the numbers that are compared."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from records.makers import make_fd, make_record

from lit_gen.leaderboard.collect import Run
from lit_gen.leaderboard.group import build_sections
from lit_gen.leaderboard.nfe_curves import excerpt
from lit_gen.leaderboard.table import Section
from lit_gen.leaderboard.terminal import as_json, terminal
from lit_gen.records.record import Record, Score

VAL: dict[str, Any] = {"split": "val", "data_hash": "b" * 64, "num_examples": 350, "reference_split": "val",
                       "reference_hash": "b" * 64, "seed": 1}


def sampled(value: float, steps: int, *, own: bool = False, **fields: Any) -> Score:
    settings = {"steps": steps, "function_evaluations": steps}
    score = make_fd(value, 0.2, **{"sampler": "ddim", "sampler_settings": settings, **fields})
    return dataclasses.replace(score, own_sampling=own)


def inception(value: float, steps: int, **fields: Any) -> Score:
    free = {"split": None, "data_hash": None, "num_examples": None, "reference_split": None, "reference_hash": None}
    return sampled(value, steps, **{"metric": "is_mnist_cnn", "is_splits": 10, **free, **fields})


def section_of(*records: Record) -> Section:
    section, = build_sections([Run(record, Path(f"runs/{i}")) for i, record in enumerate(records)])
    return section


def first(*scores: Score, column: int = 0) -> float:
    return section_of(make_record(*scores)).rows[0].cells[column][0].value


def test_the_runs_own_sampling_competes_and_the_luckiest_is_named() -> None:
    many = make_record(*(sampled(8 - steps / 10, steps, own=steps == 3) for steps in range(1, 6)), run_name="many")
    section = section_of(many, make_record(sampled(7.6, 9), run_name="one"))
    cell = section.rows[0].cells[0]
    assert [score.value for score in cell] == pytest.approx([7.7, 7.5, 7.6, 7.8, 7.9])
    assert [score.value for score in excerpt(cell)] == pytest.approx([7.7, 7.5])
    text = terminal([section])
    assert "steps=3\n" in text
    assert "steps=5; best of 5, on test\n" in text
    row = json.loads(as_json([section], []))["sections"][0]["rows"][0]
    assert [score["competes"] for score in row["scores"][0]] == [True, False, False, False, False]
    assert [score["own_sampling"] for score in row["scores"][0]] == [True, False, False, False, False]
    assert row["scores"][0][1]["selection"] == "best of 5, on test"


def test_a_sampling_that_is_not_the_runs_own_is_never_marked() -> None:
    lucky = make_record(sampled(8.0, 10, own=True), sampled(5.0, 20), run_name="a")
    section = section_of(lucky, make_record(sampled(7.0, 9, own=True), run_name="b"))
    assert {score.value for score in section.best[0]} == {7.0}
    assert "5.00 +- 0.20* " not in terminal([section])


def test_the_best_on_validation_competes_if_all_are_scored_there() -> None:
    test = [sampled(8.0, 1, own=True), sampled(7.0, 2), sampled(6.0, 3)]
    val = [sampled(value, steps, **VAL) for value, steps in ((8.1, 1), (6.5, 2), (6.9, 3))]
    assert first(*test) == 8.0
    assert first(*test, *val) == 7.0
    assert first(*test, *val[:2]) == 8.0  # those on val may have been picked by their numbers on test
    text = terminal([section_of(make_record(*test, *val))])
    assert "steps=2; best of 3, on val\n" in text
    assert "steps=3; best of 3, on test\n" in text


@pytest.mark.parametrize("other", [{"num_samples": 500}, {"seed": 7}])
def test_validation_scores_of_other_counts_or_of_two_seeds_choose_nothing(other: dict[str, Any]) -> None:
    test = [sampled(8.0, 1, own=True), sampled(7.0, 2)]
    assert first(*test, sampled(8.1, 1, **VAL), sampled(6.5, 2, **{**VAL, **other})) == 8.0


def test_a_column_of_validation_scores_is_not_chosen_by_itself() -> None:
    assert first(*(sampled(value, steps, own=steps == 1, **VAL) for value, steps in ((8.0, 1), (7.0, 2)))) == 8.0


def test_in_records_without_own_samplings_or_with_many_the_first_competes() -> None:
    for own in (True, False):
        assert first(*(sampled(9.0 - steps, steps, own=own) for steps in (2, 1, 3))) == 7.0


def test_a_row_begins_with_scores_of_the_same_samples() -> None:
    scores = [sampled(8.0, 1), sampled(7.0, 2), inception(4.0, 2), inception(3.0, 1)]
    assert (first(*scores), first(*scores, column=1)) == (8.0, 3.0)
    own = [dataclasses.replace(s, own_sampling=s.protocol.sampler_settings["steps"] == 2) for s in scores]
    assert (first(*own), first(*own, column=1)) == (7.0, 4.0)
    val = [sampled(6.0, 1, **VAL), sampled(7.0, 2, **VAL)]
    section = section_of(make_record(*own, *val))
    columns = [i for i, column in enumerate(section.columns) if column.question["split"] != "val"]
    assert [section.rows[0].cells[i][0].value for i in columns] == [8.0, 3.0]


def alone(runs: int, records: Sequence[Record]) -> float:
    """Fraction of contests between pairs of records in which the first of the two is marked alone."""
    wins = 0
    for i in range(runs):
        section = section_of(*records[2 * i: 2 * i + 2])
        marked = {score.protocol.sampler for score in section.best[0]}
        wins += marked == {"many"}
    return wins / runs


@pytest.mark.parametrize("on_val", [False, True])
def test_twenty_five_samplings_win_against_an_equal_model_no_more_often_than_one(on_val: bool) -> None:
    """One sampling of an equal model is marked alone in 2.3% of cases, half of those beyond two standard errors."""
    rng, records, runs = random.Random(0), [], 400
    for _ in range(runs):
        many = [sampled(rng.gauss(8, 0.2), steps, own=steps == 7, sampler="many") for steps in range(1, 26)]
        val = [sampled(rng.gauss(8, 0.2), steps, sampler="many", **VAL) for steps in range(1, 26)] if on_val else []
        records += [make_record(*many, *val, run_name="a"),
                    make_record(sampled(rng.gauss(8, 0.2), 1, sampler="one"), run_name="b")]
    nominal = math.erfc(math.sqrt(2)) / 2
    assert alone(runs, records) == pytest.approx(nominal, abs=3 * math.sqrt(nominal / runs))
    # The best of 25 on test would be marked alone in about 19% of cases.
    lucky = [dataclasses.replace(record, scores=[min((s for s in record.scores if s.protocol.split == "test"),
                                                     key=lambda score: score.value)]) for record in records]
    assert alone(runs, lucky) > 0.1
