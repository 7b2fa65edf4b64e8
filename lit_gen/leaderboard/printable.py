"""Texts of records for a terminal: without characters that could steer it, and not longer than a reader reads."""

from __future__ import annotations

from lit_gen.errors import without_controls

MOST_CHARACTERS_SHOWN = 500


def printable(text: str) -> str:
    r"""A text without control characters, which could steer a terminal; a long one is cut, with its length behind it.

    >>> printable("a\x1b[2Jb"), printable("x" * 1000)[-24:]
    ('a?[2Jb', 'xx... (1,000 characters)')
    """
    if len(text) > MOST_CHARACTERS_SHOWN:
        text = f"{text[:MOST_CHARACTERS_SHOWN]}... ({len(text):,} characters)"
    return without_controls(text)
