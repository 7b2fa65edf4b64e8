"""A disk that fails is one line with the file, the reason and a remedy, or a warning where training can go on."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import lightning as L
import pytest
from commands import checkpoint, options, run_fit

from lit_gen import fit
from lit_gen.cli.process import run_command
from lit_gen.records import atomic
from lit_gen.records.record import read_record

SHORT = ["--budget.max_examples=300", "--run_name=run"]


def failing(code: int) -> OSError:
    return OSError(code, os.strerror(code))


def fail_for(monkeypatch: pytest.MonkeyPatch, name: str, code: int, after: int = 0) -> None:
    """Files of a name are not written from one on: the synchronization of their temporary file fails."""
    sync, seen = os.fsync, []

    def fsync(handle: int) -> None:
        if f".{name}." in os.readlink(f"/proc/self/fd/{handle}"):
            seen.append(0)
            if len(seen) > after:
                raise failing(code)
        sync(handle)

    monkeypatch.setattr(atomic.os, "fsync", fsync)


def errors(capsys: pytest.CaptureFixture[str]) -> tuple[str, list[str]]:
    """The one error, and the warnings."""
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    lines = printed.splitlines()
    (error,) = [line for line in lines if line.startswith("error: ")] or [""]
    return error, [line for line in lines if line.startswith("warning: ")]


# One reason for each file, and one file for each reason, are enough.
CASES = [(name, errno.ENOSPC) for name in ("config.yaml", "best.ckpt", "last.ckpt", "training.json", "record.json")]
CASES += [("last.ckpt", code) for code in (errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES)]


@pytest.mark.parametrize(("name", "code"), CASES)
def test_what_a_run_cannot_do_without_is_one_line(
    name: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_for(monkeypatch, name, code)
    assert run_command(fit.main, options("vae", tmp_path, *SHORT)) == 1
    error, warnings = errors(capsys)
    assert not warnings, "nothing else is tried on that disk"
    file = tmp_path / "run" / ("checkpoints" if name.endswith("ckpt") else "") / name
    assert error.startswith(f"error: cannot write {file}: {os.strerror(code)}; ")
    assert error.endswith(" (trainer.default_root_dir)") == (name != "record.json")
    assert not file.exists()
    assert not list((tmp_path / "run").rglob(".*.part"))


def test_the_last_checkpoint_before_the_disk_was_full_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_for(monkeypatch, "last.ckpt", errno.ENOSPC, after=1)
    assert run_command(fit.main, options("vae", tmp_path, "--run_name=run")) == 1
    assert "last.ckpt: No space left" in errors(capsys)[0]
    assert checkpoint(tmp_path / "run")["global_step"] == 20
    assert (tmp_path / "run" / "metrics.csv").exists()


class DeletesTheRun(L.Callback):
    """Deletes the run's folder in the third step."""

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        if trainer.global_step == 3:
            shutil.rmtree(trainer.default_root_dir)


def test_a_run_folder_deleted_while_training_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = options("vae", tmp_path, *SHORT, "--trainer.callbacks=test_failing_disk.DeletesTheRun")
    assert run_command(fit.main, args) == 1
    error, _ = errors(capsys)
    assert "No such file or directory; was its folder deleted or replaced?" in error
    assert str(tmp_path / "run" / "checkpoints") in error
    assert not (tmp_path / "run").exists()


class FullElsewhere(L.Callback):
    """A user's callback whose own file cannot be written."""

    def on_train_batch_end(self, *args: Any) -> None:
        raise RuntimeError("the library's own words") from OSError(errno.ENOSPC, "No space left on device", "mine.txt")


def test_the_reason_is_found_behind_a_library_s_exception(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = options("vae", tmp_path, *SHORT, "--trainer.callbacks=test_failing_disk.FullElsewhere")
    assert run_command(fit.main, args) == 1
    assert errors(capsys)[0].startswith("error: cannot write mine.txt: No space left on device; free space")


def test_samples_rows_and_statistics_that_cannot_be_written_do_not_end_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two validations, many rows, the references of two splits, and the final samples: a warning for each kind."""

    def full(*args: Any, **kwargs: Any) -> None:
        raise failing(errno.ENOSPC)

    monkeypatch.setenv("LIT_GEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("lit_gen.media.sample_files.write_grid", full)
    monkeypatch.setattr("lit_gen.callbacks.metrics_file._append", full)
    monkeypatch.setattr("lit_gen.callbacks.metrics_file.write_atomically", full)
    sync = os.fsync

    def no_cache(handle: int) -> None:
        if "/cache/" in os.readlink(f"/proc/self/fd/{handle}"):
            full()
        sync(handle)

    monkeypatch.setattr(atomic.os, "fsync", no_cache)
    assert run_command(fit.main, options("vae", tmp_path, "--run_name=run")) == 0
    error, warnings = errors(capsys)
    assert not error
    for what, count in {
        "training continues without samples": 1,
        "training continues without new rows of curves": 1,
        "no samples: ": 1,
    }.items():
        assert sum(what in line for line in warnings) == count, what
    assert any("the statistics of the data are not kept" in line for line in warnings)
    assert len(read_record(tmp_path / "run" / "record.json").scores) >= 4


# ---------------------------------------------------------------- the leaderboard page


def test_scores_are_printed_before_the_page_and_wait_a_second_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed: list[str] = []

    def slow(*args: Any) -> list[str]:
        printed.append(capsys.readouterr().out)
        time.sleep(30)
        return []

    monkeypatch.setattr(fit, "page_of", slow)
    folder = run_fit("vae", tmp_path, "run", "--budget.max_examples=300")
    assert "bits/dim" in printed[0]
    assert f"record       {folder / 'record.json'}" in printed[0]
    since = time.monotonic()
    fit.update_page(tmp_path)
    assert 0.9 < time.monotonic() - since < 2
    page = tmp_path / "leaderboard.html"
    assert (
        f"warning: {page} is not updated (it takes longer than 1 s); 'lit-gen leaderboard {tmp_path} --html {page}'"
        in errors(capsys)[1][0]
    )


@pytest.mark.parametrize("error", [failing(errno.ENOSPC), ValueError("a bug\nof the page")])
def test_a_page_that_cannot_be_written_is_a_warning(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*args: Any) -> list[str]:
        raise error

    monkeypatch.setattr(fit, "page_of", broken)
    fit.update_page(tmp_path)
    assert errors(capsys)[1][0].startswith(f"warning: {tmp_path / 'leaderboard.html'} is not updated (")


def test_a_page_that_comes_too_late_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its thread may be stopped anywhere when the process ends, and would leave a part of a file."""
    built = threading.Event()

    def slow(*args: Any) -> tuple[str, list[str]]:
        time.sleep(0.3)
        built.set()
        return "<p>", []

    monkeypatch.setattr(fit, "page_of", slow)
    fit.update_page(tmp_path, seconds=0.1)
    assert "it takes longer than 0.1 s" in errors(capsys)[1][0]
    assert built.wait(5)
    time.sleep(0.2)
    assert not list(tmp_path.iterdir())
    fit.update_page(tmp_path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("leaderboard.html", "<p>")]


def test_a_page_whose_place_is_taken_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_fit("vae", tmp_path, "run", "--budget.max_examples=300")
    (tmp_path / "leaderboard.html").unlink()
    (tmp_path / "leaderboard.html").mkdir()
    capsys.readouterr()
    fit.update_page(tmp_path)
    assert "is not updated (cannot write" in errors(capsys)[1][0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["leaderboard.html", "run"]


# ---------------------------------------------------------------- what stays


@pytest.mark.parametrize(("keep", "left"), [("none", []), ("best", ["best.ckpt"]), ("last", ["last.ckpt"])])
def test_a_scored_run_keeps_what_is_wanted(keep: str, left: list[str], tmp_path: Path) -> None:
    folder = run_fit("vae", tmp_path, "run", "--budget.max_examples=300", f"--checkpoint.keep={keep}")
    assert [file.name for file in (folder / "checkpoints").iterdir()] == left
    assert read_record(folder / "record.json").selection.checkpoint == "best.ckpt"
