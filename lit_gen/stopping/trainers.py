"""What Lightning's Trainer must leave alone, so that signals and lost processes are handled in one place."""

from __future__ import annotations

import signal
from typing import Any, TypeVar

from lit_gen.stopping.processes import PROCESSES, signals_between_processes
from lit_gen.stopping.requests import REQUESTS
from lit_gen.stopping.stops import SIGNALS

_T = TypeVar("_T")


def take_over(trainer: _T) -> _T:
    """Replaces a Trainer's own handling of signals and of the processes that it starts.

    Lightning raises inside an accumulation or a validation, calls a collective inside its handler of SIGTERM, on which
    two processes hang, installs a handler of SIGUSR1 under SLURM that requeues the job in the middle of a step, and
    broadcasts in every step. It kills the first process without a word when another one has ended.

    Args:
        trainer: A Trainer that has not run yet.

    Returns:
        The Trainer.
    """
    inner: Any = trainer
    inner._signal_connector.register_signal_handlers = _nothing
    inner.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing
    launcher = inner.strategy.launcher
    start = getattr(launcher, "_call_children_scripts", None)
    if start is None or getattr(start, "taken_over", False):
        return trainer

    def start_children() -> None:
        # No signal may come between the start of a process and its entry in the list. A new process inherits the
        # blocked signals, and receives what came meanwhile when it has its handlers.
        with REQUESTS.held():
            before = signal.pthread_sigmask(signal.SIG_BLOCK, [*SIGNALS, *signals_between_processes()])
            try:
                start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            PROCESSES.adopt(launcher.procs)
            launcher.procs = []  # Lightning's observer would kill this process

    start_children.taken_over = True  # type: ignore[attr-defined]
    launcher._call_children_scripts = start_children
    return trainer


def _nothing(*args: Any) -> None:
    """Does nothing."""
