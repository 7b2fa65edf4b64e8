"""Our ``fit`` as a contestant: a callback that makes it take turns."""

from __future__ import annotations

from typing import Any

import lightning as L

from benchmarks.turns import is_over, tell, wait_for_turn
from lit_gen.contract import GenerativeModule
from lit_gen.likelihood import bits_per_dim


class Turns(L.Callback):
    """Stands last among the callbacks of a training, and stops it between windows."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.images, self.since = 0, wait_for_turn()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.images += len(batch[0])
        if is_over(self.since):
            assert isinstance(pl_module, GenerativeModule)
            tell(self.images, self.since, count(pl_module), self.bpd(float(outputs["loss"]), pl_module.shape))
            self.images, self.since = 0, wait_for_turn()

    def bpd(self, loss: float, shape: tuple[int, ...]) -> float:
        """What a loss in nats an image is in bits a dimension."""
        return bits_per_dim(loss, shape)


def count(model: L.LightningModule) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
