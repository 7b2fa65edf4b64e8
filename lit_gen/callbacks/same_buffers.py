"""Synchronizes buffers between processes before a validation."""

from __future__ import annotations

import lightning as L
import torch

from lit_gen.callbacks.ema import EMA


class SameBuffers(L.Callback):
    """Broadcasts the first process's buffers, and their averages, at the start of a validation.

    Distributed training keeps weights equal, but buffers, such as batch norm's statistics, differ between processes
    until the next step. Each process would score its share of the samples with a network that no checkpoint contains.
    """

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Broadcasts from the first process, both the tensors in the module and the stored ones."""
        if trainer.world_size == 1:
            return
        buffers = dict(pl_module.named_buffers())
        ema = next((c for c in trainer.callbacks if isinstance(c, EMA)), None)  # type: ignore[attr-defined]
        averages = [tensor for name, tensor in ema.average.items() if name in buffers] if ema else []
        for tensor in [*buffers.values(), *averages]:
            torch.distributed.broadcast(tensor, src=0)
