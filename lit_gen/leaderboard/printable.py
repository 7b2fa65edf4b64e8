"""Texts of records for a terminal: without characters that could steer it, and not longer than a reader reads."""

from __future__ import annotations

import unicodedata

MOST_CHARACTERS_SHOWN = 500


def printable(text: str) -> str:
    r"""A text without control characters, which could steer a terminal; a long one is cut, with its length behind it.

    >>> printable("a\x1b[2Jb"), printable("x" * 1000)[-24:]
    ('a?[2Jb', 'xx... (1,000 characters)')
    """
    if len(text) > MOST_CHARACTERS_SHOWN:
        text = f"{text[:MOST_CHARACTERS_SHOWN]}... ({len(text):,} characters)"
    if text.isascii() and text.isprintable():
        return text
    return "".join("?" if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") else c for c in text)
