"""What is kept of a run's record: all of it, but for files that stay behind, and nothing that names a machine."""

from __future__ import annotations

import dataclasses
import getpass
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lit_gen.errors import UserError
from lit_gen.records.record import Record, read_record, write_record
from lit_gen.records.schema import encode

TIMES = "times_measured"
"""Note of a kept record: what else the machine did while times were measured."""

_ABSOLUTE = re.compile(r"(^|[\s=:,\[\"'])(/|~|[A-Za-z]:[\\/]|file:|s3:)\S|\.\.[\\/]")


def keep(source: Path, target: Path, times: str) -> None:
    """Writes a run's record to the repository.

    Checkpoints, samples and values per example stay in the run's folder: the kept record does not name them.

    Args:
        source: The record in the run's folder.
        target: The record in the repository.
        times: What else the machine did while times were measured.

    Raises:
        UserError: The record cannot be read, or names a path or a machine.
    """
    record = without_files(read_record(source))
    record = dataclasses.replace(record, notes={**record.notes, TIMES: times})
    if found := list(naming_machine(record)):
        raise UserError(f"{source} names a path or a machine: {found[0]}; leave that option out, or give it relatively")
    write_record(target, record)


def without_files(record: Record) -> Record:
    """The record without the paths of files that are not kept."""
    scores = [dataclasses.replace(score, per_example=None) for score in record.scores]
    baselines = [dataclasses.replace(score, per_example=None) for score in record.baselines]
    return dataclasses.replace(record, scores=scores, baselines=baselines, files={})


def naming_machine(record: Record) -> Iterator[str]:
    """Yields texts of a record that hold an absolute path, or the name of this machine or its user."""
    names = {socket.gethostname(), getpass.getuser()} - {"root", "localhost", "user", ""}
    known = re.compile(rf"\b({'|'.join(map(re.escape, names))})\b") if names else None
    for text in _texts(encode(record)):
        if _ABSOLUTE.search(text) or (known and known.search(text)):
            yield text


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from (str(key), *_texts(value))
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _texts(value)
    elif isinstance(tree, str):
        yield tree
