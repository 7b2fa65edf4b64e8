"""The best checkpoint by validation, and the last; and reading them."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only

from lit_gen.callbacks.keep_config import KEY
from lit_gen.callbacks.sample_quality import SampleQuality
from lit_gen.contract import GenerativeModule
from lit_gen.errors import UserError, nearest


class BestCheckpoint(ModelCheckpoint):
    """Keeps the checkpoint with the best validation score as ``best.ckpt``, and the newest as ``last.ckpt``.

    Args:
        monitor: The score to choose by; if not given, ``val/bpd`` for a family that has a likelihood and the
            Frechet distance for one that has none.
        mode: Whether the smaller (``min``) or the larger (``max``) is better.
        save_top_k: How many of the best to keep; -1 for all.
        save_last: Keep the newest too; a run is resumed from it.
        every_n_train_steps: Also write ``last.ckpt`` every so many steps, validation or not.
        train_time_interval_minutes: Also write it after so many minutes.

    Raises:
        UserError: Neither the best nor the last would be kept, or no validation logs what is monitored.
    """

    def __init__(
        self,
        monitor: str | None = None,
        mode: Literal["min", "max"] = "min",
        save_top_k: int = 1,
        save_last: bool = True,
        every_n_train_steps: int | None = None,
        train_time_interval_minutes: float | None = None,
    ) -> None:
        if not save_last and save_top_k == 0:
            raise UserError("checkpoint: save_last is false and save_top_k is 0, so nothing would be left to score")
        interval = timedelta(minutes=train_time_interval_minutes) if train_time_interval_minutes else None
        super().__init__(
            filename="best" if save_top_k == 1 else "best-{step}",
            monitor=monitor or "val/bpd",
            mode=mode,
            save_top_k=save_top_k,
            save_last=save_last,
            auto_insert_metric_name=False,
            enable_version_counter=False,
            save_on_train_epoch_end=False,
            every_n_train_steps=every_n_train_steps,
            train_time_interval=interval,
        )
        self._chosen_by_user = monitor is not None
        self.candidates = 0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Settles what is monitored, now that the family is known."""
        if not self._chosen_by_user and isinstance(pl_module, GenerativeModule) and not pl_module.estimators:
            quality = next((c for c in trainer.callbacks if isinstance(c, SampleQuality)), None)  # type: ignore[attr-defined]
            self.monitor = quality.frechet_name if quality is not None and quality.extractor else None
            if self.monitor is None:
                self.save_top_k = 0  # nothing to choose by: the last one stands
        super().setup(trainer, pl_module, stage)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Counts the candidates as it chooses among them."""
        if not trainer.sanity_checking and self.monitor is not None:
            logged = [name for name in trainer.callback_metrics if name.startswith("val/")]
            if self._chosen_by_user and self.monitor not in trainer.callback_metrics:
                hint = nearest(self.monitor, logged) or f" (there are: {', '.join(sorted(logged))})"
                raise UserError(f"checkpoint.monitor: validation logs no '{self.monitor}'{hint}")
            self.candidates += self.monitor in trainer.callback_metrics
        super().on_validation_end(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes the newest state, if training went on after the last validation."""
        super().on_train_end(trainer, pl_module)
        if self.save_last and trainer.global_step != self._last_global_step_saved:
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

    def selection(self, trainer: L.Trainer, path: Path) -> dict[str, Any]:
        """How the final checkpoint was chosen, as a record's ``selection`` has it."""
        step = torch.load(path, map_location="cpu", weights_only=True)["global_step"]
        if not self.best_model_path:
            return {"rule": "last", "checkpoint": path.name, "step": step}
        last = trainer.callback_metrics.get(self.monitor or "")
        return {
            "rule": f"best {self.monitor} of {self.candidates}",
            "checkpoint": path.name,
            "step": step,
            "metric": self.monitor,
            "value": float(self.best_model_score) if self.best_model_score is not None else None,
            "last_value": float(last) if last is not None else None,
        }

    def state_dict(self) -> dict[str, Any]:
        """Lightning's own, and the number of candidates."""
        return {**super().state_dict(), "candidates": self.candidates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes both from a checkpoint; the best so far comes along into this run's folder and stays the best.

        Lightning forgets the best of a run that goes on in another folder, and then takes a worse one for it.
        """
        state = {**state_dict}
        self.candidates = state.pop("candidates", 0)
        if state["dirpath"] != self.dirpath:
            state = self._moved(state)
        super().load_state_dict(state)

    def _moved(self, state: dict[str, Any]) -> dict[str, Any]:
        assert self.dirpath is not None
        here = {old: str(Path(self.dirpath) / Path(old).name) for old in state["best_k_models"] if Path(old).is_file()}
        for old, new in here.items():
            _copy(old, new)
        kept = {here[old]: score for old, score in state["best_k_models"].items() if old in here}
        best = here.get(state["best_model_path"], "")
        return state | {
            "dirpath": self.dirpath,
            "best_k_models": kept,
            "best_model_path": best,
            "best_model_score": state["best_model_score"] if best else None,
            "kth_best_model_path": here.get(state["kth_best_model_path"], ""),
            "last_model_path": "",
        }


def read_checkpoint(path: Path, where: str = "") -> dict[str, Any]:
    """A checkpoint's content, tensors on the CPU; nothing in the file is executed.

    Args:
        path: The file.
        where: What an error begins with: the option that named the file.

    Raises:
        UserError: The file is missing, is no checkpoint, or is not one of lit_gen's.
    """
    if not path.is_file():
        raise UserError(f"{where}there is no checkpoint {path}; a run keeps its own in <run>/checkpoints/")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or foreign file provokes, it is the file that is wrong
        raise UserError(f"{where}{path} is damaged or no checkpoint at all; torch cannot read it") from error
    if not isinstance(content, dict) or KEY not in content:
        raise UserError(f"{where}{path} is not a checkpoint of lit_gen: it carries no configuration")
    return content


def load_state(model: L.LightningModule, checkpoint: dict[str, Any]) -> None:
    """Puts a checkpoint's raw weights into the model.

    Raises:
        UserError: They are another model's.
    """
    try:
        model.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise UserError(f"the checkpoint's weights do not fit the model of the configuration ({reason})") from error


@rank_zero_only
def _copy(old: str, new: str) -> None:
    Path(new).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(old, new)
