"""An unexpected exception leaves the last complete step, from which the run ends as an unbroken one."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import lightning as L
import pytest
from commands import assert_same, checkpoint, options, run_fit
from test_resume import assert_same_end

from lit_gen import fit
from lit_gen.cli.process import run_command
from lit_gen.families.gan.gan import GAN


class _Bug(L.Callback):
    """Raises at one hook after some steps."""

    at = 13
    hook = ""

    def __init__(self) -> None:
        setattr(self, self.hook, self._raise)

    def _raise(self, trainer: L.Trainer, *args: Any) -> None:
        if trainer.fit_loop.epoch_loop.total_batch_idx + 1 >= self.at and trainer.training:
            raise ZeroDivisionError("a bug of the user")


class BugAfterStep(_Bug):
    hook = "on_train_batch_end"


class BugBeforeStep(_Bug):
    hook = "on_train_batch_start"
    at = 14


class BugBeforeEpoch(_Bug):
    hook = "on_train_batch_start"
    at = 21


class BugInForward(_Bug):
    hook = "on_before_backward"
    at = 14


class BugAtFirst(_Bug):
    hook = "on_train_batch_start"
    at = 1


def curves(folder: Path) -> list[dict[str, str]]:
    """Rows without the epoch: a run resumed at the end of one counts on in it, whose number is one lower."""
    with (folder / "metrics.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "epoch"} for row in csv.DictReader(file)]


def broken(family: str, root: Path, bug: str) -> Path:
    with pytest.raises(ZeroDivisionError, match="a bug of the user"):
        run_command(fit.main, options(family, root, "--run_name=broken", f"--trainer.callbacks=test_rescue.{bug}"))
    return root / "broken" / "checkpoints" / "interrupted.ckpt"


@pytest.mark.parametrize(
    ("family", "bug", "step"),
    [
        ("vae", "BugAfterStep", 13),
        ("vae", "BugBeforeStep", 13),
        ("vae", "BugBeforeEpoch", 20),
        ("vae", "BugInForward", 13),
        ("gan", "BugAfterStep", 13),
        ("gan", "BugBeforeStep", 13),
    ],
)
def test_the_last_step_is_saved_and_resumes_exactly(
    family: str, bug: str, step: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Inside the first epoch of 20 batches, and before the first batch of the second."""
    file = broken(family, tmp_path, bug)
    assert f"warning: step {step} is saved; to go on: lit-gen fit --resume {file.parent.parent}" in (
        capsys.readouterr().err
    )
    assert checkpoint(tmp_path / "broken", "interrupted")["global_step"] == step
    unbroken = run_fit(family, tmp_path, "unbroken")
    resumed = run_fit(family, tmp_path, "resumed", f"--ckpt_path={file}")
    assert_same_end(unbroken, resumed)
    assert curves(resumed) == curves(unbroken)


def test_before_the_first_step_there_is_nothing_to_save(tmp_path: Path) -> None:
    assert not broken("vae", tmp_path, "BugAtFirst").exists()


def test_a_step_that_has_changed_weights_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The callbacks have not counted it, and the weights of the step before are lost."""
    step, calls = GAN.training_step, []

    def breaks(self: GAN, *args: Any) -> Any:
        calls.append(0)
        outputs = step(self, *args)
        if len(calls) == 14:
            raise ZeroDivisionError("a bug of the user")
        return outputs

    monkeypatch.setattr(GAN, "training_step", breaks)
    with pytest.raises(ZeroDivisionError):
        run_command(fit.main, options("gan", tmp_path, "--run_name=broken"))
    assert not (tmp_path / "broken" / "checkpoints" / "interrupted.ckpt").exists()


class BugInValidation(L.Callback):
    """Raises in the second validation, while the average is in the module."""

    def on_validation_batch_start(self, trainer: L.Trainer, *args: Any) -> None:
        if trainer.current_epoch == 1:
            raise ZeroDivisionError("a bug of the user")


def test_an_exception_in_a_validation_saves_the_raw_weights(tmp_path: Path) -> None:
    broken("vae", tmp_path, "BugInValidation")
    saved, unbroken = checkpoint(tmp_path / "broken", "interrupted"), checkpoint(run_fit("vae", tmp_path, "unbroken"))
    assert saved["global_step"] == unbroken["global_step"] == 30
    assert_same(saved["state_dict"], unbroken["state_dict"])
    assert_same(saved["callbacks"]["ema"], unbroken["callbacks"]["ema"])


def test_the_exception_is_raised_even_if_nothing_can_be_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lit_gen.runs.checkpoint_file._save", full)
    assert not broken("vae", tmp_path, "BugAfterStep").exists()
    assert "warning: the last step cannot be saved: cannot write" in capsys.readouterr().err
