"""Samples to look at: a grid of images, a page of text, recordings to listen to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
from torch import Tensor

from lit_gen.callbacks.curves import examples_seen
from lit_gen.contract import GenerativeModule
from lit_gen.errors import UserError
from lit_gen.media.recordings import players
from lit_gen.media.sample_files import can_show, modality_of, write_samples
from lit_gen.media.texts import excerpt


class SampleGrid(L.Callback):
    """Writes samples at each validation: always of the same noise, so that they compare.

    What is written depends on what the data say they are: ``samples/<examples seen>.png`` for images, a grid;
    ``.txt`` for text, of which the first is printed too; ``-<i>.wav`` for audio, one a sample. W&B shows
    them as ``samples``, audio as ``samples/<i>``.

    Args:
        num_samples: Samples in the grid; 0 for none; null for 64 images, or 8 texts or recordings.
        seed: Names their noise.

    Attributes:
        latest: What was written last.
    """

    def __init__(self, num_samples: int | None = None, seed: int = 0) -> None:
        if num_samples is not None and num_samples < 0:
            raise UserError(f"grid.num_samples is {num_samples}; give 0 for no grid")
        self.num_samples = num_samples
        self.seed = seed
        self.latest: list[Path] = []

    def count(self, data: Any) -> int:
        """How many samples are drawn for these data."""
        usual = 64 if modality_of(data) == "image" else 8
        return usual if self.num_samples is None else self.num_samples

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draws on the first process alone; the others have nothing to wait for."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        wanted = self.count(data) and trainer.is_global_zero and not trainer.sanity_checking
        if not wanted or not isinstance(pl_module, GenerativeModule) or not can_show(pl_module.shape, data):
            return
        with trainer.precision_plugin.forward_context():
            x = pl_module.sample(self.count(data), seed=self.seed)
        stem = Path(trainer.default_root_dir) / "samples" / f"{examples_seen(trainer):010d}"
        self.latest = write_samples(x, pl_module.num_levels, data, stem)
        if modality_of(data) == "text":
            _say(trainer, f"a sample after {examples_seen(trainer):,} windows:\n{excerpt(data.decode(x[0]))}")
        self._log(trainer, x, data)

    def _log(self, trainer: L.Trainer, x: Tensor, data: Any) -> None:
        """Gives W&B's logger a picture, a table of texts, or players; others take no media."""
        method, step = f"log_{modality_of(data)}", trainer.global_step
        loggers: list[Any] = [logger for logger in trainer.loggers if hasattr(logger, method)]
        for logger in loggers:
            # A medium's row cannot hold its axis; W&B fills in the last value it was told.
            logger.log_metrics({"examples_seen": float(examples_seen(trainer))}, step=step)
            if method == "log_text":
                logger.log_text("samples", columns=["sample"], data=[[data.decode(row)] for row in x], step=step)
            elif method == "log_audio":
                logger.log_metrics(players(self.latest), step=step)
            else:
                logger.log_image("samples", [str(path) for path in self.latest], step=step)


def _say(trainer: L.Trainer, text: str) -> None:
    """Prints, above the progress bar where there is one."""
    bar: Any = trainer.progress_bar_callback
    (print if bar is None else bar.print)(text)
