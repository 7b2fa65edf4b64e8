"""Scores that a reader must not take at face value, with the reason in words.

A flagged score is recorded and shown with `!`, and never marked as best.
"""

from __future__ import annotations

import dataclasses
import math

from lit_gen.records.error_parts import PARETO_LIMIT
from lit_gen.records.impossible import LIKELIHOODS, impossible
from lit_gen.records.record import Record
from lit_gen.records.score import SIGNS, Score

UNIFORM = "uniform noise"
"""Estimator of the baseline that gives all values of a dimension the same probability."""


def flags(score: Score, record: Record) -> tuple[str, ...]:
    """The reasons to distrust a score, none for most; each continues a sentence that begins with the score.

    Args:
        score: One of the record's scores.
        record: The record, for its baselines and the entropy of its data.
    """
    found = []
    if score.heavy_tailed:
        assert score.error is not None
        found.append(f"tail too heavy (Pareto k {score.error.pareto_k:.2f} > {PARETO_LIMIT}): "
                     "neither value nor error is reliable")
    if worse_than_uniform(score, record):
        found.append(f"worse than the uniform code ({_uniform(record):.3f} bits/{record.dimension})")
    if why := too_low(score, record):
        found.append(f"{why}, so the estimate is too low")
    return tuple(found)


def worse_than_uniform(score: Score, record: Record) -> bool:
    """Whether a likelihood is above the record's baseline that gives all values the same probability."""
    # Whatever the error: a code that has not been shown to be shorter than the uniform one is not worth a mark.
    return score.name in LIKELIHOODS and (limit := _uniform(record)) < math.inf and _in_bpd(score, record) > limit


def too_low(score: Score, record: Record) -> str:
    """For an estimate that would be impossible as a bound, the reason in words; else empty."""
    if score.kind != "estimate":
        return ""
    entropy = record.entropy if score.protocol.data == record.data else {}
    return impossible(score.name, score.value, score.standard_error, "bound", score.protocol.split, entropy)


def flag_lines(record: Record) -> list[str]:
    """One line for each flagged score of a record, such as `bits/dim <= 9.125 (test, vlb): worse than ...`."""
    lines = []
    for score in record.scores:
        if reasons := flags(score, record):
            sign = f"{SIGNS[score.kind]} " if score.kind else ""
            how = ", ".join(part for part in (score.protocol.split, score.protocol.estimator) if part)
            lines.append(f"{score.label} {sign}{score.value:.4g} ({how}): {'; '.join(reasons)}")
    return lines


def _uniform(record: Record) -> float:
    """The baseline in bits per dimension; infinite if the record has none."""
    found = (b.value for b in record.baselines if b.name == "bpd" and b.protocol.estimator == UNIFORM)
    return next(found, math.inf)


def _in_bpd(score: Score, record: Record) -> float:
    """The value in bits per dimension; for NLL that of the same estimate, as a record has no number of dimensions."""
    if score.name not in LIKELIHOODS:
        return -math.inf
    if score.name == "bpd":
        return score.value
    twin = dataclasses.replace(score.protocol, metric="bpd")
    return next((s.value for s in record.scores if s.protocol == twin), -math.inf)
