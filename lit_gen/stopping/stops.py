"""The exceptions that end a run early, and the one line that says how to go on."""

from __future__ import annotations

import shlex
import signal
from pathlib import Path

from lit_gen.errors import UserError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""Signals that ask a run to stop: Ctrl-C; SLURM, Kubernetes, Docker and ``timeout``; a closed terminal; SLURM."""


class Stop(BaseException):  # like KeyboardInterrupt, it is not an error
    """Raised in the main thread where a signal ends the run; not caught by ``except Exception``.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {name_of(number)}")
        self.number = number


class StoppedError(UserError):
    """A signal stopped the command; the exit code is 128 plus its number.

    Args:
        number: The signal.
        advice: How to go on; empty if there is nothing to go on from.
    """

    def __init__(self, number: int, advice: str = "") -> None:
        super().__init__(f"stopped by {name_of(number)}" + (f"; {advice}" if advice else ""))
        self.exit_code = 128 + number


class LostError(UserError):
    """Another process of the run has ended, and this one cannot continue alone.

    Args:
        what: Which process, and how it ended.
        advice: How to go on.
    """

    exit_code = 1

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f"{what}, so the run ends; {advice}")


def name_of(number: int) -> str:
    """Name of a signal.

    >>> name_of(15)
    'SIGTERM'
    """
    return signal.Signals(number).name


def resume_command(folder: Path | str) -> str:
    """The command that goes on with the run in a folder."""
    return f"lit-gen fit --resume {shlex.quote(str(folder))}"


def evaluate_command(checkpoint: Path | str) -> str:
    """The command that scores a checkpoint."""
    return f"lit-gen evaluate {shlex.quote(str(checkpoint))}"


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint to resume from in a run's folder, by the time of writing."""
    files = [folder / "checkpoints" / name for name in ("interrupted.ckpt", "last.ckpt")]
    return max((file for file in files if file.is_file()), key=lambda file: file.stat().st_mtime_ns, default=None)


def advice(folder: Path | None, trained: Path | None = None, resumed: Path | None = None) -> str:
    """How to go on with a run that ended early.

    Args:
        folder: The run's folder.
        trained: The selected checkpoint, if training is complete.
        resumed: The checkpoint that training was resumed from, if any.
    """
    if trained is not None:
        return f"training is complete; to score {trained.name}: {evaluate_command(trained)}"
    if folder is not None and (checkpoint := newest_checkpoint(folder)):
        return f"the last checkpoint is {checkpoint}; to go on: {resume_command(folder)}"
    if resumed is not None:
        return f"training had not gone on from {resumed} yet; give the same command again"
    return "no checkpoint was written yet; give the same command again"
