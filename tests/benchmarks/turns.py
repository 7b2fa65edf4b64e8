"""Programs that take turns: each works for a window when it is told to, says how fast it went, and waits.

All contestants of a row live at once, one thread each, and only one works at a time (A B C A B C ...), so that a
machine whose speed drifts slows them all alike. A contestant's first window warms it up and is not counted.
"""

from __future__ import annotations

import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

_MARK, _SECONDS = "WINDOW", 3.0


@dataclass(frozen=True)
class Window:
    """What a contestant did in its window.

    Attributes:
        rate: Images a second.
        peak_mib: The process's largest resident set so far.
        parameters: Of its model.
        bpd: Bits a dimension in its last step; not a number for a sampler, or where the loss is no likelihood.
    """

    rate: float
    peak_mib: float
    parameters: int
    bpd: float


# ------------------------------------------------------------------ in the contestant


def wait_for_turn() -> float:
    """Waits for the word, and reads the clock; ends the program when there are no more turns."""
    if not sys.stdin.readline():
        os._exit(0)
    return time.perf_counter()


def tell(images: int, since: float, parameters: int, bpd: float) -> None:
    """Reports a window that is over."""
    rate = images / (time.perf_counter() - since)
    # Not getrusage's, which starts at what the parent had when it made this process.
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert peak is not None
    print("\n" + _MARK, json.dumps(asdict(Window(rate, int(peak[1]) / 1024, parameters, bpd))), flush=True)


def is_over(since: float) -> bool:
    """Whether the window is."""
    return time.perf_counter() - since >= _SECONDS


def take_turns(work: Callable[[], int], parameters: int, bpd: Callable[[], float]) -> None:
    """Does units of work, each of which returns its number of images, window after window."""
    while True:
        since, images = wait_for_turn(), 0
        while not images or not is_over(since):
            images += work()
        tell(images, since, parameters, bpd())


# ------------------------------------------------------------------ in the referee


class Contestant:
    """One program; made, it has had its first window."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.errors = tempfile.TemporaryFile("w+", dir=folder)  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, cwd=folder, env=environment,
        )  # fmt: skip
        self.turn()

    def turn(self) -> Window:
        """One window.

        Raises:
            RuntimeError: The program ended.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith(_MARK):
                return Window(**json.loads(line.removeprefix(_MARK)))
        self.errors.seek(0)
        raise RuntimeError(f"{self.process.args} ended:\n{self.errors.read()[-3000:]}")

    def end(self) -> None:
        """No more turns."""
        self.process.kill()
        self.process.communicate()
        self.errors.close()


@contextmanager
def contest(
    commands: Mapping[str, Sequence[str]], environment: Mapping[str, str], folder: Path
) -> Iterator[dict[str, Contestant]]:
    """Contestants by name, warm."""
    with ExitStack() as stack:
        found = {}
        for name, command in commands.items():
            found[name] = Contestant(command, environment, folder)
            stack.callback(found[name].end)
        yield found


def imports_mib(environment: Mapping[str, str]) -> float:
    """What a process holds for having imported our command, and not only what any optimizer of torch's imports."""
    held = []
    for what in ("torch._dynamo", "lit_gen.fit"):
        script = f"import {what}\nprint(open('/proc/self/status').read())"
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
        )
        found = re.search(r"VmRSS:\s+(\d+)", done.stdout)
        assert found is not None
        held.append(int(found[1]) / 1024)
    return held[1] - held[0]


class Results:
    """Windows of a contest by contestant, round by round.

    Args:
        contestants: By name.
        rounds: How many.
        ours: Which of them are no peers.
        reference: To whom ratios are taken; the fastest peer if not given.
    """

    def __init__(
        self, contestants: Mapping[str, Contestant], rounds: int, ours: Sequence[str], reference: str | None = None
    ) -> None:
        self.windows: dict[str, list[Window]] = {name: [] for name in contestants}
        for _ in range(rounds):
            for name, contestant in contestants.items():
                self.windows[name].append(contestant.turn())
        self.peers = [name for name in self.windows if name not in ours]
        self.fastest_peer = max(self.peers, key=self.rate)
        self.reference = reference or self.fastest_peer

    def rate(self, name: str) -> float:
        """The median."""
        return statistics.median(window.rate for window in self.windows[name])

    def own_peak(self, name: str, imports: float) -> float:
        """A ``fit``'s peak without the average of the weights, which no peer keeps, and without imports; in MiB."""
        return self.peak(name) - self.windows[name][0].parameters * 4 / 2**20 - imports

    def peak(self, name: str) -> float:
        """In MiB, at the end."""
        return self.windows[name][-1].peak_mib

    def ratios(self, name: str) -> list[float]:
        """To the reference, round by round."""
        pairs = zip(self.windows[name], self.windows[self.reference], strict=True)
        return [mine.rate / theirs.rate for mine, theirs in pairs]

    def ratio(self, name: str) -> float:
        """The median."""
        return statistics.median(self.ratios(name))

    def table(self, title: str) -> str:
        """All that was measured, a line a contestant."""
        which = ", the fastest peer" if self.reference == self.fastest_peer else ""
        lines = [f"\n{title}; ratio to {self.reference}{which}, median (lowest to highest)"]
        width = max(14, *(len(name) + 1 for name in self.windows))
        for name, windows in self.windows.items():
            last, ratios = windows[-1], self.ratios(name)
            bits = "" if math.isnan(last.bpd) else f"{last.bpd:>8.2f} bits/dim"
            lines.append(
                f"  {name:<{width}}{self.rate(name):>10,.1f} images/s  {statistics.median(ratios):>7.2f}"
                f" ({min(ratios):.2f} to {max(ratios):.2f}){last.parameters:>12,} parameters"
                f"{last.peak_mib:>7,.0f} MiB{bits}"
            )
        return "\n".join(lines)
