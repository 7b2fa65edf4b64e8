"""What a record's scores are checked for before it is written: impossible values are left out, doubtful ones noted."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from lit_gen.data import DiscreteDataModule
from lit_gen.records.flags import flag_lines
from lit_gen.records.record import Record, Score, read_with_reasons

FLAGGED = "flagged"
"""Key of the record's note on flagged scores."""


def known_entropy(data: DiscreteDataModule) -> dict[str, float]:
    """Entropy of the data by the name of the score in whose unit it is; empty if the data module does not know it."""
    names = {"bpd": "entropy_bits_per_dim", "nll": "entropy_nats"}
    return {score: float(getattr(data, name)) for score, name in names.items() if hasattr(data, name)}


def possible(scores: Iterable[Score], entropy: Mapping[str, float]) -> list[Score]:
    """The scores that a model can have; each of the others is left out with a line on stderr.

    The others are left out rather than stop the command, so that the scores of samples, which may have taken hours, are
    kept.

    Args:
        scores: All scores.
        entropy: Entropy of the data, as from :func:`known_entropy`.
    """
    kept = []
    for score in scores:
        if why := score.impossible(entropy):
            sys.stderr.write(f"not recorded: score {why}; check that the model's probabilities sum to one\n")
        else:
            kept.append(score)
    return kept


def read_previous(path: Path) -> Record:
    """A record that is about to be written again; impossible scores of the file are left out, with a line on stderr.

    Raises:
        UserError: The record cannot be read.
    """
    record, reasons = read_with_reasons(path)
    for reason in reasons:
        sys.stderr.write(f"left out of {path}: {reason}\n")
    return record


def with_flags(record: Record) -> Record:
    """The record with a note on its flagged scores, if there are any."""
    notes = {name: value for name, value in record.notes.items() if name != FLAGGED}
    lines = flag_lines(record)
    return dataclasses.replace(record, notes={**notes, FLAGGED: "; ".join(lines)} if lines else notes)
