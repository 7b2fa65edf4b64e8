"""Signals while a program is still importing: nothing can be lost yet, and a traceback would say nothing."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


def handle_signals_of_program() -> None:
    """Ends the process on a signal, in one line, if it runs a module of lit_gen; libraries' users keep their handlers.

    The command itself installs other handlers when everything is imported.
    """
    pairs = zip(sys.orig_argv, sys.orig_argv[1:], strict=False)
    if not any(option == "-m" and module.partition(".")[0] == "lit_gen" for option, module in pairs):
        return
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    line = f"error: stopped by {signal.Signals(number).name}; give the same command again\n"
    os.write(sys.stderr.fileno(), line.encode())
    os._exit(128 + number)
