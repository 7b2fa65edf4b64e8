"""Sorting the rows of a section by one of its columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from lit_gen.errors import UserError, nearest
from lit_gen.leaderboard.best import merit
from lit_gen.leaderboard.figures import COSTS
from lit_gen.leaderboard.table import Row, Section

_TEXTS: Mapping[str, Callable[[Row], str]] = {
    "run": lambda row: row.label,
    "family": lambda row: row.record.family if row.record else "",
    "model": lambda row: row.record.model if row.record else "",
}


def sort_sections(sections: Sequence[Section], column: str | None) -> list[Section]:
    """Sorts the rows of sections: better scores first, cheaper first, texts alphabetically, n/a last.

    Args:
        sections: The sections to sort, each by itself; one that lacks the column is sorted by its first score.
        column: A header, a metric's name, `run`, `family`, `model`, or a cost's header or field; None for the
            first score. A name that fits several columns sorts by the first, then the next.

    Raises:
        UserError: No section has such a column.
    """
    if column is not None:
        valid = sorted({name for section in sections for name in _names(section)})
        if column.casefold() not in [name.casefold() for name in valid]:
            hint = f"{nearest(column, valid)}; there are {', '.join(valid)}"
            raise UserError(f"--sort: no column '{column}'{hint}")
    return [_sorted(section, column) for section in sections]


def _names(section: Section) -> list[str]:
    scores = [name for c in section.columns for name in (c.metric, c.label, c.header)]
    return [*_TEXTS, *scores, *(name for cost in COSTS for name in (cost.field, cost.header))]


def _sorted(section: Section, column: str | None) -> Section:
    name = (column or "").casefold()
    text = _TEXTS.get(name)
    if text is not None:
        return dataclasses.replace(section, rows=tuple(sorted(section.rows, key=text)))
    for cost in COSTS:
        if name in (cost.field, cost.header.casefold()):
            by_cost = sorted(section.rows, key=lambda row: _missing_last(cost.value(row.cost)))
            return dataclasses.replace(section, rows=tuple(by_cost))
    named = [(c.metric.casefold(), c.label.casefold(), c.header.casefold()) for c in section.columns]
    chosen = [i for i, names in enumerate(named) if name in names] or range(len(named))
    by_score = sorted(section.rows, key=lambda row: [_rank(row, i) for i in chosen])
    return dataclasses.replace(section, rows=tuple(by_score))


def _rank(row: Row, column: int) -> tuple[bool, float]:
    cell = row.cells[column]
    # A value that cannot be relied on is not ranked.
    return _missing_last(merit(cell[0]) if cell and not cell[0].heavy_tailed else None)


def _missing_last(value: float | None) -> tuple[bool, float]:
    return value is None, 0.0 if value is None else value
