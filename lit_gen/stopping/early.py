"""Signals while a program is still importing: nothing can be lost yet, and a traceback would say nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


def handle_signals_of_program() -> None:
    """Ends the process on a signal, in one line, if it runs a module of lit_gen; libraries' users keep their handlers.

    The command itself installs other handlers when everything is imported.
    """
    pairs = zip(sys.orig_argv, sys.orig_argv[1:], strict=False)
    if not any(option == "-m" and module.partition(".")[0] == "lit_gen" for option, module in pairs):
        return
    _install()


@contextlib.contextmanager
def ended_at_once() -> Iterator[None]:
    """Ends the process on a signal inside the context, in one line, where a command imports what it needs.

    An exception would not do: raised inside an import, it may be caught there.
    """
    before = _install()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _install() -> dict[int, Any]:
    """Installs the handler; returns the former ones, none outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    # Under nohup, a closed terminal does not end the command.
    handled = [n for n in _SIGNALS if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    return {number: signal.signal(number, _end) for number in handled}


def _end(number: int, frame: FrameType | None) -> None:
    line = f"error: stopped by {signal.Signals(number).name}; give the same command again\n"
    os.write(sys.stderr.fileno(), line.encode())
    os._exit(128 + number)
