"""Sizes of files for people."""

from __future__ import annotations


def file_size(count: float) -> str:
    """A number of bytes with a unit.

    >>> [file_size(n) for n in (0, 1023, 1536, 5 * 2**20, 3.25 * 2**30, 5000 * 2**40)]
    ['0 B', '1023 B', '1.5 KiB', '5.0 MiB', '3.2 GiB', '5000.0 TiB']
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
