"""One network on all processes when they share a validation."""

from __future__ import annotations

import lightning as L
import torch

from lit_gen.callbacks.ema import EMA


class SameBuffers(L.Callback):
    """Gives every process the first one's buffers, and its average of them, when a validation starts.

    Distributed training keeps weights equal, but buffers, such as batch norm's statistics, are each process's own
    until the next step begins. Each would score its share of the samples with a network that no checkpoint holds.
    """

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Sends them from the first process, whichever of live tensors and average stand in the module."""
        if trainer.world_size == 1:
            return
        buffers = dict(pl_module.named_buffers())
        ema = next((c for c in trainer.callbacks if isinstance(c, EMA)), None)  # type: ignore[attr-defined]
        averages = [tensor for name, tensor in ema.average.items() if name in buffers] if ema else []
        for tensor in [*buffers.values(), *averages]:
            torch.distributed.broadcast(tensor, src=0)
