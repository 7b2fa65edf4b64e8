"""One model under several samplers and budgets: which of its scores make a curve, and which stand in the table.

How many steps a sampler takes is an answer, not a question (`records/question.py`), so all scores of one checkpoint
share a cell. Those that count their own function evaluations are points against that cost, a curve for each sampler.
"""

from __future__ import annotations

from collections.abc import Sequence

from lit_gen.records.question import is_answer, shown
from lit_gen.records.score import Score

_EVALUATIONS = "function_evaluations"
_MOST = 4  # answers that a cell of the table can hold and still be read at a glance


def evaluations(score: Score) -> float | None:
    """Function evaluations behind one sample of this very score; None where its protocol does not count them."""
    counted = score.protocol.sampler_settings.get(_EVALUATIONS)
    # Without a sampler they would be a likelihood's, which are no cost of sampling.
    return counted if score.protocol.sampler and isinstance(counted, int | float) and counted > 0 else None


def excerpt(cell: Sequence[Score]) -> tuple[Score, ...]:
    """What the table shows of a cell: all of it, but of a crowd each sampler's best alone.

    Args:
        cell: Scores of one run, best first. Those without function evaluations are on no curve and all stay.
    """
    if len(cell) <= _MOST:
        return tuple(cell)
    best: dict[str | int, Score] = {}
    for i, score in enumerate(cell):
        best.setdefault((score.protocol.sampler or "") if evaluations(score) else i, score)
    return tuple(best.values())


def more(cell: Sequence[Score]) -> str:
    """How many scores the excerpt leaves out, as `+20 more`; empty where it is the whole cell."""
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
