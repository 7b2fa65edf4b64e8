"""Saves the resolved configuration in the run's folder and in every checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L

from lit_gen.checkpoints import KEY
from lit_gen.errors import RUNS_OPTION, writing
from lit_gen.records.atomic import write_atomically


class KeepConfig(L.Callback):
    """Writes ``config.yaml`` before training and adds the same text to each checkpoint.

    A copied checkpoint can then be scored anywhere. Lightning's own hyperparameters would contain objects that
    can be saved but not loaded.

    Args:
        text: The configuration, as YAML.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes the file, on the first process."""
        if trainer.is_global_zero:
            file = Path(trainer.default_root_dir) / "config.yaml"
            with writing(file, RUNS_OPTION):
                write_atomically(file, self.text)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds the text."""
        checkpoint[KEY] = self.text
