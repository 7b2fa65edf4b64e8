"""The gap between the likelihood of a model's training data and that of held-out data."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import NamedTuple

from lit_gen.records.protocol import Protocol
from lit_gen.records.record import Record
from lit_gen.records.score import Score


class Gap(NamedTuple):
    """Test minus train in the unit of the score, positive for a model that fits its training data better.

    Attributes:
        value: The difference.
        standard_error: Its standard error, of independent examples; None if one of the two scores has none.
    """

    value: float
    standard_error: float | None


def train_gap(score: Score, record: Record) -> Gap | None:
    """The gap of a likelihood on the training split; None for other scores, and if test was not scored the same way.

    Args:
        score: One of the record's scores.
        record: The record.
    """
    if score.kind is None or score.protocol.split != "train":
        return None
    own = _elsewhere(score.protocol)
    same = [s for s in record.scores if s.protocol.split == "test" and _elsewhere(s.protocol) == own]
    if not same:
        return None
    # Of several sets of test examples, the largest.
    test = max(same, key=lambda s: s.protocol.num_examples or 0)
    errors = (test.standard_error, score.standard_error)
    error = None if None in errors else math.hypot(*(e for e in errors if e is not None))
    return Gap(test.value - score.value, error)


@functools.lru_cache(maxsize=4096)  # thousands of records state a few protocols
def _elsewhere(protocol: Protocol) -> Protocol:
    """The protocol without what differs between two splits: replicates change an error, and no expected value."""
    return dataclasses.replace(protocol, split=None, data_hash=None, num_examples=None, replicates=None)
