"""A model small enough that what callbacks do to it can be worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from lit_gen.cli.process import quiet_logs
from lit_gen.contract import GenerativeModule
from lit_gen.data import DiscreteDataModule, Loader, Split
from lit_gen.likelihood import Likelihood
from lit_gen.noise import Noise

SHAPE, LEVELS = (1, 2, 2), 4


class Ramp(DiscreteDataModule):
    """Twelve training images, five of validation."""

    def __init__(self, batch_size: int = 4, num_train: int = 12) -> None:
        super().__init__(
            name="ramp", shape=SHAPE, num_levels=LEVELS, batch_size=batch_size, loader=Loader(eval_batch_size=2)
        )
        self.num_train = num_train

    def read(self) -> dict[str, Split]:  # type: ignore[override]
        sizes = {"train": self.num_train, "val": 5, "test": 5}
        return {name: Split(torch.arange(4 * n).view(n, *SHAPE).remainder(LEVELS).byte()) for name, n in sizes.items()}


class Counter(GenerativeModule):
    """Its one weight is the number of steps taken, its bystander's twice that: the loss's gradient is -1 and -2."""

    estimators = ("exact",)

    def __init__(self) -> None:
        super().__init__(SHAPE, LEVELS)
        self.net = nn.Linear(1, 1, bias=False)
        self.bystander = nn.BatchNorm1d(1)
        nn.init.zeros_(self.net.weight)
        nn.init.zeros_(self.bystander.weight)
        self.seen: dict[str, list[float]] = {"step": [], "epoch end": [], "sampled": []}

    @property
    def weight(self) -> float:
        return float(self.net.weight.detach())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        loss = -self.net.weight.sum() - 2 * self.bystander.weight.sum()
        return {"loss": loss, "twice": 2 * loss}

    def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> Likelihood:
        self.seen["step"].append(self.weight)
        return Likelihood(torch.full((len(x),), self.weight), "exact", "exact")

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self.seen["epoch end"].append(self.weight)

    def generate(self, noise: Noise, label: Tensor | None = None) -> Tensor:
        self.seen["sampled"].append(self.weight)
        return torch.full((len(noise), *SHAPE), round(self.weight) % LEVELS, dtype=torch.uint8)


def train(
    model: L.LightningModule, *callbacks: L.Callback, data: Ramp | None = None, ckpt: Path | None = None, **options: Any
) -> L.Trainer:
    """Trains quietly on the CPU; two epochs of three steps unless told otherwise."""
    settings: dict[str, Any] = {
        "accelerator": "cpu",
        "max_epochs": 2,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "num_sanity_val_steps": 0,
        "inference_mode": False,
    }
    quiet_logs()
    trainer = L.Trainer(**{**settings, **options}, callbacks=list(callbacks))
    trainer.fit(model, data or Ramp(), ckpt_path=ckpt)
    return trainer
