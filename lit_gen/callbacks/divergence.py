"""Errors of a training whose loss or weights are no longer finite."""

from __future__ import annotations

from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_gen.callbacks.ema import EMA
from lit_gen.checkpoints import listed, not_finite


def check_weights(trainer: L.Trainer, pl_module: L.LightningModule) -> None:
    """Validates that raw and averaged weights are finite; the host waits for the device once or twice.

    Raises:
        FloatingPointError: If they are not; it names a tensor, the step and the last good checkpoint.
    """
    names = bad_weights(trainer, pl_module)
    if names:
        raise FloatingPointError(
            f"the weights are NaN or infinite in step {trainer.global_step} ({listed(names)}); {advice(trainer)}"
        )


def bad_weights(trainer: L.Trainer, pl_module: L.LightningModule) -> list[str]:
    """Names of raw and averaged weights that are not finite."""
    ema = next((c for c in trainer.callbacks if isinstance(c, EMA)), None)  # type: ignore[attr-defined]
    raw, average = ema.raw_and_average(pl_module) if ema is not None else (pl_module.state_dict(), {})
    return [*not_finite(raw), *(f"the average of {name}" for name in not_finite(average))]


def advice(trainer: L.Trainer) -> str:
    """What to do about it, and the checkpoint to go on from."""
    good = last_good_checkpoint(trainer)
    where = f"the last good checkpoint is {good}" if good is not None else "no checkpoint was written before"
    return f"{where}; try a lower learning rate or gradient clipping"


def last_good_checkpoint(trainer: L.Trainer) -> Path | None:
    """The newest checkpoint of the run, or the one it was resumed from; all of them have finite weights."""
    keep = next((c for c in trainer.callbacks if isinstance(c, ModelCheckpoint)), None)  # type: ignore[attr-defined]
    written = [keep.last_model_path, keep.best_model_path] if keep is not None else []
    candidates = [Path(path) for path in (*written, trainer.ckpt_path) if path]
    return next((path for path in candidates if path.is_file()), None)
