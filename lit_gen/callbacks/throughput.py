"""Measures what training takes: seconds, examples per second, memory."""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

import lightning as L
import torch

from lit_gen.checkpoints import THROUGHPUT_STATE


class Throughput(L.Callback):
    """Measures the wall time of training without validation, over all sessions of training of a run.

    Attributes:
        train_seconds: Wall time in training steps and between them, without validation, scoring and
            start-up.
    """

    def __init__(self) -> None:
        self.train_seconds = 0.0
        self._since: float | None = None

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
        """Seconds so far, for the checkpoint."""
        return {"train_seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the seconds from a checkpoint."""
        self.train_seconds = state_dict["train_seconds"]


def peak_memory_bytes(device: torch.device) -> int:
    """Peak memory: the device's allocations on a GPU, the process's resident set on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
