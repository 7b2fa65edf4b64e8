"""What a folder of runs may hold beside records: pipes, huge files, long names, huge numbers, terminal escapes."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from records.makers import make_bpd, make_fd, make_record

from lit_gen.errors import UserError
from lit_gen.leaderboard.__main__ import main
from lit_gen.leaderboard.collect import MOST_NAME_CHARACTERS
from lit_gen.leaderboard.page import write_page
from lit_gen.leaderboard.samples import MOST_PICTURE_BYTES
from lit_gen.records import per_example

from .conftest import make_png

Write = Callable[..., Path]
Output = pytest.CaptureFixture[str]


def test_a_pipe_and_a_huge_file_in_place_of_a_record_are_left_out(runs: Write, capsys: Output) -> None:
    root = runs(make_record(make_bpd()))
    for name in ("pipe", "huge", "folder"):
        (root / name).mkdir()
    os.mkfifo(root / "pipe" / "record.json")
    with (root / "huge" / "record.json").open("wb") as file:
        file.truncate(60 * 2**20)
    (root / "folder" / "record.json").mkdir()
    assert main([str(root)]) == 0
    out, err = capsys.readouterr()
    assert "vae-1" in out
    assert f"{root / 'pipe' / 'record.json'} is no regular file but a pipe; it is not read" in err
    assert f"{root / 'huge' / 'record.json'} is larger than 4.0 MiB (60.0 MiB); it is not read" in err


def test_a_device_behind_a_link_is_left_out(runs: Write, capsys: Output) -> None:
    root = runs(make_record(make_bpd()))
    (root / "device").mkdir()
    (root / "device" / "record.json").symlink_to("/dev/zero")
    assert main([str(root)]) == 0
    assert "is no regular file but a device" in capsys.readouterr().err


@pytest.mark.parametrize(("role", "name"), [
    ("sample_grid", "a.png"), ("sample_text", "a.txt"), ("sample_audio_0", "a.wav"),
])
def test_samples_that_are_pipes_are_named(role: str, name: str, runs: Write, tmp_path: Path) -> None:
    root = runs(make_record(make_bpd(), files={role: name}))
    os.mkfifo(root / "run0" / name)
    (complaint,) = write_page(root, tmp_path / "page.html")
    assert complaint.endswith("is no regular file but a pipe")


def test_a_huge_picture_is_named_and_not_embedded(runs: Write, tmp_path: Path) -> None:
    root = runs(make_record(make_bpd(), files={"sample_grid": "a.png"}))
    (root / "run0" / "a.png").write_bytes(make_png() + bytes(MOST_PICTURE_BYTES))
    (complaint,) = write_page(root, tmp_path / "page.html")
    assert "is larger than 4.0 MiB" in complaint
    assert (tmp_path / "page.html").stat().st_size < 100_000


def test_long_names_are_cut_with_a_word(runs: Write, tmp_path: Path, capsys: Output) -> None:
    root = runs(make_record(make_bpd(), run_name="x" * 1_000_000, model="y" * 1000))
    assert main([str(root), "--html", str(tmp_path / "page.html")]) == 0
    out, err = capsys.readouterr()
    assert "run_name has 1,000,000 characters and is cut" in err
    assert max(map(len, out.splitlines())) < 3 * MOST_NAME_CHARACTERS
    assert (tmp_path / "page.html").stat().st_size < 100_000


@pytest.mark.parametrize("form", [[], ["--markdown"], ["--latex"], ["--csv"], ["--json"]])
def test_huge_numbers_are_printed_short(form: list[str], runs: Write, tmp_path: Path, capsys: Output) -> None:
    root = runs(make_record(make_fd(1e308, 1e307)), make_record(make_fd(5e-324), run_name="b"))
    assert main([str(root), *form, "--html", str(tmp_path / "page.html")]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) < 400


@pytest.mark.parametrize("form", [[], ["--markdown"], ["--latex"], ["--csv"], ["--json"], ["--each-run"]])
def test_no_escape_reaches_the_terminal(form: list[str], runs: Write, capsys: Output) -> None:
    evil = "\x1b[2J\x9b31m\u202eabc\x07"
    score = make_fd(3.0, sampler=evil, statistic={evil: evil})
    records = [make_record(score, run_name=evil, family=evil, model=evil, data=evil, git_commit=evil, seed=seed,
                           notes={evil: evil}) for seed in range(2)]
    root = runs(*records)
    tree = json.loads((root / "run0" / "record.json").read_text())
    (root / "run0" / "record.json").write_text(json.dumps({**tree, evil: 1}))
    (root / "run2").mkdir()
    (root / "run2" / "record.json").write_text(json.dumps({**tree, "created": evil}))
    assert main([str(root), *form]) == 0
    out, err = capsys.readouterr()
    for text in (out, err):
        assert not [c for c in "\x1b\x9b\x07\u202e" if c in text]


def test_values_per_example_do_not_unpack_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(per_example, "MOST_BYTES", 10_000)
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(bytes(1_000_000)))
    with pytest.raises(UserError, match=r"larger than 9\.8 KiB once unpacked"):
        per_example.read_examples(tmp_path / "bomb.csv.gz")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UserError, match="is no regular file but a pipe"):
        per_example.read_examples(tmp_path / "pipe.csv")
