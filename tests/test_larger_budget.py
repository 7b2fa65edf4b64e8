"""A finished run with a larger budget ends as one that had it from the start, wherever the smaller one ended."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import checkpoint, options, run_fit, run_module
from test_same_folder import CURVES, assert_same_run, error_of, scores, stopped

from lit_gen import fit
from lit_gen.records.record import read_record

# An epoch is 20 batches of 50. Budgets: of the first part, and of the whole.
ENDS = {
    "inside an epoch": (["--trainer.check_val_every_n_epoch=1"], 1250, 1500),
    "inside the first epoch": ([], 650, 1500),
    "at an epoch's end, without any validation": (["--trainer.limit_val_batches=0"], 1000, 1500),
    "at an epoch's end, between validations": (
        ["--trainer.check_val_every_n_epoch=null", "--trainer.val_check_interval=15"], 1000, 1500
    ),
    "at an epoch's end, validated each second epoch": (["--trainer.check_val_every_n_epoch=2"], 1000, 2000),
    "in the step of a validation": (
        ["--trainer.check_val_every_n_epoch=null", "--trainer.val_check_interval=7"], 700, 1500
    ),
    "where samples are not scored": (["--quality.every=2", "--trainer.val_check_interval=0.25"], 500, 1000),
}


@pytest.mark.parametrize("family", ["vae", "gan"])
@pytest.mark.parametrize(("more", "first", "whole"), ENDS.values(), ids=ENDS.keys())
def test_a_larger_budget_continues_as_if_it_had_been_there(
    family: str, more: list[str], first: int, whole: int, tmp_path: Path
) -> None:
    run = run_fit(family, tmp_path / "raised", "run", CURVES, *more, f"--budget.max_examples={first}")
    assert checkpoint(run)["callbacks"]["budget"]["examples_seen"] == first
    fit.main(["--resume", str(run), f"--budget.max_examples={whole}"])
    unbroken = run_fit(family, tmp_path / "whole", "run", CURVES, *more, f"--budget.max_examples={whole}")
    assert_same_run(unbroken, run)


def test_half_an_epoch_by_steps_and_then_more(tmp_path: Path) -> None:
    """The last step is that of an epoch, and no validation is due there."""
    more = [CURVES, "--trainer.check_val_every_n_epoch=null", "--trainer.val_check_interval=15"]
    run = run_fit("vae", tmp_path / "raised", "run", *more, "--trainer.max_steps=20")
    fit.main(["--resume", str(run), "--trainer.max_steps=1000"])
    assert_same_run(run_fit("vae", tmp_path / "whole", "run", *more), run)


@pytest.mark.parametrize("budget", [650, 1250])
def test_the_last_validation_is_repeated_if_the_run_was_not_scored(budget: int, tmp_path: Path) -> None:
    """As after a kill in that validation, or while scoring: the last state stays a candidate."""
    more = [CURVES, f"--budget.max_examples={budget}"]
    unbroken, run = (run_fit("vae", tmp_path / name, "run", *more) for name in ("unbroken", "killed"))
    (run / "record.json").unlink()
    fit.main(["--resume", str(run)])
    assert_same_run(unbroken, run)


def test_the_best_before_the_end_is_the_best_again(tmp_path: Path) -> None:
    """The end of the first part was the best, but is no candidate of the whole run."""
    run = run_fit("vae", tmp_path, "run", CURVES, "--budget.max_examples=1250")
    assert checkpoint(run, "best")["global_step"] == read_record(run / "record.json").selection.step == 25
    stop = ["--trainer.callbacks=test_same_folder.StopAt", "--trainer.callbacks.step=27"]
    stopped(["--resume", str(run), "--budget.max_examples=1500", *stop], run)
    assert checkpoint(run, "best")["global_step"] == 20
    assert not (run / "checkpoints" / "earlier_best.ckpt").exists()


def test_a_new_folder_gets_the_earlier_best_too(tmp_path: Path) -> None:
    run = run_fit("vae", tmp_path / "first", "run", CURVES, "--budget.max_examples=1250")
    kept = run / "checkpoints" / "earlier_best.ckpt"
    assert checkpoint(run, "earlier_best")["global_step"] == 20
    end = ["--budget.max_examples=1500", "--trainer.check_val_every_n_epoch=1000", CURVES]
    resumed = run_fit("vae", tmp_path / "new", "run", *end, f"--ckpt_path={run}/checkpoints/last.ckpt")
    assert read_record(resumed / "record.json").selection.rule == "best val/bpd of 2"
    assert kept.is_file(), "the other run is left as it was"
    again = run_fit("vae", tmp_path / "same", "run", CURVES, "--budget.max_examples=1250",
                    f"--ckpt_path={run}/checkpoints/last.ckpt")
    assert scores(read_record(again / "record.json")) == scores(read_record(run / "record.json"))


@pytest.mark.parametrize("option", ["min_epochs", "min_steps"])
def test_what_would_overrule_the_budget_is_rejected(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = error_of(options("vae", tmp_path / "runs", f"--trainer.{option}=3"), capsys)
    assert f"trainer.{option} is 3, but the budget in examples ends a run" in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_two_processes_continue_as_if_unbroken(tmp_path: Path) -> None:
    """Each chooses the checkpoint by itself; the first alone writes."""
    two = [CURVES, "--trainer.accelerator=cpu", "--trainer.devices=2"]

    def run(*args: str) -> None:
        found = run_module("lit_gen.fit", *args, timeout=200)
        assert found.returncode == 0, found.stderr

    for name, budget in (("raised", 1250), ("whole", 1500)):
        run(*options("vae", tmp_path / name, "--run_name=run", *two, f"--budget.max_examples={budget}"))
    run("--resume", str(tmp_path / "raised" / "run"), "--budget.max_examples=1500")
    assert_same_run(tmp_path / "whole" / "run", tmp_path / "raised" / "run")
