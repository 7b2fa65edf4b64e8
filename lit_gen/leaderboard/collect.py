"""Finding the records below a directory."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from lit_gen.errors import UserError
from lit_gen.leaderboard.printable import printable
from lit_gen.records.plain_file import check_plain
from lit_gen.records.record import RECORD_NAME, Record, read_with_reasons
from lit_gen.records.schema import unknown_keys

MOST_RECORD_BYTES = 4 * 2**20
MOST_NAME_CHARACTERS = 200
_MOST_KEYS = 5  # named in one line
_NAMES = ("run_name", "family", "model", "data")


class Run(NamedTuple):
    """A record and its directory."""

    record: Record
    directory: Path


class Found(NamedTuple):
    """The records below a directory.

    Attributes:
        runs: The runs.
        left_out: One line for each record that could not be read, and for each score that no model can have.
        remarks: Notes on the readable records, such as on all keys that this version does not know.
    """

    runs: list[Run]
    left_out: list[str]
    remarks: list[str]


def find_runs(directory: Path) -> Found:
    """Reads every record below a directory, in the order of their paths.

    Args:
        directory: The directory to search, with its subdirectories.

    Raises:
        UserError: The path is missing or is not a directory.
    """
    if not directory.is_dir():
        reason = "is not a directory" if directory.exists() else "does not exist"
        raise UserError(f"{directory} {reason}; give the directory that holds the runs")
    found = Found([], [], [])

    def closed(error: OSError) -> None:
        found.left_out.append(f"{error.filename}: {error.strerror}")

    for folder, _, files in sorted(os.walk(directory, onerror=closed)):
        if RECORD_NAME not in files:
            continue
        try:
            record, reasons = read_limited(path := Path(folder, RECORD_NAME))
            found.runs.append(Run(_with_short_names(record, path, found.remarks), Path(folder)))
            found.left_out.extend(f"{path}: {reason}" for reason in reasons)
        except UserError as error:
            found.left_out.append(str(error))
    found.remarks.extend(_unknown(found.runs))
    return found


def read_limited(path: Path) -> tuple[Record, list[str]]:
    """Reads a record of somebody else: a regular file of limited size.

    Args:
        path: The record.

    Returns:
        The record, and one line for each score that no model can have.

    Raises:
        UserError: It is something else or larger, or cannot be read.
    """
    try:
        check_plain(path, MOST_RECORD_BYTES)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} {error}; it is not read") from error
    return read_with_reasons(path)


def _with_short_names(record: Record, path: Path, remarks: list[str]) -> Record:
    """The record with names that fit in a table, and a remark on each that was cut."""
    long = {name: text for name in _NAMES if len(text := getattr(record, name)) > MOST_NAME_CHARACTERS}
    if not long:
        return record
    remarks += [f"{path}: {name} has {len(text):,} characters and is cut" for name, text in long.items()]
    short: dict[str, Any] = {name: f"{text[:MOST_NAME_CHARACTERS]}..." for name, text in long.items()}
    return dataclasses.replace(record, **short)


def _unknown(runs: list[Run]) -> list[str]:
    """One line about the keys that records hold and this version does not know; none if there are none."""
    counted = Counter(key for run in runs for key in unknown_keys(run.record))
    if not counted:
        return []
    named = [f"{printable(key)} ({count} of {len(runs)} records)" for key, count in counted.most_common(_MOST_KEYS)]
    rest = f" and {len(counted) - _MOST_KEYS:,} more" if len(counted) > _MOST_KEYS else ""
    return [f"keys that this version of lit_gen does not know are not shown: {', '.join(named)}{rest}"]


def no_record(directory: Path, found: Found) -> UserError:
    """The error for a directory without any readable record."""
    broken = f" ({len(found.left_out)} could not be read)" if found.left_out else ""
    return UserError(f"no record below {directory}{broken}; a finished run leaves a {RECORD_NAME}")
