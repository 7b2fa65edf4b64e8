"""The objects of a run, built from a command line or by a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L

from lit_gen.callbacks import EMA, SampleGrid, SampleQuality
from lit_gen.contract import GenerativeModule
from lit_gen.data import DiscreteDataModule
from lit_gen.scoring.settings import Scoring


@dataclass(frozen=True)
class Run:
    """The objects of a training or evaluation run, and the paths of its files.

    Attributes:
        model: The model.
        data: The data.
        trainer: The Trainer, with its callbacks and loggers.
        scoring: Protocol of the final scores.
        quality: Feature space and statistics of the sample scores.
        grid: Callback that writes samples for inspection.
        ema: Moving average of the weights.
        seed: Seed of the training.
        config: The resolved configuration as YAML, which checkpoints and the run's folder keep.
        trainer_options: The user's options for the Trainer, such as ``devices``.
        folder: The run's folder; None if nothing is trained.
        checkpoint: Checkpoint to resume training from; None for a new run.
        resumed: Whether an earlier run is continued in its own folder.
    """

    model: GenerativeModule
    data: DiscreteDataModule
    trainer: L.Trainer
    scoring: Scoring
    quality: SampleQuality
    grid: SampleGrid
    ema: EMA
    seed: int
    config: str
    trainer_options: Mapping[str, Any]
    folder: Path | None = None
    checkpoint: Path | None = None
    resumed: bool = False
