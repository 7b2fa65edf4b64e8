"""Saves the resolved configuration in the run's folder and in every checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import yaml

from lit_gen.checkpoints import KEY
from lit_gen.contract import GenerativeModule
from lit_gen.errors import RUNS_OPTION, writing
from lit_gen.records.atomic import write_atomically

_BUILDER = "lightning.pytorch.cli.instantiate_module"  # parses the values again, so that they become objects


class KeepConfig(L.Callback):
    """Writes ``config.yaml`` before training and adds the same text to each checkpoint.

    A copied checkpoint can then be scored anywhere. The model's arguments are added under Lightning's own key too, as
    plain values: ``VAE.load_from_checkpoint(path)`` builds the model, with its raw weights.

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
        """Adds the text, and the model's arguments with those that are linked from the data."""
        checkpoint[KEY] = self.text
        model: dict[str, Any] = (yaml.safe_load(self.text) or {}).get("model") or {}
        if "class_path" in model and isinstance(pl_module, GenerativeModule):
            checkpoint[pl_module.CHECKPOINT_HYPER_PARAMS_KEY] = {
                **(model.get("init_args") or {}),
                "shape": list(pl_module.shape),
                "num_levels": pl_module.num_levels,
                "_class_path": model["class_path"],
                "_instantiator": _BUILDER,
            }
