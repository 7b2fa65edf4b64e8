"""The processes of a run: one thread in each passes signals on, and notices when another one has ended."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from lit_gen.stopping.stops import SIGNALS, name_of

_FIRST = "LIT_GEN_FIRST_PROCESS"  # process number of the first process, for those that it starts
_STORE_KEY = "lit_gen/stop"
_POLL = 0.25  # seconds between two looks at the other processes
_POLL_STORE = 1.0
_SAME_REQUEST = 0.5  # seconds within which a signal counts once: ``timeout`` and shells send it twice
_AGAIN = "give the same command again"
GRACE = 8.0
"""Seconds in which a process that must end may do so by itself."""

# A signal that one process passes on is another one, so that a Ctrl-C, which a terminal sends to all processes, is not
# counted once for each. Without real-time signals (macOS), it is the same.
_REAL_TIME = getattr(signal, "SIGRTMIN", None)
_PASSED_ON = {n: n if _REAL_TIME is None else _REAL_TIME + i for i, n in enumerate(SIGNALS)}
_ORIGINAL = {passed: int(n) for n, passed in _PASSED_ON.items()}
_AT_ONCE = signal.SIGUSR2 if _REAL_TIME is None else _REAL_TIME + len(SIGNALS)


def signals_between_processes() -> list[int]:
    """Signals that processes of a run send each other, beside those from outside."""
    return [n for n in {*_PASSED_ON.values(), _AT_ONCE} if n not in SIGNALS]


def original(number: int) -> int:
    """The signal from outside that one between processes stands for."""
    return _ORIGINAL.get(number, number)


def is_first_process() -> bool:
    """Whether this is the run's first process, by launchers' variables: the global rank, or node and local rank."""
    for name in ("RANK", "SLURM_PROCID"):
        if os.environ.get(name):
            return int(os.environ[name]) == 0
    return all(int(os.environ.get(name) or 0) == 0 for name in ("NODE_RANK", "GROUP_RANK", "LOCAL_RANK"))


class Processes:
    """What this process knows of the others.

    The first process starts the others itself, or a launcher such as ``srun`` or ``torchrun`` starts all of them. In
    the first case they are its children, and reach each other by signals; in the second one they share the store of
    torch.distributed, which the first process serves: its end closes the store.

    Attributes:
        lost: Which process ended and how, or None.
        advice: Function that says how to go on, for a line that the main thread cannot print.
    """

    def __init__(self) -> None:
        self.lost: str | None = None
        self.advice: Callable[[], str] = lambda: _AGAIN
        self._children: list[subprocess.Popen[Any]] = []
        self._parent = 0
        self._asked: int | None = None
        self._asked_at = 0.0
        self._end: tuple[float, int, str] | None = None
        self._store_at = 0.0
        self._words = threading.Lock()
        self._done = threading.Event()
        self._done.set()
        self._thread: threading.Thread | None = None
        self._pipe = (-1, -1)
        self._old_fd = -1

    # ------------------------------------------------------------------ start and end

    def start(self) -> None:
        """Starts the thread; the main thread calls this before it installs handlers."""
        self.lost, self._children, self._asked, self._end = None, [], None, None
        self.advice = lambda: _AGAIN
        self._words, self._done = threading.Lock(), threading.Event()
        self._parent = os.getppid() if os.environ.get(_FIRST) == str(os.getppid()) else 0
        if not self._parent:
            os.environ[_FIRST] = str(os.getpid())
        self._pipe = os.pipe()
        for end in self._pipe:
            os.set_blocking(end, False)
        # Written to by the C handler, so that the thread knows of a signal while the main thread is inside torch.
        self._old_fd = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        arguments = (self._pipe[0], self._done)
        self._thread = threading.Thread(target=self._watch, args=arguments, daemon=True, name="lit_gen-processes")
        self._thread.start()

    def close(self) -> None:
        """Waits for children, which a command that succeeded has none left of, and ends the thread."""
        self.kill_children(patience=30.0 if sys.exc_info()[0] is None else 1.0)
        signal.set_wakeup_fd(self._old_fd)
        assert self._thread is not None
        self._done.set()
        os.write(self._pipe[1], b"\0")
        self._thread.join(1.0)
        if not self._thread.is_alive():
            for end in self._pipe:
                os.close(end)
        os.environ.pop(_FIRST, None)

    def adopt(self, children: list[subprocess.Popen[Any]]) -> None:
        """Watches processes that this one has started."""
        self._children = list(children)

    def kill_children(self, patience: float = 0.0) -> None:
        """Kills the processes that this one has started, and waits for their end; they hold nothing of value.

        Args:
            patience: Seconds in which they may end by themselves.
        """
        children, self._children = self._children, []
        end = time.monotonic() + patience
        for child in children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, end - time.monotonic()))
        for child in children:
            child.kill()
        for child in children:
            child.wait()

    @property
    def acts(self) -> bool:
        """Whether this process stops by itself: the first one, or one that cannot reach the first."""
        return is_first_process() or not (self._parent or _store())

    def claim_last_words(self) -> bool:
        """Whether the caller is the first to print why the process ends; there is one line."""
        return self._done.is_set() or self._words.acquire(blocking=False)

    def end_within(self, code: int, line: str, seconds: float | None = None) -> None:
        """Ends this process and its children by force if it has not ended by itself by then, 8 seconds by default."""
        self._end = (time.monotonic() + (GRACE if seconds is None else seconds), code, line)

    def lost_within(self, seconds: float) -> str | None:
        """Waits for news of a lost process: an error of communication comes before them."""
        end = time.monotonic() + seconds
        while self.lost is None and time.monotonic() < end:
            time.sleep(0.05)
        return self.lost

    # ------------------------------------------------------------------ the thread

    def _watch(self, read: int, done: threading.Event) -> None:
        while not done.is_set():
            ready, _, _ = select.select([read], [], [], _POLL)
            for number in os.read(read, 64) if ready else b"":
                if number:
                    self._on_signal(number)
            if not done.is_set():
                self._look()

    def _on_signal(self, number: int) -> None:
        # The pipe also has signals of other handlers, such as torch's SIGCHLD for an ended worker of a data loader.
        if number not in (*SIGNALS, *_ORIGINAL, _AT_ONCE):
            return
        if number == _AT_ONCE:
            self._stop_at_once()
        elif self._asked is None:
            self._asked, self._asked_at = original(number), time.monotonic()
            self._pass_on(self._asked)
        elif number in SIGNALS and time.monotonic() - self._asked_at > _SAME_REQUEST:
            if self._parent:
                os.kill(self._parent, _AT_ONCE)
            self._stop_at_once()

    def _stop_at_once(self) -> None:
        number = self._asked or int(signal.SIGTERM)
        self._leave(128 + number, f"stopped at once by a second signal after {name_of(number)}; {self.advice()}")

    def _pass_on(self, number: int) -> None:
        with contextlib.suppress(Exception):  # the end of the first process is noticed by itself
            if self._parent:
                os.kill(self._parent, _PASSED_ON[signal.Signals(number)])
            elif store := _store():
                store.set(_STORE_KEY, str(number))

    def _look(self) -> None:
        if self.lost is None and (found := self._someone_lost()):
            self.lost = found
            if self._asked is not None and not is_first_process():
                self._leave(128 + self._asked, "")  # as asked to; the first process has said why
            if self._end is None:
                self.end_within(1, f"{found}, so the run ends; {self.advice()}")
        if self._end is not None and time.monotonic() > self._end[0]:
            self._leave(*self._end[1:])

    def _someone_lost(self) -> str | None:
        for i, child in enumerate(self._children, start=1):
            if code := child.poll():
                how = f"was killed by {name_of(-code)}" if code < 0 else f"ended with exit code {code}"
                return f"process {i} of the run {how}"
        if self._parent:
            return None if os.getppid() == self._parent else "the first process of the run ended"
        if not self._children and time.monotonic() - self._store_at > _POLL_STORE:
            self._store_at = time.monotonic()
            return self._look_at_store()
        return None

    def _look_at_store(self) -> str | None:
        store = _store()
        try:
            if store is not None and store.check([_STORE_KEY]) and self._asked is None:
                self._asked, self._asked_at = int(store.get(_STORE_KEY)), time.monotonic()
                if is_first_process():
                    os.kill(os.getpid(), _PASSED_ON[signal.Signals(self._asked)])
        except Exception:
            return "the first process of the run ended"
        return None

    def _leave(self, code: int, line: str) -> None:
        """Ends the process although its main thread cannot, inside a collective whose other side is gone."""
        if line and (is_first_process() or self.lost) and self.claim_last_words():
            sys.stderr.write(f"error: {line}\n")
            sys.stderr.flush()
        with contextlib.suppress(Exception):
            self.kill_children()
        os._exit(code)


def _store() -> Any:
    """The store that all processes of a launcher share; None before they have met, and for a single process."""
    distributed: Any = sys.modules.get("torch.distributed")
    # Looked for, not called: the main thread may be importing the module now.
    if not getattr(distributed, "is_initialized", bool)() or distributed.get_world_size() == 1:
        return None
    return distributed.distributed_c10d._get_default_store()


PROCESSES = Processes()
"""Those of this process's run."""
