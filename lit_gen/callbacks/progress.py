"""One progress bar for the whole run, in examples."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ProgressBar as LightningProgressBar

from lit_gen.callbacks.budget import Budget
from lit_gen.callbacks.curves import Curves, examples_seen
from lit_gen.screen.bars import Bar, open_bar, write_line


class ProgressBar(LightningProgressBar):
    """Shows the device, then examples seen of the budget, their rate, the time left, epoch, step and latest values.

    There is one bar per run: an epoch of a small data set ends before it could be drawn. Drawing is limited by time,
    so that it hardly slows down short steps. In a log file there are plain lines in its place.

    Args:
        interval: Seconds between two updates; if not given, 0.2 on a screen and 60 in a log file.
    """

    def __init__(self, interval: float | None = None) -> None:
        super().__init__()
        self.interval = interval
        self._bar: Bar | None = None
        self._enabled = True

    def disable(self) -> None:
        """Disables output; Lightning calls this on all processes but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Enables output."""
        self._enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Prints above the bar."""
        write_line(" ".join(str(a) for a in args))

    # -------------------------------------------------------------- training

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Names the device, and opens the bar at the current number of examples."""
        super().on_train_start(trainer, pl_module)
        budget = next((c for c in trainer.callbacks if isinstance(c, Budget)), None)  # type: ignore[attr-defined]
        if self._enabled:
            write_line(f"device       {device_line(trainer)}")
        self._bar = open_bar(
            "training",
            budget.max_examples if budget else None,
            "examples",
            initial=examples_seen(trainer),
            shown=self._enabled,
            interval=self.interval,
        )

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Updates the bar; the values next to it are computed only when it is drawn."""
        if self._bar is not None and self._bar.update(len(batch[0]) * trainer.world_size):
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
        if not self._enabled or self._bar is None:
            return
        curves = next((c for c in trainer.callbacks if isinstance(c, Curves)), None)  # type: ignore[attr-defined]
        latest = curves.latest if curves else {}
        shown = {"epoch": f"{trainer.current_epoch:,}", "step": f"{trainer.global_step:,}"}
        shown |= {name.removeprefix("train/"): f"{value:.4g}" for name, value in latest.items()}
        shown |= {name: f"{value:.4g}" for name, value in trainer.progress_bar_metrics.items() if name != "v_num"}
        self._bar.set_postfix(shown)

    # -------------------------------------------------------------- scoring

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Opens a bar over the test batches."""
        total = int(sum(trainer.num_test_batches))
        self._bar = open_bar("scoring", total, "batches", shown=self._enabled, interval=self.interval)

    def on_test_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        """Updates the bar."""
        if self._bar is not None and self._bar.update():
            self._bar.set_postfix({})

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Closes the bar."""
        if self._bar is not None:
            self._bar.close()


def device_line(trainer: L.Trainer) -> str:
    """The devices of a run, threads of a CPU, and the precision, in words."""
    device, count = trainer.strategy.root_device, trainer.world_size
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    several = f"{count} processes, each on " if count > 1 else ""
    return f"{several}{name}{threads}, precision {trainer.precision}"
