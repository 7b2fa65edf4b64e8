"""Training curves, with little overhead per step."""

from __future__ import annotations

import math
from typing import Any

import lightning as L
from torch import Tensor

from lit_gen.callbacks.budget import Budget


class Curves(L.Callback):
    """Averages what ``training_step`` returns and logs it as ``train/<name>`` every ``log_every_n_steps``.

    Between two rows it accumulates a scalar tensor for each name, without synchronizing with the device;
    ``self.log`` in a training step takes 100 times as long. Means are over this process's examples.

    Raises:
        FloatingPointError: If a mean is not finite, because continuing would waste the budget.
    """

    def __init__(self) -> None:
        self.latest: dict[str, float] = {}
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._count = 0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Accumulates; writes a row when enough steps are accumulated."""
        if not isinstance(outputs, dict):
            return
        for name, value in outputs.items():
            value = value.detach()
            if name == "loss" and trainer.accumulate_grad_batches > 1:
                value = value * trainer.accumulate_grad_batches  # Lightning divided it
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1  # a network that is not updated has no loss
        self._count += 1
        if 0 < trainer.log_every_n_steps <= self._count:  # type: ignore[attr-defined]
            self._write(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes the remaining steps. Their sums are kept: a run with a larger budget continues them."""
        if self._count:
            kept = self._sums, self._counts, self._count
            self._write(trainer)
            self._sums, self._counts, self._count = kept

    def _write(self, trainer: L.Trainer) -> None:
        self.latest = {f"train/{name}": float(total) / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts, self._count = {}, {}, 0
        examples = examples_seen(trainer)
        for trainer_logger in trainer.loggers:
            trainer_logger.log_metrics({**self.latest, "examples_seen": float(examples)}, step=trainer.global_step)
        for name, value in self.latest.items():
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"{name} is {value} after {examples:,} examples; try a lower learning rate or gradient clipping"
                )

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Saves the accumulated sums, so that a resumed run's curves have the same rows."""
        sums = {name: float(total) for name, total in self._sums.items()}
        checkpoint["curves"] = {"sums": sums, "counts": self._counts, "count": self._count}

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restores the accumulated sums."""
        import torch

        saved = checkpoint.get("curves", {"sums": {}, "counts": {}, "count": 0})
        self._sums = {name: torch.tensor(total) for name, total in saved["sums"].items()}
        self._counts, self._count = saved["counts"], saved["count"]


def examples_seen(trainer: L.Trainer) -> int:
    """Number of training examples seen so far, as counted by :class:`Budget`."""
    return next((c.examples_seen for c in trainer.callbacks if isinstance(c, Budget)), 0)  # type: ignore[attr-defined]
