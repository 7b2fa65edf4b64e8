"""Ctrl-C that ends a run cleanly, with a checkpoint to go on from."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint

_BATCHES_BETWEEN_TALKS = 10  # among several processes: each costs an all-reduce of one number


class Interrupt(Checkpoint):
    """On the first Ctrl-C (or SIGTERM), lets the running step end, writes a checkpoint, and stops.

    Waiting for the end of the step makes the checkpoint exact: weights, optimizers and the position in the
    data agree, and the resumed run ends with the unbroken run's weights. A second Ctrl-C stops at once.

    Several processes stop together, a few steps later, though only one of them got the signal: one that stopped
    alone would leave the others waiting for its gradients for ever.

    It is a ``Checkpoint``, and so comes after all other callbacks: their counts of the step are in the file.

    Attributes:
        checkpoint: The file written, or None.
    """

    def __init__(self) -> None:
        self.checkpoint: Path | None = None
        self._asked = False
        self._all_stop = False
        self._before: dict[int, Any] = {}

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Takes over the signals for the length of the fit."""
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
        # A checkpoint holds no gradients: one written while they accumulate would lose some.
        if self._agreed(trainer) and not trainer.fit_loop._should_accumulate():
            self._stop(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stops here if the signal came during the last validation: no step comes after it."""
        if trainer.world_size > 1:
            self._agree(trainer)
        if self._agreed(trainer):
            self._stop(trainer)

    def _agreed(self, trainer: L.Trainer) -> bool:
        return self._all_stop if trainer.world_size > 1 else self._asked

    def _agree(self, trainer: L.Trainer) -> None:
        """Makes one process's signal everyone's; every process calls it at the same batch."""
        asked = torch.tensor(float(self._asked), device=trainer.strategy.root_device)
        self._all_stop = float(trainer.strategy.reduce(asked, reduce_op="sum")) > 0

    def _stop(self, trainer: L.Trainer) -> None:
        self.checkpoint = Path(trainer.default_root_dir) / "checkpoints" / "interrupted.ckpt"
        trainer.save_checkpoint(self.checkpoint)
        raise KeyboardInterrupt

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Gives the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
