"""The examples to score, as the test sets of a data module."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch

from lit_gen.data import DiscreteDataModule
from lit_gen.scoring.scorer import Scorer


class ScoredParts(L.LightningDataModule):
    """Data module whose test sets are the examples to score."""

    def __init__(self, data: DiscreteDataModule, scorer: Scorer) -> None:
        super().__init__()
        self.data, self.scorer, self.scored_split = data, scorer, scorer.scoring.split
        self.name = data.name
        self.split = data.split

    def test_dataloader(self) -> Any:
        """A loader for each part, in their order."""
        trainer: Any = self.trainer
        self.data.trainer = trainer
        if not self.scorer.parts:  # samples alone: one example for each process, since without any no hook is called
            return self.data.eval_loader(self.scored_split, torch.zeros(trainer.world_size, dtype=torch.int64))
        return [self.data.eval_loader(part.split, part.rows) for part in self.scorer.parts]
