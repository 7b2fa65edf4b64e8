"""The leaderboard's tables as values: one section per data set, one row per run, one column per question.

`group.py` builds them from runs.
"""

from __future__ import annotations

import functools
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lit_gen.leaderboard.best import best_of
from lit_gen.leaderboard.competing import competing, selection_text
from lit_gen.leaderboard.figures import COSTS, CostColumn
from lit_gen.leaderboard.nfe_curves import excerpt
from lit_gen.leaderboard.paired import PairedErrors
from lit_gen.leaderboard.spread import Spread
from lit_gen.records.cost import Cost
from lit_gen.records.error_parts import ErrorParts
from lit_gen.records.flags import flag_lines, flags
from lit_gen.records.protocol import Protocol
from lit_gen.records.question import Question, short, shown
from lit_gen.records.record import Record
from lit_gen.records.score import Score

Cell = tuple[Score, ...]
"""A run's answers to one question; empty where it has none.

Of samplings the one that competes is first (see `competing.py`), then the others, best first.
"""


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
    """One run, several runs that differ in their seed alone, or one baseline.

    Attributes:
        label: The run's name, made unique in its section; for a baseline, what it is.
        cells: One for each column of the section.
        record: The run's record, of several runs one with their means; None for a baseline.
        directory: Directory of the record, of several runs that of the first; None for a baseline.
        members: The rows of the several runs; empty for a single one.
        spreads: What is known of each mean of several runs, by the score's `id`.
    """

    label: str
    cells: tuple[Cell, ...]
    record: Record | None = None
    directory: Path | None = None
    members: tuple[Row, ...] = ()
    spreads: Mapping[int, Spread] = field(default_factory=dict, hash=False)

    @property
    def runs(self) -> tuple[Row, ...]:
        """The rows of single runs: the members, or the row itself."""
        return self.members or (self,)

    def spread(self, score: Score) -> Spread | None:
        """What is known of a mean of several runs; None for the score of a single one."""
        return self.spreads.get(id(score))

    def flags(self, score: Score) -> tuple[str, ...]:
        """The reasons to distrust a score, none for most; of a mean, those of its members."""
        spread = self.spread(score)
        if spread is not None:
            return spread.flagged
        return flags(score, self.record) if self.record else ()

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
        trials: Number of runs of each sweep, by the sweep's id.
        with_weights: Whether averaged and raw weights share columns, so that footnotes say which were scored.
    """

    data: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    baselines: tuple[Row, ...]
    left_out: tuple[str, ...] = ()
    with_weights: bool = False
    trials: Mapping[str, int] = field(default_factory=dict, hash=False)

    @functools.cached_property
    def best(self) -> tuple[frozenset[Score], ...]:
        """For each column, the scores to mark (see `best.py`); none for one run alone."""
        owned = [(score, row) for row in self.rows if row.record for score in row.record.scores]
        # By identity, as two runs may hold equal scores.
        directories = {id(score): row.directory for score, row in owned if row.directory}
        spreads = {id(score): spread for score, row in owned if (spread := row.spread(score))}
        error_of = PairedErrors(directories, spreads)
        barred = {id(score) for score, row in owned if row.flags(score)}
        cells = ([competing(row.cells[i], row.record) for row in self.rows if row.record]
                 for i in range(len(self.columns)))
        return tuple(best_of(own, error_of, barred) for own in cells)

    @functools.cached_property
    def costs(self) -> tuple[CostColumn, ...]:
        """The columns of costs; those that later versions added only if a run has them."""
        return tuple(c for c in COSTS if not c.later or any(c.value(row.cost) is not None for row in self.rows))

    def is_best(self, row: Row, column: int, score: Score) -> bool:
        """Whether a score of a run is marked; a sampling that does not compete may equal one that does."""
        record = row.record
        if record is None or score not in self.best[column]:
            return False
        return score in competing(row.cells[column], record) and not row.flags(score)

    @functools.cached_property
    def notes(self) -> dict[str, str]:
        """Letter of each footnote by its text, from `footnote`; letters run down the rows."""
        answers = (self.footnote(row, i, s) for row in self.rows for i, cell in enumerate(row.cells)
                   for s in excerpt(cell))
        distinct = list(dict.fromkeys(text for text in answers if text))
        return {text: _letter(i) for i, text in enumerate(distinct)}

    @functools.cached_property
    def flagged(self) -> tuple[str, ...]:
        """One line for each score that is not to be taken at face value, with the run's name in front."""
        runs = [run for row in self.rows for run in row.runs]
        return tuple(f"{run.label}: {line}" for run in runs if run.record for line in flag_lines(run.record))

    @property
    def num_runs(self) -> int:
        """Number of runs in all rows."""
        return sum(len(row.runs) for row in self.rows)

    def footnote(self, row: Row, column: int, score: Score) -> str:
        """How a score was computed, chosen and given an error, in words; empty if there is nothing to say.

        Args:
            row: Row of the run, or of a baseline.
            column: Index of the column.
            score: A score of the row's cell.
        """
        chosen = selection_text(score, row.cells[column], row.record) if row.record else ""
        weights = f"weights={score.protocol.weights}" if self.with_weights else ""
        answer = ", ".join(part for part in (weights, answer_text(score)) if part)
        return "; ".join(part for part in (answer, chosen, groups_text(score.error), score.note) if part)


def groups_text(error: ErrorParts | None) -> str:
    """What a standard error was taken over, if not over examples, as `error over 30 recordings`; else empty.

    >>> groups_text(ErrorParts(group="block of 12 windows", num_groups=8))
    'error over 8 blocks of 12 windows'
    """
    if error is None or error.group == "example":
        return ""
    noun, of, rest = error.group.partition(" of ")
    count = f"{error.num_groups:,} " if error.num_groups else ""
    return f"error over {count}{noun}s{of}{rest}"


def parts_text(error: ErrorParts | None) -> str:
    """The parts of a standard error, as `error 0.0100 from examples, 0.0020 from draws`; else empty."""
    if error is None:
        return ""
    parts = {"examples": error.from_examples, "draws": error.from_draws}
    known = [f"{value:.2g} from {name}" for name, value in parts.items() if value is not None]
    return f"error {', '.join(known)}" if known else ""


def answer_text(score: Score) -> str:
    """How the score was computed, in words; empty if the protocol has no such fields."""
    return _answer_of(score.protocol)


@functools.lru_cache(maxsize=4096)
def _answer_of(protocol: Protocol) -> str:
    return ", ".join(f"{short(name)}={shown(value)}" for name, value in protocol.answer().items())


def _letter(index: int) -> str:
    letters = string.ascii_lowercase
    return letters[index] if index < 26 else _letter(index // 26 - 1) + letters[index % 26]
