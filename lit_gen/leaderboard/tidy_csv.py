"""All scores as CSV, one line a run and score, numbers in full."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from lit_gen.leaderboard.competing import competing
from lit_gen.leaderboard.figures import COSTS
from lit_gen.leaderboard.printable import printable
from lit_gen.leaderboard.table import Row, Section, answer_text
from lit_gen.records.score import Score

HEADER = (
    "data", "row", "level", "run", "family", "model", "seed", "metric", "column", "unit", "higher_is_better", "split",
    "weights", "kind", "value", "standard_error", "n", "sd", "best", "competes", "answer", "protocol_hash", "flags",
    *(cost.field for cost in COSTS), "git_commit", "directory",
)
"""`level` is `run`, `seeds` for the mean of a row of several, or `baseline`; `row` joins a mean with its runs."""


def tidy_csv(sections: Sequence[Section]) -> str:
    """The scores of all sections, with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for section in sections:
        for row in (*section.rows, *section.baselines):
            for part in (row, *row.members):
                writer.writerows([_cell(line[name]) for name in HEADER] for line in _lines(section, row, part))
    return text.getvalue()


def _lines(section: Section, row: Row, part: Row) -> Iterator[dict[str, Any]]:
    level = "baseline" if part.record is None else "seeds" if part.members else "run"
    for i, (column, cell) in enumerate(zip(section.columns, part.cells, strict=True)):
        for score in cell:
            yield {
                "data": section.data, "row": row.label, "level": level, "metric": column.metric,
                "column": column.header, "unit": column.unit, "higher_is_better": column.higher_is_better,
                **_score(score, part), "best": section.is_best(part, i, score), **_run(part, level),
                "competes": part.record is not None and score in competing(cell, part.record),
            }


def _score(score: Score, row: Row) -> dict[str, Any]:
    protocol, spread = score.protocol, row.spread(score)
    return {
        "split": protocol.split, "weights": protocol.weights, "kind": score.kind, "value": score.value,
        "standard_error": score.standard_error, "n": spread.count if spread else 1,
        "sd": spread.deviation if spread else None, "answer": answer_text(score), "protocol_hash": protocol.hash,
        "flags": "; ".join(row.flags(score)),
    }


def _run(row: Row, level: str) -> dict[str, Any]:
    record, single = row.record, level == "run"
    return {
        "run": row.label if single else "", "family": record.family if record else "baseline",
        "model": record.model if record else "", "seed": record.seed if record and single else None,
        "git_commit": record.git_commit if record and single else None, "directory": row.directory if single else None,
        **{cost.field: cost.value(row.cost) for cost in COSTS},
    }


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    if isinstance(value, float | int):
        return repr(value)
    text = printable(str(value))
    # A spreadsheet would take a text that begins so for a formula.
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
