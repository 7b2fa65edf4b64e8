"""From runs to tables: one section a data set, one row a run, one column a question.

Two scores stand in one column only if their protocols ask the same (`Protocol.column_key`). Where one metric
needs several columns, each header names the fields on which they differ.
"""

from __future__ import annotations

import functools
import json
import math
import os
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lit_gen.leaderboard.best import best_of, merit
from lit_gen.leaderboard.collect import Run
from lit_gen.leaderboard.nfe_curves import excerpt
from lit_gen.records.protocol import Protocol, Scalar, short, shown
from lit_gen.records.record import Cost, Record
from lit_gen.records.score import METRICS, Score, metric

Cell = tuple[Score, ...]
"""A run's answers to one question, best first; empty where it has none."""

# A floor row is no model, so nobody's weights were scored; in all else it answers the column's question.
_FLOOR_FREE = ("weights",)


@dataclass(frozen=True)
class Column:
    """One question.

    Attributes:
        metric: The metric's name.
        key: What `Protocol.column_key` gives for all of its scores.
        protocol: Of one of its scores; its question side holds for all.
        differs: The fields on which it differs from the metric's other columns, by their names; without hashes where
            the others tell the columns apart, as a number of examples does.
        decimals: Digits printed after the point, the same in all its cells.
        dimension: What one dimension of its data is called.
    """

    metric: str
    key: str
    protocol: Protocol
    differs: Mapping[str, Scalar]
    decimals: int
    dimension: str = "dim"

    @property
    def label(self) -> str:
        """The metric's name in print."""
        return metric(self.metric, self.dimension).label

    @property
    def unit(self) -> str:
        """Unit of its numbers; empty for pure ones."""
        return metric(self.metric, self.dimension).unit

    @property
    def qualifier(self) -> str:
        """What sets it apart, as `[num_samples=1000]`; empty where the metric has one column."""
        parts = [f"{short(name)}={shown(value)}" for name, value in self.differs.items()]
        return f"[{', '.join(parts)}]" if parts else ""

    @property
    def header(self) -> str:
        """Label and qualifier."""
        return f"{self.label} {self.qualifier}".rstrip()


@dataclass(frozen=True)
class Row:
    """One run, or one floor.

    Attributes:
        label: The run's name, made unique in its section; for a floor, what it is.
        cells: As many as the section has columns.
        record: None for a floor.
        directory: Of the record; None for a floor.
    """

    label: str
    cells: tuple[Cell, ...]
    record: Record | None = None
    directory: Path | None = None

    @property
    def cost(self) -> Cost | None:
        """What the run cost; None for a floor."""
        return self.record.cost if self.record else None


@dataclass(frozen=True)
class Section:
    """All runs on one data set."""

    data: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    floors: tuple[Row, ...]

    @functools.cached_property
    def best(self) -> tuple[frozenset[Score], ...]:
        """For each column, the scores to mark (see `best.py`); none for one run alone."""
        return tuple(best_of([row.cells[i] for row in self.rows]) for i in range(len(self.columns)))

    @functools.cached_property
    def notes(self) -> dict[str, str]:
        """Letter of each way of answering in the table, by the answer in words; letters run down the rows."""
        answers = (answer_text(s) for row in self.rows for cell in row.cells for s in excerpt(cell))
        distinct = list(dict.fromkeys(text for text in answers if text))
        return {text: _letter(i) for i, text in enumerate(distinct)}


def build_sections(runs: Sequence[Run], *, strict: bool = False) -> list[Section]:
    """Sections in alphabetical order; rows by their first score, better first.

    Args:
        runs: All runs.
        strict: Every field of the protocol that differs splits a column.
    """
    by_data: dict[str, list[Run]] = {}
    for run in runs:
        by_data.setdefault(run.record.data, []).append(run)
    return [_section(data, by_data[data], strict) for data in sorted(by_data)]


def answer_text(score: Score) -> str:
    """How the model came to the number, in words; empty where the protocol says nothing of it."""
    return ", ".join(f"{short(name)}={shown(value)}" for name, value in score.protocol.answer().items())


def _section(data: str, runs: Sequence[Run], strict: bool) -> Section:
    scores = [score for run in runs for score in run.record.scores]
    floors = [score for run in runs for score in run.record.floors]
    known = {_asked(score.protocol) for score in scores}
    # A floor under another question than every run's is not dropped: it opens a column of its own.
    strays = [floor for floor in floors if _asked(floor.protocol) not in known]
    columns = _columns([*scores, *strays], strict, _dimensions(runs))
    labels = _labels(runs)
    rows = []
    for run, label in zip(runs, labels, strict=True):
        keys = [score.protocol.column_key(strict) for score in run.record.scores]
        keyed = list(zip(keys, run.record.scores, strict=True))
        cells = tuple(_cell(score for key, score in keyed if key == column.key) for column in columns)
        rows.append(Row(label, cells, run.record, run.directory))
    return Section(data, columns, tuple(rows), _floor_rows(floors, columns))


def _dimensions(runs: Sequence[Run]) -> dict[str, str]:
    """What a dimension is called, by the hash of the data's content: one name may stand for bytes and characters."""
    found: dict[str, str] = {}
    # Records that say more than "dim" come last, and win over older ones that could not.
    for run in sorted(runs, key=lambda run: run.record.dimension != "dim"):
        for score in (*run.record.scores, *run.record.floors):
            found[score.protocol.data_hash] = run.record.dimension
    return found


def _labels(runs: Sequence[Run]) -> list[str]:
    """Names of the runs; where several bear one name, each is followed by its directory."""
    names = [run.record.run_name for run in runs]
    top = os.path.commonpath([run.directory for run in runs])
    return [
        name if names.count(name) == 1 else f"{name} ({os.path.relpath(run.directory, top)})"
        for name, run in zip(names, runs, strict=True)
    ]


def _columns(scores: Sequence[Score], strict: bool, dimensions: Mapping[str, str]) -> tuple[Column, ...]:
    by_metric: dict[str, dict[str, list[Score]]] = {}
    for score in scores:
        by_key = by_metric.setdefault(score.name, {})
        by_key.setdefault(score.protocol.column_key(strict), []).append(score)
    columns = []
    for name in sorted(by_metric, key=_metric_order):
        questions = {key: same[0].protocol.question(strict) for key, same in by_metric[name].items()}
        differing = _differing(list(questions.values()))
        group = []
        for key, same in by_metric[name].items():
            differs = {n: questions[key].get(n) for n in differing}
            protocol = same[0].protocol
            group.append(Column(name, key, protocol, differs, _decimals(same), dimensions[protocol.data_hash]))
        columns += sorted(group, key=lambda column: [_ordered(v) for v in column.differs.values()])
    return tuple(columns)


def _differing(questions: Sequence[Mapping[str, Scalar]]) -> list[str]:
    names = dict.fromkeys(name for question in questions for name in question)

    def answers(*fields: str) -> set[str]:
        # As JSON, since Python holds True and 1 for equal.
        return {json.dumps([question.get(n) for n in fields]) for question in questions}

    differing = [n for n in names if len(answers(n)) > 1]
    readable = [n for n in differing if not n.endswith("_hash")]
    return readable if len(answers(*readable)) == len(answers(*differing)) else differing


def _floor_rows(floors: Sequence[Score], columns: Sequence[Column]) -> tuple[Row, ...]:
    by_label: dict[str, list[Score]] = {}
    for floor in floors:
        label = floor.protocol.sampler or floor.protocol.estimator or ""
        by_label.setdefault(label, []).append(floor)
    rows = []
    for label, same in by_label.items():
        distinct = {(s.value, s.protocol.hash): s for s in same}.values()
        asked = [_asked(column.protocol) for column in columns]
        rows.append(Row(label, tuple(_cell(s for s in distinct if _asked(s.protocol) == a) for a in asked)))
    return tuple(rows)


def _asked(protocol: Protocol) -> str:
    """The question, but for what a floor cannot answer."""
    question = protocol.question()
    return json.dumps({n: v for n, v in question.items() if n not in _FLOOR_FREE}, sort_keys=True)


def _cell(scores: Iterable[Score]) -> Cell:
    return tuple(sorted(scores, key=lambda score: (not score.guaranteed, merit(score))))


def _decimals(scores: Sequence[Score]) -> int:
    """Enough to show one digit of the smallest standard error, but four at the most."""
    least = scores[0].metric.decimals
    errors = [score.standard_error for score in scores if score.standard_error]
    return least if not errors else max(least, min(4, math.ceil(-math.log10(min(errors)))))


def _metric_order(name: str) -> tuple[int, str]:
    base = name.partition("_")[0]
    return list(METRICS).index(base), name


def _ordered(value: Scalar) -> tuple[int, float, str]:
    """A sort key under which numbers stand by size, before texts, and "none" first."""
    if value is None:
        return 0, 0.0, ""
    return (2, 0.0, value) if isinstance(value, str) else (1, float(value), "")


def _letter(index: int) -> str:
    letters = string.ascii_lowercase
    return letters[index] if index < 26 else _letter(index // 26 - 1) + letters[index % 26]
