"""LaTeX and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from records.makers import make_bpd, make_fd, make_record

from lit_gen.leaderboard.__main__ import main
from lit_gen.leaderboard.latex import escaped
from lit_gen.leaderboard.tidy_csv import HEADER

Write = Callable[..., Path]
Output = pytest.CaptureFixture[str]


def csv_of(root: Path, capsys: Output, *options: str) -> list[dict[str, str]]:
    assert main([str(root), "--csv", *options]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert tuple(rows[0]) == HEADER
    return rows


def test_csv_has_all_numbers_in_full_and_means_beside_their_runs(runs: Write, capsys: Output) -> None:
    values = [2.0123456789012345, 2.2]
    records = [make_record(make_bpd(v), make_fd(5.0), seed=i, run_name=f"vae-{i}") for i, v in enumerate(values)]
    root = runs(*records)
    lines = [line for line in csv_of(root, capsys) if line["metric"] == "bpd"]
    assert [line["level"] for line in lines] == ["seeds", "run", "run"]
    assert [float(line["value"]) for line in lines] == [sum(values) / 2, *values]
    assert [line["n"] for line in lines] == ["2", "1", "1"]
    assert {line["row"] for line in lines} == {"vae (2 seeds)"}
    assert [line["seed"] for line in lines] == ["", "0", "1"]
    assert float(lines[1]["train_seconds"]) == 83.4
    each = csv_of(root, capsys, "--each-run")
    assert [line["level"] for line in each] == ["run"] * 4


def test_csv_texts_are_no_formulas(runs: Write, capsys: Output) -> None:
    name = '=HYPERLINK("x", "y,\nz")'
    (line,) = csv_of(runs(make_record(make_bpd(-0.0), run_name=name)), capsys)
    assert line["run"] == "'" + name.replace("\n", "?")
    assert float(line["value"]) == 0


def test_latex_is_balanced_and_escapes_what_it_reads(runs: Write, capsys: Output) -> None:
    evil = r"50%_of & {x} \input{/etc/passwd} $y^2$ #~"
    root = runs(make_record(make_bpd(2.0, data=evil), make_fd(3.0, data=evil), run_name=evil, model=evil, data=evil),
                make_record(make_bpd(1.0, data=evil), run_name="b & c", data=evil))
    assert main([str(root), "--latex"]) == 0
    out = capsys.readouterr().out
    assert r"\input" not in out
    assert escaped(evil) in out
    body = [line for line in out.splitlines() if line.endswith(r" \\")]
    bare = [line.replace(r"\&", "") for line in body]
    assert len({line.count(" & ") for line in bare}) == 1
    plain = out.replace(r"\{", "").replace(r"\}", "").replace(r"\textbackslash{}", "")
    assert plain.count("{") == plain.count("}")
    assert r"$\le$ \textbf{1.00} $\pm$ 0.01" in out
    assert out.count(r"\begin{table}") == out.count(r"\end{table}") == 1
    assert r"\toprule" in out
    assert r"\bottomrule" in out
