"""Budget of a run in examples seen, which is comparable between families."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch

from lit_gen.callbacks.validations import validation_follows
from lit_gen.checkpoints import BUDGET_STATE
from lit_gen.errors import UserError


class Budget(L.Callback):
    """Counts training examples over all processes, and ends training after a number of them.

    Steps are not comparable: a GAN takes two optimizer steps per batch, and batch sizes differ.

    With gradient accumulation, the last batch is followed by an optimizer step although its window may have fewer
    batches than ``accumulate_grad_batches``. Such a step, and that at the end of an epoch, uses the mean gradient of
    the batches there are, where Lightning divides their sum by ``accumulate_grad_batches``. The Trainer's ``max_time``
    may end training inside a window, whose gradients are then lost.

    Args:
        max_examples: Training ends with the first batch that reaches this number of examples seen (an example
            counts every time it is seen). The Trainer's other limits (``max_epochs``, ``max_steps``,
            ``max_time``) apply too: the first one reached ends training.

    Attributes:
        ends_unvalidated: Whether the budget ended where no validation was due; one follows all the same.

    Raises:
        UserError: If the budget is below one example.
    """

    def __init__(self, max_examples: int = 1_000_000) -> None:
        if max_examples < 1:
            raise UserError(f"budget.max_examples is {max_examples}; give at least 1")
        self.max_examples = max_examples
        self.examples_seen = 0
        self.ends_unvalidated = False
        self._open = 0  # batches since the last optimizer step
        self._cut = False  # whether the current batch ends its window early

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stops a resumed run at once if its budget is already used up; discards gradients of an earlier run."""
        pl_module.zero_grad()
        self._open = 0
        if self.examples_seen >= self.max_examples:
            trainer.should_stop = True

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Lets Lightning take a step after the last batch, as it does at the end of an epoch."""
        self._open += 1
        loop, last = trainer.fit_loop, self.examples_seen + len(batch[0]) * trainer.world_size >= self.max_examples
        self._cut = last and loop._can_stop_early and loop._should_accumulate()
        if self._cut:
            loop.epoch_loop.batch_progress.is_last_batch = True

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Converts the gradient of a window with fewer batches than the others to their mean."""
        wanted = trainer.accumulate_grad_batches
        if 0 < self._open < wanted:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter.grad.mul_(wanted / self._open)
        self._open = 0

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Corrects the checkpoint's position in the epoch, which a run with a larger budget continues."""
        if self._cut:
            checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"] = False

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts; all processes have equal shares of a training batch."""
        self.examples_seen += len(batch[0]) * trainer.world_size
        if self.examples_seen >= self.max_examples:
            progress = trainer.fit_loop.epoch_loop.batch_progress
            progress.is_last_batch &= not self._cut
            self.ends_unvalidated = not validation_follows(trainer)
            progress.is_last_batch |= self._cut
            trainer.should_stop = True
            if trainer.check_val_every_n_epoch is not None:
                trainer.check_val_every_n_epoch = 1  # the last state is always a candidate

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Logs the count with the validation's scores, as their x-axis."""
        if not trainer.sanity_checking:
            pl_module.log("examples_seen", float(self.examples_seen), sync_dist=True)

    @property
    def state_key(self) -> str:
        """Entry of a checkpoint's ``callbacks``."""
        return BUDGET_STATE

    def state_dict(self) -> dict[str, int]:
        """The count, for the checkpoint."""
        return {"examples_seen": self.examples_seen}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Restores the count from a checkpoint."""
        self.examples_seen = state_dict["examples_seen"]
