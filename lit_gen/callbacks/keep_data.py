"""Keeps what a run was trained and validated on: fingerprints in each checkpoint, hashes of examples in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np

from lit_gen.checkpoints import DATA
from lit_gen.records.atomic import atomic_file


class KeepData(L.Callback):
    """Adds the data's name and fingerprints to each checkpoint, and writes sorted hashes of the training examples.

    Args:
        file: File of the hashes, in the run's folder.
        hashes: Function that returns the hashes of the training examples, uint64 ``[N]``; None if they are too many.
        earlier: File of the hashes of the run whose weights this one starts from; they are added.
    """

    def __init__(self, file: Path, hashes: Any, earlier: Path | None = None) -> None:
        self.file, self.hashes, self.earlier = file, hashes, earlier

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes the hashes, on the first process; a resumed run has them."""
        if not trainer.is_global_zero or self.file.is_file():
            return
        found = self.hashes()
        if found is None:
            return
        if self.earlier is not None and self.earlier.is_file():
            found = np.concatenate([found, np.load(self.earlier, allow_pickle=False)])
        with atomic_file(self.file) as temporary, temporary.open("wb") as stream:
            np.save(stream, np.unique(found))

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds the name, fingerprints of the training and validation splits, characters of text, names of classes."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        kept: dict[str, Any] = {"name": data.name, **{split: data.identity(split) for split in ("train", "val")}}
        if symbols := getattr(data, "symbols", ""):
            kept["symbols"] = symbols
        if names := getattr(data, "class_names", ()):
            kept["class_names"] = list(names)
        checkpoint[DATA] = kept
