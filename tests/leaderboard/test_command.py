"""`python -m lit_gen.leaderboard` as a user meets it."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from records.makers import make_bpd, make_fd, make_record

from lit_gen.leaderboard.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
Write = Callable[..., Path]
Output = pytest.CaptureFixture[str]


def test_table(runs: Write, capsys: Output) -> None:
    assert main([str(runs(make_record(make_bpd(3.12, None))))]) == 0
    out, err = capsys.readouterr()
    assert "<= 3.12" in out
    assert "vae-1" in out
    assert err == ""


def test_broken_records_are_named_on_stderr(runs: Write, capsys: Output) -> None:
    root = runs(*(make_record(make_bpd(2.0 + i)) for i in range(3)))
    (root / "run1" / "record.json").write_text("{}")
    assert main([str(root)]) == 0
    out, err = capsys.readouterr()
    assert len(err.splitlines()) == 1
    assert err.startswith(f"left out: {root / 'run1' / 'record.json'}: ")
    assert "<= 2.00" in out
    assert "<= 3.00" not in out
    assert "<= 4.00" in out


@pytest.mark.parametrize("case", ["missing", "file", "empty", "broken"])
def test_nothing_to_show_is_one_line_and_status_2(case: str, tmp_path: Path, capsys: Output) -> None:
    root = tmp_path / "runs"
    if case == "file":
        root.write_text("")
    elif case != "missing":
        root.mkdir()
    if case == "broken":
        (root / "record.json").write_text("{}")
    assert main([str(root)]) == 2
    out, err = capsys.readouterr()
    complaint = err.splitlines()[-1]
    assert out == ""
    assert complaint.startswith("error: ")
    assert str(root) in complaint
    assert len(err.splitlines()) == (2 if case == "broken" else 1)


def test_unknown_sort_column(runs: Write, capsys: Output) -> None:
    assert main([str(runs(make_record(make_bpd()))), "--sort", "bdp"]) == 2
    assert "did you mean 'bpd'" in capsys.readouterr().err


def test_a_page_that_cannot_be_written(runs: Write, tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "page.html").mkdir()
    assert main([str(runs(make_record(make_bpd()))), "--html", str(tmp_path / "page.html")]) == 2
    assert capsys.readouterr().err.startswith("error: cannot write ")


def test_json_alone_on_stdout_beside_a_page(runs: Write, tmp_path: Path, capsys: Output) -> None:
    page = tmp_path / "new" / "page.html"
    assert main([str(runs(make_record(make_bpd()))), "--json", "--html", str(page)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["sections"][0]["data"] == "digits"
    assert err == f"page: {page}\n"
    assert page.is_file()


def test_strict(runs: Write, capsys: Output) -> None:
    root = runs(make_record(make_bpd()), make_record(make_bpd(estimator="iwae", draws=64)))
    main([str(root), "--markdown"])
    assert "bits/dim [" not in capsys.readouterr().out
    main([str(root), "--markdown", "--strict"])
    assert "| bits/dim [estimator=elbo, draws=1] |" in capsys.readouterr().out


def test_a_terminal_without_unicode_still_shows_the_table(runs: Write) -> None:
    root = runs(make_record(make_bpd(), run_name="größe"))
    done = subprocess.run([sys.executable, "-m", "lit_gen.leaderboard", str(root)], cwd=ROOT, text=True,
                          capture_output=True, env={"PYTHONIOENCODING": "ascii"}, check=True)
    assert "gr\\xf6\\xdfe" in done.stdout


def test_a_reader_that_leaves_early_is_no_error(runs: Write) -> None:
    # Footnotes of 200 kB together, more than a pipe holds.
    root = runs(*(
        make_record(*(dataclasses.replace(make_bpd(draws=k), note=f"{i}-{k}-{'x' * 480}") for k in range(1, 11)))
        for i in range(40)
    ))
    command = [sys.executable, "-m", "lit_gen.leaderboard", str(root)]
    # Unbuffered, Python takes the half-written table for a whole one and the test could not fail.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("digits")
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0


def test_a_hundred_records_take_less_than_a_second_and_no_torch(runs: Write) -> None:
    baseline = make_fd(1.3, weights="none", ema_halflife_examples=None, sampler="real train images")
    root = runs(*(
        make_record(make_bpd(2.0 + i / 100, estimator="elbo", draws=1 + i % 7), make_fd(5.0 + i / 10),
                    make_fd(6.0, num_samples=10_000), run_name=f"run-{i}", baselines=[baseline])
        for i in range(100)
    ))
    script = (
        "import sys; from lit_gen.leaderboard.__main__ import main; status = main(sys.argv[1:]);"
        "heavy = {'torch', 'lightning', 'numpy', 'pandas'} & set(sys.modules);"
        "assert not heavy, heavy; sys.exit(status)"
    )
    seconds = []
    for _ in range(3):  # the best of three, as the machine may be busy with something else
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", script, str(root)], cwd=ROOT, text=True,
                              capture_output=True, check=False)
        seconds.append(time.perf_counter() - start)
        assert done.returncode == 0, done.stderr
        assert sum(line.startswith("vae") for line in done.stdout.splitlines()) == 100
    assert min(seconds) < 1.0
