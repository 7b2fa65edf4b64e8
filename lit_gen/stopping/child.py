"""A program that another one starts and waits for: signals are passed on, so that a training leaves a checkpoint."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from typing import Any

Process = subprocess.Popen[Any]


def exit_code_of(start: Callable[[], Process], wait: Callable[[Process], int] = subprocess.Popen.wait) -> int:
    """Starts a process and returns its exit code; passes SIGINT and SIGTERM on to it.

    Args:
        start: Function that starts the process, in a session of its own.
        wait: Function that waits for its end.

    Raises:
        SystemExit: A signal came; the code is 128 plus its number.
    """
    received: list[int] = []
    started: list[Process] = []

    def pass_on(number: int, _frame: object) -> None:
        received.append(number)
        for process in started:
            process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        process = start()
        started.append(process)
        for number in received:  # while it was started
            process.send_signal(number)
        code = wait(process)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        raise SystemExit(128 + received[0])
    return code
