"""A signal is answered wherever it comes, and by all processes together."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from callbacks.toys import Counter, train
from lit_gen.callbacks import Interrupt


class Signal(L.Callback):
    """Sends the process a Ctrl-C, once, from the hook named."""

    def __init__(self, hook: str, at_step: int) -> None:
        self.at_step = at_step
        self.sent = False
        setattr(self, hook, self._send)

    def _send(self, trainer: L.Trainer, *args: Any) -> None:
        if trainer.global_step == self.at_step and not self.sent:
            self.sent = True
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(autouse=True)
def _signals_survive() -> Iterator[None]:
    """Lightning ignores Ctrl-C from the first on, for good."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("hook", "at", "stopped", "options"),
    [
        ("on_train_batch_start", 1, 2, {}),
        ("on_validation_start", 3, 4, {}),
        ("on_validation_start", 6, 6, {}),
        ("on_train_epoch_end", 6, 6, {}),
        ("on_train_batch_start", 0, 1, {"accumulate_grad_batches": 2}),
    ],
    ids=["step", "validation", "last validation", "last epoch's end", "accumulation"],
)
def test_ends_with_a_checkpoint(hook: str, at: int, stopped: int, options: dict[str, Any], tmp_path: Path) -> None:
    """Two epochs of three steps; the one checkpoint holds the step that was running, or the last."""
    model, interrupt = Counter(), Interrupt()
    with pytest.raises(SystemExit):
        train(
            model, Signal(hook, at), interrupt, enable_checkpointing=True, default_root_dir=tmp_path, **options
        )
    assert interrupt.checkpoint == tmp_path / "checkpoints" / "interrupted.ckpt"
    content = torch.load(interrupt.checkpoint, weights_only=True)
    assert content["global_step"] == stopped
    assert float(content["state_dict"]["net.weight"]) == model.weight == stopped


def test_no_signal_no_stop(tmp_path: Path) -> None:
    model, interrupt = Counter(), Interrupt()
    train(model, interrupt, enable_checkpointing=True, default_root_dir=tmp_path)
    assert model.weight == 6.0
    assert interrupt.checkpoint is None
