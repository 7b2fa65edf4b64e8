"""``fit --resume RUN_FOLDER`` continues a run in its own folder: one folder, one file of curves, one W&B run."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import lightning as L
import pytest
from commands import assert_same, checkpoint, options, run_fit, run_module, the_record
from offline_runs import inspect
from test_resume import assert_same_end

from lit_gen import fit
from lit_gen.cli.process import run_command
from lit_gen.records.record import Record, read_record
from lit_gen.runs.newest_checkpoint import newest_checkpoint

CURVES = "--trainer.log_every_n_steps=3"


class StopAt(L.Callback):
    """Sends a Ctrl-C to this process when a step begins."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: L.Trainer, *args: Any) -> None:
        if trainer.fit_loop.epoch_loop.total_batch_idx + 1 == self.step:
            os.kill(os.getpid(), signal.SIGINT)


def stopped_at(step: int, family: str, root: Path, *more: str) -> Path:
    """A run that was stopped after a step."""
    args = options(family, root, "--run_name=run", CURVES, *more)
    args += ["--trainer.callbacks=test_same_folder.StopAt", f"--trainer.callbacks.step={step}"]
    return stopped(args, root / "run")


def stopped(args: list[str], run: Path) -> Path:
    """The run that these arguments train, which a signal stops; its last line says how to go on."""
    with contextlib.redirect_stderr(io.StringIO()) as said:
        assert run_command(fit.main, args) == 128 + signal.SIGINT
    assert said.getvalue().splitlines()[-1].endswith(f"to go on: lit-gen fit --resume {run}")
    return run


def rows(run: Path) -> list[dict[str, str]]:
    """Rows of a run's curves, without empty cells."""
    with (run / "metrics.csv").open(newline="") as file:
        return [{name: cell for name, cell in row.items() if cell} for row in csv.DictReader(file)]


def scores(record: Record) -> list[tuple[str, float, str]]:
    return [(score.name, score.value, score.protocol.hash) for score in record.scores]


def assert_same_run(unbroken: Path, resumed: Path) -> None:
    """Weights, best, curves, scores and selection are those of an uninterrupted run, to the bit."""
    assert_same_end(unbroken, resumed)
    best = [run / "checkpoints" / "best.ckpt" for run in (unbroken, resumed)]
    assert best[0].is_file() == best[1].is_file()
    if best[0].is_file():
        a, b = checkpoint(unbroken, "best"), checkpoint(resumed, "best")
        assert a["global_step"] == b["global_step"]
        assert_same(a["state_dict"], b["state_dict"], "best")
    assert rows(unbroken) == rows(resumed)
    a, b = (read_record(run / "record.json") for run in (unbroken, resumed))
    assert scores(a) == scores(b)
    kept = ("rule", "checkpoint", "step", "metric", "value", "last_value")
    assert [getattr(a.selection, name) for name in kept] == [getattr(b.selection, name) for name in kept]
    assert a.cost.examples_seen == b.cost.examples_seen


def error_of(args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which ``fit`` ends; exit code 2."""
    capsys.readouterr()
    assert run_command(fit.main, args) == 2
    lines = capsys.readouterr().err.splitlines()
    own = [line for line in lines if not line.startswith("classes ")]  # of a test's own classes
    assert [line.startswith("error: ") for line in own] == [True], lines
    return own[0]


# ------------------------------------------------------------------ the same run


# An epoch has 20 batches: inside the first; before the validation at its end; inside the second; before the last one.
@pytest.mark.parametrize(("family", "step"), [("vae", 13), ("vae", 20), ("gan", 27), ("vae", 30), ("gan", 30)])
def test_a_stopped_run_continues_in_its_folder_as_if_unbroken(
    family: str, step: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = stopped_at(step, family, tmp_path / "stopped")
    fit.main(["--resume", str(run)])
    # At the end of the budget, the last checkpoint is also one to continue from with a larger budget.
    file = run / "checkpoints" / ("last.ckpt" if step == 30 else "interrupted.ckpt")
    assert f"resuming from {file} ({50 * step:,} examples, {step} steps)" in capsys.readouterr().out
    assert_same_run(run_fit(family, tmp_path / "unbroken", "run", CURVES), run)
    assert [path.name for path in (tmp_path / "stopped").iterdir() if path.is_dir()] == ["run"]


def test_a_stop_before_a_validation_that_ends_the_budget_is_no_candidate_of_a_larger_one(tmp_path: Path) -> None:
    """Twice: it is repeated for the budget that it belongs to, and left out of the larger one."""
    run = stopped_at(25, "vae", tmp_path / "stopped", "--budget.max_examples=1250")
    fit.main(["--resume", str(run), "--trainer.callbacks=null"])
    assert_same_run(run_fit("vae", tmp_path / "first", "run", CURVES, "--budget.max_examples=1250"), run)
    fit.main(["--resume", str(run), "--budget.max_examples=1500"])
    assert_same_run(run_fit("vae", tmp_path / "whole", "run", CURVES), run)


def test_rows_of_curves_after_the_checkpoint_are_replaced(tmp_path: Path) -> None:
    """A killed run has rows of steps that come again, and perhaps half a row at the end."""
    run = stopped_at(27, "vae", tmp_path / "stopped")
    (run / "checkpoints" / "interrupted.ckpt").unlink()  # as if killed: the validation at step 20 is the last one
    assert float(rows(run)[-1]["examples_seen"]) > 1000
    with (run / "metrics.csv").open("a") as file:
        file.write("1350,2.0")
    fit.main([f"--resume={run}", "--trainer.callbacks=null"])
    assert_same_run(run_fit("vae", tmp_path / "unbroken", "run", CURVES), run)


def test_a_raised_budget_continues_a_finished_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_fit("vae", tmp_path / "resumed", "run", CURVES, "--budget.max_examples=1000")
    line = error_of(["--resume", str(run)], capsys)
    assert "is finished: its budget of 1,000 examples is used up" in line
    assert line.endswith(f"lit-gen fit --resume {run} --budget.max_examples=2000")
    picture = (run / "samples" / "final.png").read_bytes()
    fit.main(["--resume", str(run), "--budget.max_examples=1500"])
    assert_same_run(run_fit("vae", tmp_path / "unbroken", "run", CURVES), run)
    assert (run / "samples" / "final.png").read_bytes() != picture, "samples are of the new best"
    line = error_of(["--resume", str(run)], capsys)
    assert "its budget of 1,500 examples" in line, "the folder's configuration has the new budget"


def test_a_run_that_a_limit_of_the_trainer_ended_is_finished_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_fit("vae", tmp_path, "run", "--trainer.max_steps=6")
    assert "a limit of the Trainer ended it" in error_of(["--resume", str(run)], capsys)
    fit.main(["--resume", str(run), "--trainer.max_steps=8"])
    assert the_record(tmp_path).selection.step == 8


def test_a_run_killed_while_it_was_scored_is_scored(tmp_path: Path) -> None:
    run = run_fit("vae", tmp_path / "killed", "run", CURVES)
    (run / "record.json").unlink()
    fit.main(["--resume", str(run)])
    assert_same_run(run_fit("vae", tmp_path / "unbroken", "run", CURVES), run)


def test_a_moved_run_keeps_its_best_checkpoint(tmp_path: Path) -> None:
    """With the largest score wanted, the first validation is the best: it must not be forgotten."""
    largest = ["--checkpoint.mode=max", "--quality.extractor=null"]
    run = stopped_at(27, "vae", tmp_path / "before", *largest)
    moved = Path(shutil.move(run, tmp_path / "moved"))
    fit.main(["--resume", str(moved)])
    assert checkpoint(moved, "best")["global_step"] == 20
    assert read_record(moved / "record.json").selection.step == 20


# ------------------------------------------------------------------ which checkpoint


def test_the_newest_whole_checkpoint_is_taken_and_damaged_ones_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = stopped_at(27, "vae", tmp_path)
    folder = run / "checkpoints"
    found = [newest_checkpoint(run)]
    for name in ("interrupted", "last"):
        file = folder / f"{name}.ckpt"
        file.write_bytes(file.read_bytes()[:-1000])
        found.append(newest_checkpoint(run))
        assert f"left out: {file} is damaged" in capsys.readouterr().out
    assert [(position.path.stem, position.step) for position in found] == [
        ("interrupted", 27), ("last", 20), ("best", 20)
    ]
    (folder / "best.ckpt").write_bytes(b"")
    assert "no checkpoint in" in error_of(["--resume", str(run)], capsys)


def test_a_damaged_best_does_not_stop_the_run(tmp_path: Path) -> None:
    """Its score cannot be reached again, but a later one is the best of what there is."""
    run = stopped_at(27, "vae", tmp_path, "--checkpoint.mode=max")
    (run / "checkpoints" / "best.ckpt").write_bytes(b"half")
    fit.main(["--resume", str(run)])
    assert read_record(run / "record.json").selection.step == 30


# ------------------------------------------------------------------ W&B


def test_w_and_b_has_one_run_that_is_finished_at_the_end(tmp_path: Path) -> None:
    # Programs of their own: the client of W&B keeps a service process, and threads, beyond a run.
    run, environment = tmp_path / "run", {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    args = options("vae", tmp_path, "--run_name=run", CURVES, "--wandb.mode=offline")
    args += ["--trainer.callbacks=test_same_folder.StopAt", "--trainer.callbacks.step=13"]
    found = run_module("lit_gen.fit", *args, env=environment)
    assert found.returncode == 128 + signal.SIGINT, found.stderr
    identity = json.loads((run / "wandb.json").read_text())
    found = run_module("lit_gen.fit", "--resume", str(run), env=environment)
    assert found.returncode == 0, found.stderr
    parts = sorted(run.glob(f"wandb/offline-run-*-{identity['id']}"))
    assert len(parts) == len(list(run.glob("wandb/offline-run-*"))) == 2
    states = [json.loads(inspect(run, "--summary", part=part))["exit_code"] for part in parts]
    assert states == [1, 0]
    seen = [
        row["history"]["item"]["examples_seen"]
        for part in parts
        for row in map(json.loads, inspect(run, part=part).splitlines())
        if row["type"] == "history" and "train/loss" in row["history"]["item"]
    ]
    assert seen == sorted(set(seen)), "no row comes twice"
    assert seen[-1] == 1500


# ------------------------------------------------------------------ what is rejected


def test_what_cannot_be_resumed_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "is not the folder of a run" in error_of(["--resume", str(empty)], capsys)
    assert "expected one argument" in error_of(["--resume"], capsys)
    (empty / "config.yaml").write_text("seed_everything: 0\n")
    assert "has no checkpoint yet" in error_of(["--resume", str(empty)], capsys)
    for option in ("run_name=b", "ckpt_path=b.ckpt", "trainer.default_root_dir=b"):
        line = error_of(["--resume", str(empty), f"--{option}"], capsys)
        assert line.endswith(f"leave out --{option.split('=')[0]}")
    assert [path.name for path in empty.iterdir()] == ["config.yaml"]


def test_another_model_is_rejected_and_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = stopped_at(6, "vae", tmp_path)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert "do not fit the model" in error_of(["--resume", str(run), "--model.num_latents=3"], capsys)
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
