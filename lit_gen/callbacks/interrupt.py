"""Stops a run cleanly on a signal, with a checkpoint to resume from."""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from lit_gen.callbacks.validations import validate, validation_follows
from lit_gen.checkpoints import INTERRUPT_STATE
from lit_gen.stopping.requests import REQUESTS
from lit_gen.stopping.stops import Stop
from lit_gen.stopping.trainers import take_over


class Interrupt(Checkpoint):
    """On SIGINT, SIGTERM, SIGHUP or SIGUSR1, writes ``interrupted.ckpt``, from which a run goes on exactly, and stops.

    - During training, the running optimizer step is finished first, with all batches whose gradients it accumulates:
      weights, optimizers and the position in the data agree.
    - A validation is abandoned at once. The checkpoint has the state before it, and the resumed run starts with it.
    - While another checkpoint is written, that one is finished first.

    A second signal stops at once. With several processes, the first one writes the checkpoint alone, whichever received
    the signal, and no process waits for another: weights are equal on all of them.

    As a ``Checkpoint``, it runs after all other callbacks: their counts of the step are in the file.

    Attributes:
        checkpoint: Path of the checkpoint written, or None.

    Raises:
        Stop: When the checkpoint is written.
    """

    def __init__(self) -> None:
        self.checkpoint: Path | None = None
        self._before_validation: dict[str, Any] | None = None
        self._due: dict[str, bool] = {}
        self._listening = contextlib.ExitStack()

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Handles signals during fit, unless the command does already."""
        take_over(trainer)
        self._listening.enter_context(REQUESTS.listen())

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Restores the previous handlers."""
        self._listening.close()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """From here on there is work to lose; repeats the validation that was abandoned, if any."""
        REQUESTS.hold()
        if self._due:
            trainer.should_stop = trainer.should_stop or self._due["should_stop"]
            self._due = {}
            validate(trainer)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stops between two steps; if a validation follows, at its start, since Lightning would not repeat it."""
        if REQUESTS.number is not None and not validation_follows(trainer):
            self._stop(trainer)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """From here to the end of the validation, nothing can be lost that the resumed run does not repeat."""
        if trainer.sanity_checking or _accumulating(trainer) or _complete(trainer):
            return
        self._before_validation = copy.deepcopy(trainer.fit_loop.state_dict())
        REQUESTS.release()

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Checkpoints of the validated state follow, which are written whole."""
        if not trainer.sanity_checking:
            REQUESTS.hold()
            self._before_validation = None

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stops after the validation, if it could not be abandoned any more."""
        if REQUESTS.number is not None and not trainer.sanity_checking:
            self._stop(trainer)

    def _stop(self, trainer: L.Trainer) -> None:
        # A checkpoint has no gradients: one written during accumulation would lose some.
        if not trainer.is_global_zero or _accumulating(trainer) or _complete(trainer):
            return
        self._save(trainer)
        assert REQUESTS.number is not None
        raise Stop(REQUESTS.number)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Writes the checkpoint of a validation that a signal has ended; the other callbacks have cleaned up."""
        if isinstance(exception, Stop) and self._before_validation is not None:
            if self._end_is_written(trainer):
                self.checkpoint = _folder(trainer) / "last.ckpt"
                self._listening.close()
                return
            self._due = {"validate": True, "should_stop": trainer.should_stop}
            self._save(trainer)
        self._listening.close()

    def _end_is_written(self, trainer: L.Trainer) -> bool:
        """Whether this validation is the one at the end of the run, before which ``last.ckpt`` was written."""
        return any(getattr(c, "validation_at_end", "") for c in trainer.callbacks)  # type: ignore[attr-defined]

    def _save(self, trainer: L.Trainer) -> None:
        """Writes the checkpoint without the other processes, which may be gone or in a collective."""
        path = _folder(trainer) / "interrupted.ckpt"
        checkpoint = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
        if self._before_validation is not None:
            checkpoint["loops"]["fit_loop"] = self._before_validation
        trainer.strategy.save_checkpoint(checkpoint, path)
        self.checkpoint = path

    @property
    def state_key(self) -> str:
        """Entry of a checkpoint's ``callbacks``."""
        return INTERRUPT_STATE

    def state_dict(self) -> dict[str, bool]:
        """Whether a validation is due, and whether training ends after it; empty if none is."""
        return self._due

    def load_state_dict(self, state_dict: dict[str, bool]) -> None:
        """Restores it from a checkpoint."""
        self._due = dict(state_dict)


def _folder(trainer: L.Trainer) -> Path:
    return Path(trainer.default_root_dir) / "checkpoints"



def _accumulating(trainer: L.Trainer) -> bool:
    """Whether gradients of earlier batches would be lost; those after the last batch of the run are not used."""
    return trainer.fit_loop._should_accumulate() and not trainer.should_stop


def _complete(trainer: L.Trainer) -> bool:
    """Whether the Trainer's limit of steps is reached: a resumed run would not start, nor validate."""
    return 0 <= trainer.fit_loop.max_steps <= trainer.global_step
