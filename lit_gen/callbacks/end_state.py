"""The state in which a run ends, from which a run with a larger budget continues as if it had not ended."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities import rank_zero_only

from lit_gen.callbacks.budget import Budget
from lit_gen.callbacks.checkpoint import BestCheckpoint, copy_checkpoint
from lit_gen.callbacks.sample_quality import SampleQuality
from lit_gen.callbacks.validations import validate, validation_follows
from lit_gen.checkpoints import END_STATE

_EARLIER = "earlier_"  # prefix of the best checkpoint before the last validation, if that replaced it


class EndState(Checkpoint):
    """Writes ``last.ckpt`` after the last batch and before what an unlimited run would not do there.

    - A budget that ends inside an epoch is followed by a validation, so that the last state can be selected. In a run
      with a larger budget it is no candidate: ``last.ckpt`` does not know of it, and a best checkpoint that it replaces
      is kept as ``earlier_best.ckpt``.
    - The last validation scores samples, whatever the interval of :class:`SampleQuality`. A run with a larger budget
      repeats it at the usual interval.
    - Without a validation at the end of an epoch, Lightning cannot continue from a checkpoint written after it.

    As a ``Checkpoint``, it runs after all other callbacks: their counts of the step are in the file.
    """

    def __init__(self) -> None:
        self._kind = ""  # of the validation that follows: "extra", or "regular" with extra scores
        self._writing = False
        self._due = ""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Repeats the validation that the checkpoint does not know of, unless it was due to the smaller budget."""
        due, self._due = self._due, ""
        if trainer.should_stop and due:  # the budget is the same as before
            self._kind = due
            for best in _callbacks(trainer, BestCheckpoint):
                best.keep_end(trainer)
        if due == "regular" or self._kind:
            validate(trainer)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Writes the checkpoint after the last batch."""
        if trainer.fast_dev_run or not _ends(trainer):  # type: ignore[attr-defined]
            return
        follows = validation_follows(trainer)
        if follows and not _budget(trainer).ends_unvalidated:
            if not any(c.every > 1 for c in _callbacks(trainer, SampleQuality)):
                return
            self._kind = "regular"
        else:
            self._kind = "extra" if follows else ""
        self._writing = True
        for best in _callbacks(trainer, BestCheckpoint):
            best.write_end(trainer)
        self._writing = False

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keeps the best checkpoint that this validation is about to replace."""
        if not self._kind:
            return
        for best in _callbacks(trainer, BestCheckpoint):
            score = trainer.callback_metrics.get(best.monitor or "")
            replaced = Path(best.kth_best_model_path)
            if replaced.is_file() and best.check_monitor_top_k(trainer, score):
                copy_checkpoint(replaced, replaced.with_name(_EARLIER + replaced.name))

    @property
    def validation_at_end(self) -> str:
        """Kind of the validation at the run's end, once ``last.ckpt`` was written before it; empty if there is none."""
        return self._kind

    @property
    def state_key(self) -> str:
        """Entry of a checkpoint's ``callbacks``."""
        return END_STATE

    def state_dict(self) -> dict[str, Any]:
        """Which validation followed this checkpoint; empty if none did."""
        return {"validation": self._kind} if self._writing and self._kind else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores it from a checkpoint."""
        self._due = state_dict.get("validation", "")

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restores the best checkpoint that the checkpoint knows of."""
        if checkpoint["callbacks"].get(END_STATE, {}).get("validation"):
            for best in _callbacks(trainer, BestCheckpoint):
                before = checkpoint["callbacks"].get(best.state_key, {}).get("dirpath")
                if best.dirpath is not None and before is not None:
                    _restore_best(Path(best.dirpath), Path(before))
            trainer.strategy.barrier("earlier best")


@rank_zero_only
def _restore_best(here: Path, before: Path) -> None:
    """Gives the earlier best its name again: in the run's own folder, or copied from that of the continued run."""
    own = list(here.glob(f"{_EARLIER}*.ckpt"))
    for file in own:
        os.replace(file, file.with_name(file.name.removeprefix(_EARLIER)))
    if not own and before != here:
        for file in before.glob(f"{_EARLIER}*.ckpt"):
            copy_checkpoint(file, here / file.name.removeprefix(_EARLIER))


def _ends(trainer: L.Trainer) -> bool:
    """Whether the batch that has just ended is the last one of the run."""
    loop = trainer.fit_loop
    stopped = trainer.should_stop and loop._can_stop_early
    steps = 0 <= loop.max_steps <= trainer.global_step
    epochs = loop.max_epochs is not None and 0 <= loop.max_epochs <= trainer.current_epoch + 1
    return bool(stopped or steps or (epochs and loop.epoch_loop._num_ready_batches_reached()))


def _budget(trainer: L.Trainer) -> Budget:
    return _callbacks(trainer, Budget)[0]


def _callbacks(trainer: L.Trainer, kind: type[Any]) -> list[Any]:
    return [callback for callback in trainer.callbacks if isinstance(callback, kind)]  # type: ignore[attr-defined]
