"""The CSV logger of curves, which continues the file of a resumed run."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.csv_logs import _ExperimentWriter
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only

from lit_gen.records.atomic import write_atomically
from lit_gen.runs.newest_checkpoint import Position


class _ContinuingWriter(_ExperimentWriter):
    """Writer that appends to an existing file, which Lightning's deletes."""

    def __init__(self, log_dir: str, keys: list[str]) -> None:
        super().__init__(log_dir)
        self.metrics_keys = keys

    def _check_log_dir_exists(self) -> None:
        """Leaves the file alone."""


def csv_logger(folder: Path, position: Position | None = None) -> CSVLogger:
    """The logger of ``metrics.csv`` in a run's folder.

    Args:
        folder: The run's folder.
        position: Checkpoint that the run continues from: rows after it are removed, since they come again.
    """
    logger = CSVLogger(folder, name="", version="", flush_logs_every_n_steps=500)
    if position is None:
        _ = logger.experiment  # now: once W&B has its files here, it would warn that the folder is not empty
    else:
        _continue(logger, folder / "metrics.csv", position)
    return logger


@rank_zero_only
def _continue(logger: CSVLogger, file: Path, position: Position) -> None:
    keys: list[str] = []
    if file.is_file():
        keys, rows = _read(file)
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, keys)
        writer.writeheader()
        writer.writerows(row for row in rows if _is_before(row, position))
        write_atomically(file, text.getvalue())
    logger._experiment = _ContinuingWriter(str(file.parent), keys)


def _read(file: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns and rows of a file; the last line of a run that was killed may be incomplete."""
    with file.open(newline="") as stream:
        lines = stream.read().splitlines(keepends=True)
    reader = csv.DictReader(line for line in lines if line.endswith("\n"))
    return list(reader.fieldnames or []), list(reader)


def _is_before(row: dict[str, Any], position: Position) -> bool:
    """Whether a row is not repeated: it was written before the checkpoint, and not for an incomplete number of steps.

    Rows of validations have another step, the batch's.
    """
    try:
        if not row.get("examples_seen"):
            return float(row["step"]) <= position.step
        seen = float(row["examples_seen"])
    except (KeyError, TypeError, ValueError):
        return False
    if seen != position.examples_seen:
        return seen < position.examples_seen
    trained = any(value for name, value in row.items() if name.startswith("train/"))
    return not (position.inside_row if trained else position.unvalidated)
