"""The table of a model's parts at the start of training, without operations that nobody has counted yet."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelSummary


class SummaryTable(L.Callback):
    """Lets Lightning's model summary print no column of FLOPs, which is 0 before the first step.

    The record has the operations of a training step and of a sample, which are counted when they happen.
    """

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Changes how a summary is printed, if there is one."""
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, ModelSummary):
                callback.summarize = print_summary  # type: ignore[method-assign]


def print_summary(
    summary_data: list[tuple[str, list[str]]], total_parameters: int, trainable_parameters: int, model_size: float,
    *others: Any, **more: Any,
) -> None:
    """Prints the parts and the sums of their parameters.

    Args:
        summary_data: Headers with the cells below them.
        total_parameters: Number of all parameters.
        trainable_parameters: Number of those that are trained.
        model_size: Size of all in MB.
        others: Not printed.
        more: Not printed.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    columns = [(name, cells) for name, cells in summary_data if name != "FLOPs"]
    table = Table()
    for name, _ in columns:
        table.add_column(name.strip(), justify="right" if name.startswith("Params") else "left")
    for row in zip(*(cells for _, cells in columns), strict=True):
        table.add_row(*(Text(str(cell)) for cell in row))
    console = Console()
    console.print(table)
    console.print(f"{total_parameters:,} parameters, {trainable_parameters:,} of them trained, {model_size:.1f} MB",
                  highlight=False, soft_wrap=True)
