"""Checkpoints: the best by validation, and the last."""

from __future__ import annotations

import math
import os
import shutil
import time
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from lit_gen.callbacks.budget import Budget
from lit_gen.callbacks.divergence import check_weights
from lit_gen.callbacks.kept_files import KEEPS, Keep, announce
from lit_gen.callbacks.sample_quality import SampleQuality
from lit_gen.callbacks.throughput import Throughput
from lit_gen.callbacks.validations import validation_follows
from lit_gen.checkpoints import is_readable
from lit_gen.contract import GenerativeModule
from lit_gen.errors import RUNS_OPTION, UserError, nearest, writing
from lit_gen.records.atomic import atomic_file
from lit_gen.records.validation import Validation, thinned

_BATCHES_BETWEEN_LOOKS = 50  # at the clock with several processes, which have to communicate


class BestCheckpoint(ModelCheckpoint):
    """Keeps the checkpoint with the best validation score as ``best.ckpt``, and the newest as ``last.ckpt``.

    ``last.ckpt`` is for resuming: every validation writes it, whether or not it is a new best, and so does the
    end of training. A validation that did not compute the monitored score, or computed NaN or infinity, is not a
    candidate. No checkpoint is written with weights that are not finite, raw or averaged: training ends instead.

    Args:
        monitor: Name of the score to select by; if not given, ``val/bpd`` for a family with a likelihood, and the
            first score of the samples for others.
        mode: Whether smaller (``min``) or larger (``max``) scores are better.
        save_top_k: Number of best checkpoints to keep; -1 for all.
        every_minutes: Also writes ``last.ckpt`` between validations when it is this old, so that a kill loses no more;
            such a checkpoint is never selected as the best. None: only validations and the end write it.
        keep: Which checkpoints stay once the run has been scored: ``best+last``, ``best``, ``last`` or ``none``. A run
            without the scored one cannot be verified, one without the last cannot be trained further.

    Raises:
        UserError: If ``every_minutes`` is not positive, ``keep`` is none of these values, or no validation logs the
            monitored score.
        FloatingPointError: If weights are not finite before a validation or a checkpoint.
    """

    def __init__(
        self,
        monitor: str | None = None,
        mode: Literal["min", "max"] = "min",
        save_top_k: int = 1,
        every_minutes: float | None = 10.0,
        keep: Keep = "best+last",
    ) -> None:
        if keep not in KEEPS:
            raise UserError(f"checkpoint.keep is '{keep}'; it is one of {', '.join(KEEPS)}")
        if every_minutes is not None and not every_minutes > 0:
            raise UserError(f"checkpoint.every_minutes is {every_minutes}; give a positive number, or null")
        super().__init__(
            filename="best" if save_top_k == 1 else "best-{step}",
            monitor=monitor or "val/bpd",
            mode=mode,
            save_top_k=save_top_k,
            save_last=True,
            auto_insert_metric_name=False,
            enable_version_counter=False,
            save_on_train_epoch_end=False,
        )
        self.every_minutes = every_minutes
        self.keep = keep
        self._written_at = math.inf
        self._due = False
        self._chosen_by_user = monitor is not None
        self.candidates = 0
        self.validations: list[Validation] = []
        self.last_value: float | None = None
        self._end_written = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Chooses the monitored score, now that the family is known."""
        if not self._chosen_by_user and isinstance(pl_module, GenerativeModule) and not pl_module.estimators:
            device = trainer.strategy.root_device.type
            callbacks = trainer.callbacks  # type: ignore[attr-defined]
            on = (c for c in callbacks if isinstance(c, SampleQuality) and c.is_on(device))
            self.monitor_first_score(next(on, None))
        super().setup(trainer, pl_module, stage)

    def monitor_first_score(self, quality: SampleQuality | None) -> None:
        """Selects by the first score of the samples, in its own direction; without scores by the last checkpoint."""
        names = quality.score_names if quality is not None else []
        self.monitor = names[0] if names else None
        if self.monitor is None:
            self.save_top_k = 0
        elif quality is not None and quality.first_score_is_higher_better:
            self.mode, self.kth_value = "max", torch.tensor(-torch.inf)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock, and prints what the checkpoints will take on the disk."""
        super().on_train_start(trainer, pl_module)
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            announce(trainer, pl_module, self, self.keep)
        self._written_at = time.monotonic()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Writes ``last.ckpt`` if it is too old; the first process's clock decides for all."""
        if self.every_minutes is None or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if trainer.world_size == 1 or trainer.fit_loop.epoch_loop.total_batch_idx % _BATCHES_BETWEEN_LOOKS == 0:
            old = time.monotonic() - self._written_at >= 60 * self.every_minutes
            self._due = bool(trainer.strategy.broadcast(self._due or old))
        # A checkpoint has no gradients: one written during accumulation would lose some. If a validation follows, it
        # writes the checkpoint: a run resumed from one before it would not validate here.
        if self._due and not trainer.fit_loop._should_accumulate() and not validation_follows(trainer):
            before = self._last_global_step_saved
            self._write_last(trainer)
            # Lightning skips steps that it has saved, and would skip the next validation.
            self._last_global_step_saved = before

    def _write_last(self, trainer: L.Trainer) -> None:
        self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
        self._written_at, self._due = time.monotonic(), False

    def write_end(self, trainer: L.Trainer) -> None:
        """Writes ``last.ckpt`` for the last time: what follows is not part of the state to continue from."""
        before = self._last_global_step_saved
        self._write_last(trainer)
        self._last_global_step_saved = before  # the last validation may still write the best
        self._end_written = True

    def keep_end(self, trainer: L.Trainer) -> None:
        """Keeps the checkpoint that training continues from as ``last.ckpt``."""
        assert self.dirpath is not None
        last = Path(self.dirpath) / "last.ckpt"
        if trainer.ckpt_path is not None and Path(trainer.ckpt_path) != last:
            copy_checkpoint(Path(trainer.ckpt_path), last)
        self.last_model_path, self._end_written = str(last), True

    def _save_last_checkpoint(self, trainer: L.Trainer, monitor_candidates: dict[str, torch.Tensor]) -> None:
        if not self._end_written:
            super()._save_last_checkpoint(trainer, monitor_candidates)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Validates the weights: a validation of NaN takes long and may fail with another error."""
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            check_weights(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Validates the weights before any checkpoint of the run."""
        check_weights(trainer, pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Counts the candidates while selecting, and always writes ``last.ckpt``."""
        unscored = self._unscored(trainer)
        if not trainer.sanity_checking:  # before any file is written, whose state it is part of
            last = None if unscored else trainer.callback_metrics.get(self.monitor or "")
            self.last_value = None if last is None else float(last)
        if not unscored:
            self._choose(trainer, pl_module)
        if not self._should_skip_saving_checkpoint(trainer):
            self._write_last(trainer)

    def _unscored(self, trainer: L.Trainer) -> bool:
        """Whether this validation left out the monitored score, so that Lightning still has an older value."""
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        return any(isinstance(c, SampleQuality) and c.left_out(self.monitor) for c in callbacks)

    def _choose(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.sanity_checking and self.monitor is not None:
            logged = [name for name in trainer.callback_metrics if name.startswith("val/")]
            if self._chosen_by_user and self.monitor not in trainer.callback_metrics:
                hint = nearest(self.monitor, logged) or f" (there are: {', '.join(sorted(logged))})"
                raise UserError(f"checkpoint.monitor: validation logs no '{self.monitor}'{hint}")
            value = trainer.callback_metrics.get(self.monitor)
            if value is not None and not value.isfinite():  # a first best is kept whatever its value
                rank_zero_info(f"{self.monitor} is {float(value)} in step {trainer.global_step}: it cannot be the best")
                return
            self.candidates += value is not None
            if value is not None:
                self.validations.append(_validation(trainer, float(value)))
        super().on_validation_end(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes the latest state, if training continued after the last validation."""
        super().on_train_end(trainer, pl_module)
        if not self._should_skip_saving_checkpoint(trainer):
            self._write_last(trainer)

    def selection(self, trainer: L.Trainer, path: Path) -> dict[str, Any]:
        """How the final checkpoint was selected, for the record's ``selection``."""
        step = torch.load(path, map_location="cpu", weights_only=True)["global_step"]
        sweep = os.environ.get("WANDB_SWEEP_ID")
        trial = {"sweep": sweep} if sweep else {}
        if not self.best_model_path:
            return {"rule": "last", "checkpoint": path.name, "step": step, **trial}
        return {
            "rule": f"best {self.monitor} of {self.candidates}",
            "checkpoint": path.name,
            "step": step,
            "metric": self.monitor,
            "value": float(self.best_model_score) if self.best_model_score is not None else None,
            "last_value": self.last_value,
            "candidates": self.candidates,
            "higher_is_better": self.mode == "max",
            "validations": _rows(thinned(self.validations)),
            **trial,
        }

    def state_dict(self) -> dict[str, Any]:
        """Lightning's own state, the candidates, and the score of the latest validation."""
        own = {"candidates": self.candidates, "last_value": self.last_value, "validations": _rows(self.validations)}
        return {**super().state_dict(), **own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores these from a checkpoint; the best so far is copied into this run's folder and stays the best.

        Lightning forgets the best of a run that is resumed in another folder, and would accept a worse one.
        """
        state = {**state_dict}
        self.candidates = state.pop("candidates", 0)
        self.last_value = state.pop("last_value", None)
        self.validations = [Validation(**row) for row in state.pop("validations", [])]
        super().load_state_dict(self._moved(state))

    def _moved(self, state: dict[str, Any]) -> dict[str, Any]:
        assert self.dirpath is not None
        here: dict[str, str] = {}
        for old in state["best_k_models"]:
            new = Path(self.dirpath) / Path(old).name
            # A file that is here already is that of this run, whose folder may have been moved or copied.
            if is_readable(new):
                here[old] = str(new)
            elif is_readable(Path(old)):
                here[old] = str(new)
                copy_checkpoint(Path(old), new)
        kept = {here[old]: score for old, score in state["best_k_models"].items() if old in here}
        best = here.get(state["best_model_path"], "")
        return state | {
            "dirpath": self.dirpath,
            "best_k_models": kept,
            "best_model_path": best,
            "best_model_score": state["best_model_score"] if best else None,
            "kth_best_model_path": here.get(state["kth_best_model_path"], ""),
            "last_model_path": str(last) if (last := Path(self.dirpath) / "last.ckpt").is_file() else "",
        }


def _validation(trainer: L.Trainer, value: float) -> Validation:
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    seconds = next((c.seconds for c in callbacks if isinstance(c, Throughput)), None)
    examples = next((c.examples_seen for c in callbacks if isinstance(c, Budget)), 0)
    return Validation(examples_seen=examples, value=value, seconds=seconds)


def _rows(validations: list[Validation]) -> list[dict[str, Any]]:
    return [{"examples_seen": v.examples_seen, "value": v.value, "seconds": v.seconds} for v in validations]


@rank_zero_only
def copy_checkpoint(old: Path, new: Path) -> None:
    """Copies a checkpoint's file, on the first process."""
    with writing(new, RUNS_OPTION), atomic_file(new) as temporary:
        shutil.copyfile(old, temporary)
