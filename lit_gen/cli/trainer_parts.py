"""What every training run's Trainer is given beside the user's own callbacks and plugins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import Callback

from lit_gen.callbacks import (
    Curves,
    Diagnostics,
    EndState,
    Interrupt,
    KeepConfig,
    KeepData,
    KeepMetrics,
    Rescue,
    SameBuffers,
    StepSeed,
    SummaryTable,
    Throughput,
    TimeNeeded,
)
from lit_gen.data import DiscreteDataModule
from lit_gen.data.example_hashes import TRAIN_EXAMPLES
from lit_gen.runs.checkpoint_file import WholeCheckpointIO
from lit_gen.runs.record_files import run_folder_of
from lit_gen.scoring.settings import Scoring


def run_callbacks(
    configured: Sequence[Callback],
    config_text: str,
    seed: int,
    kept: KeepData,
    others: Sequence[Callback],
    scoring: Scoring,
) -> list[Callback]:
    """All callbacks of a training run in their order, without the user's own.

    Args:
        configured: Those with options.
        config_text: The resolved configuration, for checkpoints and the run's folder.
        seed: Seed of the training.
        kept: Keeps what is known of the data.
        others: The progress bar and the compilation, if any.
        scoring: Options of the final scores.
    """
    own = [KeepConfig(config_text), kept, StepSeed(seed), SameBuffers(), Curves(), Diagnostics(), KeepMetrics()]
    clock = Throughput()
    # The end's state is written before the best checkpoint, which the last validation may replace.
    return [EndState(), *configured, *own, TimeNeeded(scoring, clock), clock, Interrupt(), SummaryTable(), *others,
            Rescue()]


def kept_data(folder: Path, data: DiscreteDataModule, weights: str | None) -> KeepData:
    """Keeps hashes of the training examples, and those of the run whose weights this one starts from."""
    earlier = run_folder_of(Path(weights)) / TRAIN_EXAMPLES if weights is not None else None
    return KeepData(folder / TRAIN_EXAMPLES, data.train_hashes, earlier)


def with_whole_checkpoints(plugins: list[Any], strategy: str) -> list[Any]:
    """The plugins, with one that writes checkpoints whole or not at all if the strategy writes single files."""
    usual = strategy.startswith(("auto", "ddp"))
    if usual and not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
        return [*plugins, WholeCheckpointIO()]
    return plugins
