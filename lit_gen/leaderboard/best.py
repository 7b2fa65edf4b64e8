"""Which score is marked as best: the lowest value that a model certainly attains.

The highest, where up is better. Bounds compete only with bounds by the same estimator with as many draws, each
such group for a mark of its own: of two models, the worse may well have the lower bound if its bound is
tighter. Exact values compete with every group. A bound below another model's exact value is a sound win, as its
model's own value is lower still; an exact value below another's bound wins too, in the weaker sense that it is
what can be shown today. An estimate of a likelihood guarantees nothing and takes the mark only in a column of
estimates. All scores within two standard errors of the difference from the best are marked with it: we do not
rank inside the noise. Who has nobody to be compared with has no mark.
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
    # An exact value enters every contest, and is the best only if no bound is lower in any of them.
    return frozenset(s for s in winners if all(s in won for field, won in contests if s in field))


def _tightness(score: Score) -> str | None:
    """What a bound's gap to the model's own value depends on; None where there is no gap."""
    protocol = score.protocol
    return f"{protocol.estimator}, {protocol.draws}" if score.kind == "bound" else None


def merit(score: Score) -> float:
    """Smaller is better, whichever way the metric points."""
    return -score.value if score.higher_is_better else score.value


def _within_noise(a: Score, b: Score) -> bool:
    noise = math.hypot(a.standard_error or 0.0, b.standard_error or 0.0)
    return abs(a.value - b.value) <= 2 * noise
