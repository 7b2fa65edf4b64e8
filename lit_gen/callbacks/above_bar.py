"""Lines that are printed above the progress bar."""

from __future__ import annotations

from typing import Any

import lightning as L


def print_above(trainer: L.Trainer, text: str) -> None:
    """Prints above the progress bar if there is one."""
    bar: Any = trainer.progress_bar_callback
    (print if bar is None else bar.print)(text)
