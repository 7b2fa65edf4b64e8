"""Writes checkpoints whole or not at all, on any file system."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from typing_extensions import override

from lit_gen.errors import RUNS_OPTION, writing
from lit_gen.records.atomic import atomic_file, leftovers


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes each checkpoint beside its target, synchronizes it with the disk, and renames it.

    Lightning writes to the folder for temporary files first: where that is another file system, it copies the file to
    its final name, and a kill or a full disk leaves half a checkpoint there. Lightning also keeps a copy of the whole
    checkpoint in memory while it writes.
    """

    @override
    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Writes a checkpoint.

        The folder of the checkpoints is created, but not the run's: one that was deleted during training is an error.

        Raises:
            FileError: If it cannot be written; a previous file of this name is unchanged.
        """
        target = Path(path)
        with writing(target, RUNS_OPTION):
            target.parent.mkdir(exist_ok=True)
            with atomic_file(target) as temporary:
                _save(checkpoint, temporary)


def _save(content: dict[str, Any], path: Path) -> None:
    """``torch.save`` that raises the operating system's error: torch's own is a RuntimeError without the reason."""
    with path.open("wb", buffering=0) as file:
        sink = _Sink(file)
        try:
            torch.save(content, sink)  # type: ignore[arg-type]
        except Exception:
            if sink.error is None:
                raise
        if sink.error is not None:
            raise sink.error


class _Sink:
    """Passes bytes to a file; keeps its first error, since an exception inside torch's writer can end the process."""

    def __init__(self, file: BinaryIO | Any) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Writes all of the bytes, unless an earlier write has failed."""
        view = memoryview(data).cast("B")
        rest = view
        try:
            while len(rest) and self.error is None:
                rest = rest[self.file.write(rest) :]
        except OSError as error:
            self.error = error
        return len(view)

    def flush(self) -> None:
        """Does nothing: the file is not buffered."""


def remove_leftovers(folder: Path, resumed_from: Path | None) -> None:
    """Removes what killed writes have left in a run's folder, at its start.

    Args:
        folder: The run's folder, to which no other process writes.
        resumed_from: The checkpoint that training goes on from, if there is one: files in its folder are removed if
            they are old enough that no process can be writing them.
    """
    found = [*leftovers(folder, 0), *leftovers(folder / "checkpoints", 0)]
    if resumed_from is not None and resumed_from.parent != folder / "checkpoints":
        found += leftovers(resumed_from.parent)
    for file in found:
        with contextlib.suppress(OSError):
            file.unlink()
