"""A progress bar that looks at the clock, not at the step count."""

from __future__ import annotations

import sys
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

from lit_gen.callbacks.budget import Budget
from lit_gen.callbacks.curves import Curves


class ProgressBar(TQDMProgressBar):
    """Lightning's bar, drawn at most five times a second, with the curves' latest values and the budget.

    Args:
        interval: Seconds between two drawings; if not given, 0.2 on a terminal and 10 in a log file. A refresh
            for every n steps is either late for a slow model or dear for a quick one.
    """

    def __init__(self, interval: float | None = None) -> None:
        super().__init__(refresh_rate=1)
        self._terminal = sys.stderr.isatty()
        self.interval = interval if interval is not None else 0.2 if self._terminal else 10.0
        self._drawn = 0.0

    def _should_update(self, current: int, total: int | float) -> bool:
        now = time.monotonic()
        if current < total and now - self._drawn < self.interval:
            return False
        self._drawn = now
        return super()._should_update(current, total)

    def init_validation_tqdm(self) -> Tqdm:
        """A bar of its own on a terminal; nothing in a log file."""
        bar = super().init_validation_tqdm()
        bar.disable = bar.disable or not self._terminal
        return bar

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """Training loss, the last validation's scores, and how much of the budget is spent."""
        shown: dict[str, Any] = {}
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Curves):
                shown |= {name.removeprefix("train/"): f"{value:.4g}" for name, value in callback.latest.items()}
            elif isinstance(callback, Budget):
                shown["images"] = f"{_short(callback.images_seen)}/{_short(callback.max_images)}"
        metrics = super().get_metrics(trainer, pl_module)
        return shown | {name: value for name, value in metrics.items() if name != "v_num"}


def _short(count: int) -> str:
    """A count in three digits or so.

    >>> _short(950), _short(60_000), _short(2_500_000)
    ('950', '60k', '2.5M')
    """
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return str(count)
