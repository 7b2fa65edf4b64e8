"""Samples to look at: a grid of images, a page of text, recordings to listen to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
from torch import Tensor

from lit_gen.callbacks.above_bar import print_above
from lit_gen.callbacks.curves import examples_seen
from lit_gen.contract import GenerativeModule
from lit_gen.errors import FileError, UserError, print_warning
from lit_gen.media.recordings import players
from lit_gen.media.sample_files import can_show, modality_of, write_samples
from lit_gen.media.texts import excerpt

MOST_SAMPLES = 10_000
"""Largest number of samples in one file."""


class SampleGrid(L.Callback):
    """Writes samples at each validation, always from the same noise, so that they are comparable.

    The format depends on the modality of the data: ``samples/<examples seen>.png`` for images, a grid;
    ``.txt`` for text, of which the first is also printed; ``-<i>.wav`` for audio, one per sample. W&B shows
    them as ``samples``, audio as ``samples/<i>``.

    Args:
        num_samples: Number of samples; 0 for none; null for 64 images, or 8 texts or recordings.
        seed: Seed of their noise.

    Attributes:
        latest: Files written last.
    """

    def __init__(self, num_samples: int | None = None, seed: int = 0) -> None:
        if num_samples is not None and not 0 <= num_samples <= MOST_SAMPLES:
            raise UserError(f"grid.num_samples is {num_samples}; give 0 for no grid, and {MOST_SAMPLES:,} at most")
        if not 0 <= seed < 2**63:
            raise UserError(f"grid.seed is {seed}; give a whole number from 0 to 2**63 - 1")
        self.num_samples = num_samples
        self.seed = seed
        self.latest: list[Path] = []
        self._warned = False

    def count(self, data: Any) -> int:
        """Number of samples to draw for these data."""
        usual = 64 if modality_of(data) == "image" else 8
        return usual if self.num_samples is None else self.num_samples

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draws samples on the first process only; the others do not wait.

        Samples that cannot be written do not end training: the first failure is a warning.
        """
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        wanted = self.count(data) and trainer.is_global_zero and not trainer.sanity_checking
        if not wanted or not isinstance(pl_module, GenerativeModule) or not can_show(pl_module.shape, data):
            return
        with trainer.precision_plugin.forward_context():
            x = pl_module.sample(self.count(data), seed=self.seed)
        stem = Path(trainer.default_root_dir) / "samples" / f"{examples_seen(trainer):010d}"
        try:
            stem.parent.mkdir(exist_ok=True)  # the run's own folder may have been deleted, and stays so
            self.latest = write_samples(x, pl_module.num_levels, data, stem)
        except OSError as error:
            self._warn(FileError(error, stem))
            return
        if modality_of(data) == "text":
            print_above(trainer, f"a sample after {examples_seen(trainer):,} windows:\n{excerpt(data.decode(x[0]))}")
        self._log(trainer, x, data)

    def _warn(self, reason: FileError) -> None:
        if not self._warned:
            print_warning(f"training continues without samples: {reason}")
        self._warned = True

    def _log(self, trainer: L.Trainer, x: Tensor, data: Any) -> None:
        """Logs an image, a table of texts, or audio files to W&B; other loggers do not support media."""
        method, step = f"log_{modality_of(data)}", trainer.global_step
        loggers: list[Any] = [logger for logger in trainer.loggers if hasattr(logger, method)]
        for logger in loggers:
            # A row of media has no x-axis value; W&B uses the last value that was logged.
            logger.log_metrics({"examples_seen": float(examples_seen(trainer))}, step=step)
            if method == "log_text":
                logger.log_text("samples", columns=["sample"], data=[[data.decode(row)] for row in x], step=step)
            elif method == "log_audio":
                logger.log_metrics(players(self.latest), step=step)
            else:
                logger.log_image("samples", [str(path) for path in self.latest], step=step)
