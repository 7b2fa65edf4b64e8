"""What may be marked as best: nothing worse than no model, with an unreliable error, or of the training data."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from records.makers import BPD, make_bpd, make_fd, make_record

from lit_gen.leaderboard.__main__ import main
from lit_gen.leaderboard.collect import Run
from lit_gen.leaderboard.group import build_sections
from lit_gen.leaderboard.order import sort_sections
from lit_gen.leaderboard.page import write_page
from lit_gen.leaderboard.table import Section
from lit_gen.leaderboard.terminal import LEGEND, as_json, markdown, terminal
from lit_gen.records.flags import flag_lines, flags
from lit_gen.records.record import ErrorParts, Record, Score

Write = Callable[..., Path]
Output = pytest.CaptureFixture[str]
UNIFORM = make_bpd(8.0, 0.0, "exact", weights="none", ema_halflife_examples=None, estimator="uniform noise", draws=None,
                   seed=None, precision=None)


def vlb(value: float, error: float | None = 0.01, **fields: Any) -> Score:
    return make_bpd(value, error, estimator="vlb", **fields)


def section_of(*records: Record, compare_weights: bool = False) -> Section:
    runs = [Run(record, Path(f"runs/{i}")) for i, record in enumerate(records)]
    section, = sort_sections(build_sections(runs, compare_weights=compare_weights), None)
    return section


def with_uniform(*scores: Score, **fields: Any) -> Record:
    return make_record(*scores, baselines=[UNIFORM], **fields)


def marked(*scores: Score) -> set[float]:
    section = section_of(*(with_uniform(score, run_name=f"r{i}") for i, score in enumerate(scores)))
    return {score.value for score in section.best[-1]}


def heavy(score: Score, k: float = 0.93) -> Score:
    return dataclasses.replace(score, error=ErrorParts(pareto_k=k))


# ------------------------------------------------------------------ worse than no model


def test_what_is_worse_than_the_uniform_code_is_flagged_and_never_best() -> None:
    bad, good = with_uniform(vlb(9.125, 1.38), run_name="vdm"), with_uniform(vlb(7.987, 0.02), run_name="other")
    section = section_of(bad, good)
    assert {score.value for score in section.best[0]} == {7.987}
    text = terminal([section])
    assert "<= 9.12 +- 1.38! [a]" in text
    assert "<= 7.99 +- 0.02* [a]" in text
    assert "\n! vdm: bits/dim <= 9.125 (test, vlb): worse than the uniform code (8.000 bits/dim)\n" in text
    assert "- ! vdm: bits/dim &lt;= 9.125" in markdown([section])
    tree = json.loads(as_json([section], []))["sections"][0]
    assert [row["scores"][0][0]["flags"] for row in tree["rows"]] == [
        [], ["worse than the uniform code (8.000 bits/dim)"]]


def test_nll_is_flagged_with_the_bits_of_the_same_estimate() -> None:
    def nll(value: float) -> Score:
        protocol = dataclasses.replace(BPD, metric="nll", estimator="vlb")
        return Score(name="nll", value=value, standard_error=1.0, kind="bound", protocol=protocol)

    record = with_uniform(vlb(9.1), nll(400.0))
    assert [bool(flags(score, record)) for score in record.scores] == [True, True]
    record = with_uniform(vlb(7.9), nll(400.0))
    assert [bool(flags(score, record)) for score in record.scores] == [False, False]
    assert flag_lines(make_record(vlb(9.1), nll(400.0))) == []  # without a baseline nothing is known


def test_the_page_flags_it_too(runs: Write) -> None:
    root = runs(with_uniform(vlb(9.125, 1.38), run_name="vdm"), with_uniform(vlb(7.987, 0.02)))
    write_page(root, root / "page.html")
    text = (root / "page.html").read_text(encoding="utf-8")
    assert "<sup>a!</sup>" in text
    assert "<li><b>!</b>vdm: bits/dim &lt;= 9.125 (test, vlb): worse than the uniform code" in text
    assert "<b>≤ 7.99</b>" in text
    assert "<b>≤ 9.12</b>" not in text
    assert "5% of the best value" in text
    assert "5% of the best value" in " ".join(LEGEND.split())


# ------------------------------------------------------------------ ties


def test_a_large_error_is_no_tie() -> None:
    assert marked(vlb(3.0, 0.01), vlb(3.1, 0.14)) == {3.0, 3.1}
    assert marked(vlb(3.0, 0.01), vlb(3.1, 0.16)) == {3.0}  # above 5% of 3.0


def test_a_large_error_alone_makes_no_best() -> None:
    assert marked(vlb(7.5, 1.4), vlb(7.9, 0.03), vlb(7.99, 0.03)) == {7.9}
    assert marked(vlb(2.0, 0.3), vlb(7.9, 0.03)) == {2.0}  # which is lower for certain
    assert marked(vlb(7.5, 1.4), vlb(7.9, 1.4)) == {7.5, 7.9}  # of equals in error


def test_errors_of_metrics_near_zero_are_compared_with_the_bests_own() -> None:
    def kid(value: float, error: float) -> Score:
        return make_fd(value, error, metric="kid_mnist_cnn")

    assert marked(kid(0.0010, 0.0003), kid(0.0014, 0.0003), kid(0.05, 0.002)) == {0.0010, 0.0014}
    assert marked(kid(0.0010, 0.0003), kid(0.03, 0.02)) == {0.0010}


@pytest.mark.parametrize("more", [{"draws": 8}, {"replicates": 4}])
def test_draws_and_replicates_of_an_average_do_not_split_a_contest(more: dict[str, int]) -> None:
    assert marked(vlb(3.0), vlb(3.2, **more)) == {3.0}


def test_of_several_numbers_of_draws_a_run_competes_with_the_most() -> None:
    lucky = with_uniform(vlb(2.95, 0.1), vlb(3.02, 0.01, draws=64), run_name="a")
    section = section_of(lucky, with_uniform(vlb(2.99, 0.01), run_name="b"))
    assert {score.value for score in section.best[0]} == {2.99}


# ------------------------------------------------------------------ unreliable, trained on, estimated


def test_too_heavy_a_tail_is_shown_last_flagged_and_unmarked() -> None:
    section = section_of(*(with_uniform(score, run_name=name) for name, score in (
        ("heavy", heavy(vlb(2.0))), ("a", vlb(3.0)), ("b", vlb(4.0)))))
    assert {score.value for score in section.best[0]} == {3.0}
    assert [row.label for row in section.rows] == ["a", "b", "heavy"]
    reason = "tail too heavy (Pareto k 0.93 > 0.7): neither value nor error is reliable"
    assert f"\n! heavy: bits/dim <= 2 (test, vlb): {reason}\n" in terminal([section])
    assert "<= 2.00 +- 0.01!" in terminal([section])
    assert marked(heavy(vlb(2.0), 0.69), vlb(3.0)) == {2.0}


def test_a_heavy_tail_is_last_in_its_cell() -> None:
    section = section_of(with_uniform(heavy(vlb(2.0)), make_bpd(3.0, 0.01)))
    assert [score.value for score in section.rows[0].cells[0]] == [3.0, 2.0]


def test_an_estimate_below_zero_or_the_entropy_is_flagged_and_unmarked() -> None:
    low, good = make_bpd(1.2, 0.01, "estimate"), make_bpd(1.6, 0.01, "estimate")
    records = [make_record(s, run_name=str(s.value), entropy={"bpd": 1.5}) for s in (low, good, make_bpd(
        1.7, 0.01, "estimate"))]
    section = section_of(*records)
    assert {score.value for score in section.best[0]} == {1.6}
    assert "! 1.2: bits/dim ~= 1.2 (test, elbo): bpd 1.2 is below the entropy of the data, 1.5, " in terminal([section])
    assert "below zero" in flag_lines(make_record(make_bpd(-1.0, 0.01, "estimate")))[0]


def train(value: float, **fields: Any) -> Score:
    return make_bpd(value, 0.003, split="train", data_hash="e" * 64, num_examples=1000, **fields)


def test_train_stands_beside_test_with_the_gap_and_never_competes() -> None:
    raw: dict[str, Any] = {"weights": "raw", "ema_halflife_examples": None}
    section = section_of(
        make_record(make_bpd(3.0, 0.004), train(2.9), make_bpd(3.3, **raw), train(3.2, **raw), run_name="a"),
        make_record(make_bpd(3.1, 0.004), train(2.5), run_name="b"))
    assert [column.header for column in section.columns] == [
        "bits/dim [split=test, weights=ema]", "bits/dim [split=train, weights=ema]",
        "bits/dim [split=test, weights=raw]", "bits/dim [split=train, weights=raw]"]
    assert [{score.value for score in best} for best in section.best] == [{3.0}, set(), set(), set()]
    text = terminal([section])
    assert "<= 2.900 +- 0.003 [a] gap +0.100" in text
    assert "<= 2.500 +- 0.003 [a] gap +0.600" in text
    gap = json.loads(as_json([section], []))["sections"][0]["rows"][0]["scores"][1][0]["train_gap"]
    assert gap == {"value": pytest.approx(0.1), "standard_error": pytest.approx(0.005)}


def test_a_split_alone_is_named_without_its_number_of_examples() -> None:
    section = section_of(make_record(make_bpd(3.0), train(2.9)))
    assert [column.header for column in section.columns] == ["bits/dim [split=test]", "bits/dim [split=train]"]
    section = section_of(make_record(make_bpd(3.0), make_bpd(3.1, num_examples=50, data_hash="f" * 64), train(2.9)))
    assert [column.qualifier for column in section.columns] == [
        "[split=test, num_examples=50]", "[split=test, num_examples=447]", "[split=train, num_examples=1000]"]


# ------------------------------------------------------------------ weights side by side, errors in words


def test_weights_share_a_column_if_asked_and_the_averaged_ones_compete() -> None:
    raw: dict[str, Any] = {"weights": "raw", "ema_halflife_examples": None}
    records = [make_record(make_bpd(3.0), make_bpd(2.9, **raw), run_name="both", baselines=[UNIFORM]),
               make_record(make_bpd(2.95, **raw), run_name="raw")]
    assert len(section_of(*records).columns) == 2
    section = section_of(*records, compare_weights=True)
    assert [column.header for column in section.columns] == ["bits/dim"]
    assert {score.value for score in section.best[0]} == {2.95}
    text = terminal([section])
    assert "] weights=ema, ema_halflife_examples=5000, estimator=elbo, draws=1\n" in text
    assert "] weights=raw, estimator=elbo, draws=1\n" in text
    assert [len(row.cells[0]) for row in section.baselines] == [1]


def test_weights_share_a_column_on_the_command_line(runs: Write, capsys: Output) -> None:
    root = runs(make_record(make_bpd(), make_bpd(2.2, weights="raw", ema_halflife_examples=None)))
    assert main([str(root), "--compare-weights", "--markdown", "--html", str(root / "page.html")]) == 0
    assert "| bits/dim |" in capsys.readouterr().out
    assert "weights=raw, estimator=elbo" in (root / "page.html").read_text()


def test_an_error_says_over_what_and_from_what_it_is(runs: Write, capsys: Output) -> None:
    parts = ErrorParts(from_examples=0.0098, from_draws=0.0021, group="recording", num_groups=30)
    root = runs(make_record(dataclasses.replace(make_bpd(), error=parts)))
    assert main([str(root), "--json", "--html", str(root / "page.html")]) == 0
    score = json.loads(capsys.readouterr().out)["sections"][0]["rows"][0]["scores"][0][0]
    assert (score["error"]["from_examples"], score["error"]["from_draws"]) == (0.0098, 0.0021)
    text = (root / "page.html").read_text()
    assert "draws=1; error over 30 recordings; error 0.0098 from examples, 0.0021 from draws; protocol" in text
    main([str(root)])
    assert "[a] ema_halflife_examples=5000, estimator=elbo, draws=1; error over 30 reco" in capsys.readouterr().out


def test_impossible_scores_are_left_out_with_the_reason(runs: Write, capsys: Output) -> None:
    root = runs(make_record(make_bpd(2.125, 0.01), make_fd(), run_name="a"), make_record(make_bpd(3.0), run_name="b"))
    path = root / "run0" / "record.json"
    path.write_text(path.read_text().replace("2.125", "-2.125"))
    assert main([str(root)]) == 0
    out, err = capsys.readouterr()
    assert err == (f"left out: {path}: score bpd -2.125 is below zero by more than 3 standard errors, "
                   "a probability above one\n")
    assert "8.00 +- 0.20" in out
    assert "-2.12" not in out


def test_equal_models_are_rarely_told_apart() -> None:
    """Of two equal models one is marked alone at two standard errors in 4.6% of cases, and each in half of these."""
    rng, alone = random.Random(0), [0, 0]
    for _ in range(2000):
        values = [rng.gauss(8, 0.1) for _ in range(2)]
        section = section_of(*(make_record(make_fd(v, 0.1), run_name=str(i)) for i, v in enumerate(values)))
        best = section.best[0]
        if len(best) == 1:
            alone[values.index(next(iter(best)).value)] += 1
    share = math.erfc(math.sqrt(2)) / 2
    assert [count / 2000 for count in alone] == pytest.approx([share, share], abs=4 * math.sqrt(share / 2000))
