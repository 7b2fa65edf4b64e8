"""``metrics.csv`` has every row once, whatever stopped the run."""

from __future__ import annotations

import csv
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from callbacks.toys import Counter, train
from lit_gen.callbacks import BestCheckpoint, Budget, Curves, KeepConfig, KeepMetrics
from lit_gen.callbacks import metrics_file as files
from lit_gen.callbacks.metrics_file import MetricsFile


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def run(folder: Path, ckpt: Path | None = None, epochs: int = 4) -> None:
    """Epochs of three steps, a row for each and one for each validation."""
    folder.mkdir(exist_ok=True)
    callbacks = [Budget(1000), Curves(), KeepMetrics(), BestCheckpoint(), KeepConfig("{}")]
    options: dict[str, Any] = {"logger": MetricsFile(folder), "max_epochs": epochs, "log_every_n_steps": 1}
    options |= {"enable_checkpointing": True, "default_root_dir": folder}
    train(Counter(), *callbacks, **options, ckpt=ckpt)


def last(folder: Path) -> Path:
    return folder / "checkpoints" / "last.ckpt"


@pytest.mark.parametrize("same", [False, True])
def test_a_resumed_run_has_each_row_once(same: bool, tmp_path: Path) -> None:
    """The killed run had gone on after its last checkpoint, and was killed while it wrote a row."""
    run(tmp_path / "whole")
    old = tmp_path / "old"
    run(old, epochs=2)
    text = (old / "metrics.csv").read_text()
    later = text.splitlines()[-1]
    (old / "metrics.csv").write_text(f"{text}{later}\n{later}\n{later[:5]}")
    new = old if same else tmp_path / "new"
    run(new, last(old))
    assert rows(new) == rows(tmp_path / "whole")
    assert [int(row["step"]) for row in rows(new) if row["train/loss"]] == list(range(1, 13))
    assert len(rows(new)) == 12 + 4


def test_an_older_checkpoint_keeps_the_rows_up_to_its_step(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("step,train/loss\n1,5\n2,4\n3,3\n")
    logger = MetricsFile(tmp_path)
    logger.go_on(tmp_path / "old.csv", None, 2)
    logger.log_metrics({"val/bpd": 1.5}, step=3)
    logger.save()
    assert [(row["step"], row["train/loss"], row["val/bpd"]) for row in rows(tmp_path)] == [
        ("1", "5", ""), ("2", "4", ""), ("3", "", "1.5"),
    ]


def test_rows_reach_the_disk_before_the_checkpoint_that_counts_them(tmp_path: Path) -> None:
    logger, content = MetricsFile(tmp_path), {}
    logger.log_metrics({"a": 1.0}, step=1)
    assert not (tmp_path / "metrics.csv").exists()
    trainer = type("Trainer", (), {"loggers": [logger]})()
    KeepMetrics().on_save_checkpoint(trainer, None, content)  # type: ignore[arg-type]
    assert content == {"metrics_rows": 1}
    assert len(rows(tmp_path)) == 1


def test_rows_appear_without_a_checkpoint_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_SECONDS_BETWEEN_WRITES", 0.0)
    logger = MetricsFile(tmp_path)
    logger.log_metrics({"a": 1.0}, step=1)
    assert rows(tmp_path) == [{"a": "1.0", "step": "1"}]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_failing_disk_is_one_warning_and_no_row_is_lost(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The append fails after some bytes, twice; once there is room, all rows are there, in order."""
    logger = MetricsFile(tmp_path)
    logger.log_metrics({"a": 1.0}, step=1)
    logger.save()

    def failing(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        for step in (2, 3):
            logger.log_metrics({"a": float(step)}, step=step)
            logger.save()
            assert len(rows(tmp_path)) == 1
        logger.log_metrics({"a": 4.0, "new": 1.0}, step=4)
        logger.save()
    logger.finalize("success")
    assert [(row["step"], row["a"], row["new"]) for row in rows(tmp_path)] == [
        ("1", "1.0", ""), ("2", "2.0", ""), ("3", "3.0", ""), ("4", "4.0", "1.0"),
    ]
    error = capsys.readouterr().err
    assert error.count("warning: ") == 1
    assert f"{tmp_path / 'metrics.csv'}: {os.strerror(code)}; " in error


def test_a_folder_that_was_deleted_is_not_created_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger = MetricsFile(tmp_path / "gone")
    logger.log_metrics({"a": 1.0}, step=1)
    logger.save()
    assert not (tmp_path / "gone").exists()
    assert "warning: training continues without new rows" in capsys.readouterr().err
