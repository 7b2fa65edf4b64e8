"""The curves as ``metrics.csv``: without holes after a kill, without duplicates after resuming."""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from lit_gen.errors import FileError, print_warning
from lit_gen.records.atomic import write_atomically

ROWS_KEY = "metrics_rows"
"""Entry of a checkpoint: the number of rows of ``metrics.csv`` that belong to the training before it."""

_SECONDS_BETWEEN_WRITES = 5.0


class MetricsFile(Logger):
    """Writes ``metrics.csv``; a row that cannot be written does not end training.

    Lightning's logger keeps up to 500 steps in memory, which a kill loses, and deletes the file when a run is resumed
    in its own folder.

    Args:
        folder: The run's folder.

    Attributes:
        count: Number of rows, including those not yet written.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.path = folder, folder / "metrics.csv"
        self.count = 0
        self._columns: list[str] = []
        self._waiting: list[dict[str, Any]] = []
        self._written_at = time.monotonic()
        self._warned = False

    @property
    def name(self) -> str:
        """Part of the path between the folder and the file: none."""
        return ""

    @property
    def version(self) -> str:
        """Part of the path between the folder and the file: none."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run's folder, in which Lightning puts the checkpoints."""
        return str(self.folder)

    @override
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Does nothing: ``config.yaml`` has them."""

    @override
    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Adds a row."""
        self._waiting.append({**{name: float(value) for name, value in metrics.items()}, "step": step})
        self.count += 1
        if time.monotonic() - self._written_at >= _SECONDS_BETWEEN_WRITES:
            self.save()

    @override
    @rank_zero_only
    def save(self) -> None:
        """Writes the rows in memory; the first failure is a warning, and they stay there for the next time."""
        self._written_at = time.monotonic()
        if not self._waiting:
            return
        try:
            self._write()
        except OSError as error:
            if not self._warned:
                print_warning(f"training continues without new rows of curves: {FileError(error, self.path)}")
            self._warned = True

    @override
    def finalize(self, status: str) -> None:
        """Writes what is left."""
        self.save()

    @rank_zero_only
    def go_on(self, source: Path, rows: int | None, step: int) -> None:
        """Starts with the rows that a resumed run had written before its checkpoint.

        Args:
            source: That run's ``metrics.csv``, which may be this file; without it, the file starts anew.
            rows: Number of its rows at the checkpoint; None if it is unknown.
            step: Step of the checkpoint; with an unknown number, later rows are left out.
        """
        try:
            kept = _read(source, rows, step)
            self._columns = sorted({name for row in kept for name in row})
            self.count = len(kept)
            if kept or self.path.exists():
                write_atomically(self.path, self._text(kept, header=True))
        except OSError as error:
            print_warning(f"the curves before the checkpoint are left out: {FileError(error, self.path)}")

    def _write(self) -> None:
        new = {name for row in self._waiting for name in row} - set(self._columns)
        if new or not self.path.is_file():
            before = _read(self.path, None, None) if self.path.is_file() else []
            columns, self._columns = self._columns, sorted({*self._columns, *new})
            try:
                if not self.folder.is_dir():
                    raise FileNotFoundError(2, "the run's folder was deleted", str(self.folder))
                write_atomically(self.path, self._text([*before, *self._waiting], header=True))
            except OSError:
                self._columns = columns
                raise
        else:
            _append(self.path, self._text(self._waiting, header=False))
        self._waiting = []

    def _text(self, rows: Iterable[dict[str, Any]], header: bool) -> str:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns)
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()


def _append(path: Path, text: str) -> None:
    """Appends all of a text or nothing: half a row would become part of the next one."""
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        try:
            data = memoryview(text.encode())
            while len(data):
                data = data[file.write(data) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise


def _read(path: Path, rows: int | None, step: int | None) -> list[dict[str, str]]:
    """The whole rows of a file: the first ones, or those up to a step; a kill may have left half a row at the end."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        found = [row for row in csv.DictReader(file) if None not in row and None not in row.values()]
    if rows is not None:
        return found[:rows]
    return [row for row in found if step is None or (row["step"].isdecimal() and int(row["step"]) <= step)]


class KeepMetrics(L.Callback):
    """Writes all rows before each checkpoint, and continues the file of a resumed run.

    A kill after a checkpoint then leaves no hole before it. Rows after it are left out when the run is resumed, since
    their steps are taken again; rows are counted, because a validation may follow a checkpoint of the same step.
    """

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Writes the rows and adds their number."""
        for logger in _files(trainer):
            logger.save()
            checkpoint[ROWS_KEY] = logger.count

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Starts from the rows before the checkpoint, whichever folder it is in."""
        folder = Path(trainer.ckpt_path or ".").absolute().parent.parent
        for logger in _files(trainer):
            logger.go_on(folder / logger.path.name, checkpoint.get(ROWS_KEY), checkpoint["global_step"])


def _files(trainer: L.Trainer) -> list[MetricsFile]:
    return [logger for logger in trainer.loggers if isinstance(logger, MetricsFile)]
