"""One progress bar for the whole run, in examples."""

from __future__ import annotations

import sys
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar as LightningProgressBar
from tqdm.auto import tqdm

from lit_gen.callbacks.budget import Budget
from lit_gen.callbacks.curves import Curves, examples_seen


class ProgressBar(LightningProgressBar):
    """Shows examples seen of the budget, their rate, the remaining time, the latest losses and validation scores.

    There is one bar per run: an epoch of a small data set ends before it could be drawn. Drawing is limited by time,
    so that it hardly slows down short steps.

    Args:
        interval: Seconds between two updates; if not given, 0.2 on a terminal and 15 in a log file.
    """

    def __init__(self, interval: float | None = None) -> None:
        super().__init__()
        self.interval = interval if interval is not None else 0.2 if sys.stderr.isatty() else 15.0
        self._bar: Any = None
        self._enabled = True

    def disable(self) -> None:
        """Disables output; Lightning calls this on all processes but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Enables output."""
        self._enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Prints above the bar."""
        tqdm.write(" ".join(str(a) for a in args), file=sys.stderr)

    # -------------------------------------------------------------- training

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Opens the bar at the current number of examples."""
        super().on_train_start(trainer, pl_module)
        budget = next((c for c in trainer.callbacks if isinstance(c, Budget)), None)  # type: ignore[attr-defined]
        self._bar = tqdm(
            desc="training",
            total=budget.max_examples if budget else None,
            initial=examples_seen(trainer),
            unit=" examples",
            unit_scale=True,
            dynamic_ncols=True,
            mininterval=self.interval,
            maxinterval=2 * self.interval,
            disable=not self._enabled,
            file=sys.stderr,
        )

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Updates the bar; the values next to it are computed only when it is drawn."""
        if self._bar.update(len(batch[0]) * trainer.world_size):
            self._show(trainer)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Shows that a validation is running."""
        if self._bar is not None:
            self._bar.set_description("validating")

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Shows the new scores."""
        if self._bar is not None:
            self._bar.set_description("training", refresh=False)
            self._show(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Closes the bar."""
        if self._bar is not None:
            self._show(trainer)
            self._bar.close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Closes the bar: what is printed next starts on a line of its own."""
        if self._bar is not None:
            self._bar.close()

    def _show(self, trainer: L.Trainer) -> None:
        if not self._enabled:
            return
        curves = next((c for c in trainer.callbacks if isinstance(c, Curves)), None)  # type: ignore[attr-defined]
        latest = curves.latest if curves else {}
        shown = {name.removeprefix("train/"): f"{value:.4g}" for name, value in latest.items()}
        shown |= {name: f"{value:.4g}" for name, value in trainer.progress_bar_metrics.items() if name != "v_num"}
        self._bar.set_postfix(shown)

    # -------------------------------------------------------------- scoring

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Opens a bar over the test batches."""
        total = int(sum(trainer.num_test_batches))
        self._bar = tqdm(
            desc="scoring", total=total, unit=" batches", disable=not self._enabled, file=sys.stderr,
            mininterval=self.interval, dynamic_ncols=True,
        )

    def on_test_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        """Updates the bar."""
        self._bar.update()

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Closes the bar."""
        self._bar.close()
