"""Finding the records below a directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from lit_gen.errors import UserError
from lit_gen.records.record import RECORD_NAME, Record, read_record


class Run(NamedTuple):
    """A record and the directory it stands in."""

    record: Record
    directory: Path


class Found(NamedTuple):
    """What lies below a directory: the runs, and one line for each record that could not be read."""

    runs: list[Run]
    left_out: list[str]


def find_runs(directory: Path) -> Found:
    """Reads every record below a directory, in the order of their paths.

    Raises:
        UserError: The directory is missing or is none.
    """
    if not directory.is_dir():
        reason = "is not a directory" if directory.exists() else "does not exist"
        raise UserError(f"{directory} {reason}; give the directory that holds the runs")
    found = Found([], [])

    def closed(error: OSError) -> None:
        found.left_out.append(f"{error.filename}: {error.strerror}")

    for folder, _, files in sorted(os.walk(directory, onerror=closed)):
        if RECORD_NAME not in files:
            continue
        try:
            found.runs.append(Run(read_record(Path(folder, RECORD_NAME)), Path(folder)))
        except UserError as error:
            found.left_out.append(str(error))
    return found


def no_record(directory: Path, found: Found) -> UserError:
    """The complaint about a directory without a single good record."""
    broken = f" ({len(found.left_out)} could not be read)" if found.left_out else ""
    return UserError(f"no record below {directory}{broken}; a finished run leaves a {RECORD_NAME}")
