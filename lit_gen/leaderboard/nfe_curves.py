"""One model with several samplers and budgets: selects scores for curves and for the table.

The number of sampler steps is part of an answer, not of a question (`records/question.py`), so all scores of a
checkpoint share a cell. Those with their own function evaluations are points against that cost, one curve per sampler.
"""

from __future__ import annotations

from collections.abc import Sequence

from lit_gen.leaderboard.best import merit
from lit_gen.records.question import is_answer, shown
from lit_gen.records.score import Score

_EVALUATIONS = "function_evaluations"
_MOST = 4  # largest number of scores that a cell of the table shows


def evaluations(score: Score) -> float | None:
    """Function evaluations per sample of this score; None if its protocol does not have them."""
    counted = score.protocol.sampler_settings.get(_EVALUATIONS)
    # Without a sampler they would be those of a likelihood, not a cost of sampling.
    return counted if score.protocol.sampler and isinstance(counted, int | float) and counted > 0 else None


def excerpt(cell: Sequence[Score]) -> tuple[Score, ...]:
    """The scores shown in a cell of the table: all, or the first and the best of each sampler if there are many.

    Args:
        cell: Scores of one run: the one that competes, then the others, best first. Those without function evaluations
            are on no curve and all stay.
    """
    if len(cell) <= _MOST:
        return tuple(cell)
    best: dict[str | int, Score] = {}
    for i, score in enumerate(cell):
        name = (score.protocol.sampler or "") if evaluations(score) else i
        if name not in best or merit(score) < merit(best[name]):
            best[name] = score
    first = cell[0]
    return (first, *(score for score in best.values() if score is not first))


def more(cell: Sequence[Score]) -> str:
    """Number of scores that the excerpt leaves out, as `+20 more`; empty if there are none."""
    left_out = len(cell) - len(excerpt(cell))
    return f"+{left_out} more" if left_out else ""


def along(cell: Sequence[Score]) -> list[Score]:
    """The scores sampler by sampler, each from few function evaluations to many."""
    return sorted(cell, key=lambda score: (score.protocol.sampler or "", evaluations(score) or 0))


def sampler_text(score: Score) -> str:
    """Sampler and settings in words, as `ddim, steps=10`; without the function evaluations, which are a cost."""
    settings = score.protocol.sampler_settings
    stated = [name for name in settings if name != _EVALUATIONS and is_answer(f"sampler_settings.{name}")]
    return ", ".join([score.protocol.sampler or "", *(f"{name}={shown(settings[name])}" for name in stated)])
