"""Selects the best scores: the lowest value that a model certainly attains.

Or the highest, for metrics where higher is better. Bounds are compared only with bounds by the same estimator, and
each such group has its own best: of two models, the worse may have the lower bound if its bound is tighter. Exact
values are compared with all groups. A bound below another model's exact value is better for certain, as its model's own
value is lower still; an exact value below another's bound is better in the weaker sense that it is what can be shown.
An estimate of a likelihood guarantees nothing, and is marked only in a column of estimates. A score without others to
compare with is not marked.

Scores that two standard errors of the difference cannot tell from the best are marked with it. A large error must not
earn a mark by itself, hence two conditions on it:

- The error of the difference is at most 5% of the best value, or at most three times the best's own error. The second
  alternative serves metrics that are near zero for good models, such as KID, whose errors are all large beside the
  value.
- A score whose own error is above 5% of its value is the best only if it is so beyond two standard errors; otherwise
  the best is the next one. Among scores that all have such errors it may be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Sequence

from lit_gen.records.score import Score

LARGEST_ERROR = 0.05
"""Largest standard error, as a fraction of the best value, at which a score is called as good as the best."""

ErrorOf = Callable[[Score, Score], float]
"""Standard error of the difference of two scores."""


def best_of(
    cells: Sequence[Sequence[Score]], error_of: ErrorOf | None = None, barred: Container[int] = ()
) -> frozenset[Score]:
    """The scores to mark among those of one column.

    Args:
        cells: The scores of each run that compete.
        error_of: Standard error of the difference of two scores; by default, of independent scores.
        barred: Ids (`id`) of scores that others are compared with, but which are not marked.
    """
    if any(score.guaranteed for cell in cells for score in cell):
        cells = [tuple(score for score in cell if score.guaranteed) for cell in cells]
    tightness = {_tightness(score) for cell in cells for score in cell} - {None} or {None}
    contests = []
    for group in tightness:
        entries = ([score for score in cell if _tightness(score) in (None, group)] for cell in cells)
        field = [_entry(own) for own in entries if own]
        if len(field) > 1:
            able = [score for score in field if id(score) not in barred]
            contests.append((field, _winners(able, error_of or unpaired_error)))
    winners = frozenset().union(*(won for _, won in contests))
    # An exact value is in every comparison, and is the best only if no bound is lower in any of them.
    return frozenset(s for s in winners if all(s in won for field, won in contests if s in field))


def merit(score: Score) -> float:
    """A score's value with the sign chosen such that smaller is better."""
    return -score.value if score.higher_is_better else score.value


def unpaired_error(a: Score, b: Score) -> float:
    """Standard error of the difference of two independent scores."""
    return math.hypot(a.standard_error or 0.0, b.standard_error or 0.0)


def _tightness(score: Score) -> str | None:
    """What a bound's gap to the model's own value depends on; None for other kinds.

    The number of draws of an average does not change its expectation, and that of an importance-weighted bound is part
    of the estimator's name.
    """
    return score.protocol.estimator or "" if score.kind == "bound" else None


def _entry(own: Sequence[Score]) -> Score:
    """One run's score in a contest: of several by one estimator that with most draws, as the lowest is so by luck."""
    most: dict[str, Score] = {}
    for score in own:
        name = f"{score.kind} {score.protocol.estimator}" if score.kind else str(len(most))
        if name not in most or _draws(score) > _draws(most[name]):
            most[name] = score
    return min(most.values(), key=merit)


def _draws(score: Score) -> int:
    return (score.protocol.draws or 1) * (score.protocol.replicates or 1)


def _winners(field: Sequence[Score], error_of: ErrorOf) -> set[Score]:
    ranked = sorted(field, key=merit)
    while ranked and not _precise(ranked[0]):
        precise = next((score for score in ranked if _precise(score)), None)
        if precise is None or not _close(ranked[0], precise, error_of):
            break
        del ranked[0]
    return {score for score in field if score is ranked[0] or _tied(score, ranked[0], error_of)}


def _precise(score: Score) -> bool:
    return (score.standard_error or 0.0) <= LARGEST_ERROR * abs(score.value)


def _close(a: Score, b: Score, error_of: ErrorOf) -> bool:
    return abs(a.value - b.value) <= 2 * error_of(a, b)


def _tied(score: Score, top: Score, error_of: ErrorOf) -> bool:
    limit = max(LARGEST_ERROR * abs(top.value), 3 * (top.standard_error or 0.0))
    return _close(score, top, error_of) and error_of(score, top) <= limit
