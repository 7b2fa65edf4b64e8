"""Our flows as contestants: a callback that makes ``fit`` take turns, and a program that draws samples.

    python -m benchmarks.flow_ours realnvp|nsf|maf
"""

from __future__ import annotations

import itertools
import math
import sys
from typing import Any

import lightning as L

from benchmarks.turns import is_over, take_turns, tell, wait_for_turn
from lit_gen.contract import GenerativeModule
from lit_gen.families import MAF, MLPRealNVP, MLPSplineFlow
from lit_gen.likelihood import bits_per_dim
from lit_gen.nets import MLPCouplings
from lit_gen.process import quicken

OPTIONS = {
    "realnvp": ["--model=MLPRealNVP", "--model.num_couplings=8", "--model.nets.hidden_sizes=[512,512]"],
    "nsf": [
        *("--model=MLPSplineFlow", "--model.num_couplings=4", "--model.num_bins=8", "--model.bound=3"),
        "--model.nets.hidden_sizes=[256,256]",
    ],
    "maf": ["--model=MAF", "--model.num_layers=5", "--model.hidden_sizes=[512,512]"],
}


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
            tell(self.images, self.since, count(pl_module), bits_per_dim(float(outputs["loss"]), pl_module.shape))
            self.images, self.since = 0, wait_for_turn()


def build(arch: str) -> GenerativeModule:
    """The model of the options above."""
    if arch == "realnvp":
        return MLPRealNVP((1, 28, 28), 256, num_couplings=8, nets=MLPCouplings((512, 512)))
    if arch == "nsf":
        return MLPSplineFlow((1, 28, 28), 256, num_couplings=4, num_bins=8, bound=3, nets=MLPCouplings((256, 256)))
    return MAF((1, 28, 28), 256, num_layers=5, hidden_sizes=(512, 512))


def count(model: L.LightningModule) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


if __name__ == "__main__":
    quicken(["--trainer.accelerator=cpu"])
    model, seeds = build(sys.argv[1]), itertools.count()
    take_turns(lambda: len(model.sample(64, seed=next(seeds))), count(model), lambda: math.nan)
