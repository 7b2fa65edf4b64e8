"""Columns, signs, marks, order and footnotes of the tables."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from records.makers import OTHER, make_bpd, make_fd, make_record

from lit_gen.errors import UserError
from lit_gen.leaderboard.collect import Run, find_runs
from lit_gen.leaderboard.group import build_sections
from lit_gen.leaderboard.order import sort_sections
from lit_gen.leaderboard.table import Section
from lit_gen.leaderboard.terminal import as_json, markdown, terminal
from lit_gen.records.record import Record, Score

Write = Callable[..., Path]


def sections_of(*records: Record, strict: bool = False) -> list[Section]:
    runs = [Run(record, Path(f"runs/{i}")) for i, record in enumerate(records)]
    return sort_sections(build_sections(runs, strict=strict), None)


def one(*scores: Score, name: str = "run", **fields: Any) -> Record:
    return make_record(*scores, run_name=name, **fields)


SPLITTING = ["data_hash", "split", "num_examples", "reference_split", "reference_hash", "num_samples",
             "extractor_sha256", "transform", "is_splits", "precision", "seed"]


@pytest.mark.parametrize("field", SPLITTING)
def test_another_question_is_another_column_and_is_named(field: str) -> None:
    section, = sections_of(one(make_fd(), name="a"), one(make_fd(**{field: OTHER[field]}), name="b"))
    assert len(section.columns) == 2
    for column in section.columns:
        assert list(column.differs) == [field]
        assert column.header.startswith(f"FD-mnist_cnn [{field}=")
        assert column.header in terminal([section])
    assert [len(row.cells[0]) + len(row.cells[1]) for row in section.rows] == [1, 1]


def test_headers_say_how_many_samples() -> None:
    section, = sections_of(one(make_fd(num_samples=10_000), name="a"), one(make_fd(), name="b"))
    assert [c.header for c in section.columns] == [
        "FD-mnist_cnn [num_samples=1000]", "FD-mnist_cnn [num_samples=10000]"]


def test_a_hash_is_named_only_where_nothing_readable_sets_columns_apart() -> None:
    """Some of a split's examples have a hash and a count of their own; two drawings of as many, the hash alone."""
    whole, some = make_bpd(), make_bpd(data_hash="b" * 64, num_examples=50)
    section, = sections_of(one(whole, name="a"), one(some, name="b"))
    assert [c.qualifier for c in section.columns] == ["[num_examples=50]", "[num_examples=447]"]
    other = make_bpd(data_hash="c" * 64, num_examples=50)
    section, = sections_of(one(whole, name="a"), one(some, name="b"), one(other, name="c"))
    assert [c.qualifier for c in section.columns] == [
        "[data_hash=aaaaaaaa, num_examples=447]",
        "[data_hash=bbbbbbbb, num_examples=50]",
        "[data_hash=cccccccc, num_examples=50]",
    ]


def test_weights_and_temperature_split_too() -> None:
    raw = make_fd(weights="raw", ema_halflife_examples=None)
    hot = make_fd(sampler_settings={"temperature": 1.2})
    section, = sections_of(one(make_fd(), name="a"), one(raw, name="b"), one(hot, name="c"))
    assert [c.qualifier for c in section.columns] == [
        "[weights=ema, temperature=1]", "[weights=ema, temperature=1.2]", "[weights=raw, temperature=1]"]


def test_answers_share_a_column_with_a_footnote_each() -> None:
    records = [
        one(make_bpd(2.2), name="elbo"),
        one(make_bpd(2.1, estimator="iwae", draws=5000), name="iwae"),
        one(make_bpd(1.9, kind="exact", estimator="chain-rule", draws=None), name="ar"),
    ]
    section, = sections_of(*records)
    assert len(section.columns) == 1
    assert section.columns[0].header == "bits/dim"
    text = terminal([section])
    for letter, answer in (("a", "estimator=chain-rule"), ("b", "estimator=iwae, draws=5000"),
                           ("c", "estimator=elbo, draws=1")):
        assert f"[{letter}] ema_halflife_examples=5000, {answer}\n" in text
    strict, = sections_of(*records, strict=True)
    assert len(strict.columns) == 3
    assert strict.columns[0].header == "bits/dim [estimator=chain-rule, draws=none]"


def test_two_answers_of_one_run_stand_in_one_cell_best_first() -> None:
    both = one(make_bpd(2.2), make_bpd(2.1, estimator="iwae", draws=64))
    section, = sections_of(both)
    assert [score.value for score in section.rows[0].cells[0]] == [2.1, 2.2]
    text = terminal([section])
    assert text.index("<= 2.10 +- 0.01") < text.index("<= 2.20 +- 0.01")


def test_data_sets_have_tables_of_their_own() -> None:
    mnist = one(make_bpd(data="mnist", data_hash="b" * 64), name="m", data="mnist")
    sections = sections_of(mnist, one(make_bpd()))
    assert [(section.data, len(section.rows)) for section in sections] == [("digits", 1), ("mnist", 1)]


@pytest.mark.parametrize(("kind", "shown"), [
    ("exact", "= 3.12"), ("bound", "<= 3.12"), ("estimate", "~= 3.12"),
])
def test_signs(kind: str, shown: str) -> None:
    sections = sections_of(one(make_bpd(3.12, None, kind)))
    assert shown in terminal(sections).split("---\n")[1]
    assert f"| {shown} [a] |" in markdown(sections)


def test_standard_error_and_not_available() -> None:
    sections = sections_of(one(make_bpd(3.12, 0.01), name="vae"), one(make_fd(), name="gan", family="gan"))
    text = terminal(sections)
    assert "<= 3.12 +- 0.01" in text
    assert [line.count("n/a") for line in text.splitlines() if "vae" in line or "gan" in line][:2] == [1, 1]


def test_small_errors_keep_a_digit() -> None:
    text = terminal(sections_of(one(make_bpd(3.12345, 0.0021))))
    assert "<= 3.123 +- 0.002" in text


def marked(*scores: Score) -> set[float]:
    section, = sections_of(*(one(score, name=f"r{i}") for i, score in enumerate(scores)))
    return {score.value for score in section.best[0]}


def test_the_best_is_the_lowest_guarantee() -> None:
    exact, bound = make_bpd(3.0, 0.001, "exact"), make_bpd(2.9, 0.001, "bound")
    estimate = make_bpd(2.5, 0.001, "estimate")
    assert marked(exact, bound) == {2.9}  # the bound's own value is lower still
    assert marked(exact, bound, estimate) == {2.9}  # an estimate promises nothing
    assert marked(estimate, make_bpd(2.7, 0.001, "estimate")) == {2.5}  # among its like it may win


def iwae(value: float, draws: int = 5000) -> Score:
    return make_bpd(value, 0.001, estimator=f"iwae-{draws}", draws=draws)


def test_bounds_compete_only_with_those_as_tight() -> None:
    elbos = [make_bpd(2.2, 0.001), make_bpd(2.3, 0.001)]
    assert marked(*elbos, iwae(2.1)) == {2.2}  # the tighter bound may be all that 2.1 has before 2.2
    assert marked(*elbos, iwae(2.1), iwae(2.15)) == {2.2, 2.1}
    assert marked(make_bpd(2.2, 0.001), iwae(2.1)) == set()
    assert marked(iwae(2.1), iwae(2.2, draws=50)) == set()


def test_exact_values_compete_with_every_bound() -> None:
    exact = make_bpd(2.15, 0.001, "exact")
    assert marked(exact, make_bpd(2.2, 0.001), iwae(2.1)) == {2.1}
    assert marked(exact, make_bpd(2.2, 0.001), iwae(2.3)) == {2.15}
    assert marked(exact, make_bpd(2.1, 0.001), iwae(2.05)) == {2.1, 2.05}


def test_a_run_competes_with_its_looser_bound_too() -> None:
    """Who adds a tight bound is still to be held against those who have only the loose one."""
    section, = sections_of(one(make_bpd(2.2, 0.001), iwae(2.1), name="a"), one(make_bpd(2.15, 0.001), name="b"))
    assert {score.value for score in section.best[0]} == {2.15}
    section, = sections_of(one(make_bpd(2.2, 0.001), iwae(2.1), name="a"), one(make_bpd(2.25, 0.001), name="b"))
    assert {score.value for score in section.best[0]} == {2.2}


def test_the_best_is_not_told_from_what_two_standard_errors_hide() -> None:
    assert marked(make_fd(8.0, 0.2), make_fd(8.5, 0.2), make_fd(8.6, 0.2)) == {8.0, 8.5}
    assert marked(make_fd(8.0, None), make_fd(8.01, None)) == {8.0}


def test_a_score_alone_is_no_best() -> None:
    assert marked(make_fd()) == set()


def test_up_is_better_where_it_is() -> None:
    def make_is(value: float) -> Score:
        return make_fd(value, 0.01, metric="is_mnist_cnn", is_splits=10)

    assert marked(make_is(8.0), make_is(9.0)) == {9.0}
    section, = sections_of(one(make_is(8.0), name="low"), one(make_is(9.0), name="high"))
    assert [row.label for row in section.rows] == ["high", "low"]
    assert "9.00 +- 0.01*" in terminal([section])
    assert "| **9.00 +- 0.01** [a] |" in markdown([section])


BASELINE: dict[str, Any] = {"weights": "none", "ema_halflife_examples": None, "sampler": "real train images"}


def test_baselines_stand_once_in_every_column_that_asks_the_same() -> None:
    baseline = make_fd(1.31, 0.06, **BASELINE)
    records = [one(make_fd(), name="a", baselines=[baseline]), one(make_fd(9.0), name="b", baselines=[baseline])]
    section, = sections_of(*records)
    assert [(row.label, row.cells) for row in section.baselines] == [("real train images", ((baseline,),))]
    assert terminal([section]).count("1.31 +- 0.06") == 1
    assert 1.31 not in {score.value for score in section.best[0]}


def test_a_baseline_that_no_run_can_be_held_against_has_its_own_column() -> None:
    section, = sections_of(one(make_fd(), baselines=[make_fd(0.9, num_samples=50_000, **BASELINE)]))
    assert [len(row.cells[1]) for row in (section.rows[0], section.baselines[0])] == [0, 1]
    assert "num_samples=50000" in section.columns[1].header


def test_baselines_are_dimmed_on_a_terminal() -> None:
    sections = sections_of(one(make_fd(), baselines=[make_fd(1.31, **BASELINE)]))
    assert "\033[2mbaseline" in terminal(sections, colour=True)
    assert "\033" not in terminal(sections)


def test_sort() -> None:
    cheap, expensive = (dataclasses.replace(make_record().cost, train_seconds=s) for s in (5.0, 50.0))
    records = [
        one(make_bpd(2.0), make_fd(9.0), name="b", cost=expensive),
        one(make_bpd(3.0), make_fd(1.0), name="c", cost=cheap),
        one(make_fd(5.0), name="a", cost=dataclasses.replace(cheap, train_seconds=None)),
    ]

    def order(column: str | None) -> str:
        runs = [Run(record, Path(f"{i}")) for i, record in enumerate(records)]
        return "".join(row.label for row in sort_sections(build_sections(runs), column)[0].rows)

    assert order(None) == order("bpd") == order("bits/dim") == "bca"
    assert order("fd_mnist_cnn") == order("FD-MNIST_CNN") == "cab"
    assert order("train_seconds") == order("train time") == "cba"
    assert order("run") == "abc"
    with pytest.raises(UserError, match="no column 'bdp'; did you mean 'bpd'"):
        order("bdp")


def test_runs_of_one_name_are_told_apart() -> None:
    section, = sections_of(one(make_bpd(2.0)), one(make_bpd(2.5)))
    assert [row.label for row in section.rows] == ["run (0)", "run (1)"]


def test_markdown_is_a_table_that_names_cannot_break() -> None:
    text = markdown(sections_of(one(make_bpd(), make_fd(), name="a|b<script>\nc")))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 3
    assert "a\\|b&lt;script>?c" in rows[2]
    assert {row.replace("\\|", "").count("|") for row in rows} == {12}


def test_a_name_cannot_steer_the_terminal() -> None:
    assert "\033" not in terminal(sections_of(one(make_bpd(), name="\033[2Jgone")))


def test_columns_are_aligned() -> None:
    rows = (one(make_fd(12.6), name="long-name"), one(make_fd(8.0, None, sampler="other"), name="b"))
    lines = terminal(sections_of(*rows)).splitlines()[3:5]
    assert lines[0].index(".00") == lines[1].index(".60")


def test_json_keeps_numbers_in_full() -> None:
    score = make_bpd(2.123456789, 0.0123456)
    tree = json.loads(as_json(sections_of(one(score)), ["x: broken"]))
    cell = tree["sections"][0]["rows"][0]["scores"][0][0]
    assert (cell["value"], cell["standard_error"]) == (2.123456789, 0.0123456)
    assert cell["protocol_hash"] == score.protocol.hash
    assert tree["left_out"] == ["x: broken"]


def test_a_broken_record_is_named_and_the_others_stay(runs: Write) -> None:
    root = runs(one(make_bpd()), one(make_bpd(2.5)))
    (root / "run0" / "record.json").write_text("{")
    found = find_runs(root)
    assert [run.record.scores[0].value for run in found.runs] == [2.5]
    assert len(found.left_out) == 1
    assert found.left_out[0].startswith(f"{root / 'run0' / 'record.json'}: ")
