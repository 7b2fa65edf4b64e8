"""The leaderboard's tables as values: one section per data set, one row per run, one column per question.

`group.py` builds them from runs.
"""

from __future__ import annotations

import functools
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_gen.leaderboard.best import best_of
from lit_gen.leaderboard.nfe_curves import excerpt
from lit_gen.records.cost import Cost
from lit_gen.records.question import Question, short, shown
from lit_gen.records.record import Record
from lit_gen.records.score import Score

Cell = tuple[Score, ...]
"""A run's answers to one question, best first; empty where it has none."""


@dataclass(frozen=True)
class Column:
    """One question.

    Attributes:
        metric: The metric's name.
        label: The metric's name in print.
        unit: Unit of its numbers; empty for pure ones.
        higher_is_better: Whether a higher value is better.
        decimals: Number of digits printed after the point, the same in all its cells.
        question: The fields that all of its scores agree on.
        differs: The fields on which it differs from the metric's other columns, by their names; without hashes where
            the others tell the columns apart, as a number of examples does.
    """

    metric: str
    label: str
    unit: str
    higher_is_better: bool
    decimals: int
    question: Question
    differs: Mapping[str, Any]

    @property
    def qualifier(self) -> str:
        """Differing fields of the column, as `[num_samples=1000]`; empty if the metric has one column."""
        parts = [f"{short(name)}={shown(value)}" for name, value in self.differs.items()]
        return f"[{', '.join(parts)}]" if parts else ""

    @property
    def header(self) -> str:
        """Label and qualifier."""
        return f"{self.label} {self.qualifier}".rstrip()


@dataclass(frozen=True)
class Row:
    """One run, or one baseline.

    Attributes:
        label: The run's name, made unique in its section; for a baseline, what it is.
        cells: One for each column of the section.
        record: The run's record; None for a baseline.
        directory: Directory of the record; None for a baseline.
    """

    label: str
    cells: tuple[Cell, ...]
    record: Record | None = None
    directory: Path | None = None

    @property
    def cost(self) -> Cost | None:
        """Cost of the run; None for a baseline."""
        return self.record.cost if self.record else None


@dataclass(frozen=True)
class Section:
    """All runs on one data set.

    Attributes:
        data: Name of the data set.
        columns: The questions.
        rows: The runs.
        baselines: Rows of the baselines.
        left_out: One line for each score that contradicts the others of its column.
    """

    data: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    baselines: tuple[Row, ...]
    left_out: tuple[str, ...] = ()

    @functools.cached_property
    def best(self) -> tuple[frozenset[Score], ...]:
        """For each column, the scores to mark (see `best.py`); none for one run alone."""
        return tuple(best_of([row.cells[i] for row in self.rows]) for i in range(len(self.columns)))

    @functools.cached_property
    def notes(self) -> dict[str, str]:
        """Letter of each footnote by its text, which says how a model answers; letters run down the rows."""
        answers = (answer_text(s) for row in self.rows for cell in row.cells for s in excerpt(cell))
        distinct = list(dict.fromkeys(text for text in answers if text))
        return {text: _letter(i) for i, text in enumerate(distinct)}


def answer_text(score: Score) -> str:
    """How the score was computed, in words; empty if the protocol has no such fields."""
    return ", ".join(f"{short(name)}={shown(value)}" for name, value in score.protocol.answer().items())


def _letter(index: int) -> str:
    letters = string.ascii_lowercase
    return letters[index] if index < 26 else _letter(index // 26 - 1) + letters[index % 26]
