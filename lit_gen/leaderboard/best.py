"""Selects the best scores: the lowest value that a model certainly attains.

Or the highest, for metrics where higher is better. Bounds are compared only with bounds by the same estimator with as
many draws, and each such group has its own best: of two models, the worse may have the lower bound if its bound is
tighter. Exact values are compared with all groups. A bound below another model's exact value is better for certain,
as its model's own value is lower still; an exact value below another's bound is better in the weaker sense that it
is what can be shown. An estimate of a likelihood guarantees nothing, and is marked only in a column of estimates.
All scores within two standard errors of the difference from the best are marked with it, because such differences
are not significant. A score without others to compare with is not marked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from lit_gen.records.score import Score


def best_of(cells: Sequence[Sequence[Score]]) -> frozenset[Score]:
    """The scores to mark among the cells of one column; a cell holds one run's."""
    if any(score.guaranteed for cell in cells for score in cell):
        cells = [tuple(score for score in cell if score.guaranteed) for cell in cells]
    tightness = {_tightness(score) for cell in cells for score in cell} - {None} or {None}
    contests = []
    for group in tightness:
        entries = ([score for score in cell if _tightness(score) in (None, group)] for cell in cells)
        field = [min(own, key=merit) for own in entries if own]
        if len(field) > 1:
            top = min(field, key=merit)
            contests.append((field, {score for score in field if _within_noise(score, top)}))
    winners = frozenset().union(*(won for _, won in contests))
    # An exact value is in every comparison, and is the best only if no bound is lower in any of them.
    return frozenset(s for s in winners if all(s in won for field, won in contests if s in field))


def _tightness(score: Score) -> str | None:
    """What a bound's gap to the model's own value depends on; None for other kinds."""
    protocol = score.protocol
    return f"{protocol.estimator}, {protocol.draws}" if score.kind == "bound" else None


def merit(score: Score) -> float:
    """A score's value with the sign chosen such that smaller is better."""
    return -score.value if score.higher_is_better else score.value


def _within_noise(a: Score, b: Score) -> bool:
    noise = math.hypot(a.standard_error or 0.0, b.standard_error or 0.0)
    return abs(a.value - b.value) <= 2 * noise
