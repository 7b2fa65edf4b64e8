"""Stops a run cleanly on Ctrl-C, with a checkpoint to resume from."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint

_BATCHES_BETWEEN_TALKS = 10  # with several processes: each takes an all-reduce of one number


class Interrupt(Checkpoint):
    """On the first Ctrl-C (or SIGTERM), finishes the current step, writes a checkpoint, and stops.

    Finishing the step makes the checkpoint consistent: weights, optimizers and the position in the data agree,
    and the resumed run ends with the weights of an uninterrupted one. A second Ctrl-C stops at once.

    Several processes stop together, a few steps later, even if only one of them received the signal: otherwise the
    others would wait for its gradients forever.

    As a ``Checkpoint``, it runs after all other callbacks: their counts of the step are in the file.

    Attributes:
        checkpoint: Path of the checkpoint written, or None.
    """

    def __init__(self) -> None:
        self.checkpoint: Path | None = None
        self._asked = False
        self._all_stop = False
        self._before: dict[int, Any] = {}

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Installs the signal handlers for the duration of fit."""
        self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        signal.signal(number, self._before[number])

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stops between two steps."""
        if trainer.world_size > 1 and trainer.fit_loop.epoch_loop.total_batch_idx % _BATCHES_BETWEEN_TALKS == 0:
            self._agree(trainer)
        # A checkpoint has no gradients: one written during accumulation would lose some.
        if self._agreed(trainer) and not trainer.fit_loop._should_accumulate():
            self._stop(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stops here if the signal came during the last validation, which no step follows."""
        if trainer.world_size > 1:
            self._agree(trainer)
        if self._agreed(trainer):
            self._stop(trainer)

    def _agreed(self, trainer: L.Trainer) -> bool:
        return self._all_stop if trainer.world_size > 1 else self._asked

    def _agree(self, trainer: L.Trainer) -> None:
        """Shares one process's signal with all; every process calls this at the same batch."""
        asked = torch.tensor(float(self._asked), device=trainer.strategy.root_device)
        self._all_stop = float(trainer.strategy.reduce(asked, reduce_op="sum")) > 0

    def _stop(self, trainer: L.Trainer) -> None:
        self.checkpoint = Path(trainer.default_root_dir) / "checkpoints" / "interrupted.ckpt"
        trainer.save_checkpoint(self.checkpoint)
        raise KeyboardInterrupt

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Restores the previous signal handlers."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
