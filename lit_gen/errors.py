"""Errors caused by user input."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Invalid user input, described in one line: what is wrong, where, and how to fix it.

    The commands print it to stderr as ``error: ...`` and exit with code 2, without a traceback.
    """


def nearest(name: str, valid: Iterable[str]) -> str:
    """Returns a clause with the valid name closest to a misspelt one, or an empty string.

    >>> nearest("halflive", ["halflife", "seed"])
    "; did you mean 'halflife'?"
    >>> nearest("zzz", ["halflife", "seed"])
    ''
    """
    found = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.6)
    return f"; did you mean '{found[0]}'?" if found else ""
