"""Samples of text: a file, and an excerpt for the console."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from torch import Tensor


class ShowsText(Protocol):
    """Data whose levels are text."""

    def decode(self, x: Tensor) -> str:
        """The text of levels ``[T]``."""


def write_texts(pieces: Iterable[tuple[str, Tensor]], data: ShowsText, path: Path) -> Path:
    """Writes a UTF-8 file of pieces, each below a line that names it; its folder is made. Line ends are kept.

    Args:
        pieces: Names, and levels ``[L]``.
        data: Decodes them.
        path: The file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "\n".join(f"=== {name} ===\n{data.decode(levels)}\n" for name, levels in pieces)
    path.write_bytes(content.encode("utf-8", "replace"))
    return path


def excerpt(text: str, characters: int = 240, lines: int = 6) -> str:
    r"""The beginning of a text, safe to print: whatever else a terminal would obey becomes a replacement character.

    >>> ascii(excerpt("To be\x1b[2J or not\nto be", characters=15))
    "'To be\\ufffd[2J or no ...'"
    """
    shown = "\n".join(text[:characters].split("\n")[:lines])
    safe = "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in shown)
    return safe if len(shown) == len(text) else f"{safe} ..."
