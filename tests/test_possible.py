"""What happens to impossible and doubtful scores when a record is made and printed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from records.makers import make_bpd, make_fd, make_record

from lit_gen.data import Digits, KnownEntropy
from lit_gen.records.record import read_record
from lit_gen.runs.possible import known_entropy, possible, with_flags
from lit_gen.runs.record_files import save_record
from lit_gen.runs.summary import print_record

Output = pytest.CaptureFixture[str]
UNIFORM = make_bpd(8.0, 0.0, "exact", weights="none", ema_halflife_examples=None, estimator="uniform noise", draws=None)


def test_the_entropy_is_that_of_the_data_module_in_the_units_of_both_scores() -> None:
    source = KnownEntropy()
    entropy = known_entropy(source)
    assert entropy == {"bpd": source.entropy_bits_per_dim, "nll": source.entropy_nats}
    assert known_entropy(Digits()) == {}


def test_a_score_below_the_entropy_is_left_out_with_a_line_and_the_others_stay(capsys: Output) -> None:
    low, good, fd = make_bpd(1.0, 0.01), make_bpd(1.6, estimator="iwae-5"), make_fd()
    assert possible([low, good, fd], {"bpd": 1.5}) == [good, fd]
    assert capsys.readouterr().err == (
        "not recorded: score bpd 1 is below the entropy of the data, 1.5, by more than 3 standard errors; "
        "check that the model's probabilities sum to one\n")


def test_an_earlier_score_below_the_entropy_does_not_survive_the_next_scoring(tmp_path: Path) -> None:
    previous = make_record(make_bpd(1.0, 0.01, estimator="iwae-5"), make_fd())
    save_record(make_record(make_bpd(1.6), entropy={"bpd": 1.5}), tmp_path, previous)
    assert [score.value for score in read_record(tmp_path / "record.json").scores] == [8.0, 1.6]


def test_flagged_scores_are_noted_in_the_record_and_once_they_are_gone_no_more(tmp_path: Path) -> None:
    bad = make_record(make_bpd(9.125, 1.38, estimator="vlb"), baselines=[UNIFORM], notes={"data_skipped": 3})
    saved = save_record(bad, tmp_path, None)
    note = "bits/dim <= 9.125 (test, vlb): worse than the uniform code (8.000 bits/dim)"
    assert read_record(tmp_path / "record.json").notes == {"data_skipped": 3, "flagged": note}
    good = dataclasses.replace(saved, scores=[make_bpd(7.0)])
    assert with_flags(good).notes == {"data_skipped": 3}


def test_the_summary_says_why_a_score_is_flagged(tmp_path: Path, capsys: Output) -> None:
    print_record(make_record(make_bpd(9.125, 1.38, estimator="vlb"), baselines=[UNIFORM]), tmp_path / "record.json")
    out = capsys.readouterr().out
    assert "bits/dim !" in out
    assert "! bits/dim <= 9.125 (test, vlb): worse than the uniform code (8.000 bits/dim)\n" in out
    print_record(make_record(make_bpd(7.0), baselines=[UNIFORM]), tmp_path / "record.json")
    assert "!" not in capsys.readouterr().out


def test_the_summary_prints_brackets_of_names_and_paths_as_they_are(tmp_path: Path, capsys: Output) -> None:
    """Rich, which prints the table, would drop '[v1]' as markup and raise for a closing '[/b]'."""
    path = tmp_path / "runs[v2]" / "record.json"
    print_record(make_record(make_bpd(7.0, data="digits[v1] a[/b]"), data="digits[v1] a[/b]"), path)
    out = capsys.readouterr().out
    assert "VAE on digits[v1] a[/b]" in out
    assert f"record       {path}\n" in out
