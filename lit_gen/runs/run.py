"""A run as a value: the objects that a command line, or a program, has built."""

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
    """What is trained or scored, by what, and where its files are.

    Attributes:
        model: The model.
        data: The data.
        trainer: The Trainer, with its callbacks and loggers.
        scoring: Protocol of the final scores.
        quality: Feature space and statistics of the sample scores.
        grid: Which samples are written to be looked at.
        ema: The average over training.
        seed: Seed of the training.
        config: The resolved configuration as YAML, which checkpoints and the run's folder keep.
        trainer_options: The user's own words for the Trainer, such as ``devices``.
        folder: The run's folder; None where nothing is trained.
        checkpoint: Checkpoint that training goes on from; None for a new run.
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
