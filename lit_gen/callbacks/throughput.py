"""Measures what training takes: seconds, examples per second, memory, operations."""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

import lightning as L
import torch

from lit_gen.callbacks.compile import Compile
from lit_gen.callbacks.flop_counter import FlopCounter
from lit_gen.checkpoints import THROUGHPUT_STATE


class Throughput(L.Callback):
    """Measures the wall time of training without validation, over all sessions of training of a run.

    Attributes:
        train_seconds: Wall time in training steps and between them, without validation, scoring and
            start-up.
        flops_per_example: Floating-point operations of a training step for each of its examples, forwards and
            backwards, as counted in the first steps of the run; None where they cannot be counted.
    """

    def __init__(self) -> None:
        self.train_seconds = 0.0
        self._since: float | None = None
        self.flops_per_example: int | None = None
        self._counter: FlopCounter | None = None
        self._counted = [0, 0, 0]  # batches, examples and operations

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Counts the operations of the first steps, one of each network that is updated in turn."""
        # A compiled network runs no operators of its own.
        compiled = any(isinstance(c, Compile) for c in trainer.callbacks)  # type: ignore[attr-defined]
        if self.flops_per_example is None and not compiled and self._counted[0] < _period(pl_module):
            self._counter = FlopCounter()
            self._counter.__enter__()
            self._counted[1] += len(batch[0]) if isinstance(batch, list | tuple) else len(batch)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ends the count of a step."""
        counter = self._counter
        if counter is None:
            return
        self._stop_counting()
        self._counted[0] += 1 if counter.complete else _period(pl_module) + 1  # an incomplete count is none
        self._counted[2] += counter.flops
        if self._counted[0] == _period(pl_module) and self._counted[1]:
            self.flops_per_example = round(self._counted[2] / self._counted[1])

    def _stop_counting(self) -> None:
        if self._counter is not None:
            self._counter.__exit__(None, None, None)
            self._counter = None

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Ends the count of a step that failed."""
        self._stop_counting()

    def resume(self, trainer: L.Trainer) -> None:
        """Starts the clock."""
        self._since = time.perf_counter()

    def pause(self, trainer: L.Trainer) -> None:
        """Stops the clock; on a GPU, once its work is done."""
        if self._since is not None:
            if trainer.strategy.root_device.type == "cuda":
                torch.cuda.synchronize()
            self.train_seconds += time.perf_counter() - self._since
            self._since = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock."""
        self.resume(trainer)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stops the clock."""
        self.pause(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Restarts the clock."""
        if trainer.training or trainer.state.fn == "fit":
            self.resume(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stops the clock."""
        self.pause(trainer)

    @property
    def seconds(self) -> float:
        """Seconds so far, including the current interval."""
        return self.train_seconds + (time.perf_counter() - self._since if self._since is not None else 0.0)

    @property
    def state_key(self) -> str:
        """Entry of a checkpoint's ``callbacks``."""
        return THROUGHPUT_STATE

    def state_dict(self) -> dict[str, Any]:
        """Seconds so far, and the operations of a step, for the checkpoint."""
        return {"train_seconds": self.seconds, "flops_per_example": self.flops_per_example}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores them from a checkpoint."""
        self.train_seconds = state_dict["train_seconds"]
        self.flops_per_example = state_dict.get("flops_per_example")


def _period(model: L.LightningModule) -> int:
    return getattr(model, "update_period", 1)


def peak_memory_bytes(device: torch.device) -> int:
    """Peak memory: the device's allocations on a GPU, the process's resident set on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
