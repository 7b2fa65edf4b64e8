"""Training curves, with little overhead per step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import lightning as L
import torch
from torch import Tensor

from lit_gen.callbacks.budget import Budget
from lit_gen.callbacks.divergence import advice, bad_weights
from lit_gen.checkpoints import listed
from lit_gen.contract import GenerativeModule

_MOST_KEPT = 1000  # values that are not yet added up


class Curves(L.Callback):
    """Averages what ``training_step`` returns and logs it as ``train/<name>`` every ``log_every_n_steps``.

    Between two rows it keeps a scalar tensor for each name and step, without synchronizing with the device;
    ``self.log`` in a training step takes 100 times as long. Means are over this process's examples.

    Raises:
        FloatingPointError: If a value is not finite, because continuing would waste the budget. It is found when a row
            or a checkpoint is written, and names the first step with such a value.
    """

    def __init__(self) -> None:
        self.latest: dict[str, float] = {}
        self._values: dict[str, list[tuple[int, Tensor]]] = {}
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._count = 0
        self._first_bad: dict[str, int] = {}

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keeps the values; writes a row after enough steps."""
        if not isinstance(outputs, dict):
            return
        self._count += 1
        for name, value in outputs.items():
            value = value.detach()
            if name == "loss" and trainer.accumulate_grad_batches > 1:
                value = value * trainer.accumulate_grad_batches  # Lightning divided it
            self._values.setdefault(name, []).append((self._count, value))
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if 0 < every <= self._count:
            self._write(trainer, pl_module)
        elif self._count % _MOST_KEPT == 0:
            self._add_up()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes the remaining steps. Their sums are kept: a run with a larger budget continues them."""
        if self._count:
            self._write(trainer, pl_module)

    def _add_up(self) -> None:
        """Moves the values to the sums; in float64 and in order, so that it makes no difference when this is done.

        All names are read from the device at once.
        """
        numbers = _numbers([value for kept in self._values.values() for _, value in kept])
        for name, kept in self._values.items():  # a network that is not updated in a step has no loss
            for number, _ in kept:
                value = next(numbers)
                self._sums[name] = self._sums.get(name, 0.0) + value
                if not math.isfinite(value):
                    self._first_bad.setdefault(name, number)
            self._counts[name] = self._counts.get(name, 0) + len(kept)
        self._values = {}

    def _write(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._add_up()
        self.latest = {f"train/{name}": total / self._counts[name] for name, total in self._sums.items()}
        examples = float(examples_seen(trainer))
        for trainer_logger in trainer.loggers:
            trainer_logger.log_metrics({**self.latest, "examples_seen": examples}, step=trainer.global_step)
        self._check(trainer, pl_module)
        self._sums, self._counts, self._count = {}, {}, 0

    def _check(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Validates the sums.

        Raises:
            FloatingPointError: If one is not finite.
        """
        if not self._first_bad:
            return
        name, number = min(self._first_bad.items(), key=lambda found: found[1])
        step = trainer.fit_loop.epoch_loop.total_batch_idx + 1 - (self._count - number)
        weights = bad_weights(trainer, pl_module)
        also = f", and so are the weights now ({listed(weights)})" if weights else ""
        network = pl_module.network_of(name) if isinstance(pl_module, GenerativeModule) else None
        of = f" (of the {network})" if network else ""
        raise FloatingPointError(
            f"train/{name}{of} is {self._sums[name]} after {examples_seen(trainer):,} examples, first in step"
            f" {step}{also}; {advice(trainer)}"
        )

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Saves the sums, so that a resumed run's curves have the same rows.

        Raises:
            FloatingPointError: If one is not finite.
        """
        self._add_up()
        self._check(trainer, pl_module)
        checkpoint["curves"] = {"sums": self._sums, "counts": self._counts, "count": self._count}

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Restores the sums."""
        saved = checkpoint.get("curves", {"sums": {}, "counts": {}, "count": 0})
        self._values, self._sums, self._counts = {}, dict(saved["sums"]), dict(saved["counts"])
        self._count = saved["count"]


def _numbers(values: list[Tensor]) -> Iterator[float]:
    """The values of scalar tensors in their order, with one read of each device."""
    devices = {value.device for value in values}
    read = {d: iter(torch.stack([v.float() for v in values if v.device == d]).tolist()) for d in devices}
    return (next(read[value.device]) for value in values)


def examples_seen(trainer: L.Trainer) -> int:
    """Number of training examples seen so far, as counted by :class:`Budget`."""
    return next((c.examples_seen for c in trainer.callbacks if isinstance(c, Budget)), 0)  # type: ignore[attr-defined]
