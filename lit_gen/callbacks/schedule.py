"""Learning rates as a function of the images seen, for any family and any number of optimizers."""

from __future__ import annotations

import math
from typing import Any

import lightning as L

from lit_gen.callbacks.budget import Budget
from lit_gen.errors import UserError


class Schedule(L.Callback):
    """Warms the learning rates up, and brings them down to a share of themselves by the end of the budget.

    The factor is a pure function of the images seen, so a resumed run has the unbroken run's rates. Lightning's
    own schedulers are not stepped where there are two optimizers.

    Args:
        warmup_images: The rates rise linearly from 0 over the first so many images.
        final: What is left of the rates at the end of ``budget.max_images``, along half a cosine; 1: no decay.

    Raises:
        UserError: A negative number, or a final share above 1.

    References:
        Loshchilov, Hutter: SGDR: Stochastic Gradient Descent with Warm Restarts, 2017, arXiv:1608.03983, equation 5.
    """

    def __init__(self, warmup_images: int = 0, final: float = 1.0) -> None:
        if warmup_images < 0 or not 0 <= final <= 1:
            raise UserError(f"schedule: warmup_images={warmup_images} must be 0 or more and final={final} in 0..1")
        self.warmup_images = warmup_images
        self.final = final

    def factor(self, images_seen: int, max_images: int) -> float:
        """The rates' multiplier.

        >>> schedule = Schedule(warmup_images=10, final=0.1)
        >>> [round(schedule.factor(n, 100), 3) for n in (0, 5, 50, 100)]
        [0.0, 0.5, 0.55, 0.1]
        """
        if images_seen < self.warmup_images:
            return images_seen / self.warmup_images
        done = min(1.0, images_seen / max_images)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * done))

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Sets the rates of the step to come."""
        if self.final == 1.0 and not self.warmup_images:
            return
        budget = next(c for c in trainer.callbacks if isinstance(c, Budget))  # type: ignore[attr-defined]
        factor = self.factor(budget.images_seen + len(batch[0]) * trainer.world_size, budget.max_images)
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = factor * group.setdefault("initial_lr", group["lr"])
