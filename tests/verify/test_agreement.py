"""How far two numbers agree, and the sentence that says so."""

from __future__ import annotations

import math

import pytest
from records.makers import make_bpd, make_fd, make_record

from lit_gen.records.environment import Environment
from lit_gen.verify.agreement import Comparison, agreeing_digits, relative_difference, verdict
from lit_gen.verify.report import print_report, summary
from lit_gen.verify.surroundings import environment_differences, in_words, nearest_protocol

HERE = Environment(versions={"torch": "2.14.1", "numpy": "2.0"}, machine="here", accelerator="cpu", world_size=1)
THERE = Environment(versions={"torch": "2.13.0", "lightning": "2.6"}, machine="here", accelerator="H100", world_size=2)


def test_relative_differences_are_symmetric_and_know_zero() -> None:
    assert relative_difference(0.0, -0.0) == relative_difference(None, None) == 0
    assert relative_difference(2.0, 4.0) == relative_difference(4.0, 2.0) == 0.5
    assert relative_difference(-1.0, 1.0) == 2
    assert relative_difference(0.0, 1e-300) == 1
    assert relative_difference(0.0, None) == math.inf


@pytest.mark.parametrize(("difference", "digits"), [(1e-7, 7), (9e-8, 7), (1.1e-7, 6), (2.0, 0), (math.inf, 0)])
def test_digits_agree_up_to_the_difference(difference: float, digits: int) -> None:
    assert agreeing_digits(difference) == digits


def test_one_bit_is_not_identical() -> None:
    assert verdict(relative_difference(0.3, 0.1 + 0.2), 1e-6) == "rounding"
    assert verdict(relative_difference(0.3, 0.1 + 0.2), 0.0) == "different"
    assert verdict(0.0, 0.0) == "identical"


def test_the_sentence_counts_each_kind_and_names_both_numbers() -> None:
    same = Comparison(make_bpd(2.0), make_bpd(2.0), 1e-6)
    near = Comparison(make_bpd(2.0), make_bpd(2.0 * (1 - 4e-8)), 1e-6)
    far = Comparison(make_fd(12.3456), make_fd(12.9), 1e-6)
    lost = Comparison(make_bpd(2.0), None, 1e-6, "the data are missing")
    differences = environment_differences(THERE, HERE)
    assert summary([same] * 5, differences) == "all 5 scores are identical"
    assert summary([same, near], differences) == "1 of 2 scores is identical, 1 agrees to 7 digits"
    assert summary([same, same, same, near, far, lost], differences[:1]) == (
        "3 of 6 scores are identical, 1 agrees to 7 digits, 1 could not be taken again, 1 differs: "
        f"{far.recorded.label} 12.3456 was recorded, 12.9 here; differing: torch 2.14.1 here, 2.13.0 recorded"
    )


def test_all_that_differs_about_the_place_is_said() -> None:
    assert in_words(environment_differences(THERE, HERE)) == (
        "torch 2.14.1 here, 2.13.0 recorded; lightning none here, 2.6 recorded; numpy 2.0 here, none recorded; "
        "accelerator cpu here, H100 recorded; world size 1 here, 2 recorded"
    )
    assert not environment_differences(HERE, HERE)


def test_a_score_without_counterpart_is_told_from_the_most_similar_one() -> None:
    recorded = make_bpd(2.0, estimator="iwae", draws=64)
    taken = [make_bpd(2.0, estimator="elbo", draws=1, seed=5), make_bpd(2.0, estimator="iwae", draws=8), make_fd()]
    assert nearest_protocol(recorded, taken) == [("draws", "8", "64")]
    assert nearest_protocol(make_fd(), taken[:2]) is None


def test_texts_of_a_record_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    lost = Comparison(make_bpd(2.0), None, 1e-6, "\033[2J [red]no data[/red]")
    print_report(make_record(make_bpd(2.0), run_name="\033[2J[bold]run"), [lost], [("torch", "\a", "2")], ["\033c"])
    printed = capsys.readouterr().out
    assert not set("\033\a") & set(printed)
    assert "[red]no data[/red]" in printed
    assert "[bold]run" in printed


def test_a_recorded_number_is_whole_in_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    far = Comparison(make_fd(12.345678901234567, 0.011511975660433457), make_fd(12.9, 0.0115119756604333), 1e-6)
    print_report(make_record(far.recorded), [far], [], [])
    table = capsys.readouterr().out.splitlines()[:-1]
    assert max(map(len, table)) <= 80
    assert any("12.345678901234567" in line and "12.9" in line for line in table)
    assert any("0.011511975660433457" in line for line in table)
    assert table[-1].endswith("┘")
