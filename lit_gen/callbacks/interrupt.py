"""Ctrl-C that ends a run cleanly, with a checkpoint to go on from."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint


class Interrupt(Checkpoint):
    """On the first Ctrl-C (or SIGTERM), lets the running step end, writes a checkpoint, and stops.

    Waiting for the end of the step makes the checkpoint exact: weights, optimizers and the position in the
    data agree, and the resumed run ends with the unbroken run's weights. A second Ctrl-C stops at once.

    It is a ``Checkpoint``, and so comes after all other callbacks: their counts of the step are in the file.

    Attributes:
        checkpoint: The file written, or None.
    """

    def __init__(self) -> None:
        self.checkpoint: Path | None = None
        self._asked = False
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
        """Stops between two steps.

        The checkpoint is written without a barrier: processes that got the signal at different steps would
        wait for each other for ever.
        """
        if not self._asked:
            return
        self.checkpoint = Path(trainer.default_root_dir) / "checkpoints" / "interrupted.ckpt"
        content = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
        trainer.strategy.save_checkpoint(content, str(self.checkpoint))
        raise KeyboardInterrupt

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Gives the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
