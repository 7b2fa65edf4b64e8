"""Samples of text: a file, and an excerpt for the console."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from torch import Tensor


class ShowsText(Protocol):
    """Data whose integers are text."""

    def decode(self, x: Tensor) -> str:
        """Decodes integers ``[T]``."""


def write_texts(pieces: Iterable[tuple[str, Tensor]], data: ShowsText, path: Path) -> Path:
    """Writes a UTF-8 file of pieces, each below a line with its name; its folder is created. Line ends are kept.

    Args:
        pieces: Names, and integers ``[L]``.
        data: Data module that decodes them.
        path: Path of the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "\n".join(f"=== {name} ===\n{data.decode(levels)}\n" for name, levels in pieces)
    path.write_bytes(content.encode("utf-8", "replace"))
    return path


def excerpt(text: str, characters: int = 240, lines: int = 6) -> str:
    r"""The beginning of a text, safe to print: control characters become replacement characters.

    >>> ascii(excerpt("To be\x1b[2J or not\nto be", characters=15))
    "'To be\\ufffd[2J or no ...'"
    """
    shown = "\n".join(text[:characters].split("\n")[:lines])
    safe = "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in shown)
    return safe if len(shown) == len(text) else f"{safe} ..."
