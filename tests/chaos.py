"""Ends runs by a signal at a chosen place of a chosen process, goes on, and compares with a run that nothing ended."""

from __future__ import annotations

import csv
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from commands import assert_same, checkpoint, options
from conftest import REPO

STATES = ("state_dict", "optimizer_states", "global_step", "curves")
TWO = ("--trainer.accelerator=cpu", "--trainer.devices=2")


class Ender(L.Callback):
    """Sends its own process a signal, once, at a place of the run; environment variables say which.

    ``CHAOS_PLACE`` is a hook of callbacks, ``sampling`` (inside the network, for a validation's scores) or ``scoring``
    (for the final ones). ``CHAOS_AT`` is the number of batches before it, ``CHAOS_SIGNAL`` the signals, sent 1 s after
    each other, and ``CHAOS_SLEEP`` the seconds that the place takes, as a long computation does.
    """

    def __init__(self) -> None:
        self.place, self.rank = os.environ.get("CHAOS_PLACE", ""), int(os.environ.get("CHAOS_RANK", 0))
        self.at = int(os.environ.get("CHAOS_AT", 0))
        self.signals = [int(n) for n in os.environ.get("CHAOS_SIGNAL", "").split()]
        if hasattr(L.Callback, self.place):
            setattr(self, self.place, self._send)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        hooks = {"sampling": ("validating", "generate"), "scoring": ("testing", "test_step")}
        if self.place in hooks:
            stage, name = hooks[self.place]
            inner = getattr(pl_module, name)

            def wrapped(*args: Any, **kwargs: Any) -> Any:
                if getattr(pl_module.trainer, stage):
                    self._send(trainer)
                return inner(*args, **kwargs)

            setattr(pl_module, name, wrapped)

    def _send(self, trainer: L.Trainer, *args: Any) -> None:
        if self.signals and trainer.global_rank == self.rank and self._batches(trainer) >= self.at:
            signals, self.signals = self.signals, []
            Path(os.environ["CHAOS_TIME"]).write_text(str(time.time()))
            for i, number in enumerate(signals):
                if i:
                    time.sleep(1.0)
                os.kill(os.getpid(), number)
            # A stop that waits for this would fail the test: Python's handlers run between its calls.
            for _ in range(int(os.environ.get("CHAOS_SLEEP", 0))):
                time.sleep(1.0)

    def _batches(self, trainer: L.Trainer) -> int:
        return trainer.fit_loop.epoch_loop.batch_progress.total.ready


@dataclass(frozen=True)
class End:
    """How a run ended.

    Attributes:
        code: Exit code.
        error: What it printed to stderr.
        seconds: From the signal to its end.
        processes: Those of its processes that were still there.
    """

    code: int
    error: str
    seconds: float
    processes: list[str]

    @property
    def line(self) -> str:
        """Its last line."""
        return self.error.strip().splitlines()[-1]


def run(root: Path, name: str, *more: str, family: str = "vae", timeout: float = 90, **chaos: Any) -> End:
    """Runs ``lit-gen fit``; ``place``, ``at``, ``rank``, ``signal`` and ``sleep`` are the Ender's.

    Raises:
        subprocess.TimeoutExpired: If it does not end.
    """
    args = [*options(family, root, f"--run_name={name}", *more), "--trainer.callbacks=chaos.Ender"]
    stamp = root / f"{name}.time"
    environment = {**os.environ, "PYTHONPATH": f"{REPO}:{REPO / 'tests'}", "CHAOS_TIME": str(stamp)}
    environment |= {f"CHAOS_{key.upper()}": str(value) for key, value in chaos.items()}
    command = [sys.executable, "-m", "lit_gen", "fit", *args]
    found = subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=REPO, env=environment)
    seconds = time.time() - float(stamp.read_text()) if stamp.exists() else 0.0
    return End(found.returncode, found.stderr, seconds, alive(root, name))


def go_on(end: End, timeout: float = 90) -> End:
    """Gives the command that a stopped run has printed; the run ends without further signals.

    Raises:
        subprocess.TimeoutExpired: If it does not end.
    """
    printed = shlex.split(end.line.rpartition("; to go on: ")[2])
    assert printed[:3] == ["lit-gen", "fit", "--resume"], end.line
    command = [sys.executable, "-m", "lit_gen", *printed[1:]]
    environment = {**os.environ, "PYTHONPATH": f"{REPO}:{REPO / 'tests'}"}
    found = subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=REPO, env=environment)
    return End(found.returncode, found.stderr, 0.0, [])


def alive(root: Path, name: str) -> list[str]:
    """Processes of a run of this name; one that is ending may take a moment."""
    end = time.time() + 3
    while True:
        pids = [p.name for p in Path("/proc").iterdir() if p.name.isdigit()]
        found = [c for c in map(_command, pids) if f"root_dir={root} " in c and f"--run_name={name} " in f"{c} "]
        if not found or time.time() > end:
            return found
        time.sleep(0.1)


def _command(pid: int | str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def assert_stopped(end: End, number: signal.Signals, seconds: float = 10.0) -> None:
    """The run ended on a signal: with its exit code, in time, in one line, and all of its processes.

    Raises:
        AssertionError: Otherwise.
    """
    assert end.code == 128 + number, end.error
    errors = [line for line in end.error.splitlines() if "rror:" in line or "Traceback" in line]
    assert len(errors) == 1, end.error
    assert end.line == errors[0], end.error
    assert end.line.startswith(f"error: stopped by {number.name}"), end.error
    assert end.seconds < seconds
    assert not end.processes


def rows(run: Path) -> list[dict[str, str]]:
    """The curves of a run, without what a clock measures."""
    file = run / "metrics.csv"
    if not file.is_file() or not file.read_text():
        return []
    with file.open() as lines:
        return [{k: v for k, v in row.items() if v != ""} for row in csv.DictReader(lines)]


def assert_same_end(unbroken: Path, resumed: Path) -> None:
    """A resumed run ends as the unbroken run, to the bit: weights, best checkpoint and curves.

    Its curves begin with those of the part before it.

    Raises:
        AssertionError: Naming the first difference.
    """
    for name in ("last", "best"):
        a, b = checkpoint(unbroken, name), checkpoint(resumed, name)
        for state in STATES:
            assert_same(a[state], b[state], f"{name}: {state}")
        assert_same(a["callbacks"]["ema"], b["callbacks"]["ema"], f"{name}: ema")
        assert a["callbacks"]["budget"] == b["callbacks"]["budget"], name
        assert candidates(a) == candidates(b), name
        assert_same(a["loops"], b["loops"], f"{name}: loops")
    assert rows(resumed) == rows(unbroken)


def candidates(content: dict[str, Any]) -> tuple[int, float]:
    """Number of the candidates for the best checkpoint so far, and the best score."""
    state = next(s for key, s in content["callbacks"].items() if "BestCheckpoint" in key)
    score = state["best_model_score"]
    return state["candidates"], float(score) if isinstance(score, torch.Tensor) else score
