"""The scripts of ``docs/results``, which import each other by their bare names, and what their tests share."""

from __future__ import annotations

import sys

from conftest import REPO

from lit_gen.records.record import Record, read_record

sys.path.insert(0, str(REPO / "docs/results"))
try:
    import cells
    import fid_factors
    import kept
    import listing
    import run
    import tables
finally:
    sys.path.pop(0)

__all__ = ["FIRST", "cells", "fid_factors", "first_record", "kept", "listing", "run", "tables"]

FIRST = "digits-vae-0"
"""Folder of a record to try things on."""


def first_record() -> Record:
    """The record in it."""
    return read_record(listing.RECORDS / FIRST / "record.json")
