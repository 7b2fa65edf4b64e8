"""Progress of long work: a bar that is redrawn on a terminal, a plain line each minute in a log file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from tqdm.auto import tqdm

from lit_gen.screen.quietness import SETTINGS

LOG_INTERVAL = 60.0
"""Seconds between two lines in a log file."""
_SCREEN_INTERVAL = 0.2
_DELAY = 1.0  # seconds before a bar of work that is mostly short appears
_RANKS = ("LOCAL_RANK", "SLURM_PROCID")  # by which launchers number processes
Block = TypeVar("Block", bound=Any)


def is_interactive() -> bool:
    """Whether stderr can be redrawn: a terminal, or a notebook."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


class Bar(Protocol):
    """What shows progress: the part of tqdm's interface that is used."""

    def update(self, n: float = 1) -> bool | None:
        """Adds to the count; returns whether something was drawn."""

    def set_description(self, desc: str | None = None, refresh: bool | None = True) -> None:
        """Names the work."""

    def set_postfix(self, ordered_dict: Mapping[str, object] | None = None) -> None:
        """Sets values that are shown beside the count."""

    def close(self) -> None:
        """Shows the end."""


def open_bar(
    what: str,
    total: int | None,
    unit: str,
    *,
    initial: int = 0,
    shown: bool = True,
    interval: float | None = None,
    brief: bool = False,
) -> Bar:
    """Opens a bar on stderr.

    Args:
        what: Name of the work.
        total: Number of units; None if it is not known.
        unit: Unit in the plural, such as ``examples``.
        initial: Number of units that are done.
        shown: Whether to show anything; also nothing is shown by other processes than the first, and if the command is
            to be quiet.
        interval: Seconds between two updates; if not given, 0.2 on a screen and 60 in a log file.
        brief: Whether the work is mostly short, so that nothing is shown before a second, and no line in a log file
            before the first interval.
    """
    first = all(os.environ.get(name, "0") == "0" for name in _RANKS)
    shown = shown and first and not SETTINGS.quiet
    if shown and not is_interactive():
        return LogLines(what, total, unit, initial, interval or LOG_INTERVAL, brief)
    return tqdm(
        desc=what,
        total=total,
        initial=initial,
        unit=f" {unit}",
        unit_scale=True,
        dynamic_ncols=True,
        mininterval=interval or _SCREEN_INTERVAL,
        maxinterval=2 * (interval or _SCREEN_INTERVAL),
        delay=_DELAY if brief else 0,
        disable=not shown,
        file=sys.stderr,
    )


def counted(
    blocks: Iterable[Block], what: str, total: int, unit: str, size: Callable[[Block], int] = len
) -> Iterator[Block]:
    """Yields blocks of mostly short work, and shows how many units they held.

    Args:
        blocks: The blocks.
        what: Name of the work.
        total: Number of units of all blocks.
        unit: Unit in the plural.
        size: Number of units of a block.
    """
    bar = open_bar(what, total, unit, brief=True)
    try:
        for block in blocks:
            yield block
            bar.update(size(block))
    finally:
        bar.close()


def write_line(text: str) -> None:
    """Writes a line on stderr, above a bar if there is one; nothing if the command is to be quiet."""
    if SETTINGS.quiet:
        return
    if is_interactive():
        tqdm.write(text, file=sys.stderr)
    else:
        sys.stderr.write(f"{text}\n")


class LogLines:
    """Progress as plain lines, without control characters, at most one in each interval and one at the end.

    Args:
        what: Name of the work.
        total: Number of units; None if it is not known.
        unit: Unit in the plural.
        initial: Number of units that are done.
        interval: Seconds between two lines.
        brief: Whether the last line is left out if there was no other.
    """

    def __init__(
        self, what: str, total: int | None, unit: str, initial: int = 0, interval: float = LOG_INTERVAL,
        brief: bool = False,
    ) -> None:  # fmt: skip
        self.what, self.total, self.unit, self.interval, self.brief = what, total, unit, interval, brief
        self.n: float = initial
        self._initial, self._lines, self._closed = initial, 0, False
        self._began = self._last = time.monotonic()
        self._values: Mapping[str, object] = {}

    def update(self, n: float = 1) -> bool:
        """Adds to the count; returns whether a line is due, which the values that are set next are part of."""
        self.n += n
        due = time.monotonic() - self._last >= self.interval
        if due and self.brief:
            self.write()
        return due

    def set_description(self, desc: str | None = None, refresh: bool | None = True) -> None:
        """Names the work; writes a line if one is due."""
        self.what = desc or ""
        self._write_if_due()

    def set_postfix(self, ordered_dict: Mapping[str, object] | None = None) -> None:
        """Sets the values beside the count; writes a line if one is due."""
        self._values = ordered_dict or {}
        self._write_if_due()

    def close(self) -> None:
        """Writes the last line, once."""
        if not self._closed and (self._lines or not self.brief):
            self.write()
        self._closed = True

    def _write_if_due(self) -> None:
        if time.monotonic() - self._last >= self.interval:
            self.write()

    def write(self) -> None:
        """Writes a line, as at the end of a part of the work."""
        self._last = time.monotonic()
        self._lines += 1
        sys.stderr.write(f"{self.line(self._last - self._began)}\n")
        sys.stderr.flush()

    def line(self, elapsed: float) -> str:
        """The line after so many seconds.

        >>> lines = LogLines("training", 4000, "examples")
        >>> lines.n = 1000
        >>> lines.line(30.0)
        'training: 1,000 of 4,000 examples (25%), 0:00:30, 33/s, 0:01:30 left'
        """
        rate = (self.n - self._initial) / elapsed if elapsed > 0 else 0.0
        count = f"{self.n:,.0f}" if self.total is None else f"{self.n:,.0f} of {self.total:,}"
        share = f" ({self.n / self.total:.0%})" if self.total else ""
        parts = [f"{self.what}: {count} {self.unit}{share}", clock(elapsed)]
        parts += [f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"] if rate else []
        if self.total is not None and rate and self.n < self.total:
            parts.append(f"{clock((self.total - self.n) / rate)} left")
        return ", ".join([*parts, *(f"{name}={value}" for name, value in self._values.items())])


def clock(seconds: float) -> str:
    """Seconds as hours, minutes and seconds.

    >>> clock(3725.4)
    '1:02:05'
    """
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
