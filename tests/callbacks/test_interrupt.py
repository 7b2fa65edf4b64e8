"""A signal is answered wherever it comes: by a checkpoint of the running step, or of the state before a validation."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from callbacks.toys import Counter, train
from lit_gen.callbacks import Interrupt
from lit_gen.stopping.stops import SIGNALS, Stop


class Signal(L.Callback):
    """Sends the process a signal, once, from the hook named."""

    def __init__(self, hook: str, at_step: int, number: int = signal.SIGINT) -> None:
        self.at_step, self.number = at_step, number
        self.sent = False
        setattr(self, hook, self._send)

    def _send(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        if trainer.global_step == self.at_step and not self.sent:
            self.sent = True
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(
    ("hook", "at", "stopped", "due", "options"),
    [
        ("on_train_batch_start", 1, 2, False, {}),
        ("on_train_batch_start", 2, 3, True, {}),
        ("on_validation_start", 3, 3, True, {}),
        ("on_validation_epoch_end", 3, 3, True, {}),
        ("on_validation_end", 3, 3, False, {}),
        ("on_validation_start", 6, 6, True, {}),
        ("on_train_epoch_end", 3, 4, False, {}),
        ("on_train_batch_start", 0, 1, False, {"accumulate_grad_batches": 2}),
    ],
    ids=[
        "step", "step before a validation", "validation", "its scores", "its end", "last validation", "end of epoch",
        "accumulation",
    ],
)
def test_ends_with_a_checkpoint(
    hook: str, at: int, stopped: int, due: bool, options: dict[str, Any], tmp_path: Path
) -> None:
    """Two epochs of three steps; the checkpoint holds the step that was running, or the state before a validation."""
    model, interrupt = Counter(), Interrupt()
    with pytest.raises(Stop):
        train(
            model, Signal(hook, at), interrupt, enable_checkpointing=True, default_root_dir=tmp_path, **options
        )
    assert interrupt.checkpoint == tmp_path / "checkpoints" / "interrupted.ckpt"
    content = torch.load(interrupt.checkpoint, weights_only=True)
    assert content["global_step"] == stopped
    assert float(content["state_dict"]["net.weight"]) == model.weight == stopped
    assert ("interrupt" in content["callbacks"]) is due
    validations = content["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]["total"]
    assert validations["ready"] == validations["completed"], "a validation that was abandoned left no trace"


@pytest.mark.parametrize("hook", ["on_fit_start", "on_sanity_check_start"])
def test_before_training_a_signal_ends_the_run_at_once_without_a_checkpoint(hook: str, tmp_path: Path) -> None:
    model, interrupt = Counter(), Interrupt()
    with pytest.raises(Stop):
        train(
            model, interrupt, Signal(hook, 0), num_sanity_val_steps=1, default_root_dir=tmp_path,
            enable_checkpointing=True,
        )
    assert interrupt.checkpoint is None
    assert model.weight == 0


def test_a_stop_after_the_last_step_lets_training_end(tmp_path: Path) -> None:
    """A resumed run would not start at the Trainer's limit, nor validate: the last validation is completed."""
    model, interrupt = Counter(), Interrupt()
    train(
        model, Signal("on_validation_start", 3, signal.SIGTERM), interrupt, max_epochs=-1, max_steps=3,
        enable_checkpointing=True, default_root_dir=tmp_path,
    )
    assert interrupt.checkpoint is None
    assert len(model.seen["epoch end"]) == 1


def test_no_signal_no_stop(tmp_path: Path) -> None:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    model, interrupt = Counter(), Interrupt()
    train(model, interrupt, enable_checkpointing=True, default_root_dir=tmp_path)
    assert model.weight == 6.0
    assert interrupt.checkpoint is None
    assert {number: signal.getsignal(number) for number in SIGNALS} == before


def test_lightning_installs_no_handler_even_under_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its handler of SIGUSR1 would requeue the job in the middle of a step, and that of SIGTERM hang two processes."""
    for name in ("NTASKS", "PROCID", "LOCALID", "NODEID", "JOB_ID"):
        monkeypatch.setenv(f"SLURM_{name}", "1" if name in ("NTASKS", "JOB_ID") else "0")
    monkeypatch.setenv("SLURM_JOB_NAME", "train")
    model, interrupt = Counter(), Interrupt()
    with pytest.raises(Stop) as stop:
        train(
            model, Signal("on_train_batch_start", 1, signal.SIGUSR1), interrupt, enable_checkpointing=True,
            default_root_dir=tmp_path, devices=1,
        )
    assert stop.value.number == signal.SIGUSR1
    assert [p.name for p in tmp_path.rglob("*.ckpt")] == ["interrupted.ckpt"], "Lightning's would be hpc_ckpt_1.ckpt"
    assert torch.load(interrupt.checkpoint, weights_only=True)["global_step"] == 2
