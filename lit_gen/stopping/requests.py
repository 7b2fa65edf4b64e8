"""Requests to stop: signals are recorded while work could be lost, and raised where none can be."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from lit_gen.stopping.processes import PROCESSES, original, signals_between_processes
from lit_gen.stopping.stops import SIGNALS, Stop


class Requests:
    """The first signal received, and what happens to it.

    A signal is raised as :class:`Stop` in the main thread, wherever that is, unless signals are on hold: then it is
    only recorded, and the holder looks at ``number`` between two steps. With several processes, only the first one
    stops by itself: it writes the checkpoint, and ends the others, which meanwhile take part in what it waits for.
    No handler communicates, since a collective in it would meet another one; the thread of ``PROCESSES`` passes
    signals on.

    Attributes:
        number: The signal received, or None.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._on_hold = False
        self._listening = False

    @contextlib.contextmanager
    def listen(self) -> Iterator[None]:
        """Handles the signals inside the context; does nothing inside another one, or outside the main thread."""
        if self._listening or threading.current_thread() is not threading.main_thread():
            yield
            return
        self.number, self._on_hold, self._listening = None, False, True
        before = self._install()
        try:
            yield
        finally:
            self._on_hold = True  # the command's outcome is decided
            PROCESSES.close()
            for number, handler in before.items():
                signal.signal(number, handler)
            self._listening = False

    def _install(self) -> dict[int, Any]:
        PROCESSES.start()
        # Under nohup, a closed terminal does not end the command.
        handled = [n for n in SIGNALS if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
        before = {n: signal.signal(n, self._handle) for n in (*handled, *signals_between_processes())}
        # The first process starts the others with these signals blocked: what came meanwhile arrives here.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, before)
        return before

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or original(number)
        if not self._on_hold and PROCESSES.acts:
            self._on_hold = True  # a second one must not interrupt what the first one has started
            raise Stop(self.number)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Puts signals on hold inside the context."""
        before, self._on_hold = self._on_hold, True
        yield
        if not before:
            self.release()

    def hold(self) -> None:
        """From now on, signals are only recorded."""
        self._on_hold = True

    def release(self) -> None:
        """From now on, signals are raised.

        Raises:
            Stop: If one was recorded.
        """
        self._on_hold = not self._listening
        if self.number is not None and self._listening and PROCESSES.acts:
            self._on_hold = True
            raise Stop(self.number)


REQUESTS = Requests()
"""Those of this process: handlers of signals are global."""
