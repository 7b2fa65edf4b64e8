"""Learning rates as a function of the examples seen, for any family and number of optimizers."""

from __future__ import annotations

from typing import Any

import lightning as L

from lit_gen.callbacks.budget import Budget
from lit_gen.errors import UserError
from lit_gen.optim import Constant, Decay


class Schedule(L.Callback):
    """Warms up the learning rates, and decays them.

    The factor depends on the number of examples seen only, so a resumed run has the rates of an uninterrupted one.
    Lightning does not step its own schedulers if there are two optimizers.

    Args:
        warmup_examples: Number of examples over which the rates rise linearly from 0.
        decay: Decay of the rates, such as ``CosineDecay``; constant if not given.

    Raises:
        UserError: If the number of examples is negative.
    """

    def __init__(self, warmup_examples: int = 0, decay: Decay | None = None) -> None:
        if warmup_examples < 0:
            raise UserError(f"schedule: warmup_examples={warmup_examples} must be 0 or more")
        self.warmup_examples = warmup_examples
        self.decay = decay or Constant()

    def factor(self, examples_seen: int, max_examples: int) -> float:
        """Factor of all learning rates.

        >>> from lit_gen.optim import CosineDecay
        >>> schedule = Schedule(warmup_examples=10, decay=CosineDecay(0.1))
        >>> [round(schedule.factor(n, 100), 3) for n in (0, 5, 50, 100)]
        [0.0, 0.5, 0.55, 0.1]
        """
        if examples_seen < self.warmup_examples:
            return examples_seen / self.warmup_examples
        return self.decay.factor(examples_seen, max_examples)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Sets the learning rates of the next step."""
        if isinstance(self.decay, Constant) and not self.warmup_examples:
            return
        budget = next(c for c in trainer.callbacks if isinstance(c, Budget))  # type: ignore[attr-defined]
        factor = self.factor(budget.examples_seen + len(batch[0]) * trainer.world_size, budget.max_examples)
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = factor * group.setdefault("initial_lr", group["lr"])
