"""`lit-gen leaderboard --compare A B`: numbers, what they show and cannot show, and errors in one line."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import pytest
from records.makers import make_fd, make_record

from lit_gen.leaderboard.__main__ import main
from lit_gen.records.per_example import write_examples
from lit_gen.records.record import ErrorParts, Score, write_record

from .test_paired import FILE, examples, scored

Output = pytest.CaptureFixture[str]
EXACT: dict[str, Any] = {"kind": "exact", "estimator": "chain-rule", "draws": None}
ESTIMATE: dict[str, Any] = {"kind": "estimate", "estimator": "ode"}
HARD = [random.Random(i).gauss(3, 0.5) for i in range(300)]


def run(folder: Path, shift: float, *more: Score, seed: int = 0, **fields: Any) -> Score:
    """Writes a run whose score exceeds that of the data by about `shift` bits/dim."""
    rng = random.Random(seed)
    score = scored(folder, [value + shift + rng.gauss(0, 0.05) for value in HARD], **fields)
    write_record(folder / "record.json", make_record(score, *more, run_name=folder.name))
    return score


def compared(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_the_numbers_and_the_sentence(tmp_path: Path, capsys: Output) -> None:
    a, b = run(tmp_path / "a", 0.0), run(tmp_path / "b", 0.031, seed=1, **EXACT)
    assert compared("--compare", tmp_path / "a", tmp_path / "b" / "record.json", "--json") == 0
    found, = json.loads(capsys.readouterr().out)
    assert found["difference"] == pytest.approx(a.value - b.value, rel=1e-9)
    assert found["standard_error"] == pytest.approx(0.05 * (2 / 300) ** 0.5, rel=0.15)
    assert found["unpaired_error"] == pytest.approx((2 * 0.25 / 300) ** 0.5, rel=0.15)
    assert found["correlation"] == pytest.approx(0.99, abs=0.005)
    assert found["num_examples"] == 300
    assert compared("--compare", tmp_path / "a", tmp_path / "b") == 0
    out, err = capsys.readouterr()
    assert err == ""
    ratio = abs(found["difference"]) / found["standard_error"]
    assert (f"A is better than B by {-found['difference']:.4f} +- {found['standard_error']:.4f} bits/dim "
            f"({ratio:.1f} standard errors) on the same 300 test examples; A's value is a bound and B's exact, "
            "so A's own value may be lower still.\n") in out
    assert f"A: a ({tmp_path / 'a'})\n" in out
    assert f"error of A - B without pairs, for contrast: {found['unpaired_error']:.4f}\n" in out


def test_equal_models_do_not_differ_significantly(tmp_path: Path, capsys: Output) -> None:
    run(tmp_path / "a", 0.0)
    run(tmp_path / "b", 0.0, seed=1)
    assert compared("--compare", tmp_path / "a", tmp_path / "b") == 0
    assert "A and B do not differ significantly: A - B is " in capsys.readouterr().out


@pytest.mark.parametrize(("first", "second", "said"), [
    (EXACT, EXACT, "both values are exact, so the models themselves differ by this"),
    ({}, {}, "both values are bounds by the same estimator (elbo), and the models' own values may be lower"),
    ({}, {"estimator": "iwae-50"}, "bounds by different estimators (elbo, iwae-50), so the difference may be one"),
    ({}, EXACT, "A's value is a bound and B's exact, so A's own value may be lower still"),
    (EXACT, {}, "so B's own value may be lower, and this shows only that B has not been shown to be better"),
    (EXACT, ESTIMATE, "B's value is an estimate, which may be too low by an error that is not known"),
    (ESTIMATE, ESTIMATE, "both values are estimates, which may be too low"),
])
def test_kinds_say_what_a_difference_shows(
    first: dict[str, Any], second: dict[str, Any], said: str, tmp_path: Path, capsys: Output
) -> None:
    run(tmp_path / "a", 0.0, **first)
    run(tmp_path / "b", 0.1, seed=1, **second)
    assert compared("--compare", tmp_path / "a", tmp_path / "b") == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("A is better than B by 0.1")
    assert said in line


def test_a_heavy_tail_is_told(tmp_path: Path, capsys: Output) -> None:
    a = run(tmp_path / "a", 0.0)
    run(tmp_path / "b", 0.1, seed=1)
    record = make_record(dataclasses.replace(a, error=ErrorParts(pareto_k=0.9)), run_name="a")
    write_record(tmp_path / "a" / "record.json", record)
    compared("--compare", tmp_path / "a", tmp_path / "b")
    assert "; A has too heavy a tail for this to be relied on.\n" in capsys.readouterr().out


def test_groups_widen_the_error(tmp_path: Path, capsys: Output) -> None:
    for name, shift in (("a", 0.0), ("b", 0.1)):
        score = run(tmp_path / name, shift)
        nats = [44.361419555836 * (value + shift) for value in HARD]  # 64 dimensions
        write_examples(tmp_path / name / FILE, examples(nats, [i // 10 for i in range(300)]))
        score = dataclasses.replace(score, value=sum(nats) / 300 / 44.361419555836,
                                    error=ErrorParts(group="recording", num_groups=30))
        write_record(tmp_path / name / "record.json", make_record(score, run_name=name))
    compared("--compare", tmp_path / "a", tmp_path / "b")
    out = capsys.readouterr().out
    assert "paired, 300 examples in 30 groups\n" in out
    assert "error over 30 recordings\n" in out


def test_estimates_by_one_estimator_are_compared_rather_than_all_with_all(tmp_path: Path, capsys: Output) -> None:
    for seed, name in enumerate("ab"):
        iwae = scored(tmp_path / name, [value - 0.1 for value in HARD], estimator="iwae-50", draws=50)
        run(tmp_path / name, 0.1 * seed, iwae, seed=seed)
    compared("--compare", tmp_path / "a", tmp_path / "b", "--json")
    out, err = capsys.readouterr()
    found, = json.loads(out)
    assert [found[side]["answer"]["estimator"] for side in "ab"] == ["elbo", "elbo"]
    # The second score's file has been overwritten by the first's: the pair is named, and the other is still compared.
    assert err.startswith(f"not compared: {tmp_path / 'a' / FILE} is not of score bpd ")


def test_averaged_and_raw_weights_of_one_run(tmp_path: Path, capsys: Output) -> None:
    raw = run(tmp_path / "raw", 0.25, weights="raw", ema_halflife_examples=None)
    (tmp_path / "a").mkdir()
    (tmp_path / "raw" / FILE).rename(tmp_path / "a" / "raw.csv.gz")
    run(tmp_path / "a", 0.0, dataclasses.replace(raw, per_example="raw.csv.gz"), seed=1)
    assert compared("--compare", tmp_path / "a", tmp_path / "a", "--compare-weights") == 0
    out = capsys.readouterr().out
    assert "bits/dim (test, A ema weights, B raw weights, 32-true)\n" in out
    assert "A is better than B by 0.2" in out
    assert compared("--compare", tmp_path / "a", tmp_path / "a") == 2
    assert "give another run, or --compare-weights" in capsys.readouterr().err


@pytest.mark.parametrize(("case", "message"), [
    ("missing", "record.json does not exist; give the folder of a run"),
    ("no file", "has no per-example values; score its checkpoint again with this version (python -m lit_gen.evaluate"),
    ("lost file", "No such file or directory; score the checkpoint again"),
    ("seed", "as they differ in seed (0 and 1); score both alike"),
    ("gan", "b has no likelihood; compare runs with bpd or nll in their record"),
    ("indices", "of different examples; score both on the same ones"),
])
def test_what_cannot_be_compared_is_one_line_and_status_2(
    case: str, message: str, tmp_path: Path, capsys: Output
) -> None:
    run(tmp_path / "a", 0.0)
    b = run(tmp_path / "b", 0.1, seed=1)
    changed = {"no file": [dataclasses.replace(b, per_example=None)], "gan": [make_fd()], "seed": [
        dataclasses.replace(b, protocol=dataclasses.replace(b.protocol, seed=1))]}
    if case in changed:
        write_record(tmp_path / "b" / "record.json", make_record(*changed[case]))
    if case == "missing":
        (tmp_path / "b" / "record.json").unlink()
    if case == "lost file":
        (tmp_path / "b" / FILE).unlink()
    if case == "indices":
        write_examples(tmp_path / "b" / FILE, [
            dataclasses.replace(example, index=example.index + 1)
            for example in examples([b.value * 44.361419555836] * 300)])
    assert compared("--compare", tmp_path / "a", tmp_path / "b") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


def test_options_of_the_table_are_refused_and_a_directory_is_asked_for(tmp_path: Path, capsys: Output) -> None:
    assert compared(tmp_path, "--compare", "a", "b", "--strict") == 2
    assert capsys.readouterr().err == "error: --compare prints two runs alone; leave out RUNS_DIR, --strict\n"
    assert compared() == 2
    assert capsys.readouterr().err.startswith("error: which runs? give the directory that holds them")
