"""The file of per-example likelihoods beside a record: gzipped CSV, so that two runs can be compared in pairs."""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lit_gen.errors import UserError
from lit_gen.records.atomic import atomic_file
from lit_gen.records.file_size import file_size
from lit_gen.records.plain_file import check_plain

MOST_BYTES = 2**30
"""Of a file, and of what it holds: 50,000 examples take about 2 MB."""
HEADER = ("index", "group", "nats", "draws_variance")


@dataclass(frozen=True, slots=True)
class ExampleNats:
    """One example's negative log-likelihood.

    Attributes:
        index: Position in the split.
        group: Number of the group of dependent examples that it belongs to; the index itself if it is independent.
        nats: Negative log-likelihood in nats.
        draws_variance: Variance of ``nats`` over the estimator's draws; 0 if it is exact, None if unknown.
    """

    index: int
    group: int
    nats: float
    draws_variance: float | None


def write_examples(path: Path, examples: Iterable[ExampleNats]) -> None:
    """Writes per-example values atomically: plain CSV if the name ends in ``.csv``, else gzipped.

    Args:
        path: The file; its directory is made.
        examples: The values, in the order of the file.

    Raises:
        OSError: The directory cannot be made or written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for example in examples:
        variance = "" if example.draws_variance is None else repr(example.draws_variance)
        writer.writerow((example.index, example.group, repr(example.nats), variance))
    data = text.getvalue().encode()
    with atomic_file(path) as temporary:
        # Without a time in the header: equal values give equal files.
        temporary.write_bytes(data if path.suffix == ".csv" else gzip.compress(data, mtime=0))


def read_examples(path: Path) -> list[ExampleNats]:
    """Reads per-example values.

    Args:
        path: A file written by :func:`write_examples`.

    Raises:
        UserError: In one line with the path: the file is missing, damaged, or contains a value that is not finite.
    """
    try:
        check_plain(path, MOST_BYTES)
        with path.open("rb") if path.suffix == ".csv" else gzip.open(path) as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ValueError(f"it is larger than {file_size(MOST_BYTES)} once unpacked")
        text = data.decode()
        rows = csv.reader(io.StringIO(text))
        if tuple(next(rows, ())) != HEADER:
            raise ValueError(f"its first line is not {','.join(HEADER)}")
        return [_example(row) for row in rows]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
    except (ValueError, EOFError, csv.Error) as error:
        raise UserError(f"{path} is no file of per-example values: {' '.join(str(error).split())}") from error


def _example(row: list[str]) -> ExampleNats:
    index, group, nats, variance = row
    found = ExampleNats(int(index), int(group), float(nats), float(variance) if variance else None)
    if not math.isfinite(found.nats):
        raise ValueError(f"example {found.index} has {found.nats} nats")
    return found
